"""Generators by name: what is written and copied, what a beam finds, training, folders, language models, refusals."""

import itertools
import json
import math

import pytest
import torch
from test_reprover_corpus import small as small_corpus
from transformers import ByT5Tokenizer, T5Config, T5ForConditionalGeneration

from workbench import load
from workbench.errors import DataError, ModelError, UsageError
from workbench.models import load_seq2seq
from workbench.models.base import Generation
from workbench.papers import reprover
from workbench.papers.reprover import study
from workbench.papers.reprover.generate import language_model, pieces, pointer, small


@pytest.fixture(scope="module")
def kept():
    return reprover.own_corpus()


# ------------------------------------------------------------------------------------------------ pieces
def test_nothing_of_a_tactic_is_lost(kept):
    for theorem in kept.theorems:
        for step in theorem.tactics:
            assert "".join(pieces.written(step.tactic)) == step.tactic
    assert pieces.written("rw [Nat.add_succ, ← ih]") == [
        "rw",
        " ",
        "[",
        "Nat",
        ".",
        "add_succ",
        ", ",
        "←",
        " ",
        "ih",
        "]",
    ]
    assert pieces.read("h₁ : xs ++ [] = xs") == ["h₁", ":", "xs", "+", "+", "[", "]", "=", "xs"]


def test_the_best_premise_stands_next_to_the_state():
    source = pieces.source_of(["⊢", "p"], [["best", ":"], ["second"]])
    assert source.pieces == ("second", "best", ":", "⊢", "p")
    assert source.segments == (2, 1, 1, 0, 0) and source.places == (0, 0, 1, 0, 1)
    one = reprover.Premise("Nat.add_succ", "A", "theorem add_succ (n m : Nat) : n + m.succ = (n + m).succ", (1, 1),
                           (2, 1), "theorem")  # fmt: skip
    found = pieces.premise_of(one)
    assert found[:4] == ["Nat", ".", "add_succ", ":"] and found[-3:] == [")", ".", "succ"]
    assert len(found) <= pieces.PREMISE


# ------------------------------------------------------------------------------------------------ the network
def network(text: str = "exact h apply g"):
    torch.manual_seed(0)
    words = pieces.written(text)
    vocabulary = pieces.Vocabulary.of([*words, "⊢", "⊢", ":", ":"], words)
    shape = pointer.Shape(width=16, inner=16, heads=2, encoder=1, decoder=1)
    return pointer.Pointer(vocabulary, shape).eval(), vocabulary


def spread_of(net, memory, read, written, parts):
    """Log-probabilities of the next piece over the extended vocabulary, by the whole forward: (B, V + new)."""
    write, copy = (one[:, -1].exp() for one in net(memory, read, written, parts))
    found = torch.zeros(len(write), net.piece.num_embeddings + max(map(len, read.new)))
    found[:, : net.writable] = write
    found[:, [pieces.PAD, pieces.START, pieces.UNKNOWN]] = 0
    for row in range(len(copy)):
        for place, number in enumerate(read.copy[row].tolist()):
            found[row, number] += copy[row, place]
    return found.log()


def test_written_and_copied_probabilities_sum_to_one_and_a_new_name_can_only_be_copied():
    net, vocabulary = network()
    sources = [pieces.source_of(pieces.read("novel : h ⊢ novel"), []), pieces.source_of(["⊢"], [])]
    read = pointer.tensors_of(vocabulary, sources)
    assert read.new == [["novel"], []] and read.copy[0].tolist()[0] == len(vocabulary)
    start, none = torch.full((2, 1), pieces.START), torch.zeros(2, 1, pieces.PARTS, dtype=torch.long)
    with torch.no_grad():
        write, copy = net(net.encode(read), read, start, none)
        spread = spread_of(net, net.encode(read), read, start, none).exp()
    assert torch.allclose(write.exp().sum(-1) + copy.exp().sum(-1), torch.ones(2, 1), atol=1e-5)
    twice = copy[0, 0].exp()[[0, 4]].sum()  # it stands at two places of the source
    assert float(spread[0, len(vocabulary)]) == pytest.approx(float(twice), rel=1e-5)
    assert float(spread[1, len(vocabulary)]) == 0  # the other source does not hold it
    assert bool((spread[:, [pieces.PAD, pieces.START, pieces.UNKNOWN]] == 0).all())


def test_the_loss_is_the_sum_over_both_ways():
    net, vocabulary = network()
    read = pointer.tensors_of(vocabulary, [pieces.source_of(pieces.read("h : novel ⊢ h"), [])])
    start, none = torch.full((1, 1), pieces.START), torch.zeros(1, 1, pieces.PARTS, dtype=torch.long)
    with torch.no_grad():
        spread = spread_of(net, net.encode(read), read, start, none)
        for piece in ("h", "novel", "exact"):
            number = vocabulary.number(piece) if piece != "novel" else len(vocabulary)
            loss = net.loss(read, start, none, torch.tensor([[number]]))
            assert float(loss) == pytest.approx(-float(spread[0, number]), abs=1e-4)
    lost = torch.tensor([[pieces.UNKNOWN]])  # neither written nor copied: bounded, and its gradient is a number
    net.loss(read, start, none, lost).backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_a_wide_beam_finds_the_likeliest_of_all_texts(monkeypatch):
    """Against every text of at most two pieces, each scored piece by piece without a beam or a batch."""
    monkeypatch.setattr(pointer, "LONGEST", 3)
    net, vocabulary = network("a b")
    source = pieces.source_of(["b", "novel"], [])
    read = pointer.tensors_of(vocabulary, [source])
    alphabet = ["a", "b", " ", "novel"]

    def logprob(text):
        total, done = 0.0, []
        for piece in [*text, None]:
            ids = [pieces.START, *(vocabulary.number(one) for one in done)]
            parts = [[0] * pieces.PARTS, *(vocabulary.parts_of(one) for one in done)]
            with torch.no_grad():
                spread = spread_of(net, net.encode(read), read, torch.tensor([ids]), torch.tensor([parts]))[0]
            at = pieces.END if piece is None else len(vocabulary) if piece == "novel" else vocabulary.number(piece)
            total += float(spread[at])
            done.append(piece)
        return total

    expected: dict[str, float] = {}
    for text in (text for n in (1, 2) for text in itertools.product(alphabet, repeat=n)):
        if "".join(text).strip():
            expected["".join(text)] = max(logprob(text), expected.get("".join(text), -math.inf))
    best = sorted(expected.items(), key=lambda one: -one[1])[:8]
    found = pointer.beam(net, vocabulary, [source, pieces.source_of(["a"], [])], 24)[0][:8]
    assert [text for text, _ in found] == [text for text, _ in best]
    assert [value for _, value in found] == pytest.approx([value for _, value in best], abs=1e-3)


def test_a_trained_generator_remembers_copies_and_is_kept(kept, tmp_path):
    """Trained on a handful of proofs: it knows them, and the same training gives the same generator."""
    train = [one for one in kept.theorems if len(one.tactics) <= 3][:8]
    steps = [step for one in train for step in one.tactics]
    told = []
    shape = pointer.Shape(width=32, inner=32, heads=2, encoder=1)
    made = small.trained(kept, train, steps=300, shape=shape, told=lambda step, loss: told.append(loss))
    found = made.propose([step.state_before for step in steps], [[]] * len(steps), 4)
    assert told[-1] < told[0] / 2 and len(told) == 300
    assert sum(step.tactic in [text for text, _ in some] for step, some in zip(steps, found)) > 0.7 * len(steps)
    assert all(len(some) <= 4 and sorted((v for _, v in some), reverse=True) == [v for _, v in some] for some in found)
    assert all(len({text for text, _ in some}) == len(some) and all(v <= 0 for _, v in some) for some in found)
    folder = made.save(tmp_path / "small")
    again = reprover.generator(folder, kept, ()).propose([steps[0].state_before], [[]], 4)[0]
    assert again[0][0] == found[0][0][0]
    assert made.propose([], [], 4) == [] and len(made.propose([""], [[]], 2)) == 1
    weights = folder / "generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        reprover.generator(folder, kept, ())
    (folder / "generator.json").write_text("{}")
    with pytest.raises(ModelError, match="is no trained generator"):
        reprover.generator(folder, kept, ())
    with pytest.raises(DataError, match="no tactic"):
        small.trained(kept, [])


def test_the_shipped_generators_saw_no_held_out_theorem(kept):
    """Each checkpoint names a hash over its training part: that of the split by the reference's seed."""
    for split, make in reprover.SPLITS.items():
        train = make(kept.theorems, 40, 80)["train"]
        about = json.loads((small.ROOT / f"data/reprover/checkpoints/small-{split}/generator.json").read_text())
        assert about["learned"] == small.learned(kept, train) and about["theorems"] == len(train)
        assert small.learned(kept, train[1:]) != about["learned"]
        assert reprover.generator("small", kept, train).about["learned"] == about["learned"]


# ------------------------------------------------------------------------------------------------ the table
def test_exact_matches_by_hand():
    corpus = small_corpus()

    class Said:
        name = "said"

        def propose(self, states, premises, n):
            self.given = [[one.full_name for one in some] for some in premises]
            return [[("rw [a]", -1.0), ("rw [c]", -2.0)], []][: len(states)]

    said = Said()
    parts = {"own": {"train": corpus.theorems[:1], "test": corpus.theorems[2:3]}}  # the test's steps: rw [c], rw [d]
    (row,) = study.generation_table(corpus, parts, {"said": (said, "bm25")})
    assert row["exact@1"].value == 0 and row["exact@16"].value == 0.5 and row["verbatim in train"].value == 0
    assert row["exact@16"].n == 2 and [sorted(some) for some in said.given] == [["a", "b", "c", "d", "e"]] * 2
    study.generation_table(corpus, parts, {"said": (said, None)})
    assert said.given == [[], []]
    with pytest.raises(UsageError, match="no step to write"):
        study.generation_table(corpus, {"own": {"train": (), "test": ()}}, {"said": (said, None)})


# ------------------------------------------------------------------------------------------------ language models
@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    """A tiny random T5 over bytes, as a folder."""
    folder = tmp_path_factory.mktemp("t5")
    torch.manual_seed(0)
    config = T5Config(vocab_size=384, d_model=32, d_kv=16, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0)
    module = T5ForConditionalGeneration(config)
    with torch.no_grad():
        module.lm_head.weight.mul_(8)
    module.save_pretrained(folder)
    ByT5Tokenizer().save_pretrained(folder)
    return folder


def test_log_probabilities_of_an_encoder_decoder_are_those_of_a_plain_forward(t5):
    model = load_seq2seq(t5)
    plain, tokenizer = T5ForConditionalGeneration.from_pretrained(t5).eval(), ByT5Tokenizer()
    texts = ["⊢ p", "a much longer text, so that the other is padded"]
    answers = model.generate(texts, 3, max_new_tokens=6)
    assert [len(some) for some in answers] == [3, 3]
    for text, some in zip(texts, answers, strict=True):
        assert [one.logprob for one in some] == sorted((one.logprob for one in some), reverse=True)
        assert len({one.text for one in some}) == 3
        for one in some:
            with torch.no_grad():
                logits = plain(**tokenizer(text, return_tensors="pt"),
                               decoder_input_ids=torch.tensor([[0, *one.tokens[:-1]]])).logits[0]  # fmt: skip
            each = logits.log_softmax(-1)[range(len(one.tokens)), one.tokens]
            assert one.logprob == pytest.approx(float(each.sum()), abs=1e-3)
            assert (one.finish == "eos") == (one.tokens[-1] == 1)
    assert model.generate([], 2, max_new_tokens=3) == []
    cut = model.generate(["xx⊢ p"], 1, max_new_tokens=6, most_read=6)[0][0]
    assert cut.tokens == answers[0][0].tokens and cut.prompt_tokens == 6  # five bytes of "⊢ p" and the end


def test_an_encoder_decoder_is_a_generator(t5, kept):
    made = reprover.generator(str(t5), kept, kept.theorems[:5])
    assert isinstance(made, language_model.Encoded)
    some = [one for one in kept.premises if one.full_name in ("Nat.add_succ", "Nat.add_comm")]
    (found,) = made.propose(["⊢ p"], [some], 3)
    assert len(found) <= 3 and all(text == text.strip() and value <= 0 for text, value in found)
    assert language_model.marked(some[0]).count("<a>") == 1 and "<a>Nat.add" in language_model.marked(some[0])


def test_what_is_no_encoder_decoder_is_refused(t5, zoo, tmp_path):
    with pytest.raises(ModelError, match="is a llama, not an encoder-decoder"):
        load_seq2seq(zoo("llama"))
    for file in t5.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_seq2seq(tmp_path)
    weights.unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="only as pickles"):
        load_seq2seq(tmp_path)


class Answering:
    """A handle that gives the same samples to every prompt."""

    name, can = "answering", frozenset({"generate"})

    def __init__(self, *samples):
        self.samples, self.prompts = samples, []

    def generate(self, prompts, **options):
        self.prompts += prompts
        return [[Generation(text, [], "stop", 1, value) for text, value in self.samples] for _ in prompts]


def test_samples_of_a_handle_become_proposals(kept):
    handle = Answering((" rfl\nrest", -1.0), ("simp", -0.5), ("rfl", -2.0), ("", -0.1), (None, math.nan))
    made = reprover.generator(handle, kept, kept.theorems[:3])
    premise = kept.premises[0]
    assert made.propose(["case x\n⊢ p\n\n⊢ q"], [[premise]], 16) == [[("simp", -0.5), ("rfl", -1.0)]]
    assert (
        handle.prompts[0].endswith("\nGoal:\ncase x\n⊢ p\nTactic:")
        and f"Lemma {premise.full_name}:" in handle.prompts[0]
    )
    assert handle.prompts[0].startswith("Goal:\n") and kept.theorems[0].tactics[0].tactic in handle.prompts[0]
    untold = Answering(("rfl", math.nan), ("simp", math.nan), ("rfl", math.nan), ("rfl", math.nan))
    (found,) = reprover.generator(untold, kept, ()).propose(["⊢ p"], [[]], 16)
    assert found == [("rfl", pytest.approx(math.log(0.75))), ("simp", pytest.approx(math.log(0.25)))]
    assert reprover.generator(Answering(), kept, ()).propose(["⊢ p"], [[]], 16) == [[]]
    with pytest.raises(UsageError, match="'neighbors' is unknown"):
        reprover.generator("neighbors", kept, ())
    with pytest.raises(UsageError, match="3 is no generator"):
        reprover.generator(3, kept, ())


def test_lora_learns_the_training_steps(kept, zoo, own_cache):
    """On a tiny random model: after tuning the training tactics are likelier, and the adapter is kept."""
    name, train = str(zoo("llama")), kept.theorems[:2]
    steps = [step for one in train for step in one.tactics]
    heads = [language_model.question(step.state_before, ()) for step in steps]

    def likelihood(model):
        found = model.logprobs(heads, [[f" {step.tactic}\n"] for step in steps])
        return sum(one.total for (one,) in found)

    made = language_model.tuned(kept, train, name, steps=40, rank=4)
    assert likelihood(made._model) > likelihood(load(name)) + 5
    again = language_model.tuned(kept, train, name, steps=40, rank=4)
    assert likelihood(again._model) == pytest.approx(likelihood(made._model), abs=1e-3)
    assert len(list(own_cache.rglob("adapter_config.json"))) == 1
    assert all(len(some) <= 2 for some in made.propose([steps[0].state_before], [[]], 2))
