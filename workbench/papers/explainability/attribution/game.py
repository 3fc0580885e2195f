"""What a model says of a prompt when some of its tokens are gone: the loop under every perturbation method.

A coalition is the set of tokens that stay. The perturbed prompts are deduplicated and sorted, so that prompts equal up
to their first changed token lie beside each other; the shared-prefix engine (`models.prefix`) computes each common
beginning once and many coalitions in one forward, each seeing exactly its own tokens. Only the rows that predict the
target get logits. Equal to one forward a coalition to 1e-4 (tests, benchmark).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakSet

import numpy as np

from ....errors import ModelError, UsageError
from ....models.base import say
from ..tokens import Question, ask, baseline_token, check_removal, pieces, read_prompt

CHUNK = (
    448  # new tokens in one forward: above, the tree mask's quadratic share grows; below, the multiplications shrink
)
_literal: WeakSet = WeakSet()  # modules that cannot share prefixes (said once)


@dataclass
class Cost:
    """What an explanation took: distinct inputs evaluated, tokens the model computed, wall-clock seconds."""

    evaluations: int = 0
    tokens: int = 0
    seconds: float = 0.0


class Game:
    """The cooperative game of a prompt's tokens: coalition -> the explained quantity.

    Values are remembered by perturbed prompt for the life of the game, so no coalition is paid for twice. A game reads
    the model's weights as they are when it is made: make a new one after changing them.

    Parameters
    ----------
    question : Question
    removal : "replace" or "delete"
    baseline : str, int or None
        The replacing token (`baseline_token`).
    progress : bool
        Show a bar.
    """

    def __init__(self, question: Question, *, removal: str = "replace", baseline=None, progress: bool = False):
        check_removal(removal)
        self.question, self.removal, self.progress = question, removal, progress
        self.token = baseline_token(question.model, baseline)
        self.cost = Cost()
        self.tree = _tree(question.model)
        self._known: dict[tuple[int, ...], float] = {}

    @property
    def free(self) -> list[int]:
        """Positions that can be removed, in order: the players."""
        return self.question.free

    def of(self, stays) -> np.ndarray:
        """Values of coalitions of players.

        Parameters
        ----------
        stays : (M, P) bool
            Over ``free`` alone: True where the token stays.

        Returns
        -------
        (M,) float64
        """
        stays = np.atleast_2d(np.asarray(stays, dtype=bool))
        masks = np.ones((len(stays), len(self.question.ids)), dtype=bool)
        masks[:, self.free] = stays
        return self.values(masks)

    def values(self, masks) -> np.ndarray:
        """Values of coalitions given over all of the prompt's tokens: (M, n) bool -> (M,) float64."""
        began = time.perf_counter()
        ids = self.question.ids
        keys = [tuple(perturbed(ids, mask, self.removal, self.token)) for mask in masks]
        if not all(keys):
            raise UsageError("a coalition deletes every token of the prompt: keep one, or use removal='replace'")
        self._evaluate(sorted({key for key in keys if key not in self._known}))
        self.cost.seconds += time.perf_counter() - began
        return np.array([self._known[key] for key in keys], dtype=float)

    def ends(self) -> tuple[float, float]:
        """(value of the whole prompt, value with every free token removed)."""
        value, baseline = self.of([[True] * len(self.free), [False] * len(self.free)])
        return float(value), float(baseline)

    def _evaluate(self, sequences: list[tuple[int, ...]]) -> None:
        from ....bars import tqdm

        before = self.tree.counters.tokens
        with tqdm(total=len(sequences), disable=not self.progress, desc="coalitions", leave=False) as bar:
            for part in self._parts(sequences):
                self._known.update(zip(part, self._read(part), strict=True))
                bar.update(len(part))
        self.cost.evaluations += len(sequences)
        self.cost.tokens += self.tree.counters.tokens - before

    def _parts(self, sequences):
        """Neighbours that add at most CHUNK tokens and need no more rows of logits than fit."""
        extra = sum(len(text) - 1 for text in self.question.texts)
        rows = max(1, self.tree.most_rows // 4 // (1 + extra))
        part, size, last = [], 0, ()
        for sequence in sequences:
            added = len(sequence) - _common(last, sequence) + extra
            if part and (size + added > CHUNK or len(part) >= rows):
                yield part
                part, size = [], 0
            part.append(sequence)
            size, last = size + added, sequence
        if part:
            yield part

    def _read(self, sequences) -> list[float]:
        """The quantity after each of ``sequences``."""
        import torch

        place: dict = {}  # node -> row of logits
        wanted = []  # sequence -> text -> [(row, token)]
        for sequence in sequences:
            start, texts = self.tree.node(sequence), []
            for text in self.question.texts:
                node, steps = start, []
                for token in text:
                    steps.append((place.setdefault(node, len(place)), token))
                    node = self.tree.extend(node, [token]) if len(steps) < len(text) else node
                texts.append(steps)
            wanted.append(texts)
        logits = self.tree.logits(list(place))  # (R, V)
        rows = torch.tensor([row for texts in wanted for steps in texts for row, _ in steps], device=logits.device)
        tokens = torch.tensor(
            [token for texts in wanted for steps in texts for _, token in steps], device=logits.device
        )
        normal = logits.logsumexp(dim=-1)
        found = iter((logits[rows, tokens] - normal[rows]).double().tolist())
        return [
            combine(self.question.quantity, *(sum(next(found) for _ in steps) for steps in texts)) for texts in wanted
        ]


def combine(quantity: str, target, foil=None):
    """The explained quantity from the summed log-probabilities of target and foil (numbers, arrays or tensors)."""
    if quantity == "probability":
        return target.exp() if hasattr(target, "exp") else np.exp(target)
    return target if foil is None else target - foil  # for single tokens the difference of their logits


def coalition_values(
    model, prompt, target, masks, *, foil=None, quantity=None, removal="replace", baseline=None, keep_first=True,
    progress=False,
) -> np.ndarray:  # fmt: skip
    """The explained quantity for given coalitions of a prompt's tokens.

    Parameters
    ----------
    model, prompt, target, foil, quantity, removal, baseline, keep_first
        As in `attribute`.
    masks : (M, n) or (n,) bool
        Over all tokens of the prompt (`read_prompt` gives them): True where the token stays.
    progress : bool
        Show a bar.

    Returns
    -------
    (M,) float64

    Raises
    ------
    UsageError
        Masks of another width, a mask that removes the first token while it is held, or one that deletes everything.
    """
    question = ask(model, prompt, target, foil=foil, quantity=quantity, keep_first=keep_first)
    masks = _masks(masks, len(question.ids))
    for place in question.held:
        if not masks[:, place].all():
            raise UsageError(
                f"a mask removes token {place} ({question.tokens[place]!r}), which is held fixed as the "
                "attention sink: keep it, or give keep_first=False"
            )
    return Game(question, removal=removal, baseline=baseline, progress=progress).values(masks)


def masked_ids(model, prompt, mask, *, removal="replace", baseline=None) -> list[int]:
    """The token ids of a prompt without the tokens where ``mask`` (n,) is False: replaced or deleted."""
    ids = read_prompt(model, prompt).ids
    check_removal(removal)
    return perturbed(ids, _masks(mask, len(ids))[0], removal, baseline_token(model, baseline))


def next_tokens(model, ids: Sequence[int], k: int = 5) -> list[tuple[str, float]]:
    """The ``k`` most probable tokens after ``ids``: (text, probability), most probable first."""
    import torch

    if len(ids) < 1:
        raise UsageError("there is nothing to go on from: keep at least one token")
    with torch.inference_mode():
        tokens = torch.tensor([list(ids)], device=model.device)
        chances = model.module(input_ids=tokens, use_cache=False, logits_to_keep=1).logits[0, -1].float().softmax(-1)
    found = chances.topk(min(k, len(chances)))
    return [
        ("".join(pieces(model, [token], ids)), chance)
        for token, chance in zip(found.indices.tolist(), found.values.tolist(), strict=True)
    ]


def perturbed(ids: Sequence[int], mask, removal: str, token: int) -> list[int]:
    """``ids`` with the places where ``mask`` is False replaced by ``token``, or deleted."""
    if removal == "delete":
        return [one for one, stays in zip(ids, mask, strict=True) if stays]
    return [one if stays else token for one, stays in zip(ids, mask, strict=True)]


def _masks(masks, width: int) -> np.ndarray:
    masks = np.atleast_2d(np.asarray(masks, dtype=bool))
    if masks.ndim != 2 or masks.shape[1] != width:
        raise UsageError(f"masks has the shape {masks.shape}, but the prompt has {width} tokens: give (M, {width})")
    return masks


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning."""
    for place, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return place
    return min(len(a), len(b))


def _tree(model):
    """A prefix tree of this game's own (a shared one could hold what the weights were before they were changed)."""
    from ....models.prefix.tree import PrefixTree

    if model.module not in _literal:
        try:
            return PrefixTree(model)
        except ModelError as error:
            say(f"{error}; its coalitions are evaluated one by one")
            _literal.add(model.module)
    return PrefixTree(model, reuse=False)
