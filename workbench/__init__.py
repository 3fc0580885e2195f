"""The workbench's public face: ``load``, ``load_encoder``, ``explain``, ``record``, ``papers``.

Importing the package imports no torch: each name is fetched from its module at first use (PEP 562).

>>> import workbench as wb
>>> model = wb.load("smollm2")             # doctest: +SKIP
>>> model.generate(["The capital of France is"], max_new_tokens=4)   # doctest: +SKIP
"""

from importlib import import_module

__version__ = "0.1.0"

# public name -> (module, attribute); None means the module itself
_PUBLIC = {
    "load": ("workbench.models", "load"),
    "load_encoder": ("workbench.models", "load_encoder"),
    "explain": ("workbench.widgets.explain", "explain"),
    "record": ("workbench.runs.record", "record"),
    "Estimate": ("workbench.stats", "Estimate"),
    "papers": ("workbench.papers", None),
    "stats": ("workbench.stats", None),
    "WorkbenchError": ("workbench.errors", "WorkbenchError"),
}
__all__ = ["Estimate", "WorkbenchError", "explain", "load", "load_encoder", "papers", "record", "stats"]


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}; it offers {', '.join(__all__)}")
    module, attribute = _PUBLIC[name]
    value = import_module(module)
    if attribute is not None:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__])
