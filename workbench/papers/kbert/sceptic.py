"""The sceptic's arms: is it the knowledge, or only the longer text? And does it need a tree?

`shuffled` keeps every branch and gives it to another subject: as long, and wrong. `facts` writes the branches as a
second text, which any BERT reads behind its own [SEP].
"""

from collections.abc import Iterable, Sequence

import numpy as np

from ...errors import UsageError
from .graph.graph import KnowledgeGraph
from .settings import SETTINGS


def shuffled(graph: KnowledgeGraph, seed: int, *, texts: Iterable[str] | None = None) -> KnowledgeGraph:
    """``graph`` with the triples of each subject given to another subject, drawn by ``seed``.

    Subjects with as many triples as each other exchange them in one random circle, so nobody keeps its own; those that
    are alone with their number make one circle of their own. What a branch says of its subject then depends on nothing.

    Parameters
    ----------
    texts
        Only the subjects in these texts take part, and the others are left out: the same branches are read as before.

    Raises
    ------
    UsageError
        There is one subject or none: its triples have nowhere to go.
    """
    if texts is not None:
        graph = graph.filtered(allow=subjects_in(texts, graph))
    if graph.n_subjects < 2:
        raise UsageError(f"{graph.name} has {graph.n_subjects} subjects here: to exchange triples it takes two")
    giver = _circles([len(graph.rows(number)) for number in range(graph.n_subjects)], seed)
    rows = [
        (graph.subject(number), *graph.triple(row)[1:])
        for number in range(graph.n_subjects)
        for row in graph.rows(giver[number])
    ]
    return KnowledgeGraph.from_triples(rows, name=f"{graph.name}, shuffled", case_sensitive=graph.case_sensitive)


def subjects_in(texts: Iterable[str], graph: KnowledgeGraph) -> list[str]:
    """The subjects that ``graph`` finds in ``texts``, in the graph's order, each once."""
    return [graph.subject(number) for number in sorted({match.subject for text in texts for match in graph.find(text)})]


def _circles(sizes: Sequence[int], seed: int) -> list[int]:
    """For each subject the one whose triples it gets."""
    drawn = np.random.default_rng(seed).permutation(len(sizes))
    groups: dict[int, list[int]] = {}
    for number in drawn.tolist():
        groups.setdefault(sizes[number], []).append(number)
    circles = [group for group in groups.values() if len(group) > 1]
    alone = [group[0] for group in groups.values() if len(group) == 1]
    if len(alone) > 1 or not circles:
        circles.append(alone)
    else:
        circles[-1] += alone  # one alone joins another circle
    giver = list(range(len(sizes)))
    for circle in circles:
        for place, number in enumerate(circle):
            giver[number] = circle[place - 1]
    return giver


def facts(text: str, graph: KnowledgeGraph, *, max_branches: int = SETTINGS.max_branches) -> str:
    """The triples that K-BERT would hang into ``text``, written out with their subjects; "" where there are none.

    >>> facts("Gout again.", KnowledgeGraph.from_triples([("gout", "is a", "disease"), ("gout", "hurts", "toes")]))
    'gout is a disease; gout hurts toes'
    """
    said = []
    for match in graph.find(text):
        said += [" ".join(graph.triple(row)) for row in graph.rows(match.subject)[:max_branches]]
    return "; ".join(dict.fromkeys(said))
