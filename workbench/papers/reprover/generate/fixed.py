"""Provers that have learned nothing, as generators: one list of tactics for every state, and a list by the goal's form.

Every tactic costs the same, so that a best-first search with them goes breadth first.
"""

from collections import Counter
from collections.abc import Sequence

from ....errors import DataError
from ..corpus.corpus import Premise, TracedTheorem
from ..lean.states import hypotheses
from .base import Proposals

FIRST = ("rfl", "assumption", "contradiction", "decide", "trivial")
PLAIN = ("intro x", "constructor", "funext x", "simp", "left", "right", "exfalso")
HYPOTHESIS = ("exact {h}", "apply {h}", "rw [{h}]", "rw [← {h}]", "cases {h}", "exact {h} (by assumption)")
STEP = -1.0  # every tactic's log-probability


class Fixed:
    """The same tactics for every state, or where none are given those of `candidates`.

    Parameters
    ----------
    tactics : sequence of str, optional
        ``["rfl"]`` is the prover of the commonest tactic.
    """

    def __init__(self, tactics: Sequence[str] | None = None, name: str = "fixed list") -> None:
        self.name, self._tactics = name, tactics

    def propose(self, states: Sequence[str], premises: Sequence[Sequence[Premise]], n: int) -> list[Proposals]:
        """The first ``n`` of the list, for each state."""
        lists = (self._tactics if self._tactics is not None else candidates(state.split("\n\n")[0]) for state in states)
        return [[(tactic, STEP) for tactic in list(dict.fromkeys(some))[:n]] for some in lists]


def candidates(goal: str) -> list[str]:
    """The fixed list for a goal: closing tactics, each hypothesis used in a few ways (the latest first), the rest."""
    tactics = list(FIRST)
    for name, kind in reversed(hypotheses(goal)):
        if kind.startswith(("Type", "Sort")) or kind == "Prop":
            continue
        if kind in ("Nat",) or kind.startswith("List "):
            tactics += [f"induction {name}", f"cases {name}"]
        elif kind == "Bool" or kind.startswith("Option "):
            tactics.append(f"cases {name}")
        else:
            tactics += [form.format(h=name) for form in HYPOTHESIS]
    return list(dict.fromkeys([*tactics, *PLAIN]))


def majority_tactic(theorems: Sequence[TracedTheorem]) -> str:
    """The commonest tactic of the training theorems; of equally common ones the first by alphabet."""
    counts = Counter(tactic.tactic for theorem in theorems for tactic in theorem.tactics)
    if not counts:
        raise DataError("the training part holds no tactic; give it theorems with tactic proofs")
    return min(counts, key=lambda tactic: (-counts[tactic], tactic))
