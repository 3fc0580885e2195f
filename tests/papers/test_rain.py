"""RAIN's search: exactly expected trees on a scripted model, and equality with the literal version."""

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rain_toy import DOT, END, HUMAN, LINE, A, B, C, D, Letters, ScriptedModel, ScriptedTree

from workbench.errors import UsageError, WorkbenchError
from workbench.papers.rain import RainSettings, rain

# one token each: every set has one token, every simulation one, no encoder
PLAIN = RainSettings(
    budget=3,
    candidates=3,
    tries=2,
    top_k=0,
    lengths=(1,),
    rollout_tokens=1,
    similarity=2,
    max_new_tokens=4,
    stop=(),
    lanes=1,
)


def literal_module():
    path = Path(__file__).parent.parent.parent / "benchmarks" / "rain_literal.py"
    spec = importlib.util.spec_from_file_location("rain_literal", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def abc(ids):
    return {A: 0.5, B: 0.3, C: 0.2}


def first_letter(prompt, replies):
    return [{"a": -1.0, "b": 1.0}.get(reply[:1], 0.0) for reply in replies]


def search(script=abc, scorer=first_letter, settings=PLAIN, prompt="d", **options):
    return rain(ScriptedModel(), [prompt], scorer=scorer, settings=settings, tree=ScriptedTree(script), **options)[0]


def at(result, *tokens):
    (node,) = (node for node in result.nodes if node.prefix == tokens)
    return node


def test_the_first_searches_are_those_computed_by_hand():
    result = search()
    # priors at the root: .75 p + .25 / 3
    first = [node for node in result.nodes if node.step == 1]
    priors = {A: 0.375 + 1 / 12, B: 0.225 + 1 / 12, C: 0.15 + 1 / 12}
    assert [node.tokens for node in first] == [(A,), (B,), (C,)]  # most probable first
    # search 1: the root has no visit, every term is 0, the first child wins; its value is -1.
    # search 2: a: 0 + 2 (.4583) 1/2 = .458; b: 2 (.3083) = .617; c: .467 -> b, value 1.
    # search 3: b: 1 + 2 (.3083) 1.414/2 = 1.436, a: .648 -> through b to its first child, "ba": value 1.
    assert [result.searches[i].path[1] for i in range(3)] == [at(result, A).id, at(result, B).id, at(result, B).id]
    assert [search.value for search in result.searches[:3]] == [-1, 1, 1]
    assert result.searches[2].path[2] == at(result, B, A).id
    changed = result.searches[2].changed
    assert changed[at(result, B).id] == (2.0, 2, 1.0)
    assert changed[0] == (3.0, 3, pytest.approx(1 / 3))
    assert result.moves[0].node == at(result, B).id and result.moves[0].searches == 3
    # the second move starts from b's subtree, with b's priors mixed and its visits kept
    mixed = {t: p for t, p in zip((A, B, C), (0.375 + 1 / 12, 0.225 + 1 / 12, 0.15 + 1 / 12))}
    for token in (A, B, C):
        assert at(result, token).prior == pytest.approx(priors[token])
        assert at(result, B, token).prior == pytest.approx(mixed[token])
    assert result.searches[3].path[0] == at(result, B).id
    assert result.searches[3].changed[at(result, B).id][1] == 3
    assert len(result.tokens) == 4 and result.finish == "length" and result.tokens[0] == B


def test_token_sets_have_1_2_4_then_10_tokens_and_never_more_than_the_reply_may():
    settings = replace(PLAIN, lengths=(1, 2, 4, 10), max_new_tokens=22, budget=9)
    result = search(settings=settings)
    sizes = {step: {len(n.tokens) for n in result.nodes if n.step == step} for step in range(1, 6)}
    assert [sizes[step] for step in (1, 2, 3, 4, 5)] == [{1}, {2}, {4}, {10}, {5}]
    assert len(result.tokens) == 22


def test_priors_of_chains_with_the_greedy_one_held_between_the_others():
    def script(ids):  # after the first token nearly everything is "a", so the greedy chain outweighs all others
        return {A: 0.5, B: 0.3, C: 0.2} if len(ids) == 1 else {A: 0.6, B: 0.25, C: 0.15}

    result = search(script, settings=replace(PLAIN, lengths=(1, 2), tries=6, candidates=5, budget=4, root_mix=0.0))
    node = next(n for n in result.nodes if n.step == 1 and n.children)
    found = [(child.tokens[:], child.prior) for child in node.children]
    assert found[0][0] == (A, A) and len({tokens for tokens, _ in found}) == len(found) > 2  # duplicates are dropped
    p = {A: 0.6, B: 0.25, C: 0.15}
    others = [p[x] * p[y] for (x, y), _ in found[1:]]
    greedy = max(min(0.36, sum(others)), max(others) + min(others))
    wanted = [greedy, *others]
    assert [prior for _, prior in found] == pytest.approx([w / sum(wanted) for w in wanted], rel=1e-4)


def test_stop_rule_and_its_constants():
    settings = replace(PLAIN, budget=40, min_visits=6, threshold=0.8, exploration=0.0)
    good = search(scorer=lambda p, r: [1.0] * len(r), settings=settings)
    assert good.moves[0].searches == 7  # the first child is always best: 7 visits are the first above 6
    fair = search(scorer=lambda p, r: [0.75] * len(r), settings=replace(settings, threshold=0.75))
    assert fair.moves[0].searches == 40  # .75 is not above the threshold
    assert list(RainSettings.paper("hh").searches(0)) == list(range(50))
    assert list(RainSettings.paper("hh").searches(44)) == list(range(44, 59))  # at least 15
    assert len(RainSettings.paper("hh", budget=12).searches(30)) == 12
    assert [RainSettings.paper(task).min_visits for task in ("hh", "advbench", "truthfulqa")] == [6, 5, 16]
    assert RainSettings.paper("advbench").temperature == 2.0 and RainSettings.paper("advbench").tries == 19


def test_first_play_value_and_exploration_are_settings():
    curious = search(settings=replace(PLAIN, first_play=2.0, exploration=0.0))
    assert {s.path[1] for s in curious.searches[:3]} == {
        at(curious, t).id for t in (A, B, C)
    }  # all tried before any twice


def similarity_settings(**changes):
    return replace(PLAIN, similarity=0.95, similarity_weight=0.2, variance=-1.0, budget=2, max_new_tokens=2, **changes)


def test_similar_siblings_share_a_value():
    result = search(settings=similarity_settings(), encoder=Letters(same=True))
    # search 1: a gets -1; nobody else has an embedding. search 2: b gets 1; a is similar (cosine 1), weight .2
    changed = result.searches[1].changed
    a, b = at(result, A).id, at(result, B).id
    assert changed[b] == (1.0, 1, 1.0)
    assert changed[a] == (pytest.approx(1.2), 1, pytest.approx((-1 + 0.2) / 1.2))  # n but not fn
    assert changed[0] == (2.0, 2, 0.0)  # not the ancestors


def test_unlike_siblings_share_nothing():
    result = search(settings=similarity_settings(rollout_tokens=0), encoder=Letters())
    assert set(result.searches[1].changed) == {0, at(result, B).id}


def test_a_node_is_added_where_all_children_are_alike_and_bad():
    settings = replace(PLAIN, candidates=2, similarity=1.0, similarity_weight=0.0, variance=1.0, max_children=3,
                       budget=8,
                       max_new_tokens=2)  # fmt: skip

    def bad(prompt, replies):
        return [-0.5] * len(replies)

    result = search(scorer=bad, settings=settings, encoder=Letters(same=True))
    children = [n for n in result.nodes if n.step == 1]
    assert [n.tokens for n in children] == [(A,), (B,), (C,)]  # the next most probable, and no more than max_children
    assert children[2].id > max(n.id for n in children[:2])
    assert sum(n.prior for n in children) == pytest.approx(1)
    full = search(scorer=bad, settings=replace(settings, max_children=2), encoder=Letters(same=True))
    assert not [n for n in full.nodes if n.prefix == (C,)]
    good = search(scorer=lambda p, r: [0.0] * len(r), settings=settings, encoder=Letters(same=True))
    assert not [n for n in good.nodes if n.prefix == (C,)]  # a child of value 0 is not below 0


def test_added_chains_are_new_ones():
    settings = replace(PLAIN, lengths=(2,), candidates=2, tries=3, similarity=1.0, similarity_weight=0.0, variance=1.0,
                       max_children=5, budget=12, max_new_tokens=2)  # fmt: skip
    result = search(scorer=lambda p, r: [-0.5] * len(r), settings=settings, encoder=Letters(same=True))
    tokens = [n.tokens for n in result.nodes if n.step == 1]
    assert len(tokens) == len(set(tokens)) > 2


def test_end_of_text_ends_the_reply_and_is_no_part_of_it():
    result = search(lambda ids: {END: 1.0} if len(ids) > 2 else abc(ids), settings=replace(PLAIN, max_new_tokens=9))
    assert result.finish == "eos" and result.tokens[-1] == END
    assert "<end>" not in result.reply and len(result.tokens) == 3


def test_a_new_turn_ends_the_reply_and_is_cut():
    def script(ids):
        return {HUMAN: 1.0} if ids[-1] == LINE else {LINE: 1.0} if len(ids) > 2 else abc(ids)

    result = search(script, settings=replace(PLAIN, max_new_tokens=9, stop=("\n Human:",)))
    assert result.finish == "stop" and result.reply == "b a " and result.tokens[-1] == HUMAN


def test_simulations_end_with_the_clause():
    seen = []

    def scorer(prompt, replies):
        seen.extend(replies)
        return [0.0] * len(replies)

    def script(ids):
        return {DOT: 1.0} if len(ids) == 4 else {A: 1.0}

    search(script, scorer, replace(PLAIN, candidates=1, budget=1, rollout_tokens=9, max_new_tokens=9))
    assert seen[0] == "a a a ."  # the set's token, and on to the full stop


def test_a_value_is_asked_for_once_a_text():
    asked = []
    result = search(
        scorer=lambda p, r: asked.extend(r) or [0.0] * len(r), settings=replace(PLAIN, budget=6, max_new_tokens=2)
    )
    assert len(asked) == len(set(asked)) == result.counters["evaluations"]


def test_a_model_with_one_token_only_has_one_candidate_and_still_replies():
    result = search(lambda ids: {A: 1.0}, settings=replace(PLAIN, lengths=(2,), candidates=5, tries=4))
    assert result.reply == "a a a a"
    assert all(len(n.children) == 1 for n in result.nodes if n.children)  # five equal chains are one child


@pytest.mark.parametrize(
    "scorer, kind, words",
    [
        (lambda p, r: [float("nan")] * len(r), UsageError, "nan for the reply"),
        (lambda p, r: [1.5] * len(r), UsageError, "1.5 for the reply"),
        (lambda p, r: ["good"] * len(r), UsageError, "good for the reply"),
        (lambda p, r: [0.0] * (len(r) + 1), UsageError, "values for"),
        (lambda p, r: 1 / 0, WorkbenchError, "ZeroDivisionError"),
    ],
)
def test_a_wrong_scorer_has_its_sentence(scorer, kind, words):
    with pytest.raises(kind, match=words):
        search(scorer=scorer)


def test_wrong_calls_and_settings_have_their_sentences():
    with pytest.raises(UsageError, match="at least one text"):
        rain(ScriptedModel(), [], scorer=first_letter)
    with pytest.raises(UsageError, match="prompt 0 is empty"):
        search(prompt="")
    for wrong in (
        {"budget": 0},
        {"lengths": ()},
        {"temperature": 0},
        {"root_mix": 2},
        {"commit": "best"},
        {"lanes": 0},
    ):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            RainSettings(**wrong)
    with pytest.raises(UsageError, match="advbench"):
        RainSettings.paper("xyz")


def random_script(ids):
    """Probabilities that look random and depend on all tokens so far."""
    weights = np.random.default_rng(list(ids)).dirichlet(np.full(8, 0.7))
    return dict(enumerate(weights.tolist()))


def letters(prompt, replies):
    return [math.tanh(r.count("b") - r.count("a") + r.count("c") * 0.5) for r in replies]


MIXED = replace(PLAIN, budget=9, candidates=4, tries=3, lengths=(1, 2, 4), rollout_tokens=6, max_new_tokens=16, top_k=5)


def record(result):
    return [(n.id, n.prefix, round(n.n, 9), n.fn, round(n.q, 9), round(n.prior, 6)) for n in result.nodes]


@pytest.mark.parametrize("lanes", [2, 4, 9])
def test_guessing_ahead_and_lock_step_change_no_result(lanes):
    prompts = ["d", "d a", "c", "b b"]
    alone = [search(random_script, letters, MIXED, p) for p in prompts[:1]]
    sequential = [rain(ScriptedModel(), prompts, scorer=letters, settings=MIXED, tree=ScriptedTree(random_script))]
    together = rain(
        ScriptedModel(), prompts, scorer=letters, settings=replace(MIXED, lanes=lanes), tree=ScriptedTree(random_script)
    )
    assert [record(r) for r in together] == [record(r) for r in sequential[0]]
    assert record(alone[0]) == record(together[0])
    assert together[0].counters["forwards"] < sequential[0][0].counters["forwards"]


class Directions(Letters):
    """Texts that agree in all but the counts of a few letters are alike, so siblings often share values."""

    def embed(self, texts):
        return torch.tensor([[3.0 + text.count("a"), 2.0 + text.count("b"), 1.0 + text.count("d")] for text in texts])


def gloomy(prompt, replies):
    """Nothing is good: a node with like children gets more of them."""
    return [(value - 1) / 2 for value in letters(prompt, replies)]


SHARING = replace(MIXED, similarity=0.97, similarity_weight=0.2, variance=2.0, max_children=7, budget=14)
ADVBENCH = replace(SHARING, lengths=(2, 1, 2), temperature=2.0, tries=2 * MIXED.candidates - 1, top_k=3)


@pytest.mark.parametrize(
    "settings, scorer, mend",
    [(MIXED, letters, None), (SHARING, gloomy, Directions()), (ADVBENCH, gloomy, Directions())],
    ids=["plain", "sharing", "advbench"],
)
def test_the_search_is_the_literal_one(settings, scorer, mend):
    literal = literal_module()

    class Reader(literal.Reader):
        def read(self, rows, cache=None):  # the scripted model instead of a torch module
            before = getattr(cache, "held", None) or [[]] * len(rows)
            full = [[*held, *row] for held, row in zip(before, rows, strict=True)]
            if cache is not None:
                cache.held = full
            tree = ScriptedTree(random_script)
            return tree.logits([tree.node(ids) for ids in full])

    model, shared, added, retried = ScriptedModel(), 0, 0, 0
    for seed in range(4):
        result = search(random_script, scorer, settings, "d a", seed=seed, encoder=mend)
        search_ = literal.LiteralRain(
            Reader(None), model.prompt_ids("d a"), settings, lambda text: scorer("", [text])[0],
            lambda tokens: model.new_text([], tokens), {END}, (seed, 0),
            None if mend is None else lambda text: mend.embed([text])[0].numpy(),
        )  # fmt: skip
        assert search_.run() == result.tokens
        found = {}

        def walk(node, found=found):
            nonlocal retried
            retried += node.tried > settings.candidates - 1
            if node.fn:
                found[node.prefix] = (pytest.approx(node.n), node.fn, pytest.approx(node.q),
                                      pytest.approx(node.prior, abs=1e-6))  # fmt: skip
            for child in node.children or ():
                walk(child)

        walk(search_.root)
        assert {n.prefix: (n.n, n.fn, n.q, n.prior) for n in result.nodes if n.fn} == found
        shared, added = shared + search_.shared, added + search_.added
    assert (shared > 5 and added > 0) == (mend is not None)  # otherwise this would compare nothing of the kind
    assert (retried > 0) == (settings is ADVBENCH) or settings is SHARING


def test_sampled_moves_follow_the_visits():
    settings = replace(PLAIN, commit="sample", budget=6)
    firsts = {search(settings=settings, scorer=lambda p, r: [0.0] * len(r), seed=s).tokens[0] for s in range(20)}
    assert len(firsts) > 1


def test_the_result_can_be_written_and_replayed():
    import json

    result = search(random_script, letters, MIXED)
    data = json.loads(json.dumps(result.as_dict()))
    state = {}
    for step in data["searches"]:
        state.update(step["changed"])
    for node in data["nodes"]:
        if str(node["id"]) in state:
            assert state[str(node["id"])] == [node["n"], node["fn"], node["q"]]
    committed = [node["text"] for node in data["nodes"] if node["committed"]]
    assert "".join(committed).startswith(result.reply[:3])
    assert result.values == [s["value"] for s in data["searches"]]


def test_the_embedded_model_gives_the_same_moves_cached_and_uncached(smollm2):
    from workbench.models.prefix import PrefixTree
    from workbench.papers.rain import objective

    scorer = objective(smollm2, "sentiment")
    settings = RainSettings.embedded(budget=3, candidates=3, tries=2, max_new_tokens=3, rollout_tokens=3, similarity=2)
    found = [
        rain(
            smollm2, ["Review: This movie was"], scorer=scorer, settings=settings, tree=PrefixTree(smollm2, reuse=reuse)
        )[0]
        for reuse in (True, False)
    ]
    assert found[0].tokens == found[1].tokens
    assert [n.prefix for n in found[0].nodes] == [n.prefix for n in found[1].nodes]
    assert found[0].values == pytest.approx(found[1].values, abs=1e-4)
    assert found[0].counters["tokens"] < found[1].counters["tokens"] / 3
    assert torch.isfinite(torch.tensor(found[0].values)).all() and D
