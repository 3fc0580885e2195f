"""Does the model go on with a repeated word? Whole periods, every rotation, and random contexts as the control."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import UsageError
from .curve import flip_masses
from .flips import as_digits, parse_flips, repeat_concept, write_flips
from .settings import prompt_text


@dataclass(frozen=True)
class ConceptCurve:
    """What `concept_curve` found, at m context lengths.

    Attributes
    ----------
    concept : str
        The word in digits: "01" is Heads Tails repeated.
    depth : int
        How many flips ahead were scored.
    n : (m,) int
        Flips in context, in blocks of one period each.
    in_phase : (m,)
        P(the next ``depth`` flips are those of the word at its place | n flips).
    in_concept : (m,)
        The same summed over the word's distinct rotations: the card's p(y in C | x).
    out_of_phase : (m,)
        Mean over the other rotations; NaN for a word of equal flips, which has none.
    mass : (m,)
        Unnormalised mass of Heads and Tails, the least along the in-phase path.
    """

    concept: str
    depth: int
    n: np.ndarray
    in_phase: np.ndarray
    in_concept: np.ndarray
    out_of_phase: np.ndarray
    mass: np.ndarray

    @property
    def phase_difference(self) -> np.ndarray:
        """(m,) in phase minus out of phase: 0 for a model that does not know where in the word it is."""
        return self.in_phase - self.out_of_phase

    def by_period(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means over whole periods: (n at each block's middle, mean of ``values``).

        Over a period each rotation is in phase once, so a mere preference for Heads cancels in the phase difference.
        """
        period = len(self.concept)
        whole = len(self.n) // period * period
        return tuple(x[:whole].reshape(-1, period).mean(1) for x in (self.n, values))


def rotations(concept: str, depth: int) -> list[str]:
    """The distinct continuations of ``depth`` flips, over all places where the repeated word may be."""
    word = parse_flips(concept)
    return list(dict.fromkeys(repeat_concept(word, r + depth)[r:] for r in range(len(word))))


def points(n_flips: int, period: int, n_points: int) -> list[int]:
    """Context lengths to score: ``n_points`` blocks of one period, spread over 0..n_flips, without overlap."""
    last = max(0, n_flips - period + 1)
    wanted = np.linspace(0, last, max(1, n_points)).round().astype(int)
    starts: list[int] = []
    for start in wanted.tolist():
        if not starts or start >= starts[-1] + period:
            starts.append(start)
    return [start + place for start in starts for place in range(period) if start + place <= n_flips]


def path_probabilities(
    model,
    paths: Sequence[tuple[str, str]],
    *,
    prompt: str,
    alphabet: str,
    p_tails: float,
    packed: bool | None = None,
    chat: bool | None = False,
) -> tuple[np.ndarray, np.ndarray]:
    """P(path | context) for pairs (context, path) of flips, a product of renormalised next-flip probabilities.

    Returns
    -------
    probability, least_mass : (len(paths),)
    """
    start = prompt_text(prompt, alphabet, p_tails)
    contexts = {context + path[:j] for context, path in paths for j in range(len(path))}
    contexts = sorted(contexts, key=lambda flips: (len(flips), flips))
    if not contexts:
        return np.ones(len(paths)), np.ones(len(paths))
    place = {context: i for i, context in enumerate(contexts)}
    texts = [start + write_flips(context, alphabet) for context in contexts]
    log_mass = flip_masses(model, texts, alphabet=alphabet, packed=packed, chat=chat)  # (N, 2)
    both = np.logaddexp(log_mass[:, 0], log_mass[:, 1])
    log_p = log_mass - both[:, None]
    probability, least = np.ones(len(paths)), np.ones(len(paths))
    for i, (context, path) in enumerate(paths):
        rows = [place[context + path[:j]] for j in range(len(path))]
        probability[i] = np.exp(sum(log_p[row, "HT".index(flip)] for row, flip in zip(rows, path)))
        least[i] = np.exp(both[rows].min()) if rows else 1.0
    return probability, least


def concept_curve(model, concept: str, **options) -> ConceptCurve:
    """How likely the model goes on with a word repeated so far: `concept_curves` of one word, with its options."""
    return concept_curves(model, [concept], **options)[0]


def concept_curves(
    model, concepts: Sequence[str], *, n_flips: int = 40, depth: int | None = None, at: Sequence[int] | None = None,
    n_points: int = 12, context: str | None = None, prompt: str = "paper", alphabet: str = "words", p_tails: float = 50,
    packed: bool | None = None, chat: bool | None = False,
) -> list[ConceptCurve]:  # fmt: skip
    """How likely the model goes on with each word, repeated so far, for growing contexts.

    Parameters
    ----------
    concepts : sequence of str
        The words: "01", "HT", ….
    n_flips : int
        The longest context.
    depth : int, optional
        Flips scored ahead; default the whole word. P(correct next flip) alone is mostly the Heads prior (card).
    at : sequence of int, optional
        Context lengths; default ``n_points`` blocks of one period, from 0 to ``n_flips``.
    context : str, optional
        Flips instead of the repeated word: the control. The same continuations are scored after them, and all words
        share its forward.
    prompt, alphabet, p_tails, packed, chat
        As in `next_flip_curve`.

    Raises
    ------
    UsageError
        An empty word, a depth below 1, a context shorter than ``n_flips``.
    """
    if depth is not None and depth < 1:
        raise UsageError(f"depth={depth} scores nothing: give at least 1 flip ahead")
    context = None if context is None else parse_flips(context)
    if context is not None and len(context) < n_flips:
        raise UsageError(f"the context has {len(context)} flips, fewer than n_flips={n_flips}: give a longer one")
    asked, plans = [], []
    for concept in concepts:
        word = as_digits(concept)
        ahead = depth or len(word)
        lengths = list(at) if at is not None else points(n_flips, len(word), n_points)
        known = repeat_concept(word, max(lengths, default=0)) if context is None else context
        spans = []
        for n in lengths:
            if not 0 <= n <= len(known):
                raise UsageError(f"at={n} is outside the context of {len(known)} flips: give 0 to {len(known)}")
            here = repeat_concept(word, n + ahead)[n:]
            others = [y for y in rotations(word, ahead) if y != here]
            spans.append((len(asked), 1 + len(others)))
            asked += [(known[:n], y) for y in (here, *others)]
        plans.append((word, ahead, lengths, spans))
    p, mass = path_probabilities(
        model, asked, prompt=prompt, alphabet=alphabet, p_tails=p_tails, packed=packed, chat=chat
    )
    return [
        ConceptCurve(
            concept=word,
            depth=ahead,
            n=np.array(lengths, dtype=int),
            in_phase=np.array([p[s] for s, _ in spans]),
            in_concept=np.array([p[s : s + k].sum() for s, k in spans]),
            out_of_phase=np.array([p[s + 1 : s + k].mean() if k > 1 else np.nan for s, k in spans]),
            mass=np.array([mass[s] for s, _ in spans]),
        )
        for word, ahead, lengths, spans in plans
    ]
