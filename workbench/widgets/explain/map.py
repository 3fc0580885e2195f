"""The survey's taxonomy as a tree one can walk: each leaf in our words, its key papers, and the function that runs it.

No method of its own: what it shows is `TAXONOMY`.
"""

import html

import traitlets

from ... import plots
from ...papers import explainability as paper
from ..base import Explorer, front, one_of


class TaxonomyMap(Explorer):
    """A tree on the left, the chosen leaf on the right; where nobody can click, the whole tree as text.

    Parameters
    ----------
    leaf : str, optional
        The leaf to begin with: its path, with slashes. Default: the first.
    large : bool
        Large type, for a class (default).

    Attributes
    ----------
    answer : dict
        "title", "text", "papers", "function" and "reason" (one of the two is ""), "call" (how to get the function).
    """

    _esm, _css = front("explain/map")
    asks = ("leaf",)
    stem = "map"

    leaf = traitlets.Unicode("").tag(sync=True)
    leaves = traitlets.List(read_only=True).tag(sync=True)  # [key, [path …], title, whether there is a function]

    def __init__(self, leaf=None, *, large=True):
        self._by_key = {key(one): one for one in paper.TAXONOMY}
        super().__init__(None, leaf=next(iter(self._by_key)) if leaf is None else leaf, large=large)

    @traitlets.default("leaves")
    def _leaves(self):
        return [[name, list(one.path), one.title, bool(one.function)] for name, one in self._by_key.items()]

    @traitlets.validate("leaf")
    def _valid_leaf(self, proposal):
        return one_of("leaf", proposal["value"], self._by_key)

    def compute(self):
        one = self._by_key[self.leaf]
        return {
            "title": one.title,
            "path": list(one.path),
            "text": one.text,
            "papers": [str(each) for each in one.papers],
            "function": one.function or "",
            "reason": one.reason or "",
            "call": call(one),
        }

    def caption(self):
        runs = sum(bool(one.function) for one in self._by_key.values())
        return f"The survey's taxonomy: {len(self._by_key)} leaves, {runs} of them to run here"

    def rows(self):
        columns = ["branch", "leaf", "what it is", "here", "key papers"]
        return columns, [
            [
                " › ".join(one.path),
                one.title,
                one.text,
                one.function or f"not run: {one.reason}",
                "; ".join(map(str, one.papers)),
            ]
            for one in self._by_key.values()
        ]

    def page(self, png, alt=""):
        """The tree as nested lists under the picture: readable without a click."""
        parts, before = [], ()
        for one in self._by_key.values():
            shared = next(
                (i for i, (a, b) in enumerate(zip(before, one.path)) if a != b), min(len(before), len(one.path))
            )
            parts += ["</ul></li>"] * (len(before) - shared)
            parts += [f"<li>{html.escape(name)}<ul>" for name in one.path[shared:]]
            here = (
                f"<code>{html.escape(one.function)}</code>"
                if one.function
                else f"<i>{html.escape(one.reason or '')}</i>"
            )
            parts.append(f"<li><b>{html.escape(one.title)}</b>: {here}</li>")
            before = tuple(one.path)
        parts += ["</ul></li>"] * len(before)
        return f"{super().page(png, alt)}<details><summary>The tree</summary><ul>{''.join(parts)}</ul></details>"

    def draw(self):
        """An indented tree in two columns: filled dots run here, open ones do not."""
        lines, before = [], ()
        for one in self._by_key.values():
            for depth, name in enumerate(one.path):
                if tuple(one.path[: depth + 1]) != before[: depth + 1]:
                    lines.append((depth, name, None))
            lines.append((len(one.path), one.title, one))
            before = tuple(one.path)
        half = -(-len(lines) // 2)
        picture, ((axis,),) = plots.panels(size=(13, 0.7 + 0.235 * half), title=self.caption())
        axis.set(xlim=(0, 2), ylim=(half, -1))
        axis.axis("off")
        small = {"va": "center", "fontsize": 10}
        for i, (depth, name, one) in enumerate(lines):
            x, y = i // half + 0.03 + 0.035 * depth, i % half
            if one is None:
                axis.text(x, y, name, fontweight="bold" if depth == 0 else "normal", **small)
                continue
            colour = plots.COLOURS["blue" if one.function else "grey"]
            axis.plot(x + 0.01, y, "o", color=colour, mfc=colour if one.function else "none")
            axis.text(x + 0.03, y, name, **small)
            axis.text(
                x + 0.55, y, one.function or "not run here", color=colour, family="monospace", va="center", fontsize=9
            )
        leaves = (f"{one.title} ({one.function or 'not run here'})" for one in self._by_key.values())
        return picture.describe(f"{self.caption()}: {'; '.join(leaves)}.")


def key(leaf) -> str:
    """A leaf's path and title, with slashes: its name in the widget."""
    return "/".join((*leaf.path, leaf.title))


def call(leaf) -> str:
    """Lines for a cell that run the leaf, or ""."""
    if not leaf.function:
        return ""
    return f"from workbench.papers.explainability import {leaf.function}\n{leaf.call or leaf.function + '(…)'}"
