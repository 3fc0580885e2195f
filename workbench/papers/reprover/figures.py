"""Figures of the notebook and the explorer: a traced library, retrieval, a proof in the making. Plain data in."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ... import plots

if TYPE_CHECKING:
    from .corpus.corpus import Corpus


def corpus_figure(corpus: "Corpus") -> plots.Picture:
    """How often a premise is named, how long proofs are, and which file imports which."""
    steps = [tactic for theorem in corpus.theorems for tactic in theorem.tactics]
    used = Counter(n for tactic in steps for n in corpus.numbers(tactic))
    lengths = Counter(len(theorem.tactics) for theorem in corpus.theorems)
    picture, ((left, middle, right),) = plots.panels(1, 3, size=(10.5, 3.8))
    plots.curves(
        {"": (range(1, len(used) + 1), sorted(used.values(), reverse=True))}, log="xy",
        xlabel="premises, commonest first", ylabel="steps that name it",
        title=f"{len(used)} of {len(corpus.premises)} premises are named", axis=left,
    )  # fmt: skip
    many = range(1, max(lengths, default=1) + 1)
    plots.curves(
        {"": (many, [lengths[n] for n in many])}, xlabel="steps of a proof", ylabel="theorems",
        styles={"": {"drawstyle": "steps-mid"}}, title=f"{len(corpus.theorems)} proofs by tactics", axis=middle,
    )  # fmt: skip
    names = [file.path.rsplit("/")[-1].removesuffix(".lean") for file in corpus.files]
    imports = np.array([[one.path in file.imports for one in corpus.files] for file in corpus.files], dtype=float)
    plots.grid(imports, names, names, title="a row's file imports the blue one", axis=right)
    several = "; ".join(
        f"{name} imports {', '.join(np.array(names)[row > 0])}" for name, row in zip(names, imports) if row.any()
    )
    return picture.describe(f"{several}.")


def retrieval_figure(rows: Sequence[Mapping]) -> plots.Picture:
    """Recall@10 of every retriever with its interval, a panel a split: `study.retrieval_table`'s rows."""
    splits = {row["split"]: [one for one in rows if one["split"] == row["split"]] for row in rows}
    size = (1.2 + 4.6 * len(splits), 1.6 + 0.5 * len({row["retriever"] for row in rows}))
    picture, axes = plots.panels(1, len(splits), size=size, sharey=True)
    for axis, (split, some) in zip(axes[0], splits.items()):
        table = {
            kind: {row["retriever"]: row["recall@10"] for row in some if row["candidates"] == kind}
            for kind in ("accessible", "all")
        }
        styles = {"accessible": {"color": plots.COLOURS["blue"]}, "all": {"color": plots.COLOURS["orange"]}}
        title = f"{split} (n = {some[0]['recall@10'].n})"
        plots.dots(table, xlabel="Recall@10", title=title, limits=(0, 1), styles=styles, axis=axis)
        axis.get_legend().set_title("candidates")
    return picture


def curves_figure(found: Mapping[str, Mapping[str, tuple]]) -> plots.Picture:
    """Theorems proved over calls of Lean with intervals, a panel a split: {split: `search.report.curves`}."""
    picture, axes = plots.panels(1, len(found), size=(1.4 + 4.9 * len(found), 4.4), sharey=True)
    for number, (axis, (split, lines)) in enumerate(zip(axes[0], found.items())):
        n = max((one.n for _, some in lines.values() for one in some), default=0)
        plots.curves(
            lines, xlabel="calls of Lean", ylabel="" if number else "share of theorems proved", axis=axis,
            title=f"{split} (n = {n})", legend="right" if number == len(found) - 1 else None, limits=(0, None),
            styles={name: {"marker": "o", "linestyle": "-"} for name in lines},
        )  # fmt: skip
    return picture


def proof_figure(
    title: str, statement: str, steps: Sequence[str], goals: Sequence[str], premises: Sequence[tuple[str, float]], *,
    retriever: str = "bm25", verdict: str = "",
) -> plots.Picture:  # fmt: skip
    """A still picture of a proof in the making: statement, steps and goals as text, the premises' scores as bars."""

    def cut(text: str, width: int = 74, lines: int = 18) -> str:
        rows = [
            row for line in text.split("\n") for row in textwrap.wrap(line, width, subsequent_indent="    ") or [""]
        ]
        return "\n".join(rows[:lines] + (["…"] if len(rows) > lines else []))

    written = [cut(statement), ""]
    written += [f"{number}. {cut(step, lines=3)}" for number, step in enumerate(steps, 1)][-10:]
    written += ["", verdict or cut("\n\n".join(goals))]
    text = "\n".join(written)
    shown = list(premises)[:10]
    size = (12, max(3.2, 0.6 + 0.21 * (text.count("\n") + 1)))
    picture, ((left, right),) = plots.panels(1, 2, size=size, title=title, width_ratios=(3, 2))
    picture.describe(f"{title}. {' '.join(text.split())}.")
    left.axis("off")
    left.text(0, 1, text, transform=left.transAxes, va="top", family="monospace", size=10)
    right.set_visible(bool(shown))
    if shown:
        names, scores = zip(*shown)
        about = {"title": "accessible premises for this state", "xlabel": f"score ({retriever})"}
        plots.bars({retriever: scores}, names, axis=right, **about)
    return picture
