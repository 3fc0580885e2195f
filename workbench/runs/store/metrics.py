"""What a notebook's cells call: ``record`` keeps the run's numbers, ``stop`` ends the notebook on purpose.

It imports neither pandas nor numpy: the CLI reads it too.
"""

import math
import numbers

from ...errors import UsageError
from ...files import lone_surrogate, read_json, run_folder, write_json

FILE = "metrics.json"
WHOLE = 10**299  # a larger whole number is kept as a float, as JSON readers do
STOP = "stop.json"  # marks a stop by `stop`: anybody can raise an exception of the same name


class Stopped(BaseException):
    """Raised by `stop`. Not an Exception, so that no ``except Exception`` takes it for an error."""

    def _render_traceback_(self) -> list[str]:  # IPython shows this sentence instead of a traceback
        return [f"Stopped here: {self}"]


def stop(why: str, *, finished: bool = False) -> None:
    """End the notebook here, on purpose: later cells do not run.

    Parameters
    ----------
    why
        The reason, a short sentence for the run's record.
    finished
        Whether nothing was left to do. A sweep then counts the cell as finished; otherwise it runs it again next time.

    Raises
    ------
    Stopped
        Always: it ends the cell. The run's status is ``stopped``.
    UsageError
        The reason is empty.
    """
    if not isinstance(why, str) or not why.strip():
        raise UsageError(f"stop: the reason is {why!r}; give a short sentence")
    why = " ".join(why.encode("utf-8", "replace").decode().split())[:500]
    folder = run_folder()
    if folder is not None:
        write_json(folder / STOP, {"why": why, "finished": bool(finished)})
    raise Stopped(why)


def record(metrics: dict, tables: dict | None = None) -> None:
    """Print the metrics, and inside a run keep them in the run's folder (``metrics.json``, written atomically).

    Parameters
    ----------
    metrics
        Name -> number, or -> `workbench.Estimate` (value, low, high, n, unit). Python, numpy and zero-dimensional torch
        numbers are numbers. NaN and infinities are kept as null with a note saying which: they are not JSON.
    tables
        Name -> pandas DataFrame or list of dicts (one a row); small ones, for the report.

    Raises
    ------
    UsageError
        A metric is not a number, or a table is neither a DataFrame nor a list of dicts.
    WorkbenchError
        The run's folder cannot be written.

    Notes
    -----
    A second call in the same run adds to the first; a name given again takes the later value.
    """
    rows = {str(name): _entry(name, value) for name, value in dict(metrics).items()}
    kept = {str(name): _rows(name, table) for name, table in (tables or {}).items()}
    folder = run_folder()
    if folder is not None:
        path = folder / FILE
        old = _before(path)
        write_json(path, {"metrics": old["metrics"] | rows, "tables": old["tables"] | kept})
    print(as_text(rows))


def _before(path) -> dict:
    """What an earlier call kept; nothing if the file is not ours."""
    try:
        raw = read_json(path)
        from .schema import Kept, checked  # imports pydantic, so only if there is a file

        return {"tables": {}} | checked(Kept, raw)
    except (OSError, ValueError):
        return {"metrics": {}, "tables": {}}


def as_text(metrics: dict) -> str:
    """The metrics of a ``metrics.json`` as an aligned plain-text table."""
    cells = [("metric", "value", "95% interval", "n", "unit")]
    cells += [(name, *(show(entry).values())) for name, entry in metrics.items()]
    used = [column for column in range(5) if column < 2 or any(row[column] for row in cells[1:])]
    widths = {column: max(len(row[column]) for row in cells) for column in used}
    lines = ["  ".join(row[c].ljust(widths[c]) for c in used).rstrip() for row in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def show(entry: dict) -> dict[str, str]:
    """One stored metric as strings for a table: value, interval, n, unit."""
    value, low, high = entry.get("value"), entry.get("low"), entry.get("high")
    return {
        "value": entry.get("note") or "none" if value is None else number(value),
        "interval": "" if low is None or high is None else f"[{number(low)}, {number(high)}]",
        "n": "" if entry.get("n") is None else f"{entry['n']:g}",
        "unit": entry.get("unit") or "",
    }


def number(value: float) -> str:
    """A number for people: whole numbers in full, others with four significant digits."""
    if abs(value) < 1e9 and value == int(value):
        return str(int(value))
    return f"{value:.4g}"


def _entry(name, value) -> dict:
    """A metric as it is stored: {value, low, high, n, unit}, and a note where a value is not finite."""
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f"record: a metric's name is {name!r}; use a short text such as 'accuracy'")
    if half := lone_surrogate(name):
        raise UsageError(f"record: the metric's name {name!a} has {half} in it, half a character; use whole ones")
    fields = value.as_dict() if hasattr(value, "as_dict") else {"value": value}
    entry = {"value": None, "low": None, "high": None, "n": None, "unit": ""}
    for key in ("value", "low", "high", "n"):
        raw = fields.get(key)
        if raw is None:
            continue
        plain = _plain(raw)
        if isinstance(plain, bool) or not isinstance(plain, numbers.Real):
            raise UsageError(
                f"record: metric {name!r} has {key} = {_short(raw)} ({type(raw).__name__});"
                " give a number or an Estimate"
            )
        try:
            plain = int(plain) if isinstance(plain, numbers.Integral) and -WHOLE < plain < WHOLE else float(plain)
            word = "not a number" if math.isnan(plain) else "infinite" if plain > 0 else "minus infinite"
        except OverflowError:  # 10**400, or a fraction of such
            plain, word = math.inf, "beyond the largest number there is (1.8e308)"
        if math.isfinite(plain):
            entry[key] = plain
        else:
            entry["note"] = word if key == "value" else "; ".join(filter(None, [entry.get("note"), f"{key} is {word}"]))
    if entry["value"] is None and "note" not in entry:
        entry["note"] = "not measured"
    entry["unit"] = _whole(str(fields.get("unit") or ""))
    return entry


def _rows(name, table) -> list[dict]:
    """A table as a list of plain dicts."""
    if hasattr(table, "to_dict") and hasattr(table, "columns"):
        named = [label for label in table.index.names if label is not None]
        table = (table.reset_index() if named else table).to_dict("records")
    if not isinstance(table, list) or not all(isinstance(row, dict) for row in table):
        raise UsageError(f"record: table {name!r} is a {type(table).__name__}; give a DataFrame or a list of dicts")
    return [{_key(key): _cell(value) for key, value in row.items()} for row in table]


def _key(key) -> str:
    return _whole(" ".join(map(str, key)) if isinstance(key, tuple) else str(key))


def _cell(value):
    value = _plain(value)
    if value is None or isinstance(value, bool) or (isinstance(value, int) and -WHOLE < value < WHOLE):
        return value
    if isinstance(value, numbers.Real):
        try:
            value = float(value)
        except OverflowError:
            return "beyond 1.8e308"
        return value if math.isfinite(value) else None
    return _whole(str(value))


def _whole(text: str) -> str:
    """A text without halves of characters, which no file takes."""
    return text.encode("utf-8", "replace").decode()


def _plain(value):
    """A numpy or torch scalar as the Python number inside it; anything else unchanged."""
    if not isinstance(value, (str, bytes)) and hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return value.item()
    return value


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
