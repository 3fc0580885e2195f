"""Real text: LoRA on real prose, one loss against another, from the same adapters and the same batches.

Held-out perplexity is given at temperature 1 and at its best temperature: a loss that merely sharpens is found out.
"""

import math
from itertools import pairwise

import torch

from workbench.errors import DataError
from workbench.files import ROOT

from .settings import variant as _variant
from .trainer import EMOLoss, fuse, output_head, unfuse

TRAIN, HELD_OUT = "merry_wives_acts_1_to_3.txt", "merry_wives_acts_4_and_5.txt"
TEMPERATURES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)


def prose(name: str = TRAIN) -> str:
    """One of the two texts in data/emo/ (see its README.md for where they come from)."""
    path = ROOT / "data" / "emo" / name
    if not path.is_file():
        raise DataError(f"{path} is missing: restore it with `git checkout -- data/emo`")
    return path.read_text(encoding="utf-8")


def windows(model, text: str, length: int) -> torch.Tensor:
    """``text`` as token windows, (n, length); the end that fills no window is left out."""
    ids = model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    if len(ids) < length:
        raise DataError(f"the text has {len(ids)} tokens, fewer than one window of {length}: choose a smaller window")
    return torch.tensor(ids[: len(ids) // length * length]).reshape(-1, length)


def finetune(
    model, *, steps, window, batch, held_out, generated, variant="emo1_adaptive", lr=3e-4, rank=8, seed=0, progress=None
):
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

    Returns
    -------
    pandas.DataFrame
        loss, perplexity, best_temperature, perplexity_at_best, entropy (nats a token), distinct_2, repeated (share of
        generated tokens that stand among the 16 before them), text (one generation).
    """
    import pandas as pd

    from workbench.models import require

    require(model, "gradient", for_="fine-tuning with EMO")
    _variant(variant)
    data = windows(model, prose(TRAIN), window)
    test = windows(model, prose(HELD_OUT), window)
    test = test[torch.linspace(0, len(test) - 1, min(held_out, len(test))).long()]
    trainable = [p for p in model.module.parameters() if p.requires_grad]
    rows = [{"loss": "untouched", **evaluate(model, test, generated, seed)}]
    for name in dict.fromkeys(("mle", variant)):
        with_adapters, adapters = _add_lora(model.module, rank, seed)
        try:
            criterion = None if name == "mle" else EMOLoss(name, head=output_head(with_adapters))
            _train(with_adapters, adapters, data, criterion, steps, batch, lr, seed, progress, name)
            rows.append({"loss": name, **evaluate(model, test, generated, seed)})
        finally:
            with_adapters.unload()
            for parameter in trainable:  # peft froze them
                parameter.requires_grad_(True)
    return pd.DataFrame(rows)


def _add_lora(module, rank, seed):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(module, config)
    return model, [p for p in model.parameters() if p.requires_grad]


def _train(model, parameters, data, criterion, steps, batch, lr, seed, progress, name):
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(parameters, lr=lr)
    device = output_head(model).weight.device
    model.train()
    head = fuse(model)  # both losses from hidden states
    try:
        for step in range(steps):
            ids = data[torch.randint(0, len(data), (batch,), generator=generator)].to(device)
            hidden = model(input_ids=ids, use_cache=False).logits
            if criterion is None:
                logits = torch.nn.functional.linear(hidden.to(head.weight.dtype), head.weight)[:, :-1].float()
                loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
            else:
                loss = criterion.from_hidden(hidden, ids)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for group in optimizer.param_groups:
                group["lr"] = lr * (1 - (step + 1) / steps)
            if progress is not None and (step + 1) % 20 == 0:
                progress(f"{name}: step {step + 1} of {steps}")
    finally:
        unfuse(model)
        model.eval()


@torch.no_grad()
def evaluate(model, test, generated: int, seed: int) -> dict:
    """Held-out perplexity over temperatures, entropy, and what the model writes after half a window (pure sampling)."""
    nll, entropy, count = torch.zeros(len(TEMPERATURES)), 0.0, 0
    half = test.shape[1] // 2
    for row in test:
        log_q = model.next_logprobs(row.tolist())[:-1].float()  # (T-1, V)
        target = row[1:, None]
        count += len(target)
        entropy += float(-(log_q.exp() * log_q).sum())
        for i, temperature in enumerate(TEMPERATURES):
            tempered = log_q / temperature
            nll[i] -= float((tempered.gather(1, target).squeeze(1) - tempered.logsumexp(1)).sum())
    perplexity = (nll / count).exp()
    prompts = [model.tokenizer.decode(row[:half]) for row in test]
    written = [g[0] for g in model.generate(prompts, max_new_tokens=generated, temperature=1.0, seed=seed, chat=False)]
    tokens = [g.tokens for g in written]
    pairs = [pair for t in tokens for pair in pairwise(t)]
    repeated = [token in t[max(0, i - 16) : i] for t in tokens for i, token in enumerate(t)]
    best = int(perplexity.argmin())
    return {
        "perplexity": float(perplexity[TEMPERATURES.index(1.0)]),
        "best_temperature": TEMPERATURES[best],
        "perplexity_at_best": float(perplexity[best]),
        "entropy": entropy / count,
        "distinct_2": len(set(pairs)) / len(pairs) if pairs else math.nan,
        "repeated": sum(repeated) / len(repeated) if repeated else math.nan,
        "text": written[0].text,
    }
