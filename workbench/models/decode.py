"""Generation: all samples of all prompts decoded in lock step.

The algorithm: (1) prompts of similar length are left-padded into one batch and encoded once; (2) the cache row of a
prompt is repeated for its ``n`` samples; (3) every step feeds one token a row and draws the next; (4) rows that are
finished are taken out of the batch, so the slow ones do not carry the others along.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from .base import Generation
from .sampling import filtered_probs, invert, stream

MAX_ROWS = {"cpu": 128, "cuda": 512}  # more rows gain little: the matrices are already large


@dataclass
class _Row:
    """One sample on its way."""

    prompt: int
    sample: int
    random: np.random.Generator
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    finish: str = "length"
    text: str | None = None


@torch.inference_mode()
def generate(
    module: torch.nn.Module,
    prompts: Sequence[list[int]],
    *,
    max_new_tokens: int,
    temperature: float,
    top_k: int,
    top_p: float,
    n: int,
    seed: int,
    stop: Sequence[str],
    eos: frozenset[int],
    decode: Callable[[list[int], list[int]], str],
    row_bytes: Callable[[int], int],
    memory: int,
) -> list[list[Generation]]:
    """Samples for tokenised prompts.

    Parameters
    ----------
    prompts : lists of token ids, none empty
    eos : token ids that end a text
    decode : (prompt ids, new ids) -> the new text
    row_bytes : length in tokens -> bytes of one cache row
    memory : bytes the cache may take; rows beyond it wait for the next batch

    Returns
    -------
    For each prompt its ``n`` generations.
    """
    device = module.get_input_embeddings().weight.device
    most = MAX_ROWS.get(device.type, 64)
    done: dict[tuple[int, int], _Row] = {}
    waiting = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))  # similar lengths: little padding
    while waiting:
        longest = len(prompts[waiting[-1]])
        rows = max(1, min(most, memory // max(1, row_bytes(longest + max_new_tokens))))
        group = waiting[-max(1, rows // n) :]
        waiting = waiting[: -len(group)]
        cache, logits, mask = _prefill(module, [prompts[i] for i in group], device)
        samples = [(place, index, sample) for place, index in enumerate(group) for sample in range(n)]
        for start in range(0, len(samples), rows):
            part = samples[start : start + rows]
            places = torch.tensor([place for place, _, _ in part], device=device)
            last = start + rows >= len(samples)
            own = cache if last else copy.deepcopy(cache)
            own.batch_select_indices(places)
            state = [_Row(index, sample, stream(seed, index, sample)) for _, index, sample in part]
            _lockstep(
                module, state, own, logits[places], mask[places], prompts,
                max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p,
                stop=tuple(stop), eos=eos, decode=decode,
            )  # fmt: skip
            done.update({(row.prompt, row.sample): row for row in state})
    return [[_generation(done[index, sample], prompts[index], eos, decode) for sample in range(n)]
            for index in range(len(prompts))]  # fmt: skip


def _prefill(module, prompts, device):
    """Encode prompts once: the cache, the logits after each prompt (B, V), the attention mask (B, T)."""
    longest = max(map(len, prompts))
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask = torch.zeros(len(prompts), longest, dtype=torch.long)
    for place, prompt in enumerate(prompts):
        ids[place, longest - len(prompt) :] = torch.tensor(prompt)
        mask[place, longest - len(prompt) :] = 1
    positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)  # a pad has no position; its value is never read
    mask = mask.to(device)
    output = module(
        input_ids=ids.to(device), attention_mask=mask, position_ids=positions.to(device), use_cache=True,
        logits_to_keep=1
    )
    return output.past_key_values, output.logits[:, -1].to(device), mask


def _lockstep(
    module, rows, cache, logits, mask, prompts, *, max_new_tokens, temperature, top_k, top_p, stop, eos, decode
):
    """Fill ``rows``; ``logits`` (R, V) are those after each row's prompt."""
    device = mask.device
    alive = list(rows)
    lengths = mask.sum(dim=-1)  # (R,): position of the next token
    # a stop string of L characters spans at most 4 L byte tokens; a few more let the decoder see whole characters
    tail = 4 * max(map(len, stop), default=0) + 8
    for step in range(max_new_tokens):
        logits = logits.float()
        if temperature > 0:
            uniforms = torch.tensor([row.random.random() for row in alive], dtype=torch.float64, device=device)
            drawn = invert(filtered_probs(logits, temperature=temperature, top_k=top_k, top_p=top_p), uniforms)
        else:
            drawn = logits.argmax(dim=-1)
        gained = (logits.gather(-1, drawn[:, None])[:, 0] - logits.logsumexp(dim=-1)).tolist()
        keep = []
        for place, (row, token) in enumerate(zip(alive, drawn.tolist(), strict=True)):
            row.tokens.append(token)
            row.logprob += gained[place]
            if token in eos:
                row.finish = "eos"
            elif stop and _stopped(row, prompts[row.prompt], stop, tail, decode):
                row.finish = "stop"
            else:
                keep.append(place)
        if not keep or step == max_new_tokens - 1:
            return
        if len(keep) < len(alive):
            chosen = torch.tensor(keep, device=device)
            cache.batch_select_indices(chosen)
            drawn, mask, lengths = drawn[chosen], mask[chosen], lengths[chosen]
            alive = [alive[place] for place in keep]
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=-1)
        output = module(
            input_ids=drawn[:, None], attention_mask=mask, position_ids=lengths[:, None], past_key_values=cache,
            use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        cache, logits = output.past_key_values, output.logits[:, -1].to(device)
        lengths = lengths + 1


def _stopped(row, prompt, stop, tail, decode) -> bool:
    """Whether a stop string has appeared; if so the row's text is cut before the first one."""
    recent = decode(prompt, row.tokens[-tail:]) if len(row.tokens) <= tail else decode([], row.tokens[-tail:])
    if not any(string in recent for string in stop):
        return False
    text = decode(prompt, row.tokens)
    places = [text.find(string) for string in stop if string in text]
    if not places:  # seen only because the recent tokens were decoded out of their context
        return False
    row.text = text[: min(places)]
    return True


def _generation(row: _Row, prompt: list[int], eos: frozenset[int], decode) -> Generation:
    text = row.text
    if text is None:
        text = decode(prompt, row.tokens[:-1] if row.finish == "eos" else row.tokens)
    return Generation(text, row.tokens, row.finish, len(prompt), row.logprob)
