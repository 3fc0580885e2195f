"""RAIN's paper presets, simulation by simulation, against a literal search on committed weights and uniform numbers.

The fixture (rain_fixture.py made it, with benchmarks/rain_literal.py) holds 70 simulations a task: path, text, value,
and n, fn, q of every node touched, with similar siblings, added nodes and clause ends among them.
"""

import json

import numpy as np
import pytest
import rain_fixture as made

import workbench as wb
from workbench.papers.rain import RainSettings, rain
from workbench.papers.rain.search import CHAIN, ROLLOUT, stream

FIXTURE = json.loads(made.FIXTURE.read_text())
TASKS = list(made.TASKS)


class Encoder:
    def embed(self, texts):
        return np.array([made.embed(text) for text in texts])


@pytest.fixture(scope="module")
def model():
    return wb.load(str(made.MODEL))


def searched(model, task, **changes):
    """The search of one task by the front door; prompts before it in the fixture take the streams before it."""
    sizes = {name: tuple(value) if isinstance(value, list) else value for name, value in made.TASKS[task].items()}
    constants = RainSettings.paper(task)
    own = {name: sizes[name] for name in ("candidates", "top_k", "rollout_tokens", "max_children", "variance",
                                          "max_new_tokens", "stop", "budget")}  # fmt: skip
    own["tries"] = {9: 3, 19: 7}[constants.tries]  # K - 1 and 2 K - 1 of K = 4
    settings = constants.with_(**own)
    assert {name: getattr(settings, name) for name in sizes} == sizes  # all other constants are the preset's own
    prompts = [FIXTURE["tasks"][name]["prompt"] for name in TASKS[: TASKS.index(task) + 1]]
    return rain(
        model, prompts, scorer=lambda prompt, replies: [made.value(reply) for reply in replies],
        settings=settings.with_(**changes), encoder=Encoder(), seed=FIXTURE["seed"],
    )[-1]  # fmt: skip


def told(result):
    """(path, text, value, {prefix: (n, fn, q)}) of every search."""
    prefix = {node.id: node.prefix for node in result.nodes}
    return [
        (tuple(prefix[i] for i in search.path), search.text, search.value,
         {prefix[i]: found for i, found in search.changed.items()})
        for search in result.searches
    ]  # fmt: skip


def wanted(task):
    return [
        (tuple(map(tuple, s["path"])), s["text"], s["value"], {tuple(k): (n, fn, q) for k, n, fn, q in s["state"]})
        for s in FIXTURE["tasks"][task]["searches"]
    ]


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("task", TASKS)
def test_every_simulation_of_a_paper_preset_is_the_literal_one(model, task, lanes):
    fixture, result = FIXTURE["tasks"][task], searched(model, task, lanes=lanes)
    ours, theirs = told(result), wanted(task)
    assert len(theirs) >= 40 and fixture["shared"] > 20
    if task != "truthfulqa":
        assert fixture["added"] > 0 and fixture["ended"] > 0
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        assert mine[:3] == other[:3], f"simulation {number}"
        assert mine[3].keys() == other[3].keys(), f"simulation {number}"
        for prefix, found in mine[3].items():
            assert found == pytest.approx(other[3][prefix], abs=1e-9), f"simulation {number}, node {prefix}"
    assert result.tokens == fixture["tokens"]
    priors = {tuple(prefix): p for prefix, p in fixture["priors"]}
    assert {n.prefix: n.prior for n in result.nodes if n.fn} == pytest.approx(priors, abs=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_the_literal_search_still_gives_the_fixture_from_the_committed_uniforms(task):
    drawn = FIXTURE["uniforms"][task]
    found, _ = made.searched(task, lambda *name: iter(drawn.get(made.named(*name), [])))
    for mine, other in zip(json.loads(json.dumps(found))["searches"], FIXTURE["tasks"][task]["searches"], strict=True):
        assert mine["path"] == other["path"] and mine["text"] == other["text"]
        for (prefix, *numbers), (same, *kept) in zip(mine["state"], other["state"], strict=True):
            assert prefix == same and numbers == pytest.approx(kept, abs=1e-9)
    assert found["tokens"] == FIXTURE["tasks"][task]["tokens"]


def test_the_committed_uniforms_are_those_of_the_named_streams():
    for index, task in enumerate(TASKS):
        for name, numbers in FIXTURE["uniforms"][task].items():
            purpose, number, *prefix = name.split()
            words = (ROLLOUT,) if purpose == "simulation" else (CHAIN, int(number))
            random = stream(FIXTURE["seed"], index, *words, *map(int, prefix))
            assert numbers == [random.random() for _ in numbers]


@pytest.mark.parametrize(
    "changes", [{"embedded_text": "reply"}, {"simulate_ended": True}, {"evaluate_root": False}, {"temperature": 1.5}]
)
def test_each_of_the_codes_ways_shows_in_the_fixture(model, changes):
    ours, theirs = told(searched(model, "hh", **changes)), wanted("hh")
    same = sum(mine[:3] == other[:3] for mine, other in zip(ours, theirs))
    assert same < len(theirs)
