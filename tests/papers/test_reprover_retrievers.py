"""Retrievers by name: counts and neighbours by hand, the loss by hand, training, vectors on disk, what is refused."""

import json
import math

import numpy as np
import pytest
import torch
from test_reprover_corpus import small
from transformers import BertConfig, BertModel, T5Config, T5EncoderModel
from zoo import tokenizer as tiny_tokenizer

from workbench import load_encoder
from workbench.errors import DataError, ModelError, UsageError
from workbench.papers import reprover
from workbench.papers.reprover import study
from workbench.papers.reprover.retrievers import dense, linear
from workbench.papers.reprover.retrievers.queries import Question


@pytest.fixture(scope="module")
def kept():
    return reprover.own_corpus()


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A tiny random BERT as an encoder's folder: bytes, 32 wide."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=320, initializer_range=0.3, **sizes)).save_pretrained(folder)
    tiny_tokenizer(folder)
    return folder


class Table:
    """A retriever that gives each state the scores it was made with."""

    name = "table"

    def __init__(self, rows):
        self.rows = rows

    def scores_of(self, states):
        return np.array([self.rows[state] for state in states])


# ------------------------------------------------------------------------------------------------ top
def test_top_filters_before_it_cuts_and_keeps_the_corpus_order():
    corpus = small()  # premises a, b (file A), c (B), d, e (C); e ends behind line 4 of C
    where = Question("s", "C", (4, 1))
    names = lambda by, k: [(one.full_name, score) for one, score in reprover.top(corpus, where, by, k)]  # noqa: E731
    assert names(Table({"s": [1, 3, 3, 2, 9]}), 2) == [("b", 3.0), ("c", 3.0)]
    assert names(Table({"s": [1, 3, 3, 2, 9]}), 9) == [("b", 3.0), ("c", 3.0), ("d", 2.0), ("a", 1.0)]
    assert reprover.top(corpus, Question("s", "D", (4, 1)), Table({"s": [1] * 5}), 3) == []
    both = reprover.top(corpus, [where, Question("s", "A", (3, 1))], Table({"s": [1, 3, 3, 2, 9]}), 1)
    assert [[one.full_name for one, _ in some] for some in both] == [["b"], ["a"]]
    with pytest.raises(UsageError, match="k=0"):
        reprover.top(corpus, where, "bm25", 0)


def test_the_best_without_a_sort_are_those_of_a_sort():
    rng = np.random.default_rng(0)
    for size in (5, 64, 65, 1000, 6400):
        scores = rng.integers(0, 40, size).astype(np.float32)
        allowed = rng.random(size) < 0.5
        for k in (1, 10, 100):
            expected = sorted(np.flatnonzero(allowed), key=lambda n: (-scores[n], n))[:k]
            assert dense.best(scores, allowed, k).tolist() == expected


@pytest.mark.parametrize("size", [5, 200])
def test_a_score_that_is_no_number_is_refused(size):
    scores = np.zeros(size)
    scores[3] = math.nan
    with pytest.raises(ModelError, match="not a number"):
        dense.best(scores, np.ones(size, dtype=bool), 1)
    corpus = small()
    (query, *_) = reprover.queries(corpus, corpus.theorems)
    with pytest.raises(ModelError, match="not a number"):
        reprover.measure_scores(corpus, [query], [[math.nan] * 5])


# ------------------------------------------------------------------------------------------------ controls
def test_counts_and_neighbours_by_hand():
    corpus = small()  # training steps: t1 names a; t2 names a, then b
    train = corpus.theorems[:2]
    asked = [Question("⊢ b x + y", "C", (14, 1))]
    counted = reprover.top(corpus, asked, "counts", 5, theorems=train)[0]
    assert [(one.full_name, score) for one, score in counted] == [
        ("a", 2.0), ("b", 1.0), ("c", 0.0), ("d", 0.0), ("e", 0.0),
    ]  # fmt: skip
    nearest = reprover.top(corpus, asked, "neighbours", 2, theorems=train)[0]
    assert [one.full_name for one, _ in nearest] == ["b", "a"]  # the state that b closed is the same text
    literal = reprover.BM25(["⊢ a x + y", "⊢ a x + y", "⊢ b x + y"]).scores("⊢ b x + y")
    assert [score for _, score in nearest] == pytest.approx([literal[2], literal[0]])


def test_no_held_out_theorem_is_read(kept):
    """Training pairs are those of the training part, and no candidate is the theorem itself or stands behind it."""
    split = reprover.random_split(kept.theorems, 40, 80)
    trained = reprover.queries(kept, split["train"])
    assert {query.theorem.key for query in trained}.isdisjoint(one.key for one in split["test"])
    draw, generator = linear.Batches(kept, trained), torch.Generator().manual_seed(0)
    for _ in range(50):
        steps, candidates, wanted = draw(generator)
        seen = [kept.accessible(trained[n].theorem.file_path, trained[n].theorem.start) for n in steps]
        assert all(any(mask[number] for mask in seen) for number in candidates)
        for row, step in enumerate(steps):
            assert [bool(one) for one in wanted[row]] == [n in trained[step].positives for n in candidates]
    for by in ("counts", "neighbours", "linear", "encoder"):
        with pytest.raises(UsageError, match="learns from a training part"):
            reprover.retriever(by, kept)
    with pytest.raises(DataError, match="no training step"):
        linear.Batches(kept, [])


# ------------------------------------------------------------------------------------------------ training
def test_the_loss_by_hand():
    """Two states, three candidates: cosines 1, 0, .6 and .8, .6, .96; labels 1 0 1 and 0 1 0."""
    states, premises = torch.tensor([[1.0, 0.0], [0.8, 0.6]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    wanted = linear.labels([7, 8, 9], [[7, 9], [8]])
    assert wanted.tolist() == [[1, 0, 1], [0, 1, 0]]
    expected = (0 + 0 + 0.4**2 + 0.8**2 + 0.4**2 + 0.96**2) / 6
    assert float(linear.similarity_loss(states, premises, wanted)) == pytest.approx(expected)


def test_a_head_learns_which_premise_belongs_to_which_state(kept):
    """On made-up vectors: 8 numbers tell which premise a state needs, 24 are noise, which W can silence."""
    trained = reprover.queries(kept, kept.theorems)
    rng = np.random.default_rng(0)
    premises, states = (rng.normal(size=(count, 32)) for count in (len(kept.premises), len(trained)))
    states[:, :8] = [premises[sorted(query.positives), :8].mean(0) for query in trained]
    premises, states = dense.unit(premises), dense.unit(states)

    def recall(head):
        with torch.no_grad():
            scores = (head(torch.tensor(states)) @ head(torch.tensor(premises)).T).numpy()
        return np.mean(reprover.measure_scores(kept, trained, scores).values("recall@10"))

    before = recall(linear.Head(32))
    head = linear.train_head(kept, trained, states, premises, seed=0, epochs=6)
    again = linear.train_head(kept, trained, states, premises, seed=0, epochs=6)
    assert recall(head) > before + 0.1 and torch.equal(head.weight, again.weight)


def test_a_trained_head_is_kept_and_read_again(kept, bert, tmp_path, own_cache):
    train = kept.theorems[:30]
    encoder = load_encoder(str(bert))
    made = linear.linear(kept, reprover.queries(kept, train), encoder, seed=0, epochs=1)
    folder = made.save(tmp_path / "head")
    states = ["n : Nat\n⊢ n + 0 = n", "⊢ True"]
    again = reprover.retriever(folder, kept)
    assert np.allclose(made.scores_of(states), again.scores_of(states), atol=2e-3)  # kept in float16
    about = json.loads((folder / "head.json").read_text())
    (folder / "head.json").write_text(json.dumps(about | {"weights": "0" * 16}))
    with pytest.raises(ModelError, match="was trained on another"):
        reprover.retriever(folder, kept)
    (folder / "head.json").write_text(json.dumps(about))
    weights = folder / "head.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        reprover.retriever(folder, kept)


def test_a_whole_encoder_is_trained_saved_and_opened(kept, bert, tmp_path, own_cache):
    from workbench.papers.reprover.retrievers.finetune import finetuned

    trained = reprover.queries(kept, kept.theorems[:12])
    encoder, before = load_encoder(str(bert)), load_encoder(str(bert))
    states = [query.tactic.state_before for query in trained]
    assert np.allclose(encoder.tensor(states).detach().numpy(), before.embed(states), atol=1e-5)

    def loss(scores):
        wanted = [[float(n in query.positives) for n in range(len(kept.premises))] for query in trained]
        return float(np.mean((scores - np.array(wanted)) ** 2))

    first = loss(reprover.retriever(before, kept).scores_of(states))
    made = finetuned(kept, trained, encoder, seed=0, epochs=4)
    assert loss(made.scores_of(states)) < first  # other candidates than those drawn in training
    again = reprover.retriever(encoder.save(tmp_path / "encoder"), kept)
    assert np.allclose(made.scores_of(states), again.scores_of(states), atol=1e-5)


# ------------------------------------------------------------------------------------------------ vectors
def test_vectors_are_embedded_once_for_an_encoder_and_its_texts(own_cache):
    asked = []

    def embed(texts):
        asked.append(list(texts))
        return np.array([[len(text), 1.0] for text in texts])

    one = np.array(dense.kept_vectors("toy", {"identity": "x"}, ["a", "bbb"], embed))
    assert np.allclose(one, [[2**-0.5, 2**-0.5], [0.3 * 10**0.5, 0.1 * 10**0.5]])
    assert np.array_equal(dense.kept_vectors("toy", {"identity": "x"}, ["a", "bbb"], embed), one) and len(asked) == 1
    dense.kept_vectors("toy", {"identity": "y"}, ["a", "bbb"], embed)
    dense.kept_vectors("toy", {"identity": "x"}, ["a", "bb"], embed)
    assert len(asked) == 3
    for file in own_cache.rglob("vectors.npy"):
        file.write_bytes(file.read_bytes()[:-4])  # cut short: noticed, and made again
    assert np.array_equal(dense.kept_vectors("toy", {"identity": "x"}, ["a", "bbb"], embed), one) and len(asked) == 4
    with pytest.raises(ModelError, match="not finite"):
        dense.kept_vectors("toy", {"identity": "z"}, ["a"], lambda texts: [[math.nan]])


def test_a_byt5_encoder_is_read_by_mean_and_length_and_a_pickle_is_refused(kept, tmp_path, own_cache):
    """The authors' retriever is a T5 encoder over bytes: mean of the token states, then length one."""
    from transformers import ByT5Tokenizer

    torch.manual_seed(0)
    module = T5EncoderModel(T5Config(vocab_size=384, d_model=32, d_kv=16, d_ff=32, num_layers=1, num_heads=2)).eval()
    module.save_pretrained(tmp_path)
    tokenizer = ByT5Tokenizer()
    tokenizer.save_pretrained(tmp_path)
    states = ["⊢ n + 0 = n", "p q : Prop\n⊢ p"]
    found = reprover.retriever(str(tmp_path), kept).scores_of(states)

    def vector(text):
        with torch.no_grad():
            mean = module(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        return (mean / mean.norm()).numpy()

    premises = [vector(f"{one.full_name} {one.code}") for one in kept.premises[:9]]
    assert np.allclose(found[:, :9], [[vector(state) @ one for one in premises] for state in states], atol=1e-5)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="only as pickles"):
        reprover.retriever(str(tmp_path), kept)


def test_the_table_pools_seeds_and_names_every_retriever():
    corpus = small()
    asked = {"own": reprover.queries(corpus, corpus.theorems[2:3])}
    rows = study.retrieval_table(
        corpus, asked, ("random", "bm25", "counts", "neighbours"), train={"own": corpus.theorems[:2]}, n_seeds=3
    )
    assert [row["retriever"] for row in rows[::2]] == ["random", "bm25", "counts", "neighbours"]
    assert {row["retriever"]: row["recall@10"].n for row in rows}["random"] == 6  # two steps, three seeds
    assert {row["retriever"]: row["recall@10"].n for row in rows}["counts"] == 2
