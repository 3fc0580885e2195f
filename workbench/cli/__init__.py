"""The command line, `workbench COMMAND`: list, params, new, run, sweep, runs, rerun, diff, report, doctor, models,
cache, lab.

Every command answers in well under a second until it starts real work: heavy imports stand inside the commands, and
none of them imports torch into this process. An error is one sentence on standard error; ``--debug`` shows more.
"""

import os
import sys

from ..errors import WorkbenchError
from ..files import forbid_world_writing
from . import models, runs, sweep, tools  # noqa: F401 (each adds its commands to the app)
from .base import app, complain


def main() -> None:
    """The entry point: errors as sentences, exit codes as DESIGN.md says."""
    from ..runs.process.processes import adopt_orphans

    forbid_world_writing()
    for stream in (sys.stdout, sys.stderr):  # a path may be no UTF-8: it is told, not stumbled over
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    adopt_orphans()  # what a killed child of ours leaves behind comes here and not to the system
    try:
        app(prog_name="workbench", standalone_mode=True)
    except WorkbenchError as error:
        if os.environ.get("WORKBENCH_DEBUG"):
            raise
        complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(130)
