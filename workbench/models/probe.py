"""Speed and perplexity of a model, measured on request on a text of our own."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .report import LoadReport


def probe(model, unquantised: Callable, *, speed: bool = True, perplexity: bool = True) -> LoadReport:
    """The model's report with measurements added.

    Parameters
    ----------
    model
        A model with weights in this process.
    unquantised
        Loads the same model without quantisation; called for a quantised model only.
    speed
        Decode 32 tokens greedily, after a warm-up of two.
    perplexity
        Of the bundled text; for a quantised model also of the same model unquantised.
    """
    report, text = model.report, bundled_text()
    if speed:
        prompt = text[:200]
        model.generate([prompt], max_new_tokens=2)
        began = time.perf_counter()
        (sample,) = model.generate([prompt], max_new_tokens=32)[0]
        report = replace(report, tokens_per_second=len(sample.tokens) / (time.perf_counter() - began))
    if perplexity:
        report = replace(report, perplexity=text_perplexity(model, text))
        if report.quantisation:
            report = replace(report, perplexity_unquantised=text_perplexity(unquantised(), text))
    return report


def text_perplexity(model, text: str) -> float:
    """exp of the mean negative log-probability of a text's tokens, each given all before it."""
    ids = model.token_ids(text)
    (scored,) = model.logprobs([ids[:1]], [[ids[1:]]])[0]
    return math.exp(-scored.total / len(scored.tokens))


def bundled_text() -> str:
    """The text the perplexity is measured on, written for the workbench."""
    return (Path(__file__).parent / "probe.txt").read_text(encoding="utf-8").strip()
