"""What the arms are compared on: types of rare WordNet nouns, the teaching set, and a user's own graph and texts.

In every task but a user's own the entities of the test texts do not occur in the training texts, so that what a model
has learnt about a training entity is of no use: it must come from the pretrained encoder, from the sentence, or from
the graph.
"""

import functools
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from ...data import folder
from ...errors import DataError, UsageError
from ...files import user_path
from ...tables import bad, read_rows
from .graph.graph import KnowledgeGraph
from .graph.wordnet import read_wordnet

NO_ONE: Mapping[str, str] = MappingProxyType({})  # no text is known to be about anybody
TYPES = ("animal", "artifact", "food", "person", "plant", "substance")  # WordNet's lexicographer files

# Sentences that say nothing about the noun but that it is one; {a} is the noun whose type is asked for.
ONE = (
    "They were talking about the word {a} when we came in.",
    "We asked her what {a} meant.",
    "On the last page somebody had written {a} in pencil.",
    "Her letter mentions {a} and nothing else of interest.",
    "He drew a picture and wrote {a} below it.",
    "The answer to the riddle was {a}, to our surprise.",
    "I came across {a} in an old book yesterday.",
    "Nobody in the room had ever heard of {a} before.",
)
TWO = (
    "She meant {a}, and certainly not {b}.",
    "It was not {b} but {a} that we were looking for.",
    "Instead of {b} the letter should have said {a}.",
    "We wanted to hear about {a}, though he began with {b}.",
    "Cross out {b} and write {a} in its place.",
    "The right answer was {a}; the wrong one was {b}.",
)


@dataclass(frozen=True)
class _Row:
    """A row of a csv file of texts; ``line`` is where it begins."""

    line: int
    text: str
    label: str
    split: str | None = None
    entity: str = ""


@dataclass(frozen=True)
class Task:
    """Texts to learn from and to be tested on, and the graph that speaks about them.

    Attributes
    ----------
    name, about
        Short name, and one line for people.
    graph
        What the knowledge arms read.
    labels
        The C classes.
    train, test
        Lists of (text, label).
    entities
        Text -> the entity that it is about, where several texts are about one: they are no independent draws, so
        `study` takes their intervals over entities.
    """

    name: str
    about: str
    graph: KnowledgeGraph
    labels: tuple[str, ...]
    train: list[tuple[str, str]]
    test: list[tuple[str, str]]
    entities: Mapping[str, str] = field(default_factory=dict)

    @property
    def chance(self) -> float:
        """Accuracy of the commonest label of the training texts on the test texts."""
        common = Counter(label for _, label in self.train).most_common(1)[0][0]
        return sum(label == common for _, label in self.test) / len(self.test)


@functools.cache
def wordnet_graph() -> KnowledgeGraph:
    """`KnowledgeGraph.from_wordnet()`, made once a process."""
    return KnowledgeGraph.from_wordnet()


@functools.cache
def rare_nouns() -> dict[str, tuple[str, ...]]:
    """By type, the nouns that have one meaning only, were never met in WordNet's tagged corpora, and have a hypernym.

    One word of 4 to 12 small letters.
    """
    synsets = read_wordnet()
    meanings = Counter(lemma.text.lower() for synset in synsets for lemma in synset.lemmas)
    found: dict[str, list[str]] = {name: [] for name in TYPES}
    for synset in synsets:
        if synset.lexname not in found or not any(predicate == "is a" for predicate, _ in synset.relations):
            continue
        for text, _, tagged in synset.lemmas:
            plain = text.isascii() and text.isalpha() and text.islower() and 4 <= len(text) <= 12
            if plain and not tagged and meanings[text] == 1:
                found[synset.lexname].append(text)
    return {name: tuple(dict.fromkeys(nouns)) for name, nouns in found.items()}


def typing_task(n_train: int, n_test: int, seed: int, *, entities: int = 1) -> Task:
    """Which of six types is a rare noun? The sentences do not tell; WordNet's hypernym does.

    Parameters
    ----------
    n_train, n_test
        Texts, as near as they can be to six equal classes.
    seed
        Draws nouns and sentences.
    entities
        2 puts a noun of another type beside the one that is asked for: knowledge must stay with its own word.

    Raises
    ------
    UsageError
        More nouns than there are, or ``entities`` other than 1 or 2.
    """
    if entities not in (1, 2):
        raise UsageError(f"entities={entities}: the sentences hold one noun or two")
    per_type = -(-n_train // len(TYPES)) - (-n_test // len(TYPES))  # each part rounded up to whole rounds
    nouns = rare_nouns()
    scarce = min(nouns, key=lambda name: len(nouns[name]))
    if entities * per_type > len(nouns[scarce]):
        most = len(nouns[scarce]) // entities * len(TYPES)
        raise UsageError(f"n_train + n_test = {n_train + n_test} texts need more rare nouns than there are: {most}")
    draw = random.Random(seed)
    pools = {name: draw.sample(nouns[name], entities * per_type) for name in TYPES}
    drawn = [{name: pool[i::entities] for name, pool in pools.items()} for i in range(entities)]
    used: list[str] = []

    def texts(n: int) -> list[tuple[str, str]]:
        rows = []
        for i in range(n):
            turn, kind = divmod(i, len(TYPES))
            words = {"a": drawn[0][TYPES[kind]].pop()}
            if entities == 2:  # each type stands beside each other type equally often
                words["b"] = drawn[1][TYPES[(kind + 1 + turn % (len(TYPES) - 1)) % len(TYPES)]].pop()
            used.extend(words.values())
            rows.append((draw.choice(ONE if entities == 1 else TWO).format(**words), TYPES[kind]))
        return rows

    train, test = texts(n_train), texts(n_test)
    name = "typing" if entities == 1 else "typing_two"
    about = "type of a rare noun, six types" + (", another noun of another type beside it" if entities == 2 else "")
    return Task(name, about, wordnet_graph().filtered(allow=used), TYPES, train, test)


def teaching_graph() -> KnowledgeGraph:
    """The hand-written graph of medicine, law and finance."""
    graph = KnowledgeGraph.from_tsv(folder("kbert") / "teaching.spo")
    graph.name = "teaching graph"
    return graph


def teaching_task(graph: KnowledgeGraph | None = None) -> Task:
    """The hand-written sentences of medicine, law and finance, in their own split; ``graph`` None: theirs."""
    rows = _read_texts(folder("kbert") / "teaching.csv")
    train, test = ([(row.text, row.label) for row in rows if row.split == part] for part in ("train", "test"))
    labels = tuple(dict.fromkeys(row.label for row in rows))
    about = "kind of thing in sentences of medicine, law and finance, six kinds"
    knowledge, entities = teaching_graph() if graph is None else graph, {row.text: row.entity for row in rows}
    return Task("teaching", about, knowledge, labels, train, test, entities)


def own_task(graph: str | None, data: str | None, seed: int = 0, *, test_share: float = 0.3) -> Task:
    """A user's own case.

    Parameters
    ----------
    graph
        "wordnet", "teaching", or a file: .tsv, .spo or .txt (subject, predicate, object, parted by tabs; .gz too), or
        .ttl, .nt, .n3, .rdf, .owl (through rdflib). None takes the teaching graph.
    data
        A CSV file with the columns text and label, and split (train or test) if you have a split of your own; without
        it ``test_share`` of the texts of each label, drawn by ``seed``, are the test. None takes the teaching texts.

    Raises
    ------
    DataError
        A file that cannot be read, a column that is missing, too few labels or texts.
    """
    if graph is None and data is None:
        raise UsageError("task 'own' has nothing of yours: give graph=FILE.tsv, data=FILE.csv, or both")
    knowledge = open_graph(graph or "teaching")
    if not len(knowledge):
        raise DataError(f"{graph} holds no triple: give subject, predicate and object, parted by tabs, a line")
    if data is None:
        return teaching_task(knowledge)
    rows = _read_texts(user_path(data))
    labels = tuple(sorted({row.label for row in rows}))
    if len(labels) < 2:
        raise DataError(f"{data} has {len(labels)} label ({', '.join(labels)}): a classifier needs at least two")
    if rows[0].split is not None:
        train, test = ([(r.text, r.label) for r in rows if r.split.strip() == part] for part in ("train", "test"))
    else:
        train, test = _split([(row.text, row.label) for row in rows], labels, test_share, seed)
    for name, part in (("train", train), ("test", test)):
        if not part:
            raise DataError(f"{data} has no text for {name}: fill its column split with train and test, or drop it")
    both = sorted({text for text, _ in test} & {text for text, _ in train})
    if both:
        raise DataError(f"{data}: the text {both[0][:60]!r} is in train and in test: leave it in one of them")
    unseen = sorted({label for _, label in test} - {label for _, label in train})
    if unseen:
        raise DataError(f"{data}: the label {unseen[0]!r} is in no training text: nobody can learn it")
    return Task("own", f"{Path(data).name} with {knowledge.name}", knowledge, labels, train, test)


def open_graph(name: str) -> KnowledgeGraph:
    """ "wordnet" (closed-class words left out), "teaching", or a file of triples; see `own_task`."""
    if name == "teaching":
        return teaching_graph()
    if name == "wordnet":
        return wordnet_graph().filtered(stop_words="english")
    if Path(name).suffix.lower() in (".ttl", ".nt", ".n3", ".rdf", ".owl"):
        return KnowledgeGraph.from_rdf(user_path(name))
    return KnowledgeGraph.from_tsv(user_path(name))


def _read_texts(path: Path) -> list[_Row]:
    rows = [replace(row, label=row.label.strip()) for row in read_rows(path, _Row, foreign=True)]
    for row in rows:
        if row.split is not None and row.split.strip() not in ("train", "test"):
            raise bad(path, row.line, f"split is {row.split!r}", "write train or test")
    return rows


def held_out(task: Task, seed: int, *, share: float = 0.3) -> Task:
    """``task`` with ``share`` of its training entities (texts, where no entities are known) in place of its test.

    For choices, such as a learning rate, that must not see the test; drawn by ``seed``, label by label.
    """
    train, test = _split(task.train, task.labels, share, seed, task.entities)
    return replace(task, train=train, test=test)


def _split(
    rows: Sequence[tuple[str, str]], labels: Sequence[str], share: float, seed: int,
    entities: Mapping[str, str] = NO_ONE,
):  # fmt: skip
    """(train, test): ``share`` of each label's units to the test, drawn by ``seed``; one at least stays to train on.

    A unit is a text, or all texts about one entity. It stays on one side with all its rows, whatever their labels.
    """
    draw, train, test = random.Random(seed), [], []
    first: dict[str, str] = {}  # unit -> the label that it is drawn under
    for text, label in rows:
        first.setdefault(entities.get(text, text), label)
    tested: set[str] = set()
    for label in labels:
        mine = [unit for unit, kind in first.items() if kind == label]
        draw.shuffle(mine)
        tested.update(mine[: max(0, min(len(mine) - 1, round(share * len(mine))))])
    for label in labels:
        for text, kind in rows:
            if kind == label:
                (test if entities.get(text, text) in tested else train).append((text, label))
    return train, test
