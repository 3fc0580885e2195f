"""`attribute`: which tokens of a prompt speak for an answer, by every method of `settings.METHODS`.

The survey's local explanations by feature attribution (perturbation, gradient, surrogate, decomposition) and attention,
under one signature: same question, same baseline, same held token, so that results compare.
"""

import time
from collections.abc import Mapping, Sequence
from numbers import Integral

import numpy as np

from ....errors import UsageError
from ....models.base import require, say
from ..settings import METHODS, get_method
from ..tokens import MethodRefused, Question, ask, baseline_token, check_removal, local, pieces
from . import perturbation
from .game import Cost, Game
from .result import Attribution, random_scores


def attribute(
    model, prompt: str | Sequence[int], target: str | Sequence[int], *, method: str = "shapley", foil=None,
    quantity: str | None = None, samples: int | None = None, seed: int = 0, keep_first: bool = True,
    baseline: str | int | None = None, removal: str = "replace", layer: int | None = None, progress: bool = False,
) -> Attribution:  # fmt: skip
    """Score every token of a prompt by what it does for the target.

    Parameters
    ----------
    model : Model
        A local model ("gradient" in ``can`` for the gradient family and the decomposition).
    prompt : str, list of int, or list of messages
        Text, or token ids taken as they are.
    target : str or list of int
        What is explained: the text that follows, with its leading space. Of several tokens the log-probabilities are
        added up, each given the tokens before it.
    method : str
        A key of `METHODS`.
    foil : str or list of int, optional
        An answer to contrast with: "why the target rather than the foil?".
    quantity : str, optional
        "log_probability" (default), "probability", or "logit_difference" (default with a foil). "decomposition"
        explains the target's logit above the vocabulary's mean, or the logit difference, and no other.
    samples : int, optional
        Permutations (shapley), coalitions (kernel_shap, lime), draws (gradient_shap), steps (integrated_gradients; from
        128 on more are spent, up to nine times as many, where the path is rough).
        Shapley values are exact up to 10 free tokens, unless fewer evaluations are asked for.
    seed : int
        Every random choice follows from it.
    keep_first : bool
        Hold the first token fixed (its score is 0). It collects idle attention (the "attention sink"): without it a
        model reads every other token differently, and integrated gradients do not complete. The decomposition removes
        nothing, so there it has its share.
    baseline : str or int, optional
        What a removed token becomes: a text of exactly one token, or a token id; default `neutral_token`, in all
        families, so that they explain the same difference. The gradient family also takes "zero" and "mean", which are
        embeddings; from "zero" integrated gradients complete worse (norms make the way there rough).
    removal : "replace" or "delete"
        How perturbation methods remove a token.
    layer : int, optional
        Gradient family and decomposition: attribute to the states at 0 (the embedding) to depth; attention: that layer
        alone (from 1); rollout: up to that layer.
    progress : bool
        Show a bar.

    Returns
    -------
    Attribution

    Raises
    ------
    UsageError
        An unknown method, quantity, removal or layer; an empty prompt or target; a prompt of one held token or longer
        than the model reads; a layer for a method that has none; too few samples.
    ModelError
        A model without local weights, without gradients, or built as the method does not know.
    """
    info = get_method(method)
    local(model)
    require(model, info.needs, for_=info.title)
    check_removal(removal)
    if method == "decomposition" and quantity == "logit":
        quantity = None
    if method == "decomposition" and quantity in ("log_probability", "probability"):
        raise UsageError(
            f"decomposition hands back logits, not quantity={quantity!r}: leave quantity out, or give a foil"
        )
    question = ask(model, prompt, target, foil=foil, quantity=quantity, keep_first=keep_first)
    layer = _layer(model, info, layer)
    if not (isinstance(seed, Integral) and seed >= 0):
        raise UsageError(f"seed={seed!r}: give a whole number of at least 0")
    if samples is not None and not (isinstance(samples, Integral) and not isinstance(samples, bool) and samples >= 1):
        raise UsageError(f"samples={samples}: give a whole number of at least 1, or None for the method's default")
    began = time.perf_counter()
    if info.family in ("gradient", "decomposition"):
        found = _differentiate(info, question, samples, seed, baseline, layer)
    else:
        found = _play(info, question, samples, seed, baseline, removal, layer, progress)
    scores, value, base, cost, used = found
    cost.seconds = time.perf_counter() - began
    whole = value - base
    sums = info.family in ("perturbation", "surrogate") or info.complete
    gap = abs(float(scores.sum()) - whole) / max(abs(whole), 1e-12) if sums else None
    return Attribution(
        method=method, prompt=question.prompt, target=question.target, foil=question.foil,
        tokens=question.tokens, ids=question.ids, scores=scores, value=value, baseline=base, gap=gap, cost=cost,
        quantity="logit" if method == "decomposition" and foil is None else question.quantity,
        held=() if method == "decomposition" else question.held,
        removal="delete" if method == "occlusion_delete" else removal, layer=layer, seed=seed, samples=used,
        target_tokens=pieces(model, question.target_ids, question.ids), target_ids=list(question.target_ids),
    )  # fmt: skip


def compare(
    model, prompt, target, methods: Sequence[str] | None = None, *, samples: int | Mapping[str, int] | None = None,
    progress: bool = False, **options,
) -> dict[str, Attribution]:  # fmt: skip
    """Several methods on one question: {method: Attribution}, in the order asked for (default: all of `METHODS`).

    ``samples`` is one number, or one by method (`settings.sizes` makes them from a profile); ``options`` go to
    `attribute`. A method that is refused for this model is left out, which is said in a line; if all are, it is raised.
    """
    from ....bars import tqdm

    methods = list(METHODS) if methods is None else list(methods)
    for method in methods:
        get_method(method)
    count = samples.get if isinstance(samples, Mapping) else lambda method: samples
    bar = tqdm(methods, disable=not progress, leave=False)
    found: dict[str, Attribution] = {}
    for method in bar:
        try:
            found[method] = attribute(model, prompt, target, method=method, samples=count(method), **options)
        except MethodRefused as error:
            if not found and method == methods[-1]:
                raise
            say(f"{METHODS[method].title} is left out: {error}")
    return found


def _layer(model, info, layer):
    from ..blocks import checked_layers, depth

    if layer is None:
        return None
    if not info.layers:
        raise UsageError(f"{info.name} has no layers: leave layer={layer} out")
    least = 1 if info.family == "attention" else 0  # there is no attention at layer 0, the embedding
    return checked_layers([layer], least, depth(model), model.name)[0]


def _differentiate(info, question: Question, samples, seed, baseline, layer):
    used = (samples or info.samples) if info.samples else None
    if info.family == "decomposition":
        from .relevance import relevance

        scores, value, f = relevance(question, layer=layer or 0)
        base = 0.0
    else:
        from .gradients import gradient_scores

        scores, value, base, f = gradient_scores(
            info.name, question, layer=layer or 0, baseline=baseline, samples=used, seed=seed
        )
    return scores, value, base, Cost(f.rows, f.tokens), used


def _play(info, question: Question, samples, seed, baseline, removal, layer, progress):
    """Everything that reads a `Game`; attention and random scores only need its two ends."""
    if info.name == "occlusion_delete":
        removal = "delete"
    if baseline in ("zero", "mean"):  # embeddings: what they mean for a replaced token is the neutral one
        baseline_token(question.model, baseline)
    game = Game(question, removal=removal, baseline=baseline, progress=progress)
    value, base = game.ends()
    scores, used, extra = np.zeros(len(question.ids)), None, 0
    if info.family == "attention":
        from .attention import attention_scores

        scores, extra = attention_scores(info.name, question, layer=layer)
    elif info.name == "random":
        scores[game.free] = random_scores(len(game.free), seed)
    elif info.name == "shapley":
        scores[game.free], used = perturbation.shapley(game, samples=samples, default=info.samples, seed=seed)
    elif info.family == "surrogate":
        used = samples or max(info.samples, 2 * len(game.free) + 2)
        if info.name == "kernel_shap":
            used = min(used, max(1, 2 ** len(game.free) - 2))  # there are no more
        fitted = {"kernel_shap": perturbation.kernel_shap, "lime": perturbation.lime}[info.name]
        scores[game.free] = fitted(game, samples=used, seed=seed)
    else:
        scores[game.free] = perturbation.occlusion(game)
    cost = game.cost
    return scores, value, base, Cost(cost.evaluations + bool(extra), cost.tokens + extra), used
