"""Trace, layout, splits, retrieval: against hand-computed cases and literal versions."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from lean import needs_lean

from workbench.errors import DataError, UsageError
from workbench.papers import reprover
from workbench.papers.reprover import retrieve
from workbench.papers.reprover.corpus.corpus import Corpus, File, Premise, Tactic, TracedTheorem, Use
from workbench.papers.reprover.retrieve import MEASURES


@pytest.fixture(scope="module")
def kept():
    return reprover.own_corpus()


# ------------------------------------------------------------------------------------------------ the kept trace
def test_the_kept_trace_has_the_promised_size(kept):
    assert len(kept.files) >= 8 and len(kept.theorems) >= 300
    assert sum(len(theorem.tactics) for theorem in kept.theorems) >= 1000
    assert len({n for theorem in kept.theorems for tactic in theorem.tactics for n in kept.numbers(tactic)}) >= 200


def test_states_of_a_proof_follow_one_another(kept):
    for theorem in kept.theorems:
        for one, two in zip(theorem.tactics, theorem.tactics[1:]):
            assert one.state_after == two.state_before and "⊢" in two.state_before
        assert theorem.tactics[-1].state_after == "no goals"


def test_a_proof_names_only_accessible_premises_never_itself_or_later(kept):
    for theorem in kept.theorems:
        mask = kept.accessible(theorem.file_path, theorem.start)
        assert all(mask[n] for tactic in theorem.tactics for n in kept.numbers(tactic)), theorem.full_name
        for number, premise in enumerate(kept.premises):
            if premise.path == theorem.file_path and premise.start >= theorem.start:
                assert not mask[number]


def test_every_named_premise_is_marked_in_the_annotated_tactic(kept):
    import re

    marked = whole = 0
    for theorem in kept.theorems:
        for tactic in theorem.tactics:
            assert re.sub(r"</?a>", "", tactic.annotated) == tactic.tactic
            marked += tactic.annotated.count("<a>") > 0
            whole += bool(tactic.uses)
    assert marked == whole


@needs_lean
def test_the_trace_of_one_module_is_the_kept_one(kept):
    (path,) = {file.path for file in kept.files if file.path.endswith("Equality.lean")}
    new = reprover.trace(states=False)
    assert new.files == kept.files
    plain = [(t.key, [(one.tactic, one.annotated, one.uses) for one in t.tactics]) for t in kept.theorems]
    assert plain == [(t.key, [(one.tactic, one.annotated, one.uses) for one in t.tactics]) for t in new.theorems]
    some = Corpus(kept.files, tuple(t for t in kept.theorems if t.file_path == path)[:8])
    with reprover.Session() as session:  # the states of some, by replay
        for theorem in some.theorems:
            state = session.open(theorem.full_name)
            for tactic in theorem.tactics:
                assert state.pp == tactic.state_before
                state = session.run_tac(state, tactic.tactic)
            assert isinstance(state, reprover.ProofFinished)


@needs_lean
@pytest.mark.slow
def test_replaying_the_whole_library_gives_the_kept_trace(kept):
    assert reprover.trace() == kept


@needs_lean
@pytest.mark.parametrize(
    ("name", "tactic", "premises"),
    [
        ("Nat.zero_add", 2, {"Nat.add_succ"}),
        ("Nat.zero_add", 0, set()),  # the constructors of the arms are grammar
        ("Nat.zero_add", 1, set()),
        ("Nat.succ_eq_iff", 1, {"Nat.succ_injective"}),
    ],
)
def test_premises_of_a_step_by_hand(kept, name, tactic, premises):
    (theorem,) = [one for one in kept.theorems if one.full_name == name]
    assert {kept.premises[n].full_name for n in kept.numbers(theorem.tactics[tactic])} == premises


# ------------------------------------------------------------------------------------------------ reading and writing
def small() -> Corpus:
    p = [
        Premise(name, path, f"theorem {name} : {text}", (line, 1), (line + 1, 5), "theorem")
        for name, path, line, text in [
            ("a", "A", 1, "x = y"),
            ("b", "A", 5, "x + y = y"),
            ("c", "B", 1, "p"),
            ("d", "C", 1, "q"),
            ("e", "C", 9, "r"),
        ]
    ]
    files = (
        File("A", (), (p[0], p[1])),
        File("B", ("A",), (p[2],)),
        File("C", ("B",), (p[3], p[4])),
        File("D", (), ()),
    )

    def theorem(name, path, line, *uses):
        tactics = tuple(
            Tactic(
                f"rw [{u}]",
                f"rw [<a>{u}</a>]",
                (Use(u, *next((q.path, q.start, q.end) for q in p if q.full_name == u)),),
                f"⊢ {u} x + y",
                "no goals",
            )
            for u in uses
        )
        return TracedTheorem(path, name, (line, 1), (line + 2, 3), tactics, (("url", "u"), ("commit", "c")))

    theorems = (
        theorem("t1", "B", 5, "a"),
        theorem("t2", "C", 4, "a", "b"),
        theorem("t3", "C", 14, "c", "d"),
        theorem("t4", "D", 1),
    )
    return Corpus(files, theorems)


def test_accessible_by_hand():
    corpus = small()
    assert corpus.accessible("A", (3, 1)).tolist() == [True, False, False, False, False]
    assert corpus.accessible("B", (5, 1)).tolist() == [True, True, True, False, False]
    assert corpus.accessible("C", (4, 1)).tolist() == [True, True, True, True, False]  # imports of imports
    assert corpus.accessible("D", (4, 1)).tolist() == [False] * 5
    with pytest.raises(DataError, match="no file 'Z'"):
        corpus.accessible("Z", (1, 1))


def test_what_is_written_is_read_back(tmp_path, kept):
    for number, corpus in enumerate((small(), kept)):
        folder = reprover.save_corpus(corpus, tmp_path / str(number))
        assert reprover.load_corpus(folder) == corpus
    split = reprover.random_split(kept.theorems, 20, 30)
    folder = reprover.save_corpus(kept, tmp_path / "b4", {"random": split})
    corpus, parts = reprover.load_corpus(folder, "random")
    assert parts == split and corpus.files == kept.files


def test_the_published_layout_is_read(tmp_path):
    """A file written by hand in the layout of LeanDojo Benchmark 4, with its further columns."""
    (tmp_path / "random").mkdir()
    premise = {
        "full_name": "n.a",
        "code": "theorem a : 1 = 1",
        "start": [3, 1],
        "end": [4, 2],
        "kind": "commandeclaration",
    }
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"path": "A.lean", "imports": [], "premises": [premise]}) + "\n")
    use = {"full_name": "n.a", "def_path": "A.lean", "def_pos": [3, 9], "def_end_pos": [3, 10]}
    tactic = {
        "tactic": "exact a",
        "annotated_tactic": ["exact <a>a</a>", [use]],
        "state_before": "⊢ 1 = 1",
        "state_after": "no goals",
    }
    row = {"url": "https://example.org/x", "commit": "0" * 40, "file_path": "A.lean", "full_name": "t", "start": [9, 1],
           "end": [9, 20], "traced_tactics": [tactic]}  # fmt: skip
    for part in ("train", "val", "test"):
        (tmp_path / "random" / f"{part}.json").write_text(json.dumps([row] if part == "train" else []))
    corpus, parts = reprover.load_corpus(tmp_path, "random")
    assert corpus.numbers(parts["train"][0].tactics[0]) == {0}
    reprover.save_corpus(corpus, tmp_path / "again", {"random": parts})
    assert json.loads((tmp_path / "again/random/train.json").read_text()) == [row]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda rows: rows[1].pop("file_path"), "theorem 2: the column 'file_path' is missing"),
        (lambda rows: rows[0].update(file_path="Z"), "theorem 1: its file 'Z' is not in corpus.jsonl"),
        (lambda rows: rows[0].update(start=[0, 1]), r"start=\[0, 1\] is not \[line, column\]"),
        (lambda rows: rows[0]["traced_tactics"][0].update(tactic=3), "theorem 1, tactic 1: tactic=3 is not a str"),
        (lambda rows: rows[0]["traced_tactics"][0].update(annotated_tactic=["x"]), "must be .text, premises"),
    ],
    ids=["column", "file", "position", "type", "annotation"],
)
def test_a_damaged_row_is_named(tmp_path, damage, message):
    folder = reprover.save_corpus(small(), tmp_path)
    rows = json.loads((folder / "theorems.json").read_text())
    damage(rows)
    (folder / "theorems.json").write_text(json.dumps(rows))
    with pytest.raises(DataError, match=message):
        reprover.load_corpus(folder)


def test_a_damaged_corpus_is_named(tmp_path):
    folder = reprover.save_corpus(small(), tmp_path)
    lines = (folder / "corpus.jsonl").read_text().splitlines()
    for text, message in (
        ("\n".join(reversed(lines)), "stands in no earlier line"),
        ("\n".join([lines[0], *lines]), "line 2: A stands in"),
        ("{", "line 1: not JSON"),
        ("", "has no line"),
    ):
        (folder / "corpus.jsonl").write_text(text)
        with pytest.raises(DataError, match=message):
            reprover.load_corpus(folder)
    with pytest.raises(DataError, match="cannot read"):
        reprover.load_corpus(tmp_path / "nowhere")


# ------------------------------------------------------------------------------------------------ splits
@pytest.mark.parametrize("name", ["random", "novel_premises"])
@pytest.mark.parametrize("seed", [0, 3407])
def test_splits_divide_and_depend_on_the_seed_alone(kept, name, seed):
    split = reprover.SPLITS[name](kept.theorems, 40, 80, seed=seed)
    keys = [theorem.key for part in split.values() for theorem in part]
    assert sorted(keys) == sorted(theorem.key for theorem in kept.theorems)
    assert len(split["val"]) + len(split["test"]) >= 120 and abs(len(split["test"]) - 80) <= 5
    assert split == reprover.SPLITS[name](kept.theorems[::-1], 40, 80, seed=seed)
    assert split != reprover.SPLITS[name](kept.theorems, 40, 80, seed=seed + 1)


def test_every_held_out_theorem_of_novel_premises_uses_a_novel_one(kept):
    split = reprover.novel_premises_split(kept.theorems, 40, 80)
    trained = {n for theorem in split["train"] for tactic in theorem.tactics for n in kept.numbers(tactic)}
    for theorem in (*split["val"], *split["test"]):
        assert {n for tactic in theorem.tactics for n in kept.numbers(tactic)} - trained
    loose = reprover.random_split(kept.theorems, 40, 80)
    trained = {n for theorem in loose["train"] for tactic in theorem.tactics for n in kept.numbers(tactic)}
    assert not all({n for t in theorem.tactics for n in kept.numbers(t)} - trained for theorem in loose["test"])


def test_splits_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="n_val=3 and n_test=3 of 4"):
        reprover.random_split(small().theorems, 3, 3)
    with pytest.raises(UsageError, match="only 3 theorems name a premise"):
        reprover.novel_premises_split(
            (*small().theorems, *reprover.own_corpus().theorems[:0], *[small().theorems[3]] * 3), 2, 2
        )


# ------------------------------------------------------------------------------------------------ retrieval
@pytest.mark.parametrize(
    ("ranking", "positives", "expected"),
    [
        ([7, 3, 5], {7}, (1, 1, 1)),
        ([7, 3, 5], {3}, (0, 1, 1 / 2)),
        ([7, 3, 5], {7, 5}, (1 / 2, 1, 1)),  # R@1 cannot reach 1 with two positives
        ([7, 3, 5], {9}, (0, 0, 0)),
        ([*range(20)], {9, 10, 15, 0}, (1 / 4, 1 / 2, 1)),
        ([*range(20)], {10}, (0, 0, 1 / 11)),
        ([], {1}, (0, 0, 0)),
    ],
)
def test_measures_by_hand(ranking, positives, expected):
    assert literal(ranking, positives) == pytest.approx(expected)
    theorem = TracedTheorem("A", "t", (30, 1), (30, 9), ())
    premises = tuple(Premise(f"x{i}", "A", "", (i + 1, 1), (i + 1, 9), "theorem") for i in range(20))
    query = reprover.Query(theorem, Tactic("", "", (), "", ""), frozenset(positives))
    scores = [-float(ranking.index(i)) if i in ranking else -math.inf for i in range(20)]
    told = reprover.measure_scores(Corpus((File("A", (), premises),), (theorem,)), [query], [scores])
    assert [told.values(name)[0] for name in MEASURES] == pytest.approx(expected)


def literal(ranking, positives):
    """The paper's measures as they are defined."""
    first = next((place for place, number in enumerate(ranking, 1) if number in positives), math.inf)
    return ((ranking[:1] != [] and ranking[0] in positives) / len(positives),
            len(set(ranking[:10]) & set(positives)) / len(positives), 1 / first)  # fmt: skip


def test_no_positive_is_no_query():
    assert [len(q.positives) for q in retrieve.queries(small(), small().theorems)] == [1] * 5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdé"), min_size=1, max_size=8).map(" ".join), min_size=1, max_size=7),
       st.lists(st.sampled_from("abcdéz"), max_size=6))  # fmt: skip
def test_bm25_is_the_literal_formula(texts, asked):
    documents = [text.split() for text in texts]
    mean = sum(map(len, documents)) / len(documents)
    expected = []
    for document in documents:
        total = 0.0
        for word in asked:
            holding = sum(word in other for other in documents)
            f = document.count(word)
            if f:
                idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
                total += idf * f * 2.5 / (f + 1.5 * (0.25 + 0.75 * len(document) / mean))
        expected.append(total)
    assert reprover.BM25(texts).scores(" ".join(asked)) == pytest.approx(expected)


def test_bm25_of_many_queries_is_that_of_each(kept):
    index = reprover.BM25([premise.code for premise in kept.premises])
    asked = [theorem.tactics[0].state_before for theorem in kept.theorems[:9]]
    assert np.array_equal(index.scores_of(asked), [index.scores(text) for text in asked])
    blanks = reprover.BM25(["|- ( p -> q )", "|- x"], split=str.split).scores("-> q")
    assert blanks[0] > 0 == blanks[1]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_ranking_without_a_sort_is_that_of_a_sort(data):
    """Equal scores, and positives that are not accessible, included."""
    premises = tuple(Premise(f"x{i}", "A", "", (i + 1, 1), (i + 1, 9), "theorem") for i in range(25))
    scores = np.array(data.draw(st.lists(st.integers(0, 6), min_size=25, max_size=25)), dtype=float)
    positives = data.draw(st.sets(st.integers(0, 24), min_size=1))
    at = data.draw(st.integers(1, 26))
    theorem = TracedTheorem("A", "t", (at, 5), (at, 9), ())
    corpus = Corpus((File("A", (), premises),), (theorem,))
    query = reprover.Query(theorem, Tactic("", "", (), "", ""), frozenset(positives))
    for accessible in (True, False):
        allowed = [i for i in range(25) if not accessible or premises[i].end <= theorem.start]
        ranking = sorted(allowed, key=lambda i: (-scores[i], i))
        told = reprover.measure_scores(corpus, [query], [scores], accessible=accessible)
        expected = literal(ranking, query.positives)
        assert tuple(told.values(name)[0] for name in MEASURES) == expected


def test_what_a_perfect_retriever_gets():
    corpus = small()
    asked = reprover.queries(corpus, corpus.theorems)
    perfect = [[float(n in query.positives) for n in range(5)] for query in asked]
    perfect, ceiling = reprover.measure_scores(corpus, asked, perfect), reprover.ceiling(asked)
    assert all(perfect.values(name) == ceiling.values(name) for name in MEASURES)
    many = retrieve.Query(corpus.theorems[0], corpus.theorems[0].tactics[0], frozenset(range(40)))
    assert [reprover.ceiling([many]).values(name) for name in MEASURES] == [[1 / 40], [1 / 4], [1]]


def test_words_cut_names():
    assert retrieve.words("Nat.add_succ (h₁ : xs ++ ys = mapId n)") == [
        "nat",
        "add",
        "succ",
        "h₁",
        "xs",
        "+",
        "+",
        "ys",
        "=",
        "map",
        "id",
        "n",
    ]


def test_the_filter_comes_before_the_cut():
    """With the filter a positive that stands behind many inaccessible premises is found; without it it is not."""
    premises = tuple(
        Premise(f"x{i}", "Z", "theorem wanted wanted wanted", (i + 1, 1), (i + 1, 9), "theorem") for i in range(12)
    )
    wanted = Premise("y", "A", "theorem wanted", (1, 1), (1, 9), "theorem")
    tactic = Tactic("exact y", "exact <a>y</a>", (Use("y", "A", (1, 1), (1, 9)),), "⊢ wanted", "no goals")
    theorem = TracedTheorem("B", "t", (5, 1), (6, 1), (tactic,))
    corpus = Corpus((File("A", (), (wanted,)), File("B", ("A",), ()), File("Z", (), premises)), (theorem,))
    asked = retrieve.queries(corpus, corpus.theorems)
    assert reprover.evaluate(corpus, asked, "bm25").values("recall@1") == [1.0]
    assert reprover.evaluate(corpus, asked, "bm25", accessible=False).values("recall@10") == [0.0]


def test_bm25_beats_chance_on_our_library(kept):
    split = reprover.random_split(kept.theorems, 40, 80)
    asked = retrieve.queries(kept, split["test"])
    bm25, chance = reprover.evaluate(kept, asked, "bm25"), reprover.evaluate(kept, asked, "random")
    told, floor = (
        {name: next(iter(found.table(name, pooled=True).values())) for name in MEASURES} for found in (bm25, chance)
    )
    assert told["recall@10"].low > floor["recall@10"].high
    expected = np.mean([
        min(10 / kept.accessible(q.theorem.file_path, q.theorem.start).sum(), 1) for q in asked
    ])  # fmt: skip
    assert abs(floor["recall@10"].value - expected) < 0.05  # chance is what counting says
    assert told["mrr"].n == len(asked) and told["mrr"].low < told["mrr"].value < told["mrr"].high
    again = [reprover.evaluate(kept, asked, "random", seed=3).rows for _ in range(2)]
    assert again[0] == again[1] != chance.rows
