"""A package whose public names are fetched from its modules at first use (PEP 562), so that importing it is quick.

The names stand in a stub beside the package's file (``__init__.pyi``) as ordinary relative imports: Python reads them
here, editors and mypy read them there, and a name that does not exist is an error for both.
"""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path


def from_stub(package: str, file: str) -> tuple[Callable, Callable, list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    file : str
        Its ``__file__``; the stub stands beside it.
    """
    module = sys.modules[package]
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
    homes = {
        alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }  # public name -> the module that defines it, None where the name is a module

    def fetch(name: str):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it offers {', '.join(sorted(homes))}")
        home = homes[name]
        value = import_module(f"{package}.{home or name}")
        if home is not None:
            value = getattr(value, name)
        setattr(module, name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(module), *homes})

    return fetch, names, sorted(homes)
