"""A run's items: what every arm answered to every item, as a page and as tables.

The page holds its rows as JSON. A few lines of script show fifty at a time, always as text; the policy names that
script's hash and forbids everything else.
"""

import json
from pathlib import Path
from typing import Any

from ...files import write_atomic
from ...rows import FILE, Row, read_lines
from ...tables import csv_text
from ..store import masking
from ..store.entry import inside
from ..store.metrics import number
from .exports import as_parquet
from .words import environment, script

PAGE = "items.html"
MOST = 20_000  # items of a page, those on which the arms differ most; the tables have all


def write_items(folder: Path, run: dict[str, Any]) -> Path | None:
    """Make ``items.html``, ``items.csv`` and ``items.parquet`` from a run's ``rows.jsonl``; None without rows.

    ``run`` holds the fields of the run's record; a run that `may_hold_secrets` gets no page.
    """
    path = inside(folder, FILE)
    if path is None or may_hold_secrets(run):
        return None
    lines, damaged = read_lines(path)
    kept = {
        (line["study"], line["key"], *(row := Row.from_dict(line)).key): row for line in lines
    }  # a later row replaces an earlier one
    if not kept:
        return None
    table = [{"study": key[0], **_flat(row)} for key, row in kept.items()]
    write_atomic(folder / "items.csv", csv_text(table))
    write_atomic(folder / "items.parquet", as_parquet(table))
    return write_atomic(folder / PAGE, render(kept, run, damaged))


def may_hold_secrets(run: dict[str, Any]) -> bool:
    """Whether nobody has cleaned the run's files of a secret among its parameters, because it was killed."""
    return run.get("status") == "killed" and masking.has_mask(list((run.get("parameters") or {}).values()))


def _flat(row: Row) -> dict:
    parts = {"label": row.labels, "measure": row.measures, "cost": row.cost}
    named = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
    named = {name: None if value != value else value for name, value in named.items()}
    return {"arm": row.arm, "item": row.item, "seed": row.seed, "unit": row.unit, "prompt": row.prompt,
            "reply": row.reply, **named}  # fmt: skip


def render(rows: dict[tuple, Row], run: dict[str, Any], damaged: int = 0) -> str:
    """The page as text; ``rows`` by (study, key, arm, item, seed)."""
    names = {part: list(dict.fromkeys(name for row in rows.values() for name in getattr(row, part)))
             for part in ("labels", "measures", "cost")}  # fmt: skip
    groups: dict[tuple, list[Row]] = {}
    for (study, key, _, item, seed), row in rows.items():
        groups.setdefault((study, key, item, seed), []).append(row)
    spreads = {group: [_spread(name, mine) for name in names["measures"]] for group, mine in groups.items()}
    items, data = [], []
    seeds = {seed for *_, seed in groups}
    for group in sorted(groups, key=spreads.get, reverse=True)[:MOST]:  # the sort is stable: ties keep their order
        study, _, item, seed = group
        mine = groups[group]
        name = item if len(seeds) == 1 else f"{item}, seed {seed}"
        prompt = next((row.prompt for row in mine if row.prompt), "")
        items.append({"study": study, "name": name, "prompt": prompt, "differ": any(spreads[group])})
        for row in mine:
            data.append(
                {
                    "item": len(items) - 1, "arm": row.arm, "reply": row.reply,
                    "labels": [row.labels.get(name, "") for name in names["labels"]],
                    "measures": [_shown(row.measures.get(name)) for name in names["measures"]],
                    "costs": [_shown(row.cost.get(name)) for name in names["cost"]],
                }
            )  # fmt: skip
    text = json.dumps({"items": items, "rows": data}, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")  # no markup inside the page's JSON
    return (
        environment()
        .get_template("items.html")
        .render(
            run=run, damaged=damaged, left_out=len(groups) - len(items), data=text, labels=names["labels"],
            measures=names["measures"], costs=names["cost"], arms=list(dict.fromkeys(row.arm for row in rows.values())),
            studies=list(dict.fromkeys(item["study"] for item in items)), **script("items.js"),
        )
    )  # fmt: skip


def _spread(measure: str, rows: list[Row]) -> float:
    """The range of an item's arms in a measure."""
    values = [float(row.measures[measure]) for row in rows if measure in row.measures]
    values = [value for value in values if value == value]
    return max(values) - min(values) if values else 0.0


def _shown(value: float | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None or value != value else number(value)
