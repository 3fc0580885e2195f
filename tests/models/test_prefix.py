"""The shared-prefix engine against plain forwards of whole prefixes."""

import copy
import gc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from workbench.errors import ModelError
from workbench.models.memory import cache_bytes
from workbench.models.prefix import tree as prefix
from workbench.models.prefix.tasks import Draw, chain, race, run, sample, score, together
from workbench.models.prefix.tree import PrefixTree, shared_tree

VOCABULARY = 50


def tiny(family: str):
    """A small random model of a family; sliding windows are 5 tokens."""
    import transformers as tf

    common = dict(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, head_dim=8, attn_implementation="sdpa",
    )  # fmt: skip
    made = {
        "llama": (tf.LlamaForCausalLM, tf.LlamaConfig, {}),
        "qwen2": (tf.Qwen2ForCausalLM, tf.Qwen2Config, {}),
        "qwen3": (tf.Qwen3ForCausalLM, tf.Qwen3Config, {}),
        "mistral": (tf.MistralForCausalLM, tf.MistralConfig, {"sliding_window": 5}),
        "gemma3": (
            tf.Gemma3ForCausalLM,
            tf.Gemma3TextConfig,
            {"sliding_window": 5, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
             "query_pre_attn_scalar": 8},
        ),
    }[family]  # fmt: skip
    torch.manual_seed(0)
    module = made[0](made[1](**common, **made[2])).eval()
    for weight in module.parameters():  # random weights large enough that a wrong mask is far from right
        weight.data.mul_(3) if weight.dim() > 1 else None
    return module


@pytest.fixture(scope="module")
def models():
    made = {}
    return lambda family: made.setdefault(family, tiny(family))


def columns_of(module, count: int) -> int:
    """The memory that holds exactly ``count`` columns."""
    return count * cache_bytes(module.config, 1, 4)


@torch.inference_mode()
def plain(module, ids) -> torch.Tensor:
    return module(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0, -1].float()


FAMILIES = ["llama", "qwen2", "qwen3", "mistral", "gemma3"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tree_of_prefixes_reads_like_plain_text(models, family):
    module = models(family)
    tree = PrefixTree(module)
    trunk = tree.node(range(1, 20))  # nearly four windows long
    nodes = [trunk, tree.extend(trunk, [3, 4]), tree.extend(trunk, [3, 9, 9]), tree.node(trunk.ids[:7]), tree.node([8])]
    for _ in range(2):
        found = tree.logits(nodes)
        for node, row in zip(nodes, found, strict=True):
            torch.testing.assert_close(row, plain(module, node.ids), atol=1e-4, rtol=1e-4)
    assert tree.counters.forwards == 1  # the second question was answered from memory
    assert tree.counters.tokens == 19 + 2 + 2 + 1  # the trunk once, [3] once, and [8]


operation = st.one_of(
    st.tuples(st.just("extend"), st.integers(0, 99), st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9)),
    st.tuples(st.just("crop"), st.integers(0, 99), st.integers(1, 30)),
    st.tuples(st.just("read"), st.lists(st.integers(0, 99), min_size=1, max_size=6)),
    st.tuples(st.just("forget"), st.integers(0, 99)),
    st.tuples(st.just("clear")),
)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    operations=st.lists(operation, min_size=3, max_size=14), room=st.integers(34, 80), batch=st.sampled_from([3, 1024]),
    trunk=st.sampled_from([2, 256]), kept=st.booleans(),
)  # fmt: skip
def test_any_sequence_of_operations_agrees_with_recomputation(models, family, operations, room, batch, trunk, kept):
    module = models(family)
    tree = PrefixTree(module, memory=columns_of(module, room))
    nodes = [tree.node([1, 2, 3])]
    before = prefix.BATCH, prefix.TRUNK
    prefix.BATCH, prefix.TRUNK = batch, trunk  # long prefixes in pieces; a shared beginning by itself
    try:
        for name, *rest in operations:
            some = nodes[rest[0] % len(nodes)] if name in ("extend", "crop", "forget") else None
            if name == "extend" and len(some) + len(rest[1]) <= 33:
                nodes.append(tree.extend(some, rest[1]))
            elif name == "crop":
                nodes.append(tree.node(some.ids[: rest[1]]))
            elif name == "forget" and len(nodes) > 1:
                nodes.remove(some)
            elif name == "clear":
                tree.clear()
            elif name == "read":
                chosen = [nodes[i % len(nodes)] for i in rest[0]]
                if not kept:
                    tree._rows.clear()  # the distribution must be read again from its column
                for node, row in zip(chosen, tree.logits(chosen), strict=True):
                    torch.testing.assert_close(row, plain(module, node.ids), atol=1e-4, rtol=1e-4)
                assert tree.columns.used.sum() == len(tree._owner) <= room
    finally:
        prefix.BATCH, prefix.TRUNK = before


def test_a_model_spread_over_devices_is_read_the_same(models):
    module = models("llama")
    nodes = [[1, 2, 3], [1, 2, 3, 4, 5], [1, 9]]
    alone = PrefixTree(module)
    wanted = alone.logits([alone.node(ids) for ids in nodes])
    module.hf_device_map = {"model": 0, "lm_head": 1}  # as accelerate leaves it: the head is elsewhere
    try:
        tree = PrefixTree(module)
        torch.testing.assert_close(tree.logits([tree.node(ids) for ids in nodes]), wanted)
    finally:
        del module.hf_device_map


def test_eviction_bounds_memory_and_changes_no_result(models):
    module = models("llama")
    tree, roomy = PrefixTree(module, memory=columns_of(module, 40)), PrefixTree(module)
    random = np.random.default_rng(1)
    prefixes = [[1, 2, 3, *random.integers(0, VOCABULARY, 12).tolist()] for _ in range(12)]
    for ids in prefixes + prefixes:
        torch.testing.assert_close(tree.logits([tree.node(ids)]), roomy.logits([roomy.node(ids)]), atol=1e-4, rtol=1e-4)
    assert tree.columns.used.sum() <= 40 and tree.counters.evicted > 0 and roomy.counters.evicted == 0
    assert tree.counters.tokens > roomy.counters.tokens  # what was forgotten had to be computed again


def test_a_trunk_read_first_does_not_evict_what_the_rest_stands_on(models, monkeypatch):
    monkeypatch.setattr(prefix, "TRUNK", 8)
    module = models("llama")
    old, newer, fresh = [1, 2] * 12, [3, 4] * 5, [5, 6] * 11
    tree = PrefixTree(module, memory=columns_of(module, 49))
    for ids in (old, newer):
        tree.logits([tree.node(ids)])
    asked = [[*old, 7, 8], [*fresh, 9]]
    for ids, row in zip(asked, tree.logits([tree.node(ids) for ids in asked]), strict=True):
        torch.testing.assert_close(row, plain(module, ids), atol=1e-4, rtol=1e-4)
    assert tree.counters.evicted > 0


def test_the_shared_tree_forgets_what_other_weights_gave():
    module = tiny("llama")
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    before = shared_tree(module).logits([shared_tree(module).node([1, 2, 3])])
    assert shared_tree(copy.deepcopy(module)) is not shared_tree(module)
    module(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    optimizer.step()
    after = shared_tree(module).logits([shared_tree(module).node([1, 2, 3])])[0]
    assert not torch.allclose(before[0], after, atol=1e-2)
    torch.testing.assert_close(after, plain(module, [1, 2, 3]), atol=1e-4, rtol=1e-4)


def test_a_shared_tree_does_not_keep_its_model_alive():
    module = tiny("llama")
    shared_tree(module).logits([shared_tree(module).node([1, 2, 3])])
    gone = weakref.ref(module)
    del module
    gc.collect()
    assert gone() is None


def test_more_prefixes_than_fit_at_once_are_read_in_turns(models):
    module = models("llama")
    tree = PrefixTree(module, memory=columns_of(module, 30))
    nodes = [tree.node([i, *range(20)]) for i in range(5)]
    for node, row in zip(nodes, tree.logits(nodes), strict=True):
        torch.testing.assert_close(row, plain(module, node.ids), atol=1e-4, rtol=1e-4)


def test_nodes_nobody_holds_take_no_room(models):
    tree = PrefixTree(models("llama"))
    held = tree.node([1, 2, 3])
    tree.node([4, 5, 6])
    gc.collect()
    assert len(tree._index) == 3 and tree.node([1, 2, 3]) is held


@pytest.mark.parametrize(
    "ask, words",
    [
        (lambda tree: tree.logits([tree.root]), "empty prefix"),
        (lambda tree: tree.node([VOCABULARY]), "ids run to 49"),
        (lambda tree: tree.node([-1]), "ids run to 49"),
        (lambda tree: tree.logits([tree.node([1] * 65)]), "at most 64"),
        (lambda tree: tree.logits([tree.node([1] * 31)]), "more memory"),
    ],
)
def test_each_wrong_question_has_its_sentence(models, ask, words):
    module = models("llama")
    with pytest.raises(ModelError, match=words):
        ask(PrefixTree(module, memory=columns_of(module, 30)))


def test_logits_that_are_not_numbers_are_an_error_and_leave_a_sound_tree(models):
    module = tiny("llama")
    tree = PrefixTree(module)
    weight = module.model.embed_tokens.weight
    saved = weight.data[7].clone()
    weight.data[7] = float("nan")
    with pytest.raises(ModelError, match="not numbers"):
        tree.logits([tree.node([1, 7])])
    weight.data[7] = saved
    ids = [1, 7, 2]
    torch.testing.assert_close(tree.logits([tree.node(ids)])[0], plain(module, ids), atol=1e-4, rtol=1e-4)


def test_what_takes_no_tree_mask_is_refused_by_name(models):
    import transformers as tf

    module = tiny("gemma3")
    module.config.layer_types = ["chunked_attention"] * 3
    with pytest.raises(ModelError, match="chunked_attention"):
        PrefixTree(module)
    bloom = tf.BloomForCausalLM(tf.BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4)).eval()
    with pytest.raises(ModelError, match="bloom"):
        PrefixTree(bloom)
    with pytest.raises(ModelError, match="local model"):
        PrefixTree(type("Remote", (), {"name": "openai:x", "module": None})())


def literal_chain(module, ids, length, random, temperature, top_k):
    """Sampling by hand: one plain forward a token."""
    ids, out = list(ids), []
    for _ in range(length):
        logits = plain(module, ids).double() / temperature
        kept = sorted(range(VOCABULARY), key=lambda i: -logits[i])[: top_k or VOCABULARY]
        weights = {i: float(torch.exp(logits[i])) for i in sorted(kept)}
        if random is None:
            token = max(weights, key=weights.get)
        elif len(kept) == VOCABULARY:
            times = race(torch.tensor([random.random()], dtype=torch.float64), VOCABULARY)[0].exp()
            token = min(weights, key=lambda i: float(times[i]) / weights[i])
        else:
            left = random.random() * sum(weights.values())
            for token, weight in weights.items():  # noqa: B007
                left -= weight
                if left < 0:
                    break
        out.append(token)
        ids.append(token)
    return out


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("temperature, top_k", [(1.0, 0), (2.0, 15), (0.7, 1)])
def test_cached_and_uncached_sampling_draw_the_same_tokens(models, family, reuse, temperature, top_k):
    module = models(family)
    tree = PrefixTree(module, reuse=reuse)
    starts = [[1, 2, 3], [1, 2, 3], [1, 2, 9, 9], [40]]
    found = sample(
        tree, [tree.node(ids) for ids in starts], 9, temperature=temperature, top_k=top_k,
        streams=[None if i == 1 else np.random.default_rng(i) for i in range(4)],
    )  # fmt: skip
    for i, ids in enumerate(starts):
        random = None if i == 1 else np.random.default_rng(i)
        assert found[i] == literal_chain(module, ids, 9, random, temperature, top_k)
    if reuse:
        assert tree.counters.forwards == 9  # four chains in lock-step


def test_both_ways_of_drawing_follow_the_probabilities():
    from scipy.stats import chisquare

    random = np.random.default_rng(0)
    logits = torch.tensor([[2.0, 0.5, -1.0, 1.0, -30.0]]).expand(20_000, -1)
    for top_k, temperature in ((0, 1.0), (3, 1.0), (0, 2.0)):
        questions = [Draw(None, u, temperature, top_k) for u in random.random(len(logits)).tolist()]
        answers = Draw.answer(questions, logits)
        probs = (logits[0].double() / temperature).exp() * torch.tensor([1.0, 1, not top_k, 1, not top_k])
        probs = probs / probs.sum()
        kept = probs > 1e-4
        counts = np.bincount([token for token, _ in answers], minlength=5)
        assert counts[~kept].sum() == 0
        assert chisquare(counts[kept], (probs[kept] / probs[kept].sum() * len(logits)).numpy()).pvalue > 1e-3
        assert all(chance == pytest.approx(float(probs[token]), rel=1e-5) for token, chance in answers[:50])


def test_a_draw_hardly_ever_depends_on_rounding():
    """Logits moved by rounding errors give the same draws, although most of the vocabulary is improbable."""
    torch.manual_seed(0)
    logits = 2 * torch.randn(400, 20_000)
    questions = [Draw(None, u) for u in np.random.default_rng(0).random(400).tolist()]
    moved = Draw.answer(questions, logits + 1e-5 * torch.randn_like(logits))
    assert sum(a != b for (a, _), (b, _) in zip(Draw.answer(questions, logits), moved, strict=True)) <= 1


def test_scores_of_continuations_are_those_of_plain_forwards(models):
    module = models("gemma3")
    tree = PrefixTree(module)
    prefixes, texts = [[1, 2, 3, 4, 5, 6, 7], [1, 2]], [[[5, 6], [5, 7, 8], []], [[9]]]
    found = score(tree, [tree.node(ids) for ids in prefixes], texts)
    assert tree.counters.forwards == 1
    for ids, group, scores in zip(prefixes, texts, found, strict=True):
        for text, values in zip(group, scores, strict=True):
            wanted = [float(plain(module, ids + text[:i]).log_softmax(-1)[t]) for i, t in enumerate(text)]
            assert values == pytest.approx(wanted, abs=1e-4)


def test_tasks_advance_together_whatever_their_length(models):
    module = models("llama")
    tree = PrefixTree(module)

    def task(start, length):
        tokens, _, _ = yield from chain(tree, tree.node([start]), length, random=None)
        yield []  # asking nothing is allowed
        return tokens

    lengths = [1, 5, 2, 7, 3]
    for at_once in (None, 2):
        found = run(tree, together([task(i, n) for i, n in enumerate(lengths)], at_once=at_once))
        assert found == [literal_chain(module, [i], n, None, 1.0, 0) for i, n in enumerate(lengths)]
    assert run(tree, together([])) == []


def test_one_and_two_threads_agree(models):
    module = models("llama")
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            tree = PrefixTree(module)
            streams = [np.random.default_rng(i) for i in range(6)]
            found.append(sample(tree, [tree.node([1, 2])] * 6, 12, streams=streams))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def check_against_model(model, text, more):
    tree = PrefixTree(model)
    ids = model.tokenizer(text)["input_ids"]
    trunk = tree.node(ids)
    nodes = [trunk, *(tree.extend(trunk, model.tokenizer(t, add_special_tokens=False)["input_ids"]) for t in more)]
    for node, row in zip(nodes, tree.logits(nodes).cpu(), strict=True):
        wanted = plain(model.module, node.ids)
        torch.testing.assert_close(row.log_softmax(-1), wanted.log_softmax(-1), atol=1e-3, rtol=1e-3)
    return len(ids)


def test_the_embedded_model(smollm2):
    check_against_model(smollm2, "Review: This movie was", [" a joy", " a mess, and", " long"])
    trees = [PrefixTree(smollm2, reuse=reuse) for reuse in (True, False)]
    ids = smollm2.tokenizer("The best thing about Paris is")["input_ids"]
    drawn = [sample(t, [t.node(ids)] * 3, 12, streams=[np.random.default_rng(i) for i in range(3)]) for t in trees]
    assert drawn[0] == drawn[1]


@pytest.mark.slow
def test_gemma_with_a_prefix_longer_than_its_window(gemma):
    text = " ".join(f"Line {i}: the {w} stood by the door." for i in range(20) for w in ("lamp", "chair", "clock"))
    length = check_against_model(gemma, text, [" Then the", " Line 7 said:", " And"])
    assert length > gemma.module.config.get_text_config().sliding_window


@pytest.mark.slow
def test_the_embedded_model_in_4_bits():
    from workbench import load

    model = load("smollm2", bits=4)
    tree = PrefixTree(model)
    trunk = tree.node(model.tokenizer("The capital of France is Paris, and the capital of Italy is")["input_ids"])
    nodes = [trunk, tree.extend(trunk, [260, 270]), tree.extend(trunk, [260, 30])]
    for node, row in zip(nodes, tree.logits(nodes), strict=True):
        wanted = plain(model.module, node.ids).softmax(-1)
        # bf16 arithmetic: a batch of another shape alone moves about .04 of the mass; a wrong mask moves most of it
        assert float((row.softmax(-1) - wanted).abs().sum()) / 2 < 0.1
