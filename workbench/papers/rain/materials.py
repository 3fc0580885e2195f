"""RAIN's own data: prompts and labelled replies (data/rain/README.md is their card; quoted numbers: `data.quoted`)."""

from dataclasses import dataclass

from ...data import rows
from ...errors import UsageError
from ...readers import Prompt

KINDS = ("harmful", "lookalike", "review")  # look-alikes sound dangerous and are not: they show over-refusal
HALVES = ("tuning", "heldout")


@dataclass(frozen=True)
class Labelled:
    """A reply, or the beginning of one, with what the objective makes of it.

    Attributes
    ----------
    objective : str
        "harmlessness", "sentiment" or "truthfulness".
    half : str
        "tuning" (templates, words and thresholds may be chosen on it) or "heldout" (they may not).
    label : int
        1 is what the objective wants (harmless, positive, true), 0 the opposite.
    partial : bool
        Whether the reply is cut in the middle, which is what a search has to judge.
    """

    id: str
    objective: str
    half: str
    prompt: str
    reply: str
    label: int
    partial: bool


def prompts(kind: str | None = None) -> list[Prompt]:
    """The packaged prompts, all or of one of KINDS.

    Raises
    ------
    UsageError
        An unknown kind.
    """
    if kind not in (None, *KINDS):
        raise UsageError(f"kind {kind!r} is unknown: choose {', '.join(KINDS)}")
    return [prompt for prompt in rows("rain/prompts.jsonl", Prompt) if kind in (None, prompt.kind)]


def labelled(objective: str, *, half: str | None = None, partial: bool | None = None) -> list[Labelled]:
    """The labelled replies of one objective; ``half`` of HALVES, ``partial`` replies or whole ones, None for both.

    Raises
    ------
    UsageError
        There are none such.
    """
    every = rows("rain/replies.jsonl", Labelled)
    found = [r for r in every if r.objective == objective and half in (None, r.half) and partial in (None, r.partial)]
    if not found:
        known = ", ".join(sorted({row.objective for row in every}))
        raise UsageError(
            f"no labelled reply has objective={objective!r}, half={half!r}, partial={partial!r}: objectives are "
            f"{known} (truthfulness has whole replies only), halves {', '.join(HALVES)}"
        )
    return found
