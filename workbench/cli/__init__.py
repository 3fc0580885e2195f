"""The command line, `workbench COMMAND`: list, params, new, run, sweep, reproduce, runs, rerun, diff, report,
slides, doctor, models, cache, lab.

Every command answers in well under a second until it starts real work: the commands import heavy libraries themselves,
and none of them imports torch into this process. An error is one sentence on standard error; ``--debug`` shows more.
"""

import os
import sys

from ..errors import WorkbenchError
from ..files import forbid_world_writing
from . import lab, models, reproduce, runs, sweep, tools  # noqa: F401 (each adds its commands to the app)
from .base import app, complain


def main() -> None:
    """The entry point: errors as sentences, exit codes as DESIGN.md says."""
    from ..runs.process.processes import adopt_orphans

    forbid_world_writing()
    for stream in (sys.stdout, sys.stderr):  # a path may not be UTF-8: it is shown with escapes
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    adopt_orphans()  # this process, not the system, inherits what a killed child leaves behind
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
