"""Clear a warm kernel between two runs (`workbench sweep --warm`), as far as one process can.

Variables, figures, widgets, environment, working directory, import path, warning filters and random states go back.
The risk is what stays: imported modules with changes inside them, threads, memory that was not given back, a GPU's
context, and settings such as torch's default type. A number that matters needs a new kernel.
"""

import gc
import os
import random
import sys
import warnings
from typing import Any

from ...files import RUN_FOLDER

_first: dict[str, Any] = {}  # the kernel's state before its first run


def between(folder: str, cwd: str) -> None:
    """Forget the last run, and set the next run's ``folder`` and its working directory ``cwd``."""
    if not _first:
        _first.update(environ=dict(os.environ), path=list(sys.path), filters=list(warnings.filters))
    shell = sys.modules["IPython"].get_ipython()
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    if "matplotlib" in sys.modules:
        sys.modules["matplotlib"].rcdefaults()
    if "ipywidgets" in sys.modules:
        sys.modules["ipywidgets"].Widget.close_all()
    shell.reset(new_session=True)
    os.environ.clear()
    os.environ.update(_first["environ"] | {RUN_FOLDER: folder})
    sys.path[:] = _first["path"]
    warnings.filters[:] = _first["filters"]
    warnings._filters_mutated()
    os.chdir(cwd)
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    gc.collect()
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        torch.seed()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
