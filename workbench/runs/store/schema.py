"""What record.json and metrics.json must look like: every file that we read passes here.

A folder of runs may hold anything: half a copy, an editor's slip, what a cell wrote under our names. The rest of the
package shows, compares and counts what passes here without another check; `workbench.runs.store.entry` names what does
not pass and leaves it out. It imports pydantic, so it is imported when a file is read, not before.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

NAME = re.compile(r"\w[\w .()+-]{0,99}")  # of a paper or a run: it becomes a folder, and a link in the report


def _named(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"{text[:40]!r} cannot name a folder")
    return text


Name = Annotated[str, AfterValidator(_named)]
Number = int | float  # finite, and no larger than a double: `files.parse_json` refuses the rest


class _Part(BaseModel):
    """Strict: a text is not a number. Fields that a later version adds are kept."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Metric(_Part):
    """One number with its interval; ``note`` says why there is none."""

    value: Number | None
    low: Number | None = None
    high: Number | None = None
    n: Number | None = None
    unit: str | None = None
    note: str | None = None


class Git(_Part):
    """The checkout's revision."""

    revision: str | None = None
    dirty: bool | None = None


class Machine(_Part):
    """`environment.hardware`."""

    cpu: str | None = None
    cores: int | None = None
    memory_bytes: Number | None = None
    system: str | None = None
    host: str | None = None
    gpus: list[dict[str, str]] = []
    swap_bytes: Number | None = None


class Process(_Part):
    """`processes.this_process` of the runner."""

    pid: int | None = None
    created: Number | None = None
    ticks: int | None = None
    boot: str | None = None
    host: str | None = None


class Written(_Part):
    """record.json; `store.Record` has the same fields and says what they mean."""

    model_config = ConfigDict(extra="ignore")

    id: Name
    paper: Name
    notebook: str
    notebook_sha256: str
    parameters: dict[str, Any]
    given: list[str] = []
    status: Literal["running", "done", "failed", "timed out", "interrupted", "killed", "stopped", "ended early"]
    error: str | None = None
    cause: Literal["experiment", "infrastructure"] | None = None
    started: str = ""
    ended: str | None = None
    seconds: Number | None = None
    cpu_seconds: Number | None = None
    peak_memory_bytes: Number | None = None
    seed: int | None = None
    timeout: Number | None = None
    metrics: dict[str, Metric] = {}
    models: list[dict[str, Any]] = []
    contents: dict[str, str] = {}
    git: Git | None = None
    workbench: str = ""
    python: str = ""
    versions: dict[str, str] = {}
    hardware: Machine = Machine()
    process: Process = Process()
    rerun_of: str | None = None
    resume_of: str | None = None
    rows: dict[str, int] | None = None
    threads: int | None = None
    warm: int | None = None
    finished: bool | None = None
    skipped: list[str] | None = None

    @model_validator(mode="after")
    def _given_have_values(self):
        missing = [name for name in self.given if name not in self.parameters]
        if missing:
            raise ValueError(f"given names {missing[0]!r}, which parameters lacks")
        return self


class Kept(_Part):
    """metrics.json, as `record.record` writes it."""

    metrics: dict[str, Metric]
    tables: dict[str, list[dict[str, Any]]] = {}


class Manifest(_Part):
    """A sweep's manifest of its grid (`sweep.driver.write_manifest`)."""

    name: Name
    paper: Name
    notebook_sha256: str
    axes: dict[str, list[Any]]
    fixed: dict[str, Any]
    cells: list[str]


def checked(model: type[BaseModel], raw: Any) -> dict[str, Any]:
    """``raw``, checked by the model, as plain dicts without defaults.

    Raises
    ------
    ValueError
        It does not fit; the message names the first wrong field in a few words.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"a JSON object is expected, and it holds {'null' if raw is None else type(raw).__name__}")
    try:
        return model.model_validate(raw).model_dump(exclude_unset=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{where}: {said}" if where else said) from None
