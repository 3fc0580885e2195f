"""Language models as generators: any handle of `workbench.load` prompted with examples, LoRA on a local one, and T5s.

- `Prompted`: what a handle writes behind a few training steps, the premises and the state; samples at temperature 1,
  weighed by the model's own log-probability, or where a server tells none by how often a text came.
- `tuned`: LoRA on a causal model, on the training steps alone in that form; the adapter is kept in a folder.
- `Encoded`: an encoder-decoder (`workbench.models.load_seq2seq`) that reads what ReProver's generators read: each
  premise with its name between <a> and </a>, the best one nearest the state, 2,048 tokens at most.

Text that a model wrote is a proposal and no more: Lean and its filter judge it.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from ....errors import DataError
from ....models import load, require
from ....models.files.cache import fetch
from ....training import lora, train
from ..corpus.corpus import Corpus, Premise, TracedTheorem
from ..retrieve import Question, retriever, top
from .base import Proposals

LONGEST = 64  # tokens of a tactic at most
SHOTS = 4  # training steps in a prompt
PREMISES = 6  # in a prompt
STATE, STATEMENT = 1200, 160  # characters of a state (its end) and of a premise's statement in a prompt
RANK, BATCH, STEPS, RATE = 8, 4, 300, 5e-4


def question(state: str, premises: Sequence[Premise]) -> str:
    """What is asked: the premises, the best one last, then the first goal."""
    lines = [f"Lemma {one.full_name}: {one.code[:STATEMENT]}" for one in reversed(premises[:PREMISES])]
    return "\n".join([*lines, "Goal:", state.split("\n\n")[0][-STATE:], "Tactic:"])


class Prompted:
    """A language model that continues a prompt.

    Parameters
    ----------
    model : Model
        Any handle that can generate.
    theorems : sequence of TracedTheorem
        The training part, of which the examples are; none: no examples (a tuned model).
    """

    def __init__(
        self, model, theorems: Sequence[TracedTheorem] = (), *, name: str | None = None, seed: int = 0
    ) -> None:
        require(model, "generate", for_="a generator of tactics")
        self.name, self._model, self._seed = name or model.name, model, seed
        steps = [step for one in theorems for step in one.tactics]
        some = steps[:: max(1, len(steps) // SHOTS)][:SHOTS]
        self._examples = "".join(f"{question(step.state_before, ())} {step.tactic}\n\n" for step in some)
        # a server that only takes conversations is given one message
        self._chat = not getattr(model, "raw_text", True)

    def propose(self, states: Sequence[str], premises: Sequence[Sequence[Premise]], n: int) -> list[Proposals]:
        """At most ``n`` tactics for each state: the distinct first lines of ``n`` samples."""
        prompts = [self._examples + question(state, some) for state, some in zip(states, premises, strict=True)]
        answers = self._model.generate(
            prompts, max_new_tokens=LONGEST, temperature=1.0, n=n, seed=self._seed, stop=("\n",), chat=self._chat
        )
        return [_weighed([(one.text or "", one.logprob) for one in some], n) for some in answers]


def _weighed(samples: Sequence[tuple[str, float]], n: int) -> Proposals:
    """Distinct tactics by their log-probability; where it is not told (NaN), by the share of the samples."""
    texts = [text.strip().split("\n")[0].strip() for text, _ in samples]
    found: dict[str, float] = {}
    for text, (_, logprob) in zip(texts, samples, strict=True):
        if text:
            told = math.log(texts.count(text) / len(texts)) if math.isnan(logprob) else logprob
            found[text] = max(told, found.get(text, -math.inf))
    return sorted(found.items(), key=lambda one: -one[1])[:n]


def tuned(corpus: Corpus, theorems: Sequence[TracedTheorem], name: str, *, seed: int = 0, steps: int = STEPS,
          rank: int = RANK) -> Prompted:  # fmt: skip
    """LoRA adapters of model ``name``, trained on these steps once and kept in the cache folder."""
    learned = hashlib.sha256(repr([corpus.fingerprint, theorems]).encode("utf-8", "backslashreplace")).hexdigest()
    settings = {"form": "adapter", "content": learned, "model": name, "seed": seed, "steps": steps, "rank": rank}
    entry, _ = fetch(
        name, settings, 2**26, lambda folder: _tune(corpus, theorems, name, folder, seed, steps, rank),
        why="tuning adapters of",
    )  # fmt: skip
    return Prompted(load(name, adapter=entry.path), name=f"lora:{name}", seed=seed)


def _tune(corpus: Corpus, theorems: Sequence[TracedTheorem], name: str, folder: Path, seed: int, steps: int,
          rank: int) -> None:  # fmt: skip
    """Train adapters with BM25's premises, each dropped with probability .5 (in training only), into ``folder``.

    The loss is that of the tactic's tokens.
    """
    model = load(name)
    require(model, "gradient", for_="LoRA")
    pairs = [(one, step) for one in theorems for step in one.tactics]
    if not pairs:
        raise DataError("the training part has no tactic, so nothing can be tuned; give more theorems")
    questions = [Question(step.state_before, one.file_path, one.start) for one, step in pairs]
    near = [[premise for premise, _ in some] for some in top(corpus, questions, retriever("bm25", corpus), PREMISES)]

    def batch(generator: torch.Generator):
        rows = []
        for number in torch.randint(len(pairs), (BATCH,), generator=generator).tolist():
            kept = [one for one in near[number] if torch.rand((), generator=generator) >= 0.5]
            step = pairs[number][1]
            rows.append((model.token_ids(question(step.state_before, kept)),
                         model.token_ids(f" {step.tactic}\n", start=False)))  # fmt: skip
        longest = max(len(head) + len(tail) for head, tail in rows)
        ids, wanted = torch.zeros(len(rows), longest).long(), torch.full((len(rows), longest), -100)
        for row, (head, tail) in enumerate(rows):
            ids[row, : len(head) + len(tail)] = torch.tensor(head + tail)
            wanted[row, len(head) : len(head) + len(tail)] = torch.tensor(tail)
        return ids.to(model.device), wanted.to(model.device)  # pads stand behind: causal attention never sees them

    with lora(model.module, rank, seed) as adapted:

        def loss(found) -> torch.Tensor:
            return adapted(input_ids=found[0], labels=found[1], use_cache=False).loss

        train(adapted, batch, loss, steps=steps, lr=RATE, seed=seed)
        adapted.save_pretrained(folder)


class Encoded:
    """An encoder-decoder that was trained on states (and premises) in ReProver's form."""

    def __init__(self, model, most_read: int = 2048) -> None:
        self.name, self._model, self._most = model.name, model, most_read

    def propose(self, states: Sequence[str], premises: Sequence[Sequence[Premise]], n: int) -> list[Proposals]:
        """At most ``n`` tactics for each state, by a beam of ``n``."""
        texts = [
            "".join(f"{marked(one)}\n\n" for one in reversed(some)) + state
            for state, some in zip(states, premises, strict=True)
        ]
        found: list[Proposals] = []
        for answers in self._model.generate(texts, n, max_new_tokens=4 * LONGEST, most_read=self._most):
            best: dict[str, float] = {}
            for one in answers:  # best first
                if text := re.sub(r"</?a>", "", one.text).strip():
                    best.setdefault(text, one.logprob)
            found.append(list(best.items())[:n])
        return found


def marked(premise: Premise) -> str:
    """A premise's code with its name marked, in full: what ReProver's models read."""
    last = premise.full_name.rsplit(".", 1)[-1]
    name = re.search(rf"(?:[\w.]*\.)?{re.escape(last)}(?![\w'])", premise.code)
    if name is None:
        return f"<a>{premise.full_name}</a> {premise.code}"
    return f"{premise.code[: name.start()]}<a>{premise.full_name}</a>{premise.code[name.end() :]}"
