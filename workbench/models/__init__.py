"""One handle over every language model: `load`, `load_encoder`, `require`, and the contract `Model`.

Importing this package imports no torch; loading a model does.
"""

from ..lazy import from_stub

__getattr__, __dir__, __all__ = from_stub(__name__, __file__)
