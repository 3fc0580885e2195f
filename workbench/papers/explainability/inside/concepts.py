"""Concept vectors: read a concept from the residual stream, and steer the model along it.

The vector is the difference of the mean stream at the last token between texts with the concept and texts without it
(difference of means; the representation-engineering line of work and concept activation vectors do alike). Reading
projects a text's stream on it; steering adds ``strength`` times the distance between the two means at every position.
A direction is only a concept if it does more than any direction of the same length: `dose_response` therefore always
has random directions beside it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from ....errors import UsageError
from ....results import Results
from ....rows import Row
from ..blocks import Anatomy, anatomy, checked_layers, edited_stream, last_stream, recorded
from ..tokens import answer_tokens, continuation, prompt_ids, token_texts
from .patching_engine import plain_run, resumes, through

STRENGTHS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
ROW_TOKENS = 2048  # tokens of one batch of steered rows


@dataclass(frozen=True)
class Concept:
    """A direction in the stream.

    Attributes
    ----------
    name : str
    layer : int
        0 is the embedding, i the stream after block i.
    vector : (H,) float32
        Of length 1, pointing from the texts without the concept to those with it.
    scale : float
        Distance between the two means: strength 1 moves the stream so far.
    midpoint : float
        Projection half-way between the two means: `read_concept` counts from there.
    """

    name: str
    layer: int
    vector: np.ndarray
    scale: float
    midpoint: float


@dataclass(frozen=True)
class Steered:
    """Next tokens under steering: probability (S, A) of the answers' first tokens, and the likeliest tokens."""

    prompt: str
    strengths: tuple[float, ...]
    answers: tuple[str, ...]
    probability: np.ndarray
    top: tuple[tuple[tuple[str, float], ...], ...]


def concept_vector(
    model, positive: Sequence[str], negative: Sequence[str], *, layer: int | None = None, name: str = ""
) -> Concept:
    """The direction from ``negative`` texts to ``positive`` ones in the stream at the last token.

    Parameters
    ----------
    model : Model
        Needs "hidden" and weights in this process.
    positive, negative : sequence of str
        Texts with and without the concept; pairs that differ in it alone are best.
    layer : int, optional
        Default: two thirds of the way up.

    Raises
    ------
    UsageError
        No texts on one side, an unknown layer, or two sides with the same mean.
    """
    if isinstance(positive, str) or isinstance(negative, str) or not len(positive) or not len(negative):
        raise UsageError("a concept needs two lists of texts, with and without it: give at least one text on each side")
    parts = anatomy(model, for_="a concept vector")
    depth = len(parts.blocks)
    layer = checked_layers([round(depth * 2 / 3) if layer is None else layer], 0, depth, model.name)[0]
    states = last_stream(model, [*positive, *negative], (layer,), what="a concept vector")[0]  # (N, H)
    means = states[: len(positive)].mean(0), states[len(positive) :].mean(0)
    scale = float(np.linalg.norm(means[0] - means[1]))
    if scale < 1e-8:
        raise UsageError("the texts with and without the concept have the same mean: give texts that differ in it")
    vector = (means[0] - means[1]) / scale
    return Concept(name, layer, vector, scale, float((means[0] + means[1]) @ vector / 2))


def read_concept(model, concept: Concept, texts: Sequence[str]) -> np.ndarray:
    """Where each text's last token lies along the concept: (N,), 0 half-way between the means, positive with it."""
    if isinstance(texts, str):
        raise UsageError("a concept is read from a list of texts, not from one text: write [text]")
    _fits(model, concept, anatomy(model, for_="reading a concept"))
    states = last_stream(model, list(texts), (concept.layer,), what="reading a concept")[0]
    return states @ concept.vector - concept.midpoint


def random_concept(concept: Concept, *, seed: int = 0) -> Concept:
    """A random direction (Gaussian) with the layer and scale of ``concept``: what any direction would do."""
    vector = np.random.default_rng(seed).normal(size=len(concept.vector))
    vector = (vector / np.linalg.norm(vector)).astype(concept.vector.dtype)
    return Concept("a random direction", concept.layer, vector, concept.scale, 0.0)


@contextmanager
def steering(model, concept: Concept, strength: float):
    """Inside the block the model's stream is moved ``strength`` distances along the concept at every position.

    ``model.generate`` and all other calls are steered; afterwards the model is as before. Strength 0 changes nothing.
    """
    import torch

    parts = anatomy(model, for_="steering")
    _fits(model, concept, parts)
    _checked([strength])
    move = torch.as_tensor(concept.vector * concept.scale * float(strength))
    with edited_stream(parts, concept.layer, lambda stream: stream + move.to(stream) if strength else stream):
        yield


def steer_next(
    model, prompt: str, concept: Concept, strengths: Sequence[float], answers: Sequence[str], *, top_k: int = 5
) -> Steered:
    """Next-token probabilities after a prompt at several strengths, in one batch."""
    import torch

    parts = anatomy(model, for_="steering")
    _fits(model, concept, parts)
    _checked(strengths)
    if top_k < 1:
        raise UsageError(f"top_k={top_k}: give at least 1")
    ids = prompt_ids(model, prompt)
    wanted = [continuation(model, answer)[0] for answer in answers]
    moves = np.outer(np.asarray(strengths, dtype=float), concept.vector * concept.scale)
    with torch.inference_mode():
        logs = parts.read_out(_moved(model, parts, ids, concept.layer, moves)).log_softmax(-1)  # (S, V)
        best = logs.topk(min(top_k, logs.shape[-1]), dim=-1)
    top = tuple(
        tuple(zip(token_texts(model, row), values, strict=True))
        for row, values in zip(best.indices.tolist(), best.values.exp().tolist(), strict=True)
    )
    return Steered(prompt, tuple(strengths), tuple(answers), logs[:, wanted].exp().cpu().numpy(), top)


def dose_response(
    model,
    concept: Concept,
    prompts: Sequence[str],
    positive: str | Sequence[str],
    negative: str | Sequence[str],
    *,
    strengths: Sequence[float] = STRENGTHS,
    n_random: int = 10,
    seed: int = 0,
) -> Results:
    """Steer prompts at several strengths, along the concept and along random directions of the same length.

    Parameters
    ----------
    prompts : sequence of str
        At least two, that leave the concept open.
    positive, negative : str or one text a prompt
        Continuations (" good", " bad") whose logits are compared.
    n_random : int
        Random directions (Gaussian, scaled to the same length): the control.

    Returns
    -------
    Results
        Arms: the concept's name, and "random direction 1" and so on; items the prompts. Measures: logit(positive) -
        logit(negative) "at" each strength, and its "slope", the change for each unit of strength (least squares).

    Raises
    ------
    UsageError
        Fewer than two prompts or strengths, no random direction, or words with the same first token.
    """
    import torch

    if isinstance(prompts, str):
        raise UsageError("a dose-response needs a list of prompts, not one text: give two prompts or more")
    if len(prompts) < 2 or len(set(strengths)) < 2 or n_random < 1:
        raise UsageError(
            f"a dose-response needs two prompts, two strengths and a random direction, but got {len(prompts)}, "
            f"{len(set(strengths))} and {n_random}: give more"
        )
    words = [[w] * len(prompts) if isinstance(w, str) else list(w) for w in (positive, negative)]
    if any(len(w) != len(prompts) for w in words):
        raise UsageError(f"there are {len(prompts)} prompts: give one word for all, or as many words as prompts")
    parts = anatomy(model, for_="steering")
    _fits(model, concept, parts)
    _checked(strengths)
    random = np.random.default_rng(seed).normal(size=(n_random, len(concept.vector)))
    directions = np.vstack([concept.vector, random / np.linalg.norm(random, axis=1, keepdims=True)])  # (1 + R, H)
    doses = np.asarray(strengths, dtype=float)
    moves = (doses[None, :, None] * directions[:, None, :] * concept.scale).reshape(-1, directions.shape[1])
    away = doses - doses.mean()
    arms = [concept.name or "the concept", *(f"random direction {number + 1}" for number in range(n_random))]
    results = Results(
        "steering", model=model,
        settings=[concept.layer, concept.scale, concept.vector.tolist(), prompts, words, strengths, n_random],
    )  # fmt: skip

    def steered(place: int, _missing) -> Iterator[Row]:
        tokens = answer_tokens(model, words[0][place], words[1][place])
        with torch.inference_mode():
            logits = parts.read_out(_moved(model, parts, prompt_ids(model, prompts[place]), concept.layer, moves))
        found = (logits[:, tokens[0]] - logits[:, tokens[1]]).double().cpu().numpy().reshape(len(arms), len(doses))
        slopes = (found * away).sum(1) / (away**2).sum()
        for arm, row, slope in zip(arms, found, slopes, strict=True):
            measures = {"slope": slope, **{f"at {dose:g}": value for dose, value in zip(doses, row, strict=True)}}
            yield Row(
                arm, str(place), seed, "", measures, {"words": f"{words[0][place]} {words[1][place]}"}, prompts[place]
            )

    for place in range(len(prompts)):
        results.compute([(arm, str(place), seed) for arm in arms], partial(steered, place), together=True)
    return results


def _fits(model, concept: Concept, parts: Anatomy) -> None:
    """One sentence where a concept was read from another model."""
    width, depth = model.module.config.get_text_config(decoder=True).hidden_size, len(parts.blocks)
    if len(concept.vector) != width or not 0 <= concept.layer <= depth:
        raise UsageError(
            f"the concept has {len(concept.vector)} numbers at layer {concept.layer}, but {model.name} has states of "
            f"{width} and layers 0 to {depth}: make it with concept_vector on this model"
        )


def _checked(strengths: Sequence[float]) -> None:
    if not len(strengths) or not np.isfinite(np.asarray(strengths, dtype=float)).all():
        raise UsageError(f"strengths={strengths}: give at least one finite number")


def _moved(model, parts: Anatomy, ids: list[int], layer: int, moves: np.ndarray):
    """The last token's stream before the final norm, with each of ``moves`` (M, H) added at ``layer``: (M, H)."""
    import torch

    size = max(1, ROW_TOKENS // len(ids))
    shifts = [torch.as_tensor(some)[:, None] for some in np.split(moves, range(size, len(moves), size))]  # (B, 1, H)
    if not resumes(model, parts):  # what its blocks are handed fits no other rows: whole runs are all there is
        return torch.cat([_whole(model, parts, ids, layer, shift) for shift in shifts])
    run = plain_run(model, parts, ids)  # the blocks below are passed once; what is above them, with many rows at a time
    out = []
    for shift in shifts:
        state = run.streams[layer][None] + shift.to(run.streams)  # (B, T, H)
        for number in range(layer + 1, len(parts.blocks) + 1):
            state = through(parts, run, number, state)
        out.append(state[:, -1])
    return torch.cat(out)


def _whole(model, parts: Anatomy, ids: list[int], layer: int, shift):
    """`_moved` by forwards of the whole model: (B, H)."""
    import torch

    with (
        edited_stream(parts, layer, lambda stream: stream + shift.to(stream)),
        recorded(last=(parts.blocks[-1], "output")) as found,
    ):
        rows = torch.tensor([ids] * len(shift), device=model.device)
        model.module(input_ids=rows, use_cache=False, logits_to_keep=1)
    return found["last"][0][:, -1]
