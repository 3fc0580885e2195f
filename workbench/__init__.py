"""The workbench's public face: ``load``, ``load_encoder``, ``explain``, ``record``, ``stop``, ``papers``.

Importing the package imports no torch: each name is fetched from its module at first use (PEP 562).

>>> import workbench as wb
>>> model = wb.load("smollm2")             # doctest: +SKIP
>>> model.generate(["The capital of France is"], max_new_tokens=4)   # doctest: +SKIP
"""

from .lazy import lazy_names
from .models import quantised

__version__ = "0.1.0"

_HOMES = {
    "load": "models",
    "load_encoder": "models",
    "explain": "widgets.explain",
    "record": "runs.record",
    "stop": "runs.record",
    "Estimate": "stats",
    "papers": None,
    "stats": None,
    "WorkbenchError": "errors",
}
__all__ = ["Estimate", "WorkbenchError", "explain", "load", "load_encoder", "papers", "record", "stats", "stop"]
quantised.install()  # before anything imports bitsandbytes: it is mended in that moment
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
