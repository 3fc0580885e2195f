"""`KBert` trained for real on the embedded encoder and on tiny ones; scores against hand-computed cases."""

import json
import shutil

import numpy as np
import pytest
import torch
from kbert_oracle import bert_tokenizer

from workbench.errors import DataError, ModelError, UsageError
from workbench.papers.kbert import (
    ARMS,
    KBert,
    KBertSettings,
    KnowledgeGraph,
    Task,
    boundary_scores,
    entity_scores,
    inject,
    mean_reciprocal_rank,
    study,
)

GRAPH = KnowledgeGraph.from_triples(
    [
        ("aspirin", "is a", "drug"),
        ("apples", "is a", "food"),
        ("Beijing", "is a", "place"),
        ("New York", "is a", "place"),
    ]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BERT with its tokenizer, as any checkpoint's folder."""
    from transformers import BertConfig, BertModel

    place = tmp_path_factory.mktemp("tiny")
    tokenizer = bert_tokenizer()
    tokenizer.save_pretrained(place)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, pad_token_id=0, initializer_range=0.1,
    )  # fmt: skip
    BertModel(config).save_pretrained(place)
    return str(place)


def make(folder, **options):
    options = {"labels": ["person", "place"], "graph": GRAPH, "settings": KBertSettings(max_length=64)} | options
    return KBert(folder, **options)


TEXTS = ["the doctor reads about it today", "in Beijing apples are new", "the patient now reads", "New York sells it"]
KINDS = ["person", "place", "person", "place"]


def test_training_lowers_the_loss_and_is_repeated_by_its_seed(folder, tmp_path):
    losses, found = [], []
    for _ in range(2):
        model = make(folder, seed=3)
        losses.append(model.fit(TEXTS, KINDS, epochs=20, learning_rate=3e-3, batch_size=2, folder=tmp_path / "run"))
        found.append(model.predict(TEXTS))
    assert losses[0] == losses[1] and len(losses[0]) == 40 and np.mean(losses[0][-4:]) < 0.5 * np.mean(losses[0][:4])
    assert found[0].labels == KINDS and np.array_equal(found[0].probabilities, found[1].probabilities)
    assert np.allclose(found[0].probabilities.sum(1), 1, atol=1e-6)
    weights = sorted((tmp_path / "run").rglob("model.safetensors"))
    assert len(weights) == 20 and not list((tmp_path / "run").rglob("*.bin"))


def test_predictions_do_not_depend_on_their_company(folder):
    model = make(folder)
    together = model.predict(TEXTS * 3, batch_size=5)
    for text, row in zip(TEXTS * 3, together.probabilities):
        assert np.allclose(model.predict([text]).probabilities[0], row, atol=1e-6)
    assert model.predict([]).labels == [] and model.predict([]).probabilities.shape == (0, 2)


def test_saved_and_opened_it_says_the_same(folder, tmp_path):
    model = make(folder, train_layers=1)
    model.fit(TEXTS, KINDS, epochs=1)
    saved = model.save(tmp_path / "saved")
    assert (saved / "model.safetensors").is_file() and not list(saved.glob("*.bin")) and not list(saved.glob("*.pt"))
    again = KBert.open(saved, GRAPH)
    assert np.array_equal(again.predict(TEXTS).probabilities, model.predict(TEXTS).probabilities)
    assert (again.settings, again.labels, again.task, again.encoder) == (model.settings, model.labels, "text", folder)
    assert repr(again) == f"<K-BERT {folder}, text, 2 labels, triples>"
    with pytest.raises(ModelError, match="trained with another graph"):
        KBert.open(saved, KnowledgeGraph.from_triples([("a", "b", "c")]))
    with pytest.raises(ModelError, match=r"is no folder that KBert\.save wrote"):
        KBert.open(tmp_path)
    facts = json.loads((saved / "kbert.json").read_text())
    assert facts["graph"] == GRAPH.fingerprint


def test_only_the_top_layers_are_trained(folder):
    model = make(folder, train_layers=1)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    model.fit(TEXTS, KINDS, epochs=2, learning_rate=1e-2)
    moved = {name for name, value in model.module.state_dict().items() if not torch.equal(value, before[name])}
    assert any("layer.1." in name for name in moved) and any("classifier" in name for name in moved)
    assert not any("embeddings" in name or "layer.0." in name for name in moved)


def test_pairs(folder):
    model = make(folder, task="pair", labels=["no", "yes"])
    first, second = ["about aspirin", "in Beijing"] * 3, ["a drug", "apples"] * 3
    model.fit(first, ["yes", "no"] * 3, pairs=second, epochs=15, learning_rate=3e-3)
    assert model.predict(first, second).labels == ["yes", "no"] * 3
    item = model.inject(first, second)[1]
    text, place = (item.segment_ids[list(branch)].tolist() for branch, _, _ in item.triples)
    assert set(text) == {0} and set(place) == {1}  # a branch is of its word's text


def test_words_get_labels_and_branches_none(folder):
    model = make(folder, task="tokens", labels=["O", "B-drug", "B-place", "I-place"])
    texts = [["aspirin", "in", "New", "York"], ["the", "doctor", "reads"], ["apples", "in", "Beijing", "now"]]
    tags = [["B-drug", "O", "B-place", "I-place"], ["O"] * 3, ["O", "O", "B-place", "O"]]
    batch = model.inject(texts)
    labels = model.collator([{"item": batch[i], "label": model._numbers(batch, tags)[i]} for i in range(3)])["labels"]
    for item, row, target in zip(batch, labels.tolist(), tags):
        held = [label for label in row if label != -100]
        assert [model.labels[label] for label in held] == target  # one a word, branches and later pieces none
        assert all(label == -100 for label, injected in zip(row, item.injected) if injected)
    model.fit(texts, tags, epochs=40, learning_rate=5e-3)
    found = model.predict(texts)
    assert found.labels == tags and [rows.shape for rows in found.probabilities] == [(4, 4), (3, 4), (4, 4)]


def test_words_that_were_not_read_have_no_tag_and_are_counted(folder, capsys):
    """They came back as "O", or as the first label where there is no "O": an entity that nobody had seen."""
    for labels in (["O", "B-drug"], ["B-drug", "B-place"]):
        model = make(folder, task="tokens", labels=labels)
        words = [["doctor"] * 200, ["aspirin", "\u200b", "now"]]  # BERT has no token for a zero-width space
        found = model.predict(words)
        n = len(model.inject(words)[0].words[model.inject(words)[0].words >= 0])  # "doctor" is some pieces, all read
        read = 1 + int(model.inject(words)[0].words.max())
        assert 0 < read <= n < 200 and read < 70
        assert [tag is None for tag in found.labels[0]] == [False] * read + [True] * (200 - read)
        assert [tag is None for tag in found.labels[1]] == [False, True, False]
        assert found.unread == model.inject(words).unread == 200 - read + 1
        assert np.isnan(found.probabilities[0][read:]).all() and np.isfinite(found.probabilities[0][:read]).all()
    truth = [["O"] * 199 + ["B-drug"], ["B-drug", "O", "O"]]
    scores = entity_scores(truth, [found.labels[0], ["B-drug", None, "O"]])
    assert scores.unread == 200 - read + 1 and scores.n_true == 2
    assert entity_scores([["B-a", "O"]], [["B-a", None]]).f1 == boundary_scores([["B-a", "O"]], [["B-a", None]]).f1 == 1
    assert entity_scores([["O", "B-a"]], [["O", None]]).recall == 0  # missed, not left out of the count
    model = make(folder, task="tokens", labels=["O", "B-drug"])
    model.fit([["doctor"] * 200], [["O"] * 200], epochs=1)
    assert f"{200 - read} words are beyond the length limit" in capsys.readouterr().err
    assert model.inject([["doctor"]]).unread == 0 and inject(["doctor " * 200], None, model.tokenizer).unread == 0


def test_a_look_inside_obeys_the_matrix(folder):
    model = make(folder)
    look = model.look("aspirin in New York")
    n = len(look.item)
    assert look.attention.shape == (2, 4, n, n) and np.allclose(look.attention.sum(-1), 1, atol=1e-5)
    assert (look.attention[..., ~look.item.visible] == 0).all() and (look.attention[..., look.item.visible] > 0).all()
    assert np.allclose(look.probabilities, model.predict(["aspirin in New York"]).probabilities[0], atol=1e-5)
    assert model.module.config._attn_implementation == "sdpa"


def test_the_arms_read_different_things(folder):
    """Seven arms, seven inputs: no two may be the same model by mistake. At a rate of 0 only the reading differs."""
    found, text = {}, "aspirin in New York is new"
    task = Task("toy", "", GRAPH, ("drug", "place"), [(text, "drug")], [(text, "drug")])
    for name, arm in ARMS.items():
        model = study.train_arm(task, arm, 1, encoder=folder, epochs=1, learning_rate=0.0)
        found[name] = study.predict(model, arm, [text], GRAPH).probabilities[0]
    assert list(found) == ["BERT", "K-BERT", "no soft position", "no visible matrix", "neither", "shuffled triples",
                           "sentence [SEP] facts"]  # fmt: skip
    rows = list(found.values())
    assert all(np.abs(rows[i] - rows[j]).max() > 1e-6 for i in range(7) for j in range(i))


def test_training_leaves_the_tokens_that_no_text_holds_and_moves_the_others(folder, tmp_path):
    """The table of tokens is cut to those that occur while it trains; with a folder for checkpoints it stays whole."""
    weights = []
    for place in (None, tmp_path):
        model = make(folder)
        before = model.module.get_input_embeddings().weight.detach().clone()
        losses = model.fit(TEXTS, KINDS, epochs=3, learning_rate=1e-2, batch_size=2, folder=place)
        after = model.module.get_input_embeddings().weight.detach()
        assert after.shape == before.shape and len(model.predict(TEXTS).labels) == len(TEXTS)
        moved = set(torch.nonzero((after != before).any(1)).flatten().tolist())
        assert moved == set(model.inject(TEXTS).ids.tolist())
        weights.append((losses, {name: value.clone() for name, value in model.module.state_dict().items()}))
    (cut, small), (whole, large) = weights
    assert cut == whole and all(torch.equal(small[name], large[name]) for name in large)


def test_a_wrong_mask_is_refused_at_the_model_itself(folder):
    model = make(folder)
    batch = model.collator([model.inject(TEXTS)[0]])
    for mask in (batch["attention_mask"] == 0, (batch["attention_mask"] == 0).float()):
        with pytest.raises(UsageError, match=r"may look|silently wrong"):
            model.module(**(batch | {"attention_mask": mask.to(model.device)}))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_module_in_half_precision_reads_the_same(folder, kind):
    model = make(folder)
    wanted = model.predict(TEXTS).probabilities
    model.module.to(kind)
    assert np.abs(model.predict(TEXTS).probabilities - wanted).max() < 0.02
    look = model.look(TEXTS[1])
    assert look.attention[:, :, ~look.item.visible].max() == 0 and look.item.injected.any()


@pytest.mark.parametrize("precision", [{}, {"bf16": True}])
def test_a_users_own_trainer_takes_the_collator(folder, tmp_path, precision):
    from transformers import Trainer, TrainingArguments

    model = make(folder, seed=3)
    rows = [{"item": item, "label": model.labels.index(KINDS[i])} for i, item in enumerate(model.inject(TEXTS))]
    wanted = make(folder, seed=3).fit(TEXTS, KINDS, epochs=3, batch_size=4, learning_rate=1e-3, seed=3)

    def train(**more):
        arguments = TrainingArguments(
            output_dir=tmp_path, num_train_epochs=3, per_device_train_batch_size=4, learning_rate=1e-3, seed=3,
            report_to=[], save_strategy="no", logging_steps=1, disable_tqdm=True, use_cpu=model.device.type == "cpu",
            **precision, **more,
        )  # fmt: skip
        trainer = Trainer(model.module, arguments, train_dataset=rows, data_collator=model.collator)
        trainer.train()
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    with pytest.raises(UsageError, match="remove_unused_columns=False"):
        train()
    torch.manual_seed(3)
    assert train(remove_unused_columns=False) == pytest.approx(wanted, abs=0.03 if precision else 1e-3)


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda f: make(f, task="x"), UsageError, "task 'x' is unknown"),
        (lambda f: make(f, labels=["a"]), UsageError, "at least two different"),
        (lambda f: make(f, attention="flash_attention_2"), UsageError, "takes no visible matrix"),
        (lambda f: make(f, train_layers=9), UsageError, "train_layers=9 is not between 0 and 2"),
        (lambda f: make(f).fit(TEXTS, ["person"]), DataError, "4 texts and 1 targets"),
        (lambda f: make(f).fit(["a"], ["x"]), DataError, "'x' is not among the labels person, place"),
        (lambda f: make(f, task="tokens").fit([["a", "b"]], [["person"]]), DataError, "2 words and 1 labels"),
        (lambda f: make(f).fit([], []), DataError, "no text to train on"),
        (lambda f: make(f).fit(["a"], ["place"], epochs=0), UsageError, "epochs=0"),
        (lambda f: make(f).fit(["a"], ["place"], learning_rate=-1), UsageError, "learning_rate=-1"),
        (lambda f: make(f, task="pair").predict(["a"]), UsageError, "needs second texts"),
        (lambda f: make(f).predict(["a"], ["b"]), UsageError, "takes no second texts"),
        (lambda f: make(f).predict(["a"], batch_size=0), UsageError, "batch_size=0"),
        (lambda f: make(f, task="tokens").predict([["a"]], [["b"]]), UsageError, "takes no second texts"),
        (lambda f: make(f).predict([None]), DataError, "text 1, None, is no list of words"),
    ],
)
def test_what_is_wrong_is_said(folder, call, kind, said):
    with pytest.raises(kind) as error:
        call(folder)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_an_encoder_that_cannot_take_the_mask_is_refused_before_its_weights_are_read(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "deberta-v2"}')
    (tmp_path / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(ModelError, match="deberta-v2 encoders cannot take the visible matrix"):
        KBert(str(tmp_path), labels=["a", "b"])


def _config(place, **changed):
    facts = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(facts | changed))


def _foreign(place):
    from safetensors.torch import save_file

    save_file({"something.else": torch.zeros(3)}, place / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_foreign, "lacks 37 of its 41 weights"),  # else a random encoder is trained without a word
        (lambda place: _config(place, num_hidden_layers=3), "lacks 16 of its 57 weights"),
        (lambda place: (place / "config.json").write_text('{"a": 1}'), "without a known model_type"),
        (lambda place: (place / "model.safetensors").write_text("version git-lfs\n"), "not a whole safetensors"),
        (lambda place: [file.unlink() for file in place.glob("*") if "token" in file.name], "has no tokenizer"),
    ],
    ids=["foreign", "layers", "kind", "pointer", "tokenizer"],
)
def test_a_spoilt_encoder_is_one_sentence(folder, tmp_path, spoil, said):
    place = tmp_path / "spoilt"
    shutil.copytree(folder, place)
    spoil(place)
    with pytest.raises(ModelError) as error:
        make(str(place))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch):
    from huggingface_hub import HfApi

    from workbench.models.runlog import note_encoder

    def fail(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(HfApi, "model_info", fail)
    for call in (lambda: make("no-body/no-encoder"), lambda: note_encoder("no-body/no-encoder")):
        with pytest.raises(ModelError, match="cannot be fetched because the hub cannot be reached"):
            call()


@pytest.mark.slow
def test_knowledge_helps_the_embedded_encoder_on_words_it_does_not_know():
    """Made-up names whose kind stands in the graph alone: K-BERT learns to read the branch, BERT cannot."""
    rng = np.random.default_rng(0)
    names = list(dict.fromkeys("".join(rng.choice(list("bdfgklmnprstvz")) + rng.choice(list("aeiou")) for _ in range(3))
                               for _ in range(120)))  # fmt: skip
    kinds = [("animal", "tool")[i % 2] for i in range(len(names))]
    graph = KnowledgeGraph.from_triples([(name, "is a", kind) for name, kind in zip(names, kinds)])
    texts = [f"They talked about the {name} yesterday." for name in names]
    half, right = len(names) // 2, {}
    for arm, knowledge in (("BERT", None), ("K-BERT", graph)):
        model = KBert("minilm", labels=["animal", "tool"], graph=knowledge, seed=0)
        model.fit(texts[:half], kinds[:half], epochs=4, learning_rate=2e-4, batch_size=8)
        right[arm] = np.mean([a == b for a, b in zip(model.predict(texts[half:]).labels, kinds[half:])])
    assert right["K-BERT"] > 0.9 > 0.7 > right["BERT"], right


# --- scores ---------------------------------------------------------------------------------------------------------


def test_typed_scores_know_types_and_boundary_scores_do_not():
    """The reference's F1 ignores types: a system that finds every entity and no type gets 1 there."""
    truth = [["B-drug", "I-drug", "O", "B-place"], ["O", "B-drug"]]
    guess = [["B-place", "I-place", "O", "B-drug"], ["O", "B-place"]]
    typed, bare = entity_scores(truth, guess), boundary_scores(truth, guess)
    assert (typed.precision, typed.recall, typed.f1, typed.n_true, typed.n_predicted) == (0, 0, 0, 3, 3)
    assert (bare.precision, bare.recall, bare.f1) == (1, 1, 1) and typed.per_type == {"drug": 0, "place": 0}
    half = entity_scores(truth, [["B-drug", "I-drug", "O", "O"], ["B-place", "O"]])
    assert (half.precision, half.recall, half.f1) == (1 / 2, 1 / 3, pytest.approx(0.4))
    assert half.per_type == {"drug": pytest.approx(2 / 3), "place": 0}
    cut = boundary_scores([["B-a", "I-a"]], [["B-a", "O"]])
    assert cut.f1 == 0  # one end is wrong
    assert entity_scores([["O"]], [["O"]]).f1 == 1 and entity_scores([["O"]], [["B-a"]]).f1 == 0
    stray = [["B-z", "O"]], [["B-z", "I-a"]]  # I-a behind B-z: no entity of type a, but the bare entity is longer
    assert entity_scores(*stray).per_type == {"z": 1} and entity_scores(*stray).f1 == 1 > boundary_scores(*stray).f1
    assert entity_scores([], []).f1 == 1 and entity_scores([["O", "O"]], [["O", "I-a"]]).n_predicted == 0


def test_mean_reciprocal_rank_by_hand():
    scores, relevant = [0.9, 0.5, 0.1, 0.3, 0.8, 0.2], [False, True, False, True, False, False]
    groups = ["a", "a", "a", "b", "b", "c"]
    assert mean_reciprocal_rank(scores, relevant, groups) == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert mean_reciprocal_rank([1, 1, 1], [True, False, False], ["q"] * 3) == pytest.approx(1 / 3)  # a tie is no merit
    assert mean_reciprocal_rank([3, 2], [True, True], ["q"] * 2) == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: entity_scores([["O"]], []), "1 texts are labelled and 0 predicted"),
        (lambda: entity_scores([["O"]], [["O", "O"]]), "text 1 has 1 labels and 2 predictions"),
        (lambda: boundary_scores([["drug"]], [["O"]]), "the tag 'drug' is not IOB2"),
        (lambda: mean_reciprocal_rank([1.0], [True], []), "1 scores, 1 relevant and 0 groups"),
        (lambda: mean_reciprocal_rank([], [], []), "0 scores"),
        (lambda: mean_reciprocal_rank([float("nan")], [True], ["q"]), "a score is NaN"),
    ],
)
def test_scores_say_what_is_wrong(call, said):
    with pytest.raises(DataError) as error:
        call()
    assert said in str(error.value)
