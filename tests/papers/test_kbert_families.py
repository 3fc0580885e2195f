"""Every supported encoder family, tiny and random: no leak, the plain encoder for an empty graph, eager = sdpa."""

import inspect

import numpy as np
import pytest
import torch
from kbert_oracle import GOLDEN_TEXT, GOLDEN_TRIPLES, word_tokenizer

from workbench.errors import ModelError, UsageError
from workbench.papers.kbert import FAMILIES, KnowledgeCollator, KnowledgeGraph, check_mask, family_of, inject
from workbench.papers.kbert.encoder.families import REFUSED
from workbench.papers.kbert.injection.collate import additive_mask

SIZES = {
    "vocab_size": 24, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
OWN = {
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
    "electra": {"embedding_size": 16},
    "albert": {"embedding_size": 16, "num_hidden_groups": 1},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16},
    "modernbert": {"cls_token_id": 1, "sep_token_id": 2, "local_attention": 8, "global_attn_every_n_layers": 2},
}
CASES = [(name, kind) for name, family in FAMILIES.items() for kind in family.attention]


def tiny(name, attention, **changes):
    from transformers import AutoConfig, AutoModel

    pad = 1 if FAMILIES[name].offset else 3  # RoBERTa's positions begin after its pad token's id
    config = AutoConfig.for_model(name, **{**SIZES, **OWN.get(name, {}), "pad_token_id": pad, **changes})
    torch.manual_seed(0)
    module = AutoModel.from_config(config, attn_implementation=attention).eval()
    for parameter in module.parameters():  # as drawn, attention is nearly flat and a leak nearly nothing
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return module, word_tokenizer(pad)


def run(module, batch):
    with torch.inference_mode():
        return module(**batch).last_hidden_state


@pytest.mark.parametrize(("name", "attention"), CASES, ids=[f"{name}-{kind}" for name, kind in CASES])
def test_a_hidden_token_moves_nobody_after_one_layer(name, attention):
    module, tokenizer = tiny(name, attention)
    item = inject([GOLDEN_TEXT], KnowledgeGraph.from_triples(GOLDEN_TRIPLES), tokenizer)[0]
    batch = KnowledgeCollator.of(module.config)([item])
    before = run(module, batch)[0]
    visible, n = item.visible, len(item)
    for token in range(n):
        batch["input_ids"] = torch.from_numpy(item.ids.astype(np.int64))[None].clone()
        batch["input_ids"][0, token] = 0
        moved = (run(module, batch)[0] - before).abs().amax(-1).numpy()
        seen = visible[:, token]
        assert moved[~seen].max(initial=0) == 0, f"token {token} shows through"
        assert moved[seen].min() > 1e-5, f"token {token} is seen by all that should"


@pytest.mark.parametrize(("name", "attention"), CASES, ids=[f"{name}-{kind}" for name, kind in CASES])
def test_an_empty_graph_is_the_plain_encoder(name, attention):
    module, tokenizer = tiny(name, attention, num_hidden_layers=3, n_layers=3)
    texts = [" ".join([GOLDEN_TEXT] * 3), "Tim is visiting", "now"]
    items = list(inject(texts, KnowledgeGraph.from_triples([]), tokenizer))
    ours = run(module, KnowledgeCollator.of(module.config)(items))
    plain = tokenizer(texts, padding=True, return_tensors="pt")
    takes = inspect.signature(module.forward).parameters
    theirs = run(module, {key: value for key, value in plain.items() if key in takes})
    for row, item in enumerate(items):
        assert (ours[row, : len(item)] - theirs[row, : len(item)]).abs().max() < 1e-6 * max(1, theirs.abs().max())


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if len(family.attention) == 2])
def test_eager_is_sdpa(name):
    found = []
    for attention in ("eager", "sdpa"):
        module, tokenizer = tiny(name, attention, num_hidden_layers=2, n_layers=2)
        items = list(inject([GOLDEN_TEXT, "now"], KnowledgeGraph.from_triples(GOLDEN_TRIPLES), tokenizer))
        found.append(run(module, KnowledgeCollator.of(module.config)(items)))
    for row, item in enumerate(items):
        assert (found[0][row, : len(item)] - found[1][row, : len(item)]).abs().max() < 1e-5
    assert all(bool(torch.isfinite(one).all()) for one in found), "a pad row sees nothing"


@pytest.mark.parametrize("name", list(FAMILIES))
def test_padding_changes_nothing_and_soft_positions_something(name):
    module, tokenizer = tiny(name, FAMILIES[name].attention[0])
    graph, collate = KnowledgeGraph.from_triples(GOLDEN_TRIPLES), KnowledgeCollator.of(module.config)
    items = list(inject(["Tim Cook now", GOLDEN_TEXT * 1], graph, tokenizer))
    together, alone = run(module, collate(items)), run(module, collate(items[:1]))
    assert (together[0, : len(items[0])] - alone[0]).abs().max() < 1e-6 * max(1, alone.abs().max())
    hard = inject([GOLDEN_TEXT], graph, tokenizer, soft_position=False)
    assert (run(module, collate([hard[0]]))[0] - together[1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["bert", "roberta", "modernbert"])
def test_positions_begin_where_the_family_counts_from(name):
    pad = 1 if FAMILIES[name].offset else 3
    collate = KnowledgeCollator(name, pad, window=4 if name == "modernbert" else None)
    graph = KnowledgeGraph.from_triples(GOLDEN_TRIPLES)
    batch = collate(list(inject([GOLDEN_TEXT, "now"], graph, word_tokenizer(pad))))
    first = 2 if name == "roberta" else 0
    assert (batch["position_ids"][0] - first).tolist() == [0, 1, 2, 3, 4, 3, 4, 5, 6, 7, 6, 7, 6]
    assert batch["position_ids"][1].tolist() == [first, first + 1] + [pad if name == "roberta" else 0] * 11
    assert ("token_type_ids" in batch) == (name != "modernbert")
    if name == "modernbert":
        near, all_ = batch["attention_mask"]["sliding_attention"], batch["attention_mask"]["full_attention"]
        assert all_[0, 0, 1, 12] == 0 and near[0, 0, 1, 12] == -1e4  # "Tim" at 1, "now" at 6
        assert near[0, 0, 8, 7] == 0


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_families_that_cannot_are_refused_with_the_reason(name):
    with pytest.raises(ModelError, match="cannot take the visible matrix: ") as error:
        family_of(name)
    assert REFUSED[name] in str(error.value) and "bert, electra" in str(error.value)


def test_a_family_nobody_tested_is_refused():
    with pytest.raises(ModelError, match="never tested for leaks"):
        family_of("brand-new")


@pytest.mark.parametrize("name", ["mobilebert", "convbert", "nystromformer"])
def test_the_refused_families_do_leak(name):
    """The reason for refusing them is measured, not guessed."""
    from transformers import AutoConfig, AutoModel

    extra = {"embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16} if name == "mobilebert" else {}
    torch.manual_seed(0)
    module = AutoModel.from_config(AutoConfig.for_model(name, **{**SIZES, **extra, "pad_token_id": 3})).eval()
    ids, mask = torch.arange(4, 20)[None], torch.zeros(1, 1, 16, 16)
    mask[..., 7] = -1e4
    mask[0, 0, 7, 7] = 0
    before = run(module, {"input_ids": ids, "attention_mask": mask})
    ids = ids.clone()
    ids[0, 7] = 0
    moved = (run(module, {"input_ids": ids, "attention_mask": mask}) - before).abs().amax(-1)[0]
    assert moved[torch.arange(16) != 7].max() > 1e-4


# --- the mask itself ------------------------------------------------------------------------------------------------


def test_the_additive_mask_is_the_visible_matrix_and_pads_see_themselves():
    rng = np.random.default_rng(0)
    for _ in range(50):
        n, pads = rng.integers(1, 20), rng.integers(0, 5)
        branch = np.where(rng.random(n) < 0.5, 0, rng.integers(1, 5, n)).astype(np.int16)
        owner = rng.integers(0, 3, n).astype(np.int16)
        owner[(branch > 0) & (owner == 0)] = 1
        wanted = np.full((n + pads, n + pads), -1e4, np.float32)
        for i in range(n):
            for j in range(n):
                if branch[i] == branch[j] or (owner[i] == owner[j] > 0 and (branch[i] == 0) != (branch[j] == 0)):
                    wanted[i, j] = 0
        np.fill_diagonal(wanted, 0)
        padded = np.pad(owner, (0, pads)), np.pad(branch, (0, pads), constant_values=-1)
        mask = additive_mask(padded[0][None], padded[1][None])
        assert mask.dtype == np.float32 and np.array_equal(mask[0], wanted)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (torch.ones(1, 1, 3, 3, dtype=torch.bool), "a bool mask is silently wrong"),
        (torch.ones(1, 1, 3, 3, dtype=torch.long), "a int64 mask is silently wrong"),
        (torch.eye(3)[None, None], "the mask holds 1"),
        (torch.zeros(1, 3, 3), r"has shape \(1, 3, 3\)"),
    ],
)
def test_masks_that_attention_gets_wrong_are_refused(mask, said):
    with pytest.raises(UsageError, match=said):
        check_mask(mask)


@pytest.mark.parametrize("kind", ["bool", "ones and zeros"])
def test_the_refused_masks_are_wrong_indeed(kind):
    module, tokenizer = tiny("bert", "eager")
    batch = KnowledgeCollator.of(module.config)(
        list(inject([GOLDEN_TEXT], KnowledgeGraph.from_triples(GOLDEN_TRIPLES), tokenizer))
    )
    right = run(module, batch)
    seen = batch["attention_mask"] == 0
    batch["attention_mask"] = seen if kind == "bool" else seen.float()
    assert (run(module, batch) - right).abs().max() > 1e-3


def test_too_many_positions_are_said():
    module, tokenizer = tiny("bert", "sdpa")
    items = list(inject(["now " * 70], None, tokenizer))
    with pytest.raises(UsageError, match="reaches position 70 and the encoder has 64: lower max_length"):
        KnowledgeCollator.of(module.config)(items)


def test_the_embedded_encoder_does_not_leak(minilm):
    """Real weights, real WordPiece: after the first layer only who sees a token is moved by it."""
    graph = KnowledgeGraph.from_triples(
        [("aspirin", "is a", "drug"), ("aspirin", "treats", "pain"), ("the doctor", "is a", "person")]
    )
    item = inject(["The doctor gave her aspirin in the evening."], graph, minilm.tokenizer)[0]
    assert item.injected.sum() == 8
    batch = {k: v.to(minilm.device) for k, v in KnowledgeCollator.of(minilm.module.config)([item]).items()}
    first = lambda: minilm.module(**batch, output_hidden_states=True).hidden_states[1][0]  # noqa: E731
    with torch.inference_mode():
        before, visible = first(), item.visible
        for token in range(1, len(item)):
            ids = batch["input_ids"].clone()
            batch["input_ids"][0, token] = 2000
            moved = (first() - before).abs().amax(-1).cpu().numpy()
            batch["input_ids"] = ids
            assert moved[~visible[:, token]].max(initial=0) == 0 and moved[visible[:, token]].min() > 1e-6


def test_the_embedded_encoder_without_knowledge_is_itself(minilm):
    texts = ["The doctor gave her aspirin.", "It rained, and nobody came to the market in the old town."]
    items = list(inject(texts, None, minilm.tokenizer))
    batch = KnowledgeCollator.of(minilm.module.config)(items)
    plain = minilm.tokenizer(texts, padding=True, return_tensors="pt")
    ours = run(minilm.module, {k: v.to(minilm.device) for k, v in batch.items()})
    theirs = run(minilm.module, plain.to(minilm.device))
    for row, item in enumerate(items):
        assert (ours[row, : len(item)] - theirs[row, : len(item)]).abs().max() < 1e-6
