"""RAIN's search is the same however it is computed: literally, guessed ahead, in lock-step, evicted, on two threads."""

from dataclasses import replace

import pytest
import torch
from rain_fixture import literal
from rain_toy import (
    END,
    MIXED,
    B,
    Letters,
    ScriptedModel,
    ScriptedTree,
    TinyModel,
    letters,
    random_script,
    record,
    search,
)

import workbench as wb
from workbench.errors import ModelError
from workbench.models.memory import cache_bytes
from workbench.models.prefix.tree import PrefixTree
from workbench.papers.rain import RainSettings, rain
from workbench.papers.rain.run import _best_of_n
from workbench.papers.rain.search import stream


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


def test_progress_is_a_bar_of_prompts_and_off_by_default(capsys):
    for progress in (False, True):
        options = {"scorer": letters, "settings": MIXED, "tree": ScriptedTree(random_script)}
        rain(ScriptedModel(), ["d", "c"], **options, **{"progress": True} if progress else {})
        shown = capsys.readouterr().err
        assert ("searching" in shown and "/2 [" in shown) if progress else not shown


class Directions(Letters):
    """Texts that agree in all but the counts of a few letters are alike, so siblings often share values."""

    def embed(self, texts):
        return torch.tensor([[3.0 + text.count("a"), 2.0 + text.count("b"), 1.0 + text.count("d")] for text in texts])


def gloomy(prompt, replies):
    """Nothing is good: a node with like children gets more of them."""
    return [(value - 1) / 2 for value in letters(prompt, replies)]


SHARING = replace(MIXED, similarity=0.97, similarity_weight=0.2, variance=2.0, max_children=7, budget=14,
                  evaluate_root=True)  # fmt: skip
ADVBENCH = replace(SHARING, lengths=(2, 1, 2), temperature=2.0, tries=2 * MIXED.candidates - 1, top_k=3, added_tries=3)


@pytest.mark.parametrize(
    "settings, scorer, mend",
    [(MIXED, letters, None), (SHARING, gloomy, Directions()), (ADVBENCH, gloomy, Directions())],
    ids=["plain", "sharing", "advbench"],
)
def test_the_search_is_the_literal_one(settings, scorer, mend):
    book = literal()

    class Reader(book.Reader):
        def forward(self, new, cache, ids):  # the scripted model instead of a torch module
            tree = ScriptedTree(random_script)
            return tree.logits([tree.node(ids)])[0].double().numpy(), True

    model, shared, added, retried = ScriptedModel(), 0, 0, 0
    for seed in range(4):
        result = search(random_script, scorer, settings, "d a", seed=seed, encoder=mend)

        def uniforms(purpose, prefix, number, seed=seed):
            named = (1, *prefix) if purpose == "simulation" else (2, number, *prefix)
            random = stream(seed, 0, *named)
            return iter(random.random, None)

        search_ = book.LiteralRain(
            Reader(None), model.prompt_ids("d a"), settings, lambda text: scorer("", [text])[0], model.new_text, {END},
            uniforms, None if mend is None else lambda text: mend.embed([text])[0].numpy(),
        )  # fmt: skip
        assert search_.run() == result.tokens
        found = {}
        for node in search_.nodes():
            retried += node.tried > settings.candidates - 1
            if node.fn:
                found[node.prefix] = (pytest.approx(node.n), node.fn, pytest.approx(node.q),
                                      pytest.approx(node.p, abs=1e-6))  # fmt: skip
        assert {n.prefix: (n.n, n.fn, n.q, n.prior) for n in result.nodes if n.fn} == found
        shared, added = shared + search_.shared, added + search_.added
    assert (shared > 5 and added > 0) == (mend is not None)  # otherwise this would compare nothing of the kind
    assert (retried > 0) == (settings is ADVBENCH) or settings is SHARING


def tiny_search(model, **options):
    options = {"tree": PrefixTree(model), "settings": MIXED, "encoder": Letters(), **options}
    return rain(model, ["d a", "c"], scorer=letters, **options)


def test_one_and_two_threads_give_the_same_search():
    found, before = [], torch.get_num_threads()
    model, sharing = TinyModel(), replace(MIXED, budget=6, max_new_tokens=7, similarity=0.95, variance=1.0)
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            (result,) = rain(
                model, ["d a"], scorer=letters, tree=PrefixTree(model), settings=sharing, encoder=Letters()
            )
            found.append(record(result))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] and len(found[0]) > 10


def test_memory_too_small_for_the_search_changes_no_result():
    model = TinyModel()
    small = PrefixTree(model, memory=40 * cache_bytes(model.module.config, 1, 4))
    for found, wanted in zip(tiny_search(model, tree=small), tiny_search(model), strict=True):
        found, wanted = record(found), record(wanted)
        assert [node[:-1] for node in found] == [node[:-1] for node in wanted]
        assert [node[-1] for node in found] == pytest.approx([node[-1] for node in wanted], abs=2e-6)  # priors
    assert small.counters.evicted > 0


def test_logits_that_are_not_numbers_end_the_search_with_a_sentence():
    model = TinyModel()
    tree = PrefixTree(model)
    model.module.model.embed_tokens.weight.data[B] = float("nan")
    with pytest.raises(ModelError, match="tiny gave logits that are not numbers"):
        tiny_search(model, tree=tree)


def test_the_embedded_model_gives_the_same_moves_cached_and_uncached(smollm2):
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
    assert torch.isfinite(torch.tensor(found[0].values)).all()


def test_best_of_n_stops_at_the_last_reply_that_its_tokens_allow():
    model, settings = TinyModel(), replace(MIXED, max_new_tokens=20)

    def best(tokens, most=256):
        return _best_of_n(model, ["d"], letters, settings, tokens, 0, None, most)

    enough = best(10**6, 11).counters["tokens"]  # the eleventh is long: a wave of several would not fit
    assert best(enough).n == 11 and best(enough - 1).n == 10


def test_a_stop_string_that_is_a_special_token_ends_the_reply(zoo):
    model = wb.load(str(zoo("llama")))
    (greedy,) = model.generate(["The cat"], max_new_tokens=60)[0]
    place = next(i for i, token in enumerate(greedy.tokens) if token >= 259)  # the zoo's fillers: <x0>, <x1>, …
    word = model.tokenizer.convert_ids_to_tokens(greedy.tokens[place])
    model.tokenizer.add_special_tokens({"additional_special_tokens": [word]})
    settings = RainSettings(
        budget=2,
        candidates=1,
        lengths=(1,),
        max_new_tokens=60,
        rollout_tokens=3,
        similarity=2.0,
        stop=("\nUser:", word),
    )
    wanted = model.tokenizer.decode(greedy.tokens[:place])
    (found,) = rain(model, ["The cat"], scorer=lambda prompt, texts: [0.0 for _ in texts], settings=settings)
    assert (found.tokens, found.finish, found.reply) == (greedy.tokens[: place + 1], "stop", wanted)
