"""The workbench's few errors. Every message says what is wrong, with which value, and what to do.

The command line prints the message alone (no traceback) and exits with ``exit_code``; in a notebook the same sentence
is the last line of the traceback.
"""


class WorkbenchError(Exception):
    """Base of every error the workbench raises on purpose; ``exit_code`` is what the CLI leaves with."""

    exit_code = 1


class UsageError(WorkbenchError):
    """The call itself is wrong: an unknown paper, parameter or value. Nothing was started."""

    exit_code = 2


class ModelError(WorkbenchError):
    """A model cannot be loaded, or cannot do what was asked of it."""


class DataError(WorkbenchError):
    """A data set is missing, malformed or not what it says it is."""


class RunError(WorkbenchError):
    """A run failed, or its folder cannot be written or read."""
