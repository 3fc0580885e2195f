"""A package whose public names are fetched from its modules at first use (PEP 562), so that importing it is quick."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_names(package: str, homes: Mapping[str, str | None]) -> tuple[Callable, Callable]:
    """``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : dict
        Public name -> the package's module that defines it, or None for a module of that name itself.
    """
    module = sys.modules[package]

    def fetch(name: str):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it offers {', '.join(module.__all__)}")
        home = homes[name]
        value = import_module(f"{package}.{home or name}")
        if home is not None:
            value = getattr(value, name)
        setattr(module, name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(module), *homes})

    return fetch, names
