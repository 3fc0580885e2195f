"""The workbench's public face: ``load``, ``load_encoder``, ``explain``, ``record``, ``stop``, ``papers``.

Importing the package imports no torch: each name is fetched from its module at first use (PEP 562).

>>> import workbench as wb
>>> model = wb.load("smollm2")             # doctest: +SKIP
>>> model.generate(["The capital of France is"], max_new_tokens=4)   # doctest: +SKIP
"""

from .lazy import from_stub
from .models import quantised

__version__ = "0.1.0"
quantised.install()  # before anything imports bitsandbytes: it is mended in that moment
__getattr__, __dir__, __all__ = from_stub(__name__, __file__)
