"""The arms on a task, over seeds, with controls; and what noise a graph brings.

Every arm of a seed has the same texts, the same first weights and the same order of batches: differences are paired.
"""

import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise, product

import numpy as np

from ...bars import tqdm
from ...errors import UsageError
from ...results import Results
from ...rows import Row
from ...stats import Estimate
from .graph.graph import KnowledgeGraph
from .injection.words import CJK
from .sceptic import facts, shuffled, subjects_in
from .settings import ABLATION, ARMS, SETTINGS, Arm
from .tasks import Task, own_task, teaching_task, typing_task, wordnet_graph

CONTROLS = ("words", "words and branches")
LOST = ("texts cut", "branches left out")  # of a run's texts, for want of room


def task_of(
    name: str, seed: int, *, n_train: int, n_test: int, graph: str | None = None, data: str | None = None
) -> Task:
    """The task of that name as repetition ``seed`` sees it: new nouns a seed; the teaching texts are always the same.

    Raises
    ------
    UsageError
        An unknown name.
    """
    if name in ("typing", "typing_two"):
        return typing_task(n_train, n_test, seed, entities=1 if name == "typing" else 2)
    if name == "teaching":
        return teaching_task()
    if name == "own":
        return own_task(graph, data, seed)
    raise UsageError(f"task {name!r} is unknown: choose typing, typing_two, teaching or own")


def train_arm(
    task: Task, arm: Arm, seed: int, *, encoder: str = "minilm", epochs: int = SETTINGS.epochs,
    learning_rate: float = SETTINGS.learning_rate, batch_size: int = SETTINGS.batch_size, top_layers: int = -1,
    graph: KnowledgeGraph | None = None,
):  # fmt: skip
    """A `KBert` trained on the task under one arm; `predict` asks it.

    Parameters
    ----------
    top_layers
        Layers to train beside the head; -1 trains everything.
    graph
        In place of the task's own.
    """
    from .encoder.model import KBert

    settings = replace(SETTINGS, soft_position=arm.soft_position, visible_matrix=arm.visible_matrix)
    read = task.graph if graph is None else graph  # an empty graph is one too
    texts, targets = zip(*task.train)
    if arm.shuffled:
        tree = shuffled(read, seed, texts=[text for text, _ in (*task.train, *task.test)])
    else:
        tree = read if arm.knowledge and not arm.beside else None
    model = KBert(
        encoder, labels=task.labels, task="pair" if arm.beside else "text", graph=tree, settings=settings, seed=seed,
        train_layers=None if top_layers < 0 else top_layers,
    )  # fmt: skip
    model.losses = model.fit(
        list(texts), list(targets), pairs=beside(arm, texts, read), epochs=epochs, learning_rate=learning_rate,
        batch_size=batch_size, seed=seed,
    )  # fmt: skip
    return model


def arms_for(task: Task, arms: Iterable[str]) -> list[str]:
    """``arms`` without those that the task has no material for, said as a warning: one subject in all texts has no
    triples to exchange."""
    few = len(subjects_in([text for text, _ in (*task.train, *task.test)], task.graph)) < 2
    left = [name for name in arms if few and ARMS[name].shuffled]
    if left:
        said = f"{task.name}: {', '.join(left)} left out, since the graph knows fewer than two subjects of the texts"
        warnings.warn(said, stacklevel=2)
    return [name for name in arms if name not in left]


def beside(arm: Arm, texts: Sequence[str], graph: KnowledgeGraph) -> list[str] | None:
    """The second texts that an arm reads (`sceptic.facts`), or None."""
    return [facts(text, graph) for text in texts] if arm.beside else None


def predict(model, arm: Arm, texts: Sequence[str], graph: KnowledgeGraph):
    """`KBert.predict` of what ``arm`` makes of the texts and of ``graph``, the task's own."""
    return model.predict(list(texts), beside(arm, texts, graph))


def run_task(
    task_for: Callable[[int], Task], *, seeds: Iterable[int], arms: Sequence[str] = tuple(ARMS),
    graphs: dict[str, KnowledgeGraph] | None = None, rates: Mapping[str, float] | None = None,
    progress: bool = False, keep: dict | None = None, **training,
):  # fmt: skip
    """Train and test every arm for every seed.

    Parameters
    ----------
    task_for
        The task of a seed.
    arms
        Names in `ARMS`.
    graphs
        Name -> graph: further runs of the arm K-BERT, each with that graph in place of the task's (knowledge noise).
    rates
        Arm -> its learning rate (`rates.choose_rates`), for the arms that have one; ``graphs`` take K-BERT's.
    progress
        Show a bar that counts trainings.
    keep
        {name of an arm: None}: the model that the first seed trained takes None's place.
    training
        Keywords of `train_arm`.

    Returns
    -------
    Results
        Arms are ``arms``, the ``graphs`` and the controls (`control`); items the test texts. Measure: "correct". A
        unit is a test text, or all texts about one entity (`Task.entities`), which are no independent draws. Costs:
        "seconds" (CPU seconds of that arm's training and test), "loss" (the mean of the last tenth of its steps), and
        for want of room "texts cut" and "branches left out", of all texts of the seed.
    """
    tasks = {seed: task_for(seed) for seed in seeds}
    rates, graphs = dict(rates or {}), graphs or {}
    results = study_of(tasks, [training, rates, {name: graph.fingerprint for name, graph in graphs.items()}])
    runs = [
        (seed, name, ARMS.get(name, ARMS["K-BERT"]), graphs.get(name))
        for seed, task in tasks.items()
        for name in (*arms_for(task, arms), *graphs)
    ]
    for seed, name, arm, graph in tqdm(runs, desc=results.name, unit="training", disable=not progress, leave=False):
        task = tasks[seed]
        rate = {"learning_rate": rates[arm.name]} if arm.name in rates else {}
        model = partial(train_arm, task, arm, seed, graph=graph, **training | rate)
        make = partial(_trained, task, seed, name, arm, graph, model, keep)
        results.compute(keys_of(task, name, seed), make, together=True)
        if keep is not None and name in keep and keep[name] is None:
            keep[name] = model()  # its rows are those of an earlier run, and a model to play with is wanted
    for seed, name in product(tasks, CONTROLS if arms else ()):
        task = tasks[seed]
        results.compute(keys_of(task, name, seed), partial(_counted, task, seed, name), together=True)
    return results


def study_of(tasks: Mapping[int, Task], settings: list, what: str = "") -> Results:
    """Empty results whose rows follow from these tasks, by seed, and settings, the first of them `train_arm`'s."""
    from ...models.files.names import encoder_folder
    from ...models.runlog import encoder_hash

    encoder = settings[0].get("encoder", "minilm")
    source = encoder_folder(encoder)
    material = [[task.labels, task.train, task.test, task.graph.fingerprint] for task in tasks.values()]
    name = next(iter(tasks.values())).name + what
    return Results(
        name, model=encoder if source.kind == "hub" else encoder_hash(source.path), settings=[material, settings]
    )


def keys_of(task: Task, arm: str, seed: int) -> list[tuple[str, str, int]]:
    return [(arm, str(number), seed) for number in range(len(task.test))]


def _trained(task: Task, seed: int, name: str, arm: Arm, graph, train: Callable, keep, _missing) -> list[Row]:
    """The rows of one training."""
    start = time.process_time()
    model = train()
    read = task.graph if graph is None else graph
    predicted = predict(model, arm, [text for text, _ in task.test], read).labels
    seconds = time.process_time() - start
    loss = float(np.mean(model.losses[-max(1, len(model.losses) // 10) :]))
    if keep is not None and name in keep and keep[name] is None:
        keep[name] = model
    whole = [text for text, _ in (*task.train, *task.test)]
    batch = model.inject(whole, beside(arm, whole, read))
    lost = dict(zip(LOST, (batch.truncated, batch.dropped)))
    return rows_of(task, seed, name, predicted, {"seconds": seconds, "loss": loss, **lost})


def _counted(task: Task, seed: int, name: str, _missing) -> list[Row]:
    """The rows of one control."""
    start = time.process_time()
    predicted = control(task, branches=name == "words and branches")
    return rows_of(task, seed, name, predicted, {"seconds": time.process_time() - start, "loss": None})


def rows_of(task: Task, seed: int, arm: str, predicted: Sequence[str], cost: dict) -> list[Row]:
    return [
        Row(arm, str(number), seed, task.entities.get(text, text), {"correct": float(said == truth)},
            {"truth": truth}, text, said, cost)
        for number, ((text, truth), said) in enumerate(zip(task.test, predicted, strict=True))
    ]  # fmt: skip


def control(task: Task, *, branches: bool) -> list[str]:
    """What a bag of words says (scikit-learn's logistic regression): the simpler method that costs nothing.

    ``branches`` adds the words of the triples that K-BERT would read; they have no place, so with two entities this
    cannot tell whose they are.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    def read(text: str) -> str:
        return " ".join([text, *branch_words(text, task.graph)]) if branches else text

    texts, labels = [read(text) for text, _ in task.train], [label for _, label in task.train]
    # scikit-learn's words, and each character of a script that is written without spaces
    words = rf"(?u)[{CJK}]|\b\w\w+\b"
    if not any(re.search(words, text) for text in texts):  # nothing to count: the commonest label is all it can say
        return [Counter(labels).most_common(1)[0][0]] * len(task.test)
    model = make_pipeline(CountVectorizer(binary=True, token_pattern=words), LogisticRegression(max_iter=1000))
    model.fit(texts, labels)
    return list(model.predict([read(text) for text, _ in task.test]))


def branch_words(text: str, graph: KnowledgeGraph, *, max_branches: int = SETTINGS.max_branches) -> list[str]:
    """What the branches of a text say, one a branch, from left to right."""
    said = []
    for match in graph.find(text):
        said += [f"{t.predicate} {t.object}" for t in map(graph.triple, graph.rows(match.subject)[:max_branches])]
    return said


# --- summing up -----------------------------------------------------------------------------------------------------


def accuracy_table(results: Results):
    """A row an arm: accuracy (Estimate over units), its value for each seed, CPU seconds of a run, last loss, and where
    some were, the texts cut and the branches left out in all runs together."""
    import pandas as pd

    rows, seeds = [], by_seed(results)
    for arm, accuracy in results.table("correct", bounds=(0, 1)).items():
        costs = {row.seed: row.cost for row in results.of(arm).rows}.values()
        rows.append({
            "arm": arm, "accuracy": accuracy, "each seed": ", ".join(f"{value:.3f}" for value in seeds[arm]),
            "CPU s a run": float(np.mean([cost["seconds"] for cost in costs])),
            "last loss": float(np.mean([np.nan if cost["loss"] is None else cost["loss"] for cost in costs])),
            **{name: int(sum(cost.get(name) or 0 for cost in costs)) for name in LOST},
        })  # fmt: skip
    frame = pd.DataFrame(rows).set_index("arm")
    return frame.drop(columns=[name for name in LOST if not frame[name].any()])


def by_seed(results: Results) -> dict[str, list[float]]:
    """Each arm's accuracy, a number a seed."""
    return {arm: list(results.of(arm).means("correct", "seed").values()) for arm in results.arms}


PAIRS = (
    ("K-BERT", "BERT"),
    ("shuffled triples", "BERT"),
    ("K-BERT", "shuffled triples"),
    ("sentence [SEP] facts", "K-BERT"),
    ("no soft position", "K-BERT"),
    ("no visible matrix", "K-BERT"),
    ("neither", "K-BERT"),
    ("neither", "BERT"),
    ("K-BERT", "words and branches"),
)


def differences_table(results: Results, pairs: Sequence[tuple[str, str]] = PAIRS):
    """Each pair that was run: difference (Estimate), p value, seeds in which the first was ahead."""
    found = results.differences(pairs, "correct", correct=None)
    ahead = [f"{row.ahead} of {row.seeds}" for row in found.itertuples()]
    found = found.assign(p=[f"{p:.2g}" for p in found.p], ahead=ahead).drop(columns=["corrected", "seeds"])
    return found.rename(columns={"difference": "first minus second", "p": "p (Wilcoxon)", "ahead": "seeds ahead"})


def orders(results: Results) -> str:
    """The paper's arms from best to worst, joined by > where the paired interval leaves 0 out, else by ≈."""
    means = {arm: estimate.value for arm, estimate in results.table("correct").items() if arm in ABLATION}
    arms = sorted((arm for arm in ABLATION if arm in means), key=lambda arm: -means[arm])
    text = arms[0]
    for better, worse in pairwise(arms):
        low = results.added(better, worse, "correct").low
        text += f" {'>' if low is not None and low > 0 else '≈'} {worse}"
    return text


def verdict(results: Mapping[str, Results], encoder: str) -> str:
    """What the arms of each task say of the claim: a sentence a task that follows from the paired differences."""
    said = []
    for name, found in results.items():
        over = [
            f"minus that of {other}: {e} ({e.says('K-BERT is ahead', 'K-BERT is behind')})"
            for other in ("BERT", "shuffled triples", "sentence [SEP] facts")
            if other in found.arms and (e := found.added("K-BERT", other, "correct")) is not None
        ]
        units, seeds = (len(found.of("K-BERT").means("correct", by)) for by in ("unit", "seed"))
        tested = f"{encoder}, {units} entities or texts, seeds: {seeds}"
        said.append(f"{name} ({tested}), K-BERT's share right {'; '.join(over)}.")
    return " ".join(said)


# --- knowledge noise ------------------------------------------------------------------------------------------------


def noise_graphs() -> dict[str, KnowledgeGraph]:
    """WordNet as it is, and without closed-class words, words of one or two letters, and all but "is a"."""
    whole = wordnet_graph()
    return {
        "WordNet, unfiltered": whole,
        "WordNet, filtered": whole.filtered(stop_words="english", min_length=3, predicates=["is a"]),
    }


def noise_table(graphs: dict[str, KnowledgeGraph], texts: Sequence[str]):
    """Coverage of ``texts`` by each graph: a row a graph."""
    import pandas as pd

    rows = []
    for name, graph in graphs.items():
        found = graph.coverage(texts, top=6)
        rows.append({
            "graph": name, "triples": graph.n_triples, "texts with a subject": found.hit_rate,
            "words in a subject": found.word_rate, "matches a text": found.n_matches / max(1, found.n_texts),
            "most often": ", ".join(f"{subject} {count}" for subject, count in found.top),
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("graph")


def reading(text: str, graph: KnowledgeGraph | None, *, max_branches: int = SETTINGS.max_branches) -> str:
    """``text`` with its branches in square brackets behind the words they hang on, for people to read."""
    if graph is None:
        return text
    said, end = [], 0
    for match in graph.find(text):
        branches = [f"{t.predicate} {t.object}" for t in map(graph.triple, graph.rows(match.subject)[:max_branches])]
        said.append(text[end : match.end] + "".join(f" [{branch}]" for branch in branches))
        end = match.end
    return "".join([*said, text[end:]])


def as_metrics(name: str, results: Results) -> dict[str, Estimate]:
    """The numbers that the runner keeps: each arm's accuracy, and K-BERT minus BERT and minus shuffled triples."""
    pairs = [("K-BERT", "BERT"), ("K-BERT", "shuffled triples")]
    return results.metrics(name, "correct", pairs=pairs, bounds=(0, 1))
