"""RAIN's search: exactly expected trees on a scripted model, and equality with the literal version."""

from dataclasses import replace

import numpy as np
import pytest
from rain_toy import (
    DOT,
    END,
    HUMAN,
    LINE,
    MIXED,
    PLAIN,
    A,
    B,
    C,
    Letters,
    ScriptedModel,
    abc,
    first_letter,
    letters,
    random_script,
    search,
)

from workbench.errors import UsageError, WorkbenchError
from workbench.papers.rain import RainSettings, rain
from workbench.papers.rain.search import Searcher


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


def test_the_first_search_of_all_evaluates_the_text_before_any_candidate():
    seen = []
    result = search(
        lambda ids: {C: 1.0} if len(ids) == 1 else abc(ids),
        lambda p, r: seen.extend(r) or first_letter(p, r),
        replace(PLAIN, evaluate_root=True),
    )
    assert result.searches[0].path == (0,) and seen[0] == "c"  # drawn behind the prompt: its value is 0
    assert result.searches[0].changed == {0: (1.0, 1, 0.0)} and result.nodes[0].text == "c"
    assert [len(search.path) for search in result.searches[1:3]] == [2, 3]  # c is all there is
    assert result.moves[0].searches == 3 and all(len(s.path) > 1 for s in result.searches[1:])  # no later root again


def test_nothing_is_drawn_where_the_clause_has_ended():
    def script(ids):
        return {DOT: 1.0} if ids[-1] == B else {A: 0.5, B: 0.3, C: 0.2}

    for simulate_ended, extra in ((False, 0), (True, 1)):
        settings = replace(PLAIN, lengths=(2,), evaluate_root=True, simulate_ended=simulate_ended, budget=9)
        result = search(script, settings=settings, prompt="d .")
        assert len(result.nodes[0].text.split()) == extra  # the prompt itself has ended
        (node,) = (n for n in result.nodes if n.prefix == (B, DOT))
        assert len(node.text.split()) == 2 + extra
    going_on = search(script, settings=replace(PLAIN, lengths=(2,), evaluate_root=True, rollout_ends=""), prompt="d .")
    assert len(going_on.nodes[0].text.split()) == 1  # truthfulness knows no clause


@pytest.mark.parametrize("what", ["node", "reply"])
def test_a_node_embeds_a_simulation_from_its_own_tokens_on(what):
    seen = []

    class Listening(Letters):
        def embed(self, texts):
            seen.extend(texts)
            return super().embed(texts)

    settings = replace(PLAIN, similarity=0.95, embedded_text=what, budget=3, max_new_tokens=3)
    result = search(settings=settings, encoder=Listening())
    first = [(s.text.split(), len(s.path)) for s in result.searches if s.move == 0]
    assert {depth for _, depth in first} == {
        2,
        3,
    }  # the third search goes through b to "b a", as computed by hand above
    parts = {" ".join(words[start:]) for words, depth in first for start in range(depth - 1)}
    whole = {s.text for s in result.searches}
    if what == "reply":
        assert set(seen) == whole
    else:
        assert parts <= set(seen) and set(seen) != whole


def test_a_temperature_shapes_the_candidates_of_one_token_too():
    warm = search(settings=replace(PLAIN, temperature=2.0, root_mix=0.0))
    p = [0.5**0.5, 0.3**0.5, 0.2**0.5]
    assert [at(warm, token).prior for token in (A, B, C)] == pytest.approx([x / sum(p) for x in p], abs=1e-6)


def test_the_variance_is_the_unbiased_one():
    class Two:  # "a…" and "b…" two apart in one direction: variance 1 over 2, and 2 over 1
        def embed(self, texts):
            return np.array([[2.0 if text[0] == "a" else 0.0, 1.0] for text in texts])

    for threshold, wanted in ((1.5, False), (2.1, True)):
        settings = replace(PLAIN, candidates=2, similarity=1.0, similarity_weight=0.0, variance=threshold,
                           max_children=3, budget=8, max_new_tokens=2)  # fmt: skip
        result = search(scorer=lambda p, r: [-0.5] * len(r), settings=settings, encoder=Two())
        assert bool([n for n in result.nodes if n.prefix == (C,)]) == wanted


def test_the_presets_are_the_codes():
    hh = RainSettings.paper("hh")
    ways = {"embedded_text": "node", "simulate_ended": False, "evaluate_root": True}
    for settings in (hh, RainSettings.paper("advbench"), RainSettings.paper("truthfulqa"), RainSettings.embedded()):
        assert {name: getattr(settings, name) for name in ways} == ways
    assert [RainSettings.paper(task).added_tries for task in ("hh", "advbench", "truthfulqa")] == [1, 3, 1]
    with pytest.raises(UsageError, match="embedded_text"):
        RainSettings(embedded_text="all")


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


def test_a_reply_may_end_before_its_first_word():
    result = search(lambda ids: {END: 1.0}, settings=replace(PLAIN, lengths=(2,)))
    assert (result.reply, result.tokens, result.finish) == ("", [END], "eos")
    assert result.values == [0.0] * len(result.values)  # the empty text was evaluated like any other


@pytest.mark.parametrize("step", [0, 1])
def test_a_node_without_candidates_ends_the_reply(monkeypatch, step):
    expand = Searcher._expand

    def barren(self, node):
        found = yield from expand(self, node)
        return found if node.step < step else []

    monkeypatch.setattr(Searcher, "_expand", barren)
    result = search()
    assert result.finish == "empty" and len(result.tokens) == len(result.moves) == step
    assert result.reply == "b"[:step] and len(result.searches) == 3 * step


@pytest.mark.parametrize(
    "scorer, kind, words",
    [
        (lambda p, r: [float("nan")] * len(r), UsageError, "nan for the reply"),
        (lambda p, r: [1.5] * len(r), UsageError, "1.5 for the reply"),
        (lambda p, r: ["good"] * len(r), UsageError, "good for the reply"),
        (lambda p, r: [0.0] * (len(r) + 1), UsageError, "2 values for 1 replies"),
        (lambda p, r: [], UsageError, "0 values for 1 replies"),
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


def test_sampled_moves_follow_the_visits():
    settings = replace(PLAIN, commit="sample", budget=6)
    firsts = {search(settings=settings, scorer=lambda p, r: [0.0] * len(r), seed=s).tokens[0] for s in range(20)}
    assert len(firsts) > 1


def test_one_search_a_move_that_the_root_took_leaves_the_move_to_the_priors():
    settings = replace(PLAIN, evaluate_root=True, budget=1, max_new_tokens=1)
    assert {search(settings=settings, seed=s).tokens[0] for s in range(9)} == {A}  # the most probable
    drawn = [search(settings=replace(settings, commit="sample"), seed=s).tokens[0] for s in range(40)]
    assert 0 < drawn.count(B) < 40 and drawn.count(A) > drawn.count(C)


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
