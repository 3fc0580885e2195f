"""Tasks (held-out entities, a user's own files), summing up against hand-made results, the one claim we assert."""

import re
from collections import Counter

import numpy as np
import pytest
from kbert_oracle import bert_tokenizer

from workbench.errors import DataError, UsageError
from workbench.papers.kbert import (
    ARMS,
    PROFILES,
    KnowledgeGraph,
    Task,
    rates,
    read_wordnet,
    sceptic,
    study,
    tasks,
)
from workbench.results import Results
from workbench.rows import Row


def test_a_profile_is_filled_and_the_given_wins():
    assert set(PROFILES) == {"smoke", "quick", "standard", "paper"}
    assert {frozenset(sizes) for sizes in PROFILES.values()} == {frozenset(PROFILES["quick"])}
    assert PROFILES.fill("quick") == PROFILES["quick"] and PROFILES.fill("quick", epochs=3, n_test=None)["epochs"] == 3
    for call, said in (
        (lambda: PROFILES.fill("fast"), "profile 'fast' is unknown: choose one of smoke"),
        (lambda: PROFILES.fill("quick", colour=3), "size 'colour' is unknown"),
        (lambda: PROFILES.fill("quick", tasks=["typing", "ner"]), "task 'ner' is unknown: choose from typing"),
        (lambda: PROFILES.fill("quick", tasks=[]), "tasks is empty"),
        (lambda: PROFILES.fill("quick", n_train=3), "n_train=3 is too small: give at least 12"),
        (
            lambda: PROFILES.fill("quick", rates=[1e-4, -1.0]),
            "rates=[0.0001, -1.0] is too small: give at least 1e-08",
        ),
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            call()


def test_a_given_rate_goes_for_every_arm():
    assert len(PROFILES.fill("standard").rates) > 1 and PROFILES.fill("standard", learning_rate=1e-3).rates == []
    assert PROFILES.fill("standard", learning_rate=1e-3, rates=[1e-4]).rates == [1e-4]
    assert PROFILES.fill("quick").rates == []


def test_rare_nouns_have_one_meaning_and_were_never_met():
    nouns, told = tasks.rare_nouns(), {}
    for synset in read_wordnet():
        for lemma in synset.lemmas:
            told.setdefault(lemma.text.lower(), []).append((synset.lexname, lemma.tagged))
    for kind, words in nouns.items():
        assert len(words) > 600 and all(told[word] == [(kind, False)] for word in words)
    assert "dog" not in nouns["animal"] and "tapeworm" in nouns["animal"]


@pytest.mark.parametrize("entities", [1, 2])
@pytest.mark.parametrize(("n_train", "n_test"), [(12, 12), (37, 14), (198, 180)])
def test_typing_holds_its_entities_out_and_its_classes_even(entities, n_train, n_test):
    kind = {word: name for name, words in tasks.rare_nouns().items() for word in words}
    task = tasks.typing_task(n_train, n_test, 3, entities=entities)
    assert (len(task.train), len(task.test)) == (n_train, n_test)
    seen = []
    for rows in (task.train, task.test):
        counts = Counter(label for _, label in rows)
        assert len(counts) == 6 and max(counts.values()) - min(counts.values()) <= 1
        words = []
        for text, label in rows:
            found = [task.graph.subject(match.subject) for match in task.graph.find(text)]
            assert len(found) == entities and label in {kind[word] for word in found}
            assert len({kind[word] for word in found}) == entities  # the second is of another type
            words += found
        assert len(set(words)) == len(words)
        seen.append(set(words))
    assert not seen[0] & seen[1]
    again, other = (tasks.typing_task(n_train, n_test, seed, entities=entities) for seed in (3, 4))
    assert again.test == task.test != other.test


def test_in_the_two_noun_sentences_either_place_can_be_the_one_asked_for():
    task = tasks.typing_task(60, 60, 0, entities=2)
    kind = {word: name for name, words in tasks.rare_nouns().items() for word in words}
    first = [
        kind[task.graph.subject(task.graph.find(text)[0].subject)] == label for text, label in task.train + task.test
    ]
    assert 0.25 < np.mean(first) < 0.75  # neither "the first" nor "the second" is the answer


def test_too_many_nouns_and_unknown_tasks_are_said():
    with pytest.raises(UsageError, match=r"n_train \+ n_test = 9000 texts need more rare nouns than there are: \d+"):
        tasks.typing_task(5000, 4000, 0)
    with pytest.raises(UsageError, match="entities=3"):
        tasks.typing_task(12, 12, 0, entities=3)
    with pytest.raises(UsageError, match="task 'ner' is unknown"):
        study.task_of("ner", 0, n_train=12, n_test=12)


def write(place, name, text):
    (place / name).write_text(text, encoding="utf-8")
    return str(place / name)


HEAD = "text,label,split\n"


def test_a_users_own_case(tmp_path):
    graph = write(tmp_path, "g.tsv", "gout\tis a\tillness\naspirin\tis a\tdrug\n")
    data = write(
        tmp_path, "d.csv", 'text,label,split\n"Gout, again",bad,train\naspirin,good,train\nno aspirin,good,test\n'
    )
    task = tasks.own_task(graph, data)
    assert task.train == [("Gout, again", "bad"), ("aspirin", "good")] and task.test == [("no aspirin", "good")]
    assert task.labels == ("bad", "good") and task.graph.n_triples == 2 and task.chance == 0.0
    assert tasks.own_task(graph, None).test == tasks.teaching_task().test
    rows = "".join(f"text {i},{'even' if i % 2 == 0 else 'odd'}\n" for i in range(20))
    drawn = tasks.own_task("teaching", write(tmp_path, "e.csv", "text,label\n" + rows), seed=1)
    assert Counter(label for _, label in drawn.test) == {"even": 3, "odd": 3}
    assert {text for text, _ in drawn.train + drawn.test} == {f"text {i}" for i in range(20)}
    rows = "".join(f"text {i % 10},{'even' if i % 2 == 0 else 'odd '}\n" for i in range(40))  # each four times
    again = tasks.own_task("teaching", write(tmp_path, "f.csv", "text,label\n" + rows), seed=1)
    assert again.labels == ("even", "odd") and len(again.train) + len(again.test) == 40 and len(again.test) == 16
    assert not {text for text, _ in again.train} & {text for text, _ in again.test}
    assert len(tasks.open_graph("wordnet").find("in the lecture at one")) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("words,label\nx,y\n", "line 1: the column 'text' is missing (there are words, label)"),
        ("text,label\n", "holds no rows"),
        ("text,label\na,x\n,y\n", "line 3: 'text' is empty"),
        ("text,label\na,x\nb,x\n", "has 1 label (x)"),
        ("text,label,split\na,x,train\nb,y,dev\n", "line 3: split is 'dev': write train or test"),
        ("text,label,split\na,x,train\nb,y,train\n", "has no text for test"),
        ("text,label\nAsk him, now,x\nb,y\n", "line 2: 3 cells, but the header has 2 columns"),
        ("text,label,split\na,x,train\nb,y,train\na,x,test\n", "the text 'a' is in train and in test"),
        ("text,label,split\na,x,train\nb,y,test\n", "the label 'y' is in no training text"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path, text, said):
    with pytest.raises(DataError, match=re.escape(said)):
        tasks.own_task("teaching", write(tmp_path, "d.csv", text))


def test_files_that_are_not_there_are_said(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*none\.csv"):
        tasks.own_task("teaching", str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="holds no triple"):
        tasks.own_task(write(tmp_path, "empty.tsv", "\n"), None)
    with pytest.raises(UsageError, match="nothing of yours"):
        tasks.own_task(None, None)


def table(twice=False, **arms):
    """Results by hand: arm -> list of seeds, each a string of 1 and 0, one a text; ``twice``: two texts a unit."""
    rows = []
    for arm, seeds in arms.items():
        arm = arm.replace("_", " ").replace("KBERT", "K-BERT")
        for seed, marks in enumerate(seeds):
            for number, mark in enumerate(marks * (1 + twice)):
                unit, cost = f"t{number % len(marks)}", {"seconds": 1.0, "loss": 0.5}
                rows.append(Row(arm, str(number), seed, unit, {"correct": float(mark)}, cost=cost))
    return Results(rows=rows)


def test_accuracies_and_differences_by_hand():
    results = table(BERT=["1000", "1100"], KBERT=["1110", "1111"])
    accuracy = study.accuracy_table(results)
    assert accuracy.accuracy["K-BERT"].value == 7 / 8 and accuracy["each seed"]["BERT"] == "0.250, 0.500"
    assert accuracy.accuracy["K-BERT"].n == 4 and accuracy.accuracy["K-BERT"].high <= 1
    assert study.by_seed(results) == {"BERT": [0.25, 0.5], "K-BERT": [0.75, 1.0]}
    (row,) = study.differences_table(results).to_dict("records")
    assert row["seeds ahead"] == "2 of 2" and (row["first"], row["second"]) == ("K-BERT", "BERT")
    assert row["first minus second"].value == pytest.approx(0.5) and row["first minus second"].n == 4
    metrics = study.as_metrics("toy", results)
    assert metrics["toy.k_bert"].value == 7 / 8 and metrics["toy.k_bert_minus_bert"].value == pytest.approx(0.5)


def test_texts_about_one_entity_are_one_draw():
    """Two sentences that always fall together say as much as one; the interval must not be that of two."""
    single = table(BERT=["1000"], KBERT=["1110"])
    double = table(BERT=["1000"], KBERT=["1110"], twice=True)
    for summary in (lambda t: study.accuracy_table(t).accuracy["BERT"],
                    lambda t: t.added("K-BERT", "BERT", "correct")):  # fmt: skip
        assert summary(double) == summary(single) and summary(double).n == 4
    task = tasks.teaching_task()
    tested = [task.entities[text] for text, _ in task.test]
    assert len(set(tested)) == 42 and all(entity.lower() in text.lower() for text, entity in task.entities.items())
    rows = study.rows_of(task, 0, "BERT", ["illness"] * len(tested), {"seconds": 1.0, "loss": 0.5})
    assert [row.unit for row in rows] == tested
    assert study.accuracy_table(Results(rows=rows)).accuracy["BERT"].n == 42


def test_the_order_is_measured_and_ties_are_said():
    clear = table(BERT=["0" * 20], KBERT=["1" * 20])
    assert study.orders(clear) == "K-BERT > BERT"
    close = table(BERT=["10" * 10], KBERT=["01" * 9 + "11"], neither=["1" * 20])
    assert study.orders(close) == "neither > K-BERT ≈ BERT"


def test_a_reading_shows_the_branches_behind_their_words():
    graph = KnowledgeGraph.from_triples([("gout", "is a", "illness"), ("gout", "hurts", "toes"), ("gout", "is", "old")])
    assert study.reading("Gout, again.", graph) == "Gout [is a illness] [hurts toes], again."
    assert study.reading("Gout, again.", graph, max_branches=1) == "Gout [is a illness], again."
    assert study.reading("nothing", graph) == study.reading("nothing", None) == "nothing"
    assert study.branch_words("my gout and your gout", graph) == ["is a illness", "hurts toes"] * 2


def test_the_control_reads_branches_only_when_told():
    graph = KnowledgeGraph.from_triples([(word, "is", kind) for word, kind in zip("abcdef", ["good", "bad"] * 3)])
    rows = [(f"word {word}{word} {word}", label) for word, label in zip("abcdef", ["yes", "no"] * 3)]
    task = Task("toy", "", graph, ("yes", "no"), rows[:4], rows[4:])
    assert study.control(task, branches=True) == ["yes", "no"]
    assert len(set(study.control(task, branches=False))) == 1  # held-out words tell it nothing


def test_the_control_reads_scripts_without_spaces_and_says_something_of_texts_without_words():
    rows = [("他吃苹果", "food"), ("他看北京", "place"), ("我吃梨", "food"), ("我看上海", "place")]
    task = Task(
        "toy", "", KnowledgeGraph.from_triples([]), ("food", "place"), rows, [("你吃", "food"), ("你看", "place")]
    )
    assert study.control(task, branches=False) == ["food", "place"]
    rows = [("?", "x"), ("!", "y"), ("!!", "y")]
    assert study.control(Task("toy", "", task.graph, ("x", "y"), rows, [("?", "x")]), branches=False) == ["y"]


def test_filtering_takes_the_noise_of_function_words():
    texts = [text for text, _ in tasks.teaching_task().test]
    rows = study.noise_table(study.noise_graphs(), texts)
    most = rows["most often"].str.split(",").str[0]
    assert most["WordNet, unfiltered"].split()[0].lower() in ("in", "a") and rows["texts with a subject"].max() == 1
    assert rows["matches a text"]["WordNet, filtered"] < rows["matches a text"]["WordNet, unfiltered"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BERT with its tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    place, tokenizer = tmp_path_factory.mktemp("tiny"), bert_tokenizer()
    tokenizer.save_pretrained(place)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, pad_token_id=0, initializer_range=0.1,
    )  # fmt: skip
    BertModel(config).save_pretrained(place)
    return str(place)


def test_every_arm_is_run_and_repeated_by_its_seed(folder, capsys):
    graph = KnowledgeGraph.from_triples([("aspirin", "is a", "drug"), ("Beijing", "is a", "place")])
    rows = [("the doctor reads aspirin", "thing"), ("in Beijing now", "place"), ("New York sells it", "place")]
    task = Task("toy", "", graph, ("thing", "place"), rows, [("aspirin today", "thing"), ("about Beijing", "place")])
    options = {"encoder": folder, "epochs": 2, "learning_rate": 1e-3, "batch_size": 2}
    kept = {"K-BERT": None}
    results = study.run_task(lambda seed: task, seeds=[0, 1], progress=True, keep=kept, **options)
    assert "14/14" in capsys.readouterr().err
    assert results.arms == [*ARMS, *study.CONTROLS] and len(results) == 2 * 9 * 2
    assert not {*study.LOST} & {*study.accuracy_table(results).columns}, "nothing was cut"
    again = study.run_task(lambda seed: task, seeds=[1], arms=["K-BERT"], **options)
    same = next(row for row in results.of("K-BERT").rows if row.seed == 1)
    assert again.of("K-BERT").rows[0].cost["loss"] == same.cost["loss"]
    noisy = study.run_task(lambda seed: task, seeds=[0], arms=[], graphs={"noise": graph}, **options)
    assert noisy.arms == ["noise"]
    empty = KnowledgeGraph.from_triples([])  # a graph all the same: the task's own must not take its place
    nothing = study.run_task(lambda seed: task, seeds=[0], arms=["BERT"], graphs={"empty": empty}, **options)
    loss = {arm: nothing.of(arm).rows[0].cost["loss"] for arm in nothing.arms}
    assert loss["empty"] == pytest.approx(loss["BERT"], abs=1e-6)
    assert tasks.teaching_task(empty).graph is empty
    first = [row for row in results.of("K-BERT").rows if row.seed == 0]
    assert kept["K-BERT"].predict([text for text, _ in task.test]).labels == [row.reply for row in first]
    assert noisy.rows[0].cost["loss"] == first[0].cost["loss"]  # the task's own graph in its place is the arm K-BERT


def test_shuffled_triples_are_the_same_triples_at_other_subjects():
    sizes = {"a": 1, "b": 1, "c": 1, "d": 2, "e": 2, "f": 3, "g": 4}
    rows = [(name, f"is {i}", f"{name}{i}") for name, n in sizes.items() for i in range(n)]
    graph = KnowledgeGraph.from_triples(rows)
    seen = set()
    for seed in range(30):
        mixed = sceptic.shuffled(graph, seed)
        assert sorted(t[1:] for t in mixed.triples()) == sorted(t[1:] for t in graph.triples())
        giver = {name: {t.object[0] for t in mixed.lookup(name)} for name in sizes}
        assert all(len(of) == 1 and name not in of for name, of in giver.items())  # whole, and nobody's own
        assert giver["d"] == {"e"} and giver["f"] == {"g"}  # as many as before, where another has as many
        assert all(len(mixed.lookup(name)) == sizes[name] for name in "abcde")
        assert sceptic.shuffled(graph, seed).fingerprint == mixed.fingerprint
        seen.add(tuple(next(iter(giver[name])) for name in "abc"))
    assert len(seen) == 2  # both circles of three
    lonely = KnowledgeGraph.from_triples([("a", "is", "x"), ("b", "is", "y"), ("c", "is", "z"), ("c", "has", "w")])
    assert all(
        t.object not in {"a": "x", "b": "y", "c": "zw"}[t.subject] for t in sceptic.shuffled(lonely, 0).triples()
    )
    part = sceptic.shuffled(graph, 0, texts=["a and B", "b again"])
    assert {t.subject: t.object for t in part.triples()} == {"a": "b0", "b": "a0"}
    with pytest.raises(UsageError, match="has 1 subjects here: to exchange triples it takes two"):
        sceptic.shuffled(graph, 0, texts=["only a"])


def test_what_a_shuffled_triple_says_depends_on_nothing():
    """Over many draws each other subject gives its triple equally often: the label cannot be read off it."""
    graph = KnowledgeGraph.from_triples([(name, "is", name * 2) for name in "abcde"])
    counts = Counter(sceptic.shuffled(graph, seed).lookup("a")[0].object for seed in range(400))
    assert set(counts) == {"bb", "cc", "dd", "ee"} and min(counts.values()) > 60


def test_facts_are_the_branches_written_out_with_their_subjects():
    graph = KnowledgeGraph.from_triples([("gout", "is a", "illness"), ("gout", "hurts", "toes"), ("gout", "is", "old")])
    assert sceptic.facts("My Gout, your gout.", graph) == "gout is a illness; gout hurts toes"
    assert sceptic.facts("nothing", graph) == "" and sceptic.facts("gout", graph, max_branches=1) == "gout is a illness"


def test_what_is_held_out_are_training_entities_and_never_the_test():
    for task in (tasks.typing_task(36, 12, 0), tasks.teaching_task()):
        part = tasks.held_out(task, 3)
        assert sorted(part.train + part.test) == sorted(task.train) and not {*part.test} & {*task.test}
        entity = task.entities.get
        sides = [{entity(text, text) for text, _ in rows} for rows in (part.train, part.test)]
        assert not sides[0] & sides[1] and set(dict(part.test).values()) == set(task.labels)
        assert 0.2 < len(part.test) / len(task.train) < 0.4
        assert tasks.held_out(task, 3).test == part.test != tasks.held_out(task, 4).test


def test_each_arm_takes_the_rate_that_does_best_on_held_out_entities(folder):
    """A rate of 0 learns nothing; the other one learns that each label has its own word, which the test never sees."""
    graph = KnowledgeGraph.from_triples([("aspirin", "is a", "drug"), ("Beijing", "is a", "place")])
    rows = [(f"{'the doctor reads' if i % 2 else 'New York sells'} {i}", "ab"[i % 2]) for i in range(24)]
    task = Task("toy", "", graph, ("a", "b"), rows, [("a text of no use", "a")])
    options = {"encoder": folder, "epochs": 12, "batch_size": 8}
    with pytest.warns(UserWarning, match="toy: shuffled triples left out"):
        table = rates.choose_rates(task, [0.0, 3e-3], 0, arms=["BERT", "shuffled triples"], **options)
    assert rates.chosen(table) == {"BERT": 3e-3}, "the graph speaks of none of these texts: nothing to shuffle"
    assert table.n.tolist() == [8, 8] and table[table.chosen].right.item() == 1
    results = study.run_task(
        lambda seed: tasks.held_out(task, 0), seeds=[0], arms=["BERT", "K-BERT"],
        rates={"BERT": 0.0, "K-BERT": 3e-3}, **options, learning_rate=1.0,
    )  # fmt: skip
    right = results.table("correct")
    assert right["BERT"].value < 1 and right["K-BERT"].value == 1  # each its own
    with pytest.raises(UsageError, match="toy has 0 texts to hold out and 1 rates"):
        rates.choose_rates(Task("toy", "", graph, ("a", "b"), [("x", "a"), ("y", "b")], rows), [1e-3], 0, **options)


def test_a_graph_of_one_subject_has_no_shuffled_arm(folder):
    graph = KnowledgeGraph.from_triples([("aspirin", "is a", "drug")])
    tested = [("Beijing", "b"), ("aspirin now", "a")]
    task = Task("own", "", graph, ("a", "b"), [("aspirin", "a"), ("New York", "b")], tested)
    options = {"encoder": folder, "epochs": 1, "learning_rate": 1e-3, "batch_size": 2}
    arms = ["shuffled triples", "sentence [SEP] facts"]
    left_out = "own: shuffled triples left out, since the graph knows fewer than two subjects of the texts"
    with pytest.warns(UserWarning, match=left_out):
        results = study.run_task(lambda seed: task, seeds=[0], arms=arms, **options)
    assert "shuffled triples" not in results.arms and "sentence [SEP] facts" in results.arms
    assert "own.sentence_sep_facts" in study.as_metrics("own", results)


def test_a_text_longer_than_the_encoder_is_cut_and_said(folder):
    """The profile's length is 256 tokens, this encoder has 64 positions, and no parameter of the notebook says so."""
    graph = KnowledgeGraph.from_triples([("aspirin", "is a", "drug")])
    task = Task("own", "", graph, ("a", "b"), [("aspirin " * 90, "a"), ("New York", "b")], [("Beijing", "b")])
    options = {"encoder": folder, "epochs": 1, "learning_rate": 1e-3, "batch_size": 2}
    table = study.accuracy_table(study.run_task(lambda seed: task, seeds=[0], arms=["K-BERT"], **options))
    assert table["texts cut"]["K-BERT"] == 1 and table["branches left out"]["K-BERT"] > 0
    assert table["texts cut"]["words"] == 0


@pytest.mark.slow
def test_knowledge_helps_to_type_rare_nouns():
    """The one result that is asserted: K-BERT above BERT on rare-entity typing. All else is printed as measured."""
    sizes = PROFILES.fill("standard")
    training = {name: sizes[name] for name in ("epochs", "learning_rate", "batch_size", "top_layers")}
    results = study.run_task(
        lambda seed: tasks.typing_task(sizes["n_train"], sizes["n_test"], seed), seeds=[0], arms=["BERT", "K-BERT"],
        **training,
    )  # fmt: skip
    difference = results.added("K-BERT", "BERT", "correct")
    assert difference.value > 0 and difference.low > 0
