"""Copies of finished runs for others to read: an MLflow database, an object store.

A sink gets finished records only, some of them more than once; it leaves alone what it has.
"""

import json
from pathlib import Path

from ...errors import RunError, UsageError
from ...files import expanded
from ..report.words import plain
from ..store.entry import FILE, Record, inside

TAG = "workbench.id"
COPIED = ("metrics.json", "rows.jsonl", "notebook.ipynb", "items.html", "report.html", FILE)  # the record last


class MLflow:
    """Finished runs as runs of MLflow (extra ``mlflow``): one experiment a paper, in a sqlite file.

    Raises
    ------
    UsageError
        MLflow is not installed.
    RunError
        The file is not such a database or cannot be written.
    """

    def __init__(self, file: Path):
        try:
            import mlflow
        except ImportError:
            raise UsageError(
                "--mlflow needs MLflow: pip install 'mlflow>=3' (or this checkout's extra: .[mlflow])"
            ) from None
        self.file = expanded(file).absolute()
        self._error = mlflow.exceptions.MlflowException
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{self.file}")
            self._client.search_experiments(max_results=1)  # creates the tables
        except Exception as error:  # sqlalchemy's, alembic's and MLflow's own errors
            raise RunError(
                f"{self.file} cannot be used as an MLflow database ({_short(error)}); name a new file"
            ) from error

    def add(self, records: list[Record]) -> None:
        """Copy the records that it lacks."""
        from filelock import FileLock

        try:
            with FileLock(f"{self.file}.lock"):  # so that two sweeps with one database do not copy a run twice
                for paper in sorted({record.paper for record in records}):
                    experiment = self._experiment(paper)
                    mine = [record for record in records if record.paper == paper]
                    there = self._there(experiment, mine)
                    for record in mine:
                        if record.id not in there:
                            self._copy(experiment, record)
        except Exception as error:  # MLflow's, sqlalchemy's and the disk's
            raise RunError(f"runs cannot be copied to {self.file} ({_short(error)}); they are kept here") from error

    def _experiment(self, paper: str) -> str:
        found = self._client.get_experiment_by_name(paper)
        if found is not None:
            return found.experiment_id
        try:
            place = (self.file.parent / f"{self.file.stem}-artifacts").as_uri()
            return self._client.create_experiment(paper, artifact_location=place)
        except self._error:  # another sweep was faster
            return self._client.get_experiment_by_name(paper).experiment_id

    def _there(self, experiment: str, records: list[Record]) -> set[str]:
        """The IDs whose copy in the database is whole; a half copy of a killed sweep is deleted."""
        found, token = set(), None
        only = f"tags.`{TAG}` = '{records[0].id}'" if len(records) == 1 else ""
        while True:
            page = self._client.search_runs([experiment], only, max_results=1000, page_token=token)
            for run in page:
                if run.info.status == "FINISHED":
                    found.add(run.data.tags.get(TAG, ""))
                elif TAG in run.data.tags:
                    self._client.delete_run(run.info.run_id)
            token = page.token
            if not token:
                return found

    def _copy(self, experiment: str, record: Record) -> None:
        from mlflow.entities import Metric, Param, RunTag

        start = _milliseconds(record.started)
        end = _milliseconds(record.ended) or start
        run = self._client.create_run(experiment, start_time=start, run_name=record.id, tags={TAG: record.id})
        metrics = [
            Metric(_name(name + part), entry[key], end, 0)
            for name, entry in record.metrics.items()
            for key, part in (("value", ""), ("low", ".low"), ("high", ".high"))
            if entry.get(key) is not None
        ]
        params = [Param(_name(name), plain(value)[:6000]) for name, value in record.parameters.items()]
        about = {
            "workbench.folder": str(record.folder),
            "workbench.notebook_sha256": record.notebook_sha256,
            "workbench.revision": (record.git or {}).get("revision") or "",
            "workbench.seconds": f"{record.seconds}",
            "workbench.models": json.dumps(record.models)[:5000],
        }
        tags = [RunTag(name, text) for name, text in about.items()]
        self._client.log_batch(run.info.run_id, metrics, params[:100], tags)
        self._client.set_terminated(run.info.run_id, "FINISHED", end)


class CopyTo:
    """Finished runs, all but their logs and figures, below a URL: s3://, gs://, file:// (pyarrow's file systems).

    Raises
    ------
    UsageError
        The URL has no known file system.
    """

    def __init__(self, url: str):
        from pyarrow import fs

        self.url = url
        try:
            self._system, self._base = fs.FileSystem.from_uri(url)
        except (OSError, ValueError) as error:  # pyarrow's errors derive from these
            known = "give s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or file:///FOLDER"
            raise UsageError(f"--copy-to {url!r} cannot be used ({_short(error)}); {known}") from error

    def add(self, records: list[Record]) -> None:
        """Copy the records that it lacks; a record is written last, after its files."""
        from pyarrow import fs

        for record in records:
            place = f"{self._base.rstrip('/')}/{record.paper}/{record.id}"
            try:
                if self._system.get_file_info(f"{place}/{FILE}").type != fs.FileType.NotFound:
                    continue
                self._system.create_dir(place, recursive=True)
                for name in COPIED:
                    source = inside(record.folder, name)
                    if source is not None:
                        with self._system.open_output_stream(f"{place}/{name}") as target:
                            target.write(source.read_bytes())
            except OSError as error:
                raise RunError(
                    f"{record.id} cannot be copied to {self.url} ({_short(error)}); the run itself is kept"
                ) from error


def _milliseconds(moment: str | None) -> int:
    """A record's time as MLflow keeps it; 0 if the record has none."""
    from datetime import datetime

    try:
        return int(datetime.fromisoformat(moment or "").timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0


def _name(text: str) -> str:
    """A metric's or parameter's name as MLflow allows it."""
    return "".join(sign if sign.isalnum() or sign in "_-. /" else "_" for sign in text)[:240]


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."
