"""Does EMO help? Small models fine-tuned on a language whose true distribution is known (`grammar`), one a loss.

Pretrained on loose sentences, then fine-tuned on a few strict ones, all with the same batches. The control that the
paper's reviewers asked for: EMO sharpens, and so does a lower temperature, hence every model is sampled over a sweep of
temperatures and compared with cross-entropy *at equal validity*.
"""

import copy
import time
from functools import lru_cache, partial
from itertools import pairwise, product

import numpy as np
import torch

from workbench import training
from workbench.results import Results
from workbench.rows import Row

from ...bars import tqdm
from . import grammar
from .grammar import END, LONGEST, START, VOCABULARY, automaton, log_probability, states
from .loss import loss_by
from .settings import PROFILES, variant as _variant

COHERENCE = 0.8  # of the loose sentences
PRETRAIN_LR, LR = 4e-3, 1e-3
SMOOTHING = 1e-4  # of the oracle, so that the cost of an impossible sentence is finite in the reverse cross-entropy
LABELS = {
    "mle": "cross-entropy (MLE)", "label_smoothing": "label smoothing", "tvd": "TVD", "mixce": "MixCE",
    "emo_head": "EMO, own head", "emo_ppmi_same": "EMO, PPMI of the same sentences", "emo_ppmi": "EMO, PPMI of 8,000",
}  # fmt: skip


class TinyGPT(torch.nn.Module):
    """Two pre-norm layers of width 64 with a tied head: tokens (B, T) -> logits (B, T, V)."""

    def __init__(self, width=64):
        super().__init__()
        self.table = torch.nn.Embedding(VOCABULARY, width)
        self.place = torch.nn.Parameter(torch.zeros(LONGEST, width))
        layer = torch.nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, 2, torch.nn.LayerNorm(width), enable_nested_tensor=False)
        torch.nn.init.normal_(self.table.weight, std=0.05)

    def forward(self, tokens):
        t = tokens.shape[1]
        mask = torch.full((t, t), float("-inf")).triu(1)
        x = self.layers(self.table(tokens) + self.place[:t], mask=mask, is_causal=True)  # (B, T, width)
        return x @ self.table.weight.T


def labels_of(tokens):
    """Labels (B, T) for ``tokens``: everything after the first END is ignored."""
    after = (tokens == END).cumsum(1) - (tokens == END).long() > 0
    return torch.where(after, -100, tokens)


def ppmi_embedding(tokens: np.ndarray, width: int = 32) -> torch.Tensor:
    """Word vectors of ``tokens`` (n, T): the truncated SVD of positive pointwise mutual information within a sentence.

    Returns (V, width + 1): a word that does not occur has the zero vector (cost 1 to all), END an axis of its own.
    """
    present = np.zeros((len(tokens), VOCABULARY))
    np.add.at(present, (np.arange(len(tokens))[:, None], tokens), 1)
    present[:, [START, END]] = 0
    together = present.T @ present
    np.fill_diagonal(together, 0)
    total, each = together.sum(), together.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.log(together * total / np.outer(each, each))
    left, values, _ = np.linalg.svd(np.where(together > 0, np.maximum(pmi, 0), 0.0))
    vectors = np.where(each[:, None] > 0, left[:, :width] * np.sqrt(values[:width]), 0.0)  # not the SVD's 1e-17
    end = np.eye(VOCABULARY)[:, [END]]
    return torch.tensor(np.hstack([vectors, end]), dtype=torch.float32)


def train(model, tokens, steps: int, seed: int, *, settings: dict, cost=None, batch=32, lr=LR):
    """Train ``model`` in place for ``steps`` batches of ``tokens`` (n, T), drawn by ``seed`` alone.

    settings: keyword arguments of `emo_loss` or `baseline_loss`; cost: the cost embedding, "head" for the model's own.
    """
    tokens = torch.as_tensor(tokens)

    def loss(rows):
        return loss_by(settings, model(rows), labels_of(rows), model.table.weight if isinstance(cost, str) else cost)

    return training.train(model, training.rows_of(tokens, batch), loss, steps=steps, lr=lr, seed=seed, fused=True)


@torch.no_grad()
def sample(model, n: int, temperature: float, seed: int) -> np.ndarray:
    """``n`` sentences, (n, LONGEST), by pure sampling at ``temperature``."""
    generator = torch.Generator().manual_seed(seed)
    out = torch.full((n, LONGEST), END)
    out[:, 0] = START
    alive = torch.arange(n)
    for t in range(1, LONGEST):
        q = torch.softmax(model(out[alive, :t])[:, -1] / temperature, -1)
        uniform = torch.rand(n, 1, generator=generator)[alive]  # each sentence its own stream of numbers
        drawn = (q.cumsum(1) < uniform * q.sum(1, keepdim=True)).sum(1).clamp(max=VOCABULARY - 1)
        out[alive, t] = drawn
        alive = alive[drawn != END]
        if not len(alive):
            break
    return out.numpy()


@torch.no_grad()
def measure(logits, held_out, samples: np.ndarray, temperature: float) -> dict:
    """What one model at one temperature is worth against the exact grammar; nats a token where not said otherwise.

    ``logits`` (n, T, V): the model's on ``held_out`` (n, T), made once for all temperatures.
    """
    log_q = torch.log_softmax(logits / temperature, -1)[:, :-1]
    state = states(held_out)[:, :-1]
    real = torch.as_tensor(labels_of(torch.as_tensor(held_out))[:, 1:] != -100)
    p = torch.tensor(automaton()[0], dtype=torch.float32)[torch.as_tensor(state)]  # exact, (n, T-1, V)
    count = real.sum()
    exact = log_probability(samples)
    valid = np.isfinite(exact)
    lengths = (samples != END).sum(1)  # tokens after START, the END included
    grams = {tuple(pair) for row, k in zip(samples, lengths) for pair in pairwise(row[: k + 1])}
    return {
        "validity": float(valid.mean()),
        "oracle_nll": float(-exact[valid].sum() / lengths[valid].sum()) if valid.any() else float("nan"),
        "forward_ce": float((-(p * log_q).sum(-1) * real).sum() / count),
        "reverse_ce": float(-log_probability(samples, smoothing=SMOOTHING).sum() / lengths.sum()),
        "entropy": float((-(log_q.exp() * log_q).sum(-1) * real).sum() / count),
        "distinct_2": len(grams) / int(lengths.sum()),
    }


def methods(variant: str = "emo1_adaptive") -> dict:
    """The losses compared: name -> (settings, cost embedding: None, "head", "same" or "large").

    An EMO variant appears with three cost embeddings; a baseline is among the others already.
    """
    chosen = _variant(variant)
    table = {"mle": ({"form": "ce"}, None)}
    table |= {name: (_variant(name).settings, None) for name in ("label_smoothing", "tvd", "mixce")}
    if chosen.is_emo:
        table["emo_head"] = (chosen.settings, "head" if chosen.cost_embedding == "head" else "start")
        table["emo_ppmi_same"] = (chosen.settings, "same")
        table["emo_ppmi"] = (chosen.settings, "large")
    return table


def run_grammar(
    *, seeds, pretrain_steps, steps, sentences, samples, temperatures, mle_temperatures=(), seed=0,
    variant="emo1_adaptive", progress=False,
) -> Results:  # fmt: skip
    """The whole experiment.

    Parameters
    ----------
    seeds : int
        Repetitions; each has its own strict sentences, batches and samples, shared by all losses. The pretrained model
        is one for all, as it is when people fine-tune: the intervals are for a given pretrained model.
    pretrain_steps, steps : int
        Training steps on loose and on strict sentences.
    sentences, samples : int
        Strict sentences to learn from; sentences sampled from each model at each temperature.
    temperatures, mle_temperatures : list of float
        Every loss's sweep; 1.0 is added where missing. The further temperatures that cross-entropy alone is sampled at:
        it is the control, so its curve is the finer one.
    progress : bool
        Show a bar that counts trainings.

    Returns
    -------
    Results
        Arms are `methods`, items the temperatures (a label too: "temperature"), measures those of `measure`; a unit is
        a seed. Costs: "seconds" (CPU) of the arm's training.

    Raises
    ------
    UsageError
        A size that makes no sense.
    """
    sweep = sorted({1.0, *temperatures})
    finer = sorted({*sweep, *mle_temperatures})
    PROFILES.check({"seeds": seeds, "sentences": sentences, "samples": samples, "temperatures": finer})
    settings = [pretrain_steps, steps, sentences, samples, seed, variant]
    results = Results("the grammar", model="TinyGPT", settings=settings)
    start = lru_cache(maxsize=1)(partial(pretrained, seed, pretrain_steps))  # only where a row is missing

    def make(missing):
        (name, _, repetition), first, began = missing[0], start(), time.process_time()
        base = 1000 * (seed + 1) + repetition
        strict, large, held_out = (grammar.sentences(k, base * 10 + i) for i, k in enumerate((sentences, 8000, 400)))
        (form, kind), head = methods(variant)[name], first.table.weight.detach().clone()
        knows = {"same": strict, "large": large}
        cost = ppmi_embedding(knows[kind]) if kind in knows else head if kind == "start" else kind
        model = train(copy.deepcopy(first), strict, steps, base, settings=form, cost=cost)
        spent = {"seconds": time.process_time() - began}
        with torch.no_grad():
            logits = model(torch.as_tensor(held_out))
        for _, item, _ in missing:
            values = measure(logits, held_out, sample(model, samples, float(item), base + 7), float(item))
            yield Row(name, item, repetition, f"seed {repetition}", values, {"temperature": item}, cost=spent)

    trained = list(product(range(seeds), methods(variant)))
    for repetition, name in tqdm(trained, desc=results.name, unit="training", disable=not progress, leave=False):
        keys = [(name, f"{t:g}", repetition) for t in (finer if name == "mle" else sweep)]
        results.compute(keys, make, together=True)
    return results


def pretrained(seed: int, steps: int) -> TinyGPT:
    """The model all fine-tuning starts from: ``steps`` batches of loose sentences."""
    torch.manual_seed(seed)
    loose = grammar.sentences(20000, 10**6 + seed, coherence=COHERENCE)
    return train(TinyGPT(), loose, steps, seed, settings={"form": "ce"}, lr=PRETRAIN_LR)
