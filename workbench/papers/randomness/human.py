"""Sequences that people wrote, as a csv holds them; without torch, so that a slip is told before a kernel starts."""

from dataclasses import dataclass
from pathlib import Path

from ... import tables
from ...errors import UsageError
from .flips import parse_flips


@dataclass(frozen=True)
class _Written:
    line: int
    sequence: str
    p_tails: str = "50"


def read_human(path: Path, alphabet: str = "words") -> dict[float, list[str]]:
    """% Tails that people were told -> their sequences, whole; `human_sequences` says what may be wrong."""
    told: dict[float, list[str]] = {}
    for row in tables.read_rows(path, _Written, foreign=True):
        try:
            flips = parse_flips(row.sequence, alphabet)
        except UsageError as error:
            raise tables.bad(path, row.line, str(error).rstrip("."), "mend the row, or leave it out") from error
        try:
            p_tails = float(row.p_tails)
        except ValueError:
            wrong = f"p_tails is {row.p_tails!r}, which is no number"
            raise tables.bad(path, row.line, wrong, "write one from 0 to 100, with a point") from None
        if not 0 <= p_tails <= 100 or not flips:
            wrong = f"{row.p_tails} % Tails and {len(flips)} flips"
            raise tables.bad(path, row.line, wrong, "give a percentage from 0 to 100 and at least one flip")
        told.setdefault(float(f"{p_tails:g}"), []).append(flips)  # told apart as in tables
    return told
