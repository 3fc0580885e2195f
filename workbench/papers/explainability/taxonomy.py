"""The survey's map, from data/explainability: every leaf in our words, papers to begin with, what runs here."""

from dataclasses import dataclass, replace

from ...data import rows


@dataclass(frozen=True)
class KeyPaper:
    """A paper to begin with; ``arxiv`` is its number there."""

    key: str
    authors: str
    year: int
    title: str
    arxiv: str

    def __str__(self) -> str:
        return f"{self.authors} {self.year}: {self.title} (arXiv {self.arxiv})"


@dataclass(frozen=True)
class Leaf:
    """A leaf of the map.

    Attributes
    ----------
    path : list of str
        The branches above it, root first.
    title, text : str
    papers : list of KeyPaper
        At most three.
    function : str or None
        A public name of `workbench.papers.explainability`; ``call`` shows how it is called.
    reason : str or None
        Why there is no function, where there is none.
    call : str
    """

    path: list
    title: str
    text: str
    papers: list
    function: str | None = None
    reason: str | None = None
    call: str = ""


def _leaves() -> tuple[Leaf, ...]:
    papers = {one.key: one for one in rows("explainability/key_papers.jsonl", KeyPaper)}
    leaves = rows("explainability/taxonomy.jsonl", Leaf)
    return tuple(replace(leaf, papers=[papers[key] for key in leaf.papers]) for leaf in leaves)


TAXONOMY: tuple[Leaf, ...] = _leaves()


def taxonomy_tree() -> dict:
    """The map as nested dictionaries: branch -> … -> leaf's title -> Leaf."""
    tree: dict = {}
    for leaf in TAXONOMY:
        branch = tree
        for name in leaf.path:
            branch = branch.setdefault(name, {})
        branch[leaf.title] = leaf
    return tree
