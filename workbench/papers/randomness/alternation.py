"""Does a writer of sequences alternate too often (the gambler's fallacy)? And sequences that people wrote, from a CSV.

The chain of the reference (after Falk and Konold) has an outcome bias and an alternation p_alt, Beta(5, 5) on each; its
code finds the likeliest pair. Here the whole posterior is summed on a grid: means with 95 % intervals.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...readers import locate
from ...results import Results
from ...stats import Estimate
from . import baselines
from .flips import parse_flips
from .generate import sequence_rows
from .human import read_human
from .measures import distinct_subsequences, gzip_length, summary
from .settings import SETTINGS
from .sources import transitions

SHOWN = ("share of Tails", "alternation rate", "longest run", "gzip bytes, digits")  # of `summary`
HUMAN = "people"  # the name of a CSV's sequences in tables and figures


def alternation_fit(
    sequences: Sequence[str], *, beta: tuple[float, float] = SETTINGS.beta, cells: int = 400
) -> tuple[Estimate, Estimate]:
    """Posterior means and central 95 % intervals of (p_tails, p_alt), of all sequences as one chain's.

    p_alt > .5 is the gambler's fallacy. The first flip of a sequence follows the bias alone. ``n`` counts the flips,
    and for p_alt the pairs of neighbours; the interval takes them as one chain's, and does not know how writers differ.
    """
    from scipy.stats import beta as prior

    flips = [parse_flips(one) for one in sequences]
    first = Counter(one[0] for one in flips if one)
    pairs = Counter(pair for one in flips for pair in pairwise(one))
    grid = (np.arange(cells) + 0.5) / cells
    p_tails, p_alt = grid[:, None], grid[None, :]
    log_p = prior.logpdf(p_tails, *beta) + prior.logpdf(p_alt, *beta)  # (cells, cells)
    log_p += first["T"] * np.log(p_tails) + first["H"] * np.log(1 - p_tails)
    for before, tails in zip("HT", transitions(p_alt, p_tails)):
        log_p += pairs[before, "T"] * np.log(tails) + pairs[before, "H"] * np.log(1 - tails)
    weight = np.exp(log_p - log_p.max())
    found = []
    for axis, n in ((1, sum(map(len, flips))), (0, pairs.total())):
        share = weight.sum(axis) / weight.sum()  # (cells,)
        ends = np.interp([0.025, 0.975], np.r_[0, share.cumsum()], np.arange(cells + 1) / cells)
        found.append(Estimate(float(share @ grid), *map(float, ends), n))
    return found[0], found[1]


def at_equal_length(sequences: Sequence[str], least: int) -> list[str]:
    """The sequences of at least ``least`` flips, cropped to them: shorter ones are dropped, as in the reference."""
    return [flips[:least] for flips in map(parse_flips, sequences) if len(flips) >= least]


def human_sequences(path: str | Path, *, alphabet: str = "words", max_flips: int | None = None) -> Results:
    """Sequences that people wrote, as `generate_sequences` gives a model's: the same tables and figures take them.

    Parameters
    ----------
    path : str or Path
        A csv with a column ``sequence`` in any form `parse_flips` reads, and perhaps ``p_tails``, the % Tails that
        people were told (default 50). Other columns are passed over.
    max_flips : int, optional
        Crop to so many, as the model's are.

    Raises
    ------
    DataError
        No such file, a missing column, a sequence that is none; the line is named.
    """
    rows = [
        row for p, some in read_human(locate(path), alphabet).items()
        for row in sequence_rows(HUMAN, p, [flips[:max_flips] for flips in some], [True] * len(some))
    ]  # fmt: skip
    return Results(HUMAN, rows=rows)


def sources_at(
    generated: Mapping[str, Results], least: int, stated: str | None = None, *, seed: int = 0
) -> dict[str, list[str]]:
    """Sequences of exactly ``least`` flips at one stated % Tails: each writer's, then as many of coin and window.

    ``stated``: a label of the results; by default the one closest to 50.
    """
    stated = stated or min(_stated(generated), key=lambda label: abs(float(label) - 50))
    groups = {
        name: at_equal_length([row.labels["sequence"] for row in written.of(stated=stated).rows], least)
        for name, written in generated.items() if stated in written.labels("stated")
    }  # fmt: skip
    most, p = max(map(len, groups.values()), default=0), float(stated) / 100
    controls = {"Bernoulli": baselines.bernoulli(p), "window": baselines.window_average(p)} if most else {}
    for name, rule in controls.items():
        groups[name] = [baselines.sample(rule, least, seed + i) for i in range(most)]
    return groups


def alternation_table(generated: Mapping[str, Results], least: int, *, seed: int = 0) -> list[dict]:
    """A row a writer and stated % Tails: p_alt with its interval, and measures, all at ``least`` flips a sequence.

    The controls are a Bernoulli coin, whose p_alt is .5, and the window coin, which makes up for its last flips.
    """
    rows = []
    for stated in _stated(generated):
        for name, kept in sources_at(generated, least, stated, seed=seed).items():
            every = len(generated[name].of(stated=stated)) if name in generated else len(kept)
            row = {"writer": name, "stated % Tails": float(stated), "sequences": len(kept)}
            row[f"dropped, below {least} flips"] = every - len(kept)
            row |= dict.fromkeys(("p_alt", "gambler's fallacy", *SHOWN, "gzip bytes, digits, all"), "")
            if kept:
                _, p_alt = alternation_fit(kept)
                row |= {"p_alt": str(p_alt), "gambler's fallacy": _verdict(p_alt)}
                row |= {what: round(np.mean([summary(flips)[what] for flips in kept]), 2) for what in SHOWN}
                row["gzip bytes, digits, all"] = gzip_length(kept, digits=True)
            rows.append(row)
    return rows


def p_alts(written: Results, least: int) -> dict[str, Estimate]:
    """p_alt of one writer by stated % Tails, where it has sequences of ``least`` flips."""
    groups = {stated: sources_at({"": written}, least, stated)[""] for stated in written.labels("stated")}
    return {stated: alternation_fit(kept)[1] for stated, kept in groups.items() if kept}


def _stated(generated: Mapping[str, Results]) -> list[str]:
    return list(dict.fromkeys(label for written in generated.values() for label in written.labels("stated")))


def _verdict(p_alt: Estimate) -> str:
    if p_alt.low <= 0.5 <= p_alt.high:
        return "not told apart from .5 (null)"
    return "yes, alternates too often" if p_alt.low > 0.5 else "no, repeats too often"


def distinct_shares(sequences: Sequence[str], windows: Sequence[int] = SETTINGS.windows) -> dict[int, float]:
    """w -> distinct windows of w flips over all windows, the mean over sequences; those no sequence is long enough for
    are left out.
    """
    found = {}
    for w in windows:
        shares = [distinct_subsequences(flips, w) / (len(flips) - w + 1) for flips in sequences if len(flips) >= w]
        if shares:
            found[w] = float(np.mean(shares))
    return found
