"""Real text: LoRA on real prose, one loss against another, from the same adapters and the same batches.

Held-out likelihood is given at temperature 1 and at a temperature tuned for each model: a loss that merely sharpens is
found out. Everything is kept window by window, so that two losses are compared in pairs.
"""

import math
import time
from itertools import pairwise

import torch

from workbench import training
from workbench.data import folder
from workbench.errors import DataError
from workbench.models import require
from workbench.results import Results
from workbench.rows import Row
from workbench.tables import read_text

from .head import fuse, output_head, unfuse
from .settings import PROFILES, variant as _variant
from .trainer import EMOLoss

TRAIN, HELD_OUT = "merry_wives_acts_1_to_3.txt", "merry_wives_acts_4_and_5.txt"
THE_TEXT = "the play itself"  # the held-out text itself, where the models write
TEMPERATURES = tuple(round(0.6 + 0.05 * i, 2) for i in range(17))  # of the tuned likelihood
MEASURES = ("nll", "nll_tuned", "temperature", "entropy", "distinct_2", "repeated")
NEAR = 16  # tokens back that a repetition is looked for


def prose(name: str = TRAIN) -> str:
    """One of the two texts in data/emo/ (see its README.md for where they come from)."""
    return read_text(folder("emo") / name)


def windows(model, text: str, length: int) -> torch.Tensor:
    """``text`` as token windows, (n, length); the end that fills no window is left out."""
    ids = model.token_ids(text, start=False)
    if len(ids) < length:
        raise DataError(f"the text has {len(ids)} tokens, fewer than one window of {length}: choose a smaller window")
    return torch.tensor(ids[: len(ids) // length * length]).reshape(-1, length)


def finetune(
    model, *, steps, window, batch, held_out, generated, variant="emo1_adaptive", lr=3e-4, rank=8, seed=0,
    progress=False,
) -> Results:  # fmt: skip
    """LoRA on acts 1-3 with cross-entropy and with ``variant``; both measured on acts 4-5, beside the untouched model.

    Parameters
    ----------
    model : Model
        A local handle of `workbench.load` (any ``bits``); it is given back as it was.
    steps, batch, window : int
        Training steps, windows a step, tokens a window.
    held_out, generated : int
        Held-out windows; tokens generated after the first half of each.
    variant : str
        A name in `VARIANTS`.
    lr, rank : float, int
        Linear decay from lr; LoRA on every linear layer but the head, alpha = 2 rank.
    progress : bool
        Show a bar for each loss.

    Returns
    -------
    Results
        Items are the held-out windows, measures those of `evaluate`, the reply is the generation. Arms are "mle" and
        ``variant``, "untouched" (the model before training) and "the play itself": the words that really follow, which
        have statistics and no likelihood. Costs: "seconds" (CPU) of the arm's training and evaluation.
    """
    require(model, "gradient", for_="fine-tuning with EMO")
    _variant(variant)
    sizes = {"window": window, "batch": batch, "held_out": held_out, "generated": generated}
    PROFILES.check({"lora_steps": steps} | sizes)
    data = windows(model, prose(TRAIN), window)
    test = windows(model, prose(HELD_OUT), window)
    test = test[torch.linspace(0, len(test) - 1, min(held_out, len(test))).long()]
    follows = test[:, window // 2 :][:, :generated].tolist()  # what the models' generations stand for

    def make(missing):
        (name, *_), began = missing[0], time.process_time()
        if name == THE_TEXT:
            found = [_written(tokens) | {"text": model.tokenizer.decode(tokens)} for tokens in follows]
        elif name == "untouched":
            found = evaluate(model, test, generated, seed)
        else:
            with training.lora(model.module, rank, seed) as adapted:
                _train(adapted, data, name, steps=steps, batch=batch, lr=lr, seed=seed, progress=progress)
                found = evaluate(model, test, generated, seed)
        cost = {"seconds": time.process_time() - began}
        for i, (tokens, one) in enumerate(zip(test, found)):
            measures = {measure: one.get(measure, math.nan) for measure in MEASURES}
            prompt = model.tokenizer.decode(tokens[: window // 2])
            yield Row(name, f"window {i}", seed, "", measures, {}, prompt, one["text"], cost)

    results = Results("prose", model=model, settings=[steps, sizes, lr, rank])
    for name in dict.fromkeys((THE_TEXT, "untouched", "mle", variant)):
        results.compute([(name, f"window {i}", seed) for i in range(len(test))], make, together=True)
    return results


def _train(model, data, name: str, *, batch: int, **options) -> None:
    """Train the adapters with the loss ``name``; both losses are computed from hidden states."""
    criterion = None if name == "mle" else EMOLoss(name, head=output_head(model))
    head = fuse(model)

    def loss(ids):
        ids = ids.to(head.weight.device)
        hidden = model(input_ids=ids, use_cache=False).logits  # (B, T, H): the fused head hands its input on
        if criterion is not None:
            return criterion.from_hidden(hidden, ids)
        states = hidden[:, :-1].to(head.weight.dtype)
        logits = torch.nn.functional.linear(states, head.weight, head.bias).float()  # (B, T - 1, V)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())

    try:
        training.train(model, training.rows_of(data, batch), loss, **options)
    finally:
        unfuse(model)


@torch.no_grad()
def evaluate(model, test, generated: int, seed: int) -> list[dict]:
    """One row a held-out window: its likelihood, and what the model writes after its first half (pure sampling).

    Returns
    -------
    list of dict
        nll (nats a token, T = 1); temperature and nll_tuned: the temperature is the best one of every *other* second
        window (odd for even, even for odd), so no window chooses its own; entropy (nats a token); distinct_2 and
        repeated of the generation (see `_written`); text (the generation).
    """
    nll, entropy = torch.zeros(len(test), len(TEMPERATURES)), []
    half = test.shape[1] // 2
    for row, each in zip(test, nll):
        log_q = model.next_logprobs(row.tolist())[:-1].float()  # (T-1, V)
        target = row[1:, None]
        entropy.append(float(-(log_q.exp() * log_q).sum(1).mean()))
        for i, temperature in enumerate(TEMPERATURES):
            tempered = log_q / temperature
            each[i] = (tempered.logsumexp(1) - tempered.gather(1, target).squeeze(1)).mean()
    one = TEMPERATURES.index(1.0)
    best = [int(nll[other::2].mean(0).argmin()) if len(nll) > 1 else one for other in (1, 0)]
    prompts = [model.tokenizer.decode(row[:half]) for row in test]
    written = model.generate(prompts, max_new_tokens=generated, temperature=1.0, seed=seed, chat=False)
    return [
        {
            "nll": float(nll[i, one]),
            "temperature": TEMPERATURES[best[i % 2]], "nll_tuned": float(nll[i, best[i % 2]]),
            "entropy": entropy[i], **_written(reply.tokens), "text": reply.text,
        }
        for i, (reply,) in enumerate(written)
    ]  # fmt: skip


def _written(tokens) -> dict:
    """distinct_2: different pairs / pairs; repeated: share of tokens that are among the `NEAR` before them."""
    pairs = list(pairwise(tokens))
    again = [token in tokens[max(0, i - NEAR) : i] for i, token in enumerate(tokens)]
    return {
        "distinct_2": len(set(pairs)) / len(pairs) if pairs else float("nan"),
        "repeated": sum(again) / len(again) if again else float("nan"),
    }
