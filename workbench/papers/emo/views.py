"""What notebook and widget show: comparisons over seeds, and the two losses' pulls after one context."""

import numpy as np
import pandas as pd
import torch

from workbench.errors import UsageError
from workbench.models import require
from workbench.results import Results
from workbench.stats import Estimate, paired_test

from .experiment import LABELS
from .head import output_head
from .loss import loss_by, normalised
from .settings import variant as _variant

MEASURES = ("validity", "oracle_nll", "forward_ce", "reverse_ce", "entropy", "distinct_2")
WRITING = ("entropy", "distinct_2", "repeated")
CONTEXTS = (
    "SHALLOW. Sir Hugh, persuade me| not",
    "FALSTAFF. I will not lend thee a| penny",
    "The opposite of hot is| cold",
    "She put the milk back into the| fridge",
    "The capital of France is| Paris",
    "Two plus two equals| four",
)  # text | the token that comes


def at_one(results: Results):
    """`run_grammar` at temperature 1: a row a method, each measure as an Estimate over the seeds (None: no number)."""
    one = results.of(temperature="1")
    return pd.DataFrame({m: one.table(m) for m in MEASURES}).rename_axis("method")


def against_mle(results: Results):
    """Paired differences from cross-entropy at temperature 1 over the seeds: a row a method, an Estimate a measure.

    Seeds where one of the two has no number are left out; where none is left there is None.
    """
    one = results.of(temperature="1")
    methods = [name for name in one.arms if name != "mle"]
    table = {m: {name: one.added(name, "mle", m) for name in methods} for m in MEASURES}
    return pd.DataFrame(table).rename_axis("method")


def prose_table(windows: Results):
    """`finetune`'s rows summed up: a row a loss; perplexities and statistics as Estimates over the held-out windows.

    A perplexity is exp of the mean nats a token, and so are the ends of its interval.
    """
    chosen = {loss: sorted({t for t in windows.of(loss).values("temperature") if t == t}) for loss in windows.arms}
    table = {
        "perplexity": {loss: e and _exp(e) for loss, e in windows.table("nll").items()},
        "perplexity_tuned": {loss: e and _exp(e) for loss, e in windows.table("nll_tuned").items()},
        "temperature": {loss: "/".join(f"{t:g}" for t in some) or None for loss, some in chosen.items()},
    }
    return pd.DataFrame(table | {m: windows.table(m) for m in WRITING}).rename_axis("loss")


def _exp(e: Estimate) -> Estimate:
    return Estimate(*(None if x is None else float(np.exp(x)) for x in (e.value, e.low, e.high)), e.n)


def prose_differences(windows: Results, loss: str, other: str = "mle") -> dict:
    """``loss`` minus ``other`` on the same held-out windows: {measure: Estimate}."""
    units = dict.fromkeys(("nll", "nll_tuned", "entropy"), "nats/token")
    return {m: windows.added(loss, other, m, unit=units.get(m, "")) for m in ("nll", "nll_tuned", *WRITING)}


def at_equal_validity(results: Results, method: str):
    """Does ``method`` at temperature 1 beat cross-entropy *cooled until it is as valid*?

    For each seed, cross-entropy's sweep is interpolated (linearly, in validity) at the validity the method has at
    temperature 1; the difference is forward CE of cooled MLE minus forward CE of the method: above 0, the method is
    better at equal validity. Seeds whose validity lies outside the sweep, or whose sweep hardly moves validity (an
    untrained model), cannot be compared and are left out.

    Returns
    -------
    (stats.Paired or None, int)
        The paired comparison over the seeds (None with fewer than two), and how many seeds were comparable.
    """
    ours, theirs = [], []
    for row in results.of(method, temperature="1").rows:
        sweep = [one.measures for one in results.of("mle").rows if one.seed == row.seed]
        validity, forward = zip(*sorted((one["validity"], one["forward_ce"]) for one in sweep))
        if validity[-1] - validity[0] > 0.05 and validity[0] <= row.measures["validity"] <= validity[-1]:
            ours.append(row.measures["forward_ce"])
            theirs.append(float(np.interp(row.measures["validity"], validity, forward)))
    return (paired_test(theirs, ours, unit="nats/token") if len(ours) > 1 else None), len(ours)


def verdict(results: Results, windows: Results, model: str, variant: str) -> str:
    """What `run_grammar` and `finetune` found on the paper's claim: two sentences that follow from their numbers."""
    compared = []
    for loss in [name for name in results.arms if name.startswith("emo")] or [variant]:
        paired, n = at_equal_validity(results, loss)
        found = f"{paired.difference} ({paired.difference.says('better', 'worse')}" if paired else "(not comparable"
        compared.append(f"{LABELS.get(loss, loss)} {found}, seeds: {n})")
    prose = prose_differences(windows, variant)["nll_tuned"]
    written = f"{prose} ({prose.says('worse', 'better')}, windows: {prose.n})" if prose else "(not comparable)"
    return (
        f"On the grammar (TinyGPT, {variant}), forward cross-entropy of MLE cooled to the same validity minus that of "
        f"the loss: {'; '.join(compared)}. On prose ({model}, LoRA, each at the temperature that suits it), nats a "
        f"token of {variant} minus cross-entropy's: {written}."
    )


def pull(model, context: str, *, variant: str = "emo1_adaptive", temperature: float = 1.0, top: int = 12):
    """What cross-entropy and EMO do to each token's logit after one context.

    Parameters
    ----------
    model : Model
        A local handle; its head is the cost embedding.
    context : str
        Text, a bar, and the text that comes: its first token is the target ("The capital of France is| Paris").
    variant : str
        An EMO variant's name; a baseline is shown too, but has no costs of its own (those of the head are shown).
    temperature : float
        The logits are divided by it before either loss sees them.
    top : int
        The target and the ``top`` most probable other tokens.

    Returns
    -------
    pandas.DataFrame
        token, p (probability), cost (1 - cosine to the target), ce and emo: minus the gradient of the loss by the
        logit, i.e. the pull of one step of descent (above 0: up). The first row is the target.
    """
    require(model, "gradient", for_="EMO's costs, which are distances between rows of the head")
    text, bar, comes = context.partition("|")
    if not bar or not text.strip() or not comes:
        raise UsageError(f"context {context!r} needs a bar before the token that comes, as in 'The sky is| blue'")
    if not 0.05 <= temperature <= 20:
        raise UsageError(f"temperature={temperature} must lie between 0.05 and 20")
    target = model.token_ids(comes, start=False)[:1]
    logits = model.next_logprobs(text)[-1].float().cpu() / temperature
    weight = output_head(model).weight.detach().cpu().float()[: len(logits)]
    pulls = {}
    for name, settings in (("ce", {"form": "ce"}), ("emo", _variant(variant).settings)):
        z = logits[None].clone().requires_grad_()
        loss = loss_by(settings, z, torch.tensor(target), weight, shift=False)
        pulls[name] = -torch.autograd.grad(loss, z)[0][0]
    unit, q = normalised(weight), torch.softmax(logits, 0)
    order = [target[0], *[i for i in q.topk(top + 1).indices.tolist() if i != target[0]][:top]]
    columns = {"p": q, "cost": 1 - unit @ unit[target[0]], **pulls}
    tokens = [repr(model.tokenizer.decode([i]))[1:-1] for i in order]
    return pd.DataFrame({"token": tokens} | {name: values[order].tolist() for name, values in columns.items()})
