"""How random does a sequence look? The paper's measures, each on a string of H and T; and what counting gives."""

import gzip
from collections.abc import Sequence
from itertools import combinations, groupby

import numpy as np

from ...errors import UsageError
from ...results import Results
from ...stats import Estimate, auroc, proportion_interval
from .flips import as_digits, parse_flips, write_flips


def running_mean(flips: str) -> np.ndarray:
    """Share of Tails among the first 1, 2, … n flips, (n,)."""
    tails = _tails(flips)
    return np.cumsum(tails) / np.arange(1, len(tails) + 1)


def alternation_rate(flips: str) -> float:
    """Share of neighbours that differ, of n - 1 (a fair coin: .5); NaN below two flips."""
    tails = _tails(flips)
    return float((tails[1:] != tails[:-1]).mean()) if len(tails) > 1 else float("nan")


def longest_run(flips: str) -> int:
    """The most equal flips in a row; 0 without flips."""
    return max((len(list(run)) for _, run in groupby(parse_flips(flips))), default=0)


def gzip_length(flips: str | Sequence[str], *, digits: bool = False) -> int:
    """Bytes after gzip of the flips written out ("Heads, Tails, …"), sequences on lines: less is more regular.

    ``digits=True`` is the reference's measure: the flips as 0 and 1, sequences one behind the other.
    """
    sequences = list(map(parse_flips, [flips] if isinstance(flips, str) else flips))
    text = "".join(map(as_digits, sequences)) if digits else "\n".join(write_flips(s, comma=False) for s in sequences)
    return len(gzip.compress(text.encode(), mtime=0))


def distinct_subsequences(flips: str, w: int, *, reference: bool = False) -> int:
    """How many different windows of ``w`` flips occur, of n - w + 1.

    ``reference=True`` repeats the reference code's defect for comparison: it leaves out the last window.
    """
    flips = parse_flips(flips)
    if w < 1:
        raise UsageError(f"w={w} is not a window: give at least 1 flip")
    return len({flips[i : i + w] for i in range(len(flips) - w + (0 if reference else 1))})


def levenshtein_ratio(a: str, b: str) -> float:
    """A similarity of two sequences in 0..1: 2 LCS / (|a| + |b|), 1 for equal ones.

    The "ratio" of the Levenshtein packages, in which a substitution costs two: 1 - indel distance / total length.
    """
    a, b = parse_flips(a), parse_flips(b)
    if not a and not b:
        return 1.0
    # longest common subsequence, bit-parallel: bit j of `ends` is 0 where a row of the table steps up at b[j]
    width = (1 << len(b)) - 1
    where = {flip: sum(1 << j for j, other in enumerate(b) if other == flip) for flip in "HT"}
    ends = width
    for flip in a:
        match = ends & where[flip]
        ends = ((ends + match) | (ends - match)) & width
    return 2 * (len(b) - ends.bit_count()) / (len(a) + len(b))


def repeat_match(sequences: Sequence[str], *, reference: bool = False) -> np.ndarray:
    """For each sequence the ratio to the most similar other one, (N,): does the model repeat what it wrote before?

    ``reference=True`` repeats the reference code's defect for comparison: its repeat model may match the sequence
    itself, and then every value is 1. Without another sequence the value is NaN.
    """
    sequences = [parse_flips(one) for one in sequences]
    best = np.full(len(sequences), 1.0 if reference else np.nan)
    for (i, one), (j, other) in combinations(enumerate(sequences), 2):
        best[[i, j]] = np.fmax(best[[i, j]], levenshtein_ratio(one, other))
    return best


def bits_per_flip(flips: str, p_tails: Sequence[float]) -> float:
    """Mean -log2 p(flip) of a sequence under predictions p_tails[k] made before flip k: a fair coin costs 1.0.

    ``p_tails`` has n entries, or n + 1 as `next_flip_curve` gives them (the last one predicts no flip here).
    """
    tails, p = _tails(flips), np.asarray(p_tails, dtype=float)
    if len(p) not in (len(tails), len(tails) + 1):
        raise UsageError(f"{len(tails)} flips and {len(p)} predictions do not fit: give one for each flip")
    if not len(tails):
        return float("nan")
    p = p[: len(tails)]
    with np.errstate(divide="ignore"):  # a flip held impossible costs infinitely many bits, and that is the answer
        return float(-np.log2(np.where(tails, p, 1 - p)).mean())


def summary(flips: str, *, w: int = 5) -> dict[str, float]:
    """All measures of one sequence, by name."""
    flips = parse_flips(flips)
    return {
        "flips": len(flips),
        "share of Tails": flips.count("T") / len(flips) if flips else float("nan"),
        "alternation rate": alternation_rate(flips),
        "longest run": longest_run(flips),
        "gzip bytes": gzip_length(flips),
        "gzip bytes, digits": gzip_length(flips, digits=True),
        f"distinct windows of {w}": distinct_subsequences(flips, w),
    }


def counted(curve: Results) -> dict[int, Estimate]:
    """P(Tails) by flips in context, with the intervals of counting; empty for an exact `study.flip_curve`.

    Where no sample was a flip nothing is known: NaN, from 0 to 1.
    """
    found = {}
    for row in curve.of("sampled").rows:
        flips = round(row.measures["mass"] * row.cost["samples"])
        tails = round(row.measures["p_tails"] * flips) if flips else 0
        found[int(row.item)] = proportion_interval(tails, flips) if flips else Estimate(float("nan"), 0.0, 1.0, 0)
    return found


def told_apart(judgement: Results) -> Estimate:
    """AUROC: how well P(random) of `study.judgement_study` tells random from repeated sequences (.5: not at all)."""
    return auroc(*(judgement.of(arm).values("p_random") for arm in ("random", "repeated")))


def _tails(flips: str) -> np.ndarray:
    """(n,) bool, True for Tails."""
    return np.array([flip == "T" for flip in parse_flips(flips)], dtype=bool)
