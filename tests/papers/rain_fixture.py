"""Makes rain_fixture.json: searches of the paper's three tasks as the literal baseline computes them.

The weights are those of rain_model/, the uniform numbers are drawn here once and committed; `value` and `embed` are
fixed functions of the text. Nothing of `workbench.papers.rain` takes part except the constants it names.

    python tests/papers/rain_fixture.py        writes the file anew
"""

import importlib.util
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

HERE = Path(__file__).parent
MODEL, FIXTURE = HERE / "rain_model", HERE / "rain_fixture.json"
WORDS = ["<end>", "a", "b", "c", "d", "e", "f", "g", ".", ",", "Human:", "?"]
END = 0

# the authors' constants, written down again; sizes fit the small vocabulary
HH = dict(
    min_visits=6, threshold=0.8, exploration=2.0, first_play=0.0, lengths=[1, 2, 4, 10], candidates=4, tries=3,
    added_tries=1, top_k=6, temperature=1.0, root_mix=0.25, rollout_ends=",.?:;\n", rollout_tokens=8,
    simulate_ended=False, evaluate_root=True, similarity=0.95, similarity_weight=0.2, embedded_text="node",
    max_children=6, variance=0.5, commit="visits", max_new_tokens=20, stop=["Human:"], budget=14,
)  # fmt: skip
TASKS = {
    "hh": HH,
    "advbench": {**HH, "min_visits": 5, "temperature": 2.0, "tries": 7, "added_tries": 3},
    "truthfulqa": {**HH, "min_visits": 16, "rollout_ends": ""},
}
PROMPTS = {"hh": "d a g", "advbench": "c b .", "truthfulqa": "a f"}


def value(text: str) -> float:
    """Gloomy, so that nodes are added: at most .2."""
    return math.tanh(0.6 * text.count("b") - 0.5 * text.count("a") + 0.3 * text.count("e") - 0.7) * 0.6 - 0.1


def embed(text: str) -> list[float]:
    """Texts whose few letters agree are alike."""
    return [3.0 + text.count("a"), 2.0 + text.count("b"), 1.0 + text.count("d"), 1.0 + 0.5 * text.count(".")]


def decode(before, new) -> str:
    words = [WORDS[token] for token in new if token != END]
    return (" " if words and any(token != END for token in before) else "") + " ".join(words)


def literal():
    path = HERE.parent.parent / "benchmarks" / "rain_literal.py"
    spec = importlib.util.spec_from_file_location("rain_literal", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def named(purpose: str, prefix, number: int) -> str:
    return f"{purpose} {number} {' '.join(map(str, prefix))}".strip()


def searched(task: str, uniforms):
    """The literal search of one task: (what the fixture holds of it, the search)."""
    from transformers import AutoModelForCausalLM

    module, book = AutoModelForCausalLM.from_pretrained(MODEL).eval(), literal()
    settings = SimpleNamespace(**TASKS[task], searches=lambda visits: range(TASKS[task]["budget"]))
    ids = [WORDS.index(word) for word in PROMPTS[task].split()]
    search = book.LiteralRain(book.Reader(module), ids, settings, value, decode, {END}, uniforms, embed)
    tokens = search.run()
    return {
        "prompt": PROMPTS[task], "tokens": tokens, "moves": search.moves,
        "searches": [
            {"path": path, "text": text, "value": worth, "state": [[list(k), *v] for k, v in sorted(state.items())]}
            for (path, text, worth), state in zip(search.visits, search.states, strict=True)
        ],
        "priors": [[list(node.prefix), node.p] for node in search.nodes() if node.fn],
        "shared": search.shared, "added": search.added, "ended": search.ended,
    }, search  # fmt: skip


def main():
    from workbench.papers.rain.search import CHAIN, ROLLOUT, stream

    made = {"seed": 3, "uniforms": {}, "tasks": {}}
    for index, task in enumerate(TASKS):
        drawn: dict = {}

        def numbers(random, own):
            while True:
                own.append(float(random.random()))
                yield own[-1]

        def uniforms(purpose, prefix, number, index=index, drawn=drawn, numbers=numbers):
            words = (ROLLOUT, *prefix) if purpose == "simulation" else (CHAIN, number, *prefix)
            return numbers(stream(made["seed"], index, *words), drawn.setdefault(named(purpose, prefix, number), []))

        made["tasks"][task], search = searched(task, uniforms)
        made["uniforms"][task] = {name: numbers for name, numbers in drawn.items() if numbers}
        print(task, len(search.visits), "searches", search.shared, search.added, search.ended, search.moves[-1])
    FIXTURE.write_text(json.dumps(made, separators=(",", ":")).replace('},{"path"', '},\n{"path"') + "\n")
    print(FIXTURE.stat().st_size, "bytes", np.__version__)


if __name__ == "__main__":
    main()
