"""Drawing the next token: temperature, top-k, top-p, and one random stream for each sample.

A sample's randomness comes from (seed, prompt index, sample index) alone, never from its neighbours in the batch, and
a token is found by inverting the cumulative distribution at one uniform number. So adding prompts to a call, or
asking for more samples, leaves every earlier sample as it was (up to floating-point ties between differently shaped
batches).
"""

import numpy as np
import torch

_HEAD = 256  # top-p first looks at this many most probable tokens: the whole vocabulary only if need be


def stream(seed: int, prompt: int, sample: int) -> np.random.Generator:
    """The random stream of one sample: counter-based (Philox), so streams of different samples never overlap."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed % 2**64, prompt, sample])))


def filtered_probs(logits: torch.Tensor, *, temperature: float, top_k: int = 0, top_p: float = 1.0) -> torch.Tensor:
    """The distribution that is sampled from.

    Parameters
    ----------
    logits : (R, V) float tensor
    temperature : positive; the logits are divided by it first
    top_k : keep the tokens whose logit is at least the k-th largest (all of them at a tie); 0 keeps everything
    top_p : then keep the fewest most probable tokens whose mass reaches ``top_p`` (at a tie, the lowest token ids)

    Returns
    -------
    (R, V) float64 tensor, rows sum to one
    """
    scaled = logits.double() / temperature
    vocabulary = scaled.shape[-1]
    if 0 < top_k < vocabulary:
        kth = scaled.topk(top_k, dim=-1).values[:, -1:]  # (R, 1)
        scaled = scaled.masked_fill(scaled < kth, float("-inf"))
    probs = scaled.softmax(dim=-1)
    if top_p < 1.0:
        head = probs.topk(min(_HEAD, vocabulary), dim=-1).values  # (R, K), descending
        if head.shape[-1] < vocabulary and bool((head.sum(dim=-1) < top_p).any()):
            head = probs.sort(dim=-1, descending=True).values
        before = head.cumsum(dim=-1) - head  # mass of everything more probable
        kept = (before < top_p).sum(dim=-1, keepdim=True).clamp(min=1)  # (R, 1): how many stay
        last = head.gather(-1, kept - 1)  # the least probable one that stays
        above, tie = probs > last, probs == last
        room = kept - above.sum(dim=-1, keepdim=True)
        probs = probs.masked_fill(~(above | (tie & (tie.cumsum(dim=-1) <= room))), 0.0)
        probs = probs / probs.sum(dim=-1, keepdim=True)
    return probs


def invert(probs: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Inverse CDF in token order: (R, V) probabilities and (R,) uniforms in [0, 1) to (R,) token ids of
    positive mass."""
    cdf = probs.cumsum(dim=-1)
    target = uniforms.to(cdf)[:, None] * cdf[:, -1:]
    drawn = torch.searchsorted(cdf, target, right=True)[:, 0]
    # rounding in the last step may point past the last token of positive mass
    last = probs.shape[-1] - 1 - (probs.flip(-1) > 0).to(torch.uint8).argmax(dim=-1)
    return torch.minimum(drawn, last)
