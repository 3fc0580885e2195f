"""The small generator: an encoder-decoder with a pointer, trained here on state and premises (§5.2 in small).

- Read: the first goal and at most five premises (name, end of the statement), the best one nearest the state.
- Written: the tactic, piece by piece, out of the vocabulary or copied (`pointer`); a beam gives log-probabilities.
- Premises in training: BM25's first among the accessible ones, with the step's own premises put in at random ranks
  (with probability `SHOWN` each), so that they are found about as often as a trained retriever finds them; each
  premise is dropped with probability .5, in training only, as in the paper.
- Hypotheses of one kind exchange their names at random in training: their statements say which one to use.

Deviations: pieces and not bytes, some half a million weights and not 300 million, trained from nothing.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ....errors import DataError, ModelError
from ....files import ROOT, write_atomic, write_json
from ....models.files.headers import read_safetensors
from ....training import train
from ..corpus.corpus import Corpus, Premise, TracedTheorem
from ..retrieve import Question, retriever, top
from .base import Proposals
from .pieces import (
    END,
    PAD,
    PARTS,
    PREMISES,
    START,
    UNKNOWN,
    Source,
    Vocabulary,
    goal_of,
    names_by_kind,
    premise_of,
    source_of,
    written,
)
from .pointer import LONGEST, Pointer, Shape, beam, tensors_of

WEIGHTS, ABOUT = "generator.safetensors", "generator.json"
STEPS, BATCH, RATE = 2000, 16, 3e-3
SORTED = 4  # batches are drawn together and cut by length, so that little of them is padding
DROPPED, SHOWN, EXCHANGED = 0.5, 0.85, 0.5
AT_ONCE = 32  # states decoded together


class Small:
    """A trained network with its vocabulary; made by `trained` or `opened`.

    Attributes
    ----------
    name : str
    about : dict
        What it was trained on, and how.
    """

    def __init__(self, network: Pointer, vocabulary: Vocabulary, about: dict, name: str = "small") -> None:
        self.name, self.about = name, about
        self._network, self._vocabulary = network.eval(), vocabulary

    def propose(self, states: Sequence[str], premises: Sequence[Sequence[Premise]], n: int) -> list[Proposals]:
        """At most ``n`` tactics for each state, given the premises that were chosen for it (best first, maybe none)."""
        sources = [
            source_of(goal_of(state) or ["⊢"], [premise_of(one) for one in some[:PREMISES]])
            for state, some in zip(states, premises, strict=True)
        ]
        found: list[Proposals] = []
        for first in range(0, len(sources), AT_ONCE):
            found += beam(self._network, self._vocabulary, sources[first : first + AT_ONCE], n)
        return found

    def save(self, folder) -> Path:
        """Write weights (float16) and vocabulary; `opened` reads them."""
        from safetensors.torch import save

        folder = Path(folder)
        state = {key: value.half().contiguous() for key, value in self._network.state_dict().items()}
        write_atomic(folder / WEIGHTS, save(state))
        vocabulary = {"pieces": self._vocabulary.pieces, "parts": self._vocabulary.parts,
                      "writable": self._vocabulary.writable}  # fmt: skip
        write_json(folder / ABOUT, {"kind": "small", "shape": vars(self._network.shape), **self.about, **vocabulary})
        return folder


def opened(folder: Path) -> Small:
    """The generator that `Small.save` wrote.

    Raises
    ------
    ModelError
        A file is missing or damaged, or they do not belong together.
    """
    from safetensors.torch import load_file

    try:
        about = json.loads((folder / ABOUT).read_text("utf-8"))
        vocabulary = Vocabulary(about.pop("pieces"), about.pop("parts"), about.pop("writable"))
        network = Pointer(vocabulary, Shape(**about.pop("shape")))
        read_safetensors([folder / WEIGHTS])
        weights = {key: value.float() for key, value in load_file(folder / WEIGHTS).items()}
        network.load_state_dict(weights)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        why = str(error).split("\n")[0]
        raise ModelError(f"{folder} is no trained generator ({why}): it must hold {WEIGHTS} and {ABOUT}") from error
    if not all(torch.isfinite(value).all() for value in weights.values()):
        raise ModelError(f"{folder} holds weights that are not finite: train it again")
    return Small(network, vocabulary, about)


def trained(corpus: Corpus, theorems: Sequence[TracedTheorem], *, seed: int = 0, steps: int = STEPS,
            shape: Shape | None = None, told: Callable[[int, float], object] | None = None) -> Small:  # fmt: skip
    """Train a generator on the steps of ``theorems`` (of a training part, and nothing else).

    Parameters
    ----------
    told : callable, optional
        Is given each step's number, from 0, and the loss, averaged over about a hundred steps.

    Raises
    ------
    DataError
        There is no step.
    """
    examples = Examples(corpus, theorems)
    torch.manual_seed(seed)
    network = Pointer(examples.vocabulary, shape or Shape())
    seen: list[float] = []

    def loss(batch) -> torch.Tensor:
        value = network.loss(*batch)
        if told is not None:
            seen.append(float(value.detach()))
            told(len(seen) - 1, sum(seen[-100:]) / len(seen[-100:]))
        return value

    torch.manual_seed(seed)  # of dropout
    train(network, examples, loss, steps=steps, lr=RATE, seed=seed, fused=True)
    about = {"learned": learned(corpus, theorems), "theorems": len(theorems), "steps": steps, "seed": seed}
    return Small(network, examples.vocabulary, about)


def learned(corpus: Corpus, theorems: Sequence[TracedTheorem]) -> str:
    """What pins a training part down: a hash over the corpus and the theorems with their steps."""
    text = repr([corpus.fingerprint, sorted(repr(theorem) for theorem in theorems)])
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def shipped(corpus: Corpus, theorems: Sequence[TracedTheorem], seed: int) -> Small | None:
    """The checkpoint of data/reprover that was trained on exactly this, or None."""
    for file in sorted((ROOT / "data" / "reprover" / "checkpoints").glob(f"*/{ABOUT}")):
        about = json.loads(file.read_text("utf-8"))
        if (about["learned"], about["seed"]) == (learned(corpus, theorems), seed):
            return opened(file.parent)
    return None


class Examples:
    """Training steps, and batches of them: (source, what was written so far, its parts, the next pieces)."""

    def __init__(self, corpus: Corpus, theorems: Sequence[TracedTheorem]) -> None:
        steps = [(one, step) for one in theorems for step in one.tactics if len(written(step.tactic)) < LONGEST]
        if not steps:
            raise DataError("the training part has no tactic, so no generator can be trained; give more theorems")
        questions = [Question(step.state_before, one.file_path, one.start) for one, step in steps]
        near = top(corpus, questions, retriever("bm25", corpus), PREMISES)
        self._near = [[premise_of(premise) for premise, _ in some] for some in near]
        self._own = [[premise_of(corpus.premises[n]) for n in sorted(corpus.numbers(step))] for _, step in steps]
        self._goals = [goal_of(step.state_before) for _, step in steps]
        self._tactics = [written(step.tactic) for _, step in steps]
        self._kinds = [names_by_kind(step.state_before) for _, step in steps]
        texts = [*self._goals, *(premise_of(premise) for premise in corpus.premises)]
        wanted = [piece for tactic in self._tactics for piece in tactic]
        self._drawn: list = []
        self.vocabulary = Vocabulary.of([piece for text in texts for piece in text], wanted)

    def __call__(self, generator: torch.Generator):
        if not self._drawn:
            count = BATCH * SORTED
            pairs = [self._pair(n, generator) for n in torch.randint(len(self._goals), (count,), generator=generator)]
            pairs.sort(key=lambda pair: len(pair[0].pieces))
            cut = [pairs[first : first + BATCH] for first in range(0, count, BATCH)]
            self._drawn = [cut[place] for place in torch.randperm(SORTED, generator=generator)]
        sources, tactics = zip(*self._drawn.pop())
        return self._numbered(sources, tactics)

    def _pair(self, number: int, generator: torch.Generator) -> tuple[Source, list[str]]:
        """A step's source and tactic, with premises dropped and names exchanged at random."""

        def chance() -> float:
            return float(torch.rand((), generator=generator))

        names: dict[str, str] = {}
        if chance() < EXCHANGED:
            for group in self._kinds[number]:
                order = torch.randperm(len(group), generator=generator).tolist()
                names |= dict(zip(group, (group[place] for place in order)))
        some = list(self._near[number])
        for own in self._own[number]:
            if chance() < SHOWN:
                some = [one for one in some if one != own]
                some.insert(int(chance() ** 2 * PREMISES), own)  # the first ranks are the likeliest
        some = [one for one in some[:PREMISES] if chance() >= DROPPED]
        goal, tactic = ([names.get(piece, piece) for piece in text[number]] for text in (self._goals, self._tactics))
        return source_of(goal, some), tactic

    def _numbered(self, sources: Sequence[Source], tactics: Sequence[list[str]]):
        source, vocabulary = tensors_of(self.vocabulary, sources), self.vocabulary
        longest = max(map(len, tactics)) + 1
        pieces, parts = torch.full((len(tactics), longest), PAD), torch.zeros(len(tactics), longest, PARTS).long()
        wanted = torch.full((len(tactics), longest), PAD)
        for row, tactic in enumerate(tactics):
            numbers = [vocabulary.number(piece) for piece in tactic]
            new = {piece: len(vocabulary) + at for at, piece in enumerate(source.new[row])}
            aims = [new.get(piece, UNKNOWN) if n == UNKNOWN else n for piece, n in zip(tactic, numbers)]
            pieces[row, : len(tactic) + 1] = torch.tensor([START, *numbers])
            if tactic:
                parts[row, 1 : len(tactic) + 1] = torch.tensor([vocabulary.parts_of(piece) for piece in tactic])
            wanted[row, : len(tactic) + 1] = torch.tensor([*aims, END])
        return source, pieces, parts, wanted
