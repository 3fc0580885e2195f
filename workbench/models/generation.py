"""Generation: all samples of all prompts decoded in lock step, or one by one where an architecture asks for it.

The algorithm: (1) prompts of similar length are left-padded into one batch and encoded once; (2) the cache row of a
prompt is repeated for its ``n`` samples; (3) every step feeds one token a row and draws the next; (4) rows that are
finished are taken out of the batch, so the slow ones do not carry the others along.

What is right is the naive path: a token is drawn from an uncached forward of the text so far, alone in its row. Whether
a module follows it in lock step is tried once (`decode_trial.way`); layers that keep a running state are decoded one
sample at a time. So is a sample that passes the length where a rope changes: there its whole text is encoded anew.
"""

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from .base import Generation
from .generation_alone import Reader
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


@dataclass(frozen=True)
class Options:
    """How tokens are drawn and when a sample ends.

    Attributes
    ----------
    max_new_tokens, temperature, top_k, top_p, stop
        As in `Model.generate`.
    eos
        Token ids that end a text.
    decode
        (prompt ids, new ids, whether special tokens are shown) -> the new text.
    special
        The texts of the special tokens.
    """

    max_new_tokens: int
    temperature: float
    top_k: int
    top_p: float
    stop: tuple[str, ...]
    eos: frozenset[int]
    decode: Callable[[list[int], list[int], bool], str]
    special: tuple[str, ...] = ()

    @property
    def shown(self) -> bool:
        """Whether a stop string names a special token, which a text without them cannot hold."""
        return any(token in string for token in self.special for string in self.stop)


@torch.inference_mode()
def generate(
    module: torch.nn.Module,
    prompts: Sequence[list[int]],
    options: Options,
    *,
    n: int,
    seed: int,
    way: str,
    side: Callable[[int], Hashable],
    row_bytes: Callable[[int], int],
    memory: int,
) -> list[list[Generation]]:
    """Samples for tokenised prompts.

    Parameters
    ----------
    prompts : lists of token ids, none empty
    way : how this module's samples are decoded (`decode_trial.way`)
    side : length in tokens -> what texts must have in common to share a forward (`forward.side`)
    row_bytes : length in tokens -> bytes of one cache row
    memory : bytes the cache may take; rows beyond it wait for the next batch

    Returns
    -------
    For each prompt its ``n`` generations.
    """
    done: dict[tuple[int, int], _Row] = {}
    kinds: dict[Hashable, list[int]] = {}
    for index, prompt in enumerate(prompts):
        here = side(len(prompt))
        moves = side(len(prompt) + options.max_new_tokens - 1) != here
        kinds.setdefault("alone" if moves or way != "rows" else here, []).append(index)
    for index in kinds.pop("alone", ()):
        reader = Reader(module, prompts[index], way="placed" if way == "rows" else way, side=side)
        for sample in range(n):
            done[index, sample] = row = _Row(index, sample, stream(seed, index, sample))
            _one(row, reader.copy(), prompts, options)
    for group in kinds.values():
        _together(module, group, prompts, options, done, n=n, seed=seed, row_bytes=row_bytes, memory=memory)
    return [[_generation(done[index, sample], prompts[index], options) for sample in range(n)]
            for index in range(len(prompts))]  # fmt: skip


def _together(module, waiting, prompts, options, done, *, n, seed, row_bytes, memory) -> None:
    """Decode ``n`` samples of the prompts ``waiting`` in lock step, into ``done``."""
    device = module.get_input_embeddings().weight.device
    most = MAX_ROWS.get(device.type, 64)
    waiting = sorted(waiting, key=lambda i: (len(prompts[i]), i))  # similar lengths: little padding
    while waiting:
        longest = len(prompts[waiting[-1]])
        rows = max(1, min(most, memory // max(1, row_bytes(longest + options.max_new_tokens))))
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
            _lockstep(module, state, own, logits[places], mask[places], prompts, options)
            done.update({(row.prompt, row.sample): row for row in state})


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
        logits_to_keep=1,
    )  # fmt: skip
    return output.past_key_values, output.logits[:, -1].to(device), mask


def _feed(module, drawn, lengths, cache, mask):
    """One more token a row, at the position ``lengths`` (R,): the cache and the logits (R, V) after it."""
    output = module(
        input_ids=drawn[:, None], attention_mask=mask, position_ids=lengths[:, None], past_key_values=cache,
        use_cache=True, logits_to_keep=1,
    )  # fmt: skip
    return output.past_key_values, output.logits[:, -1].to(mask.device)


def _lockstep(module, rows, cache, logits, mask, prompts, options) -> None:
    """Fill ``rows``; ``logits`` (R, V) are those after each row's prompt."""
    alive = list(rows)
    lengths = mask.sum(dim=-1)  # (R,): position of the next token
    for step in range(options.max_new_tokens):
        drawn, keep = _draw(alive, logits, prompts, options)
        if not keep or step == options.max_new_tokens - 1:
            return
        if len(keep) < len(alive):
            chosen = torch.tensor(keep, device=mask.device)
            cache.batch_select_indices(chosen)
            drawn, mask, lengths = drawn[chosen], mask[chosen], lengths[chosen]
            alive = [alive[place] for place in keep]
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=-1)
        cache, logits = _feed(module, drawn, lengths, cache, mask)
        lengths = lengths + 1


def _one(row, reader, prompts, options) -> None:
    """Fill one ``row`` by itself."""
    for step in range(options.max_new_tokens):
        _, keep = _draw([row], reader.logits, prompts, options)
        if not keep or step == options.max_new_tokens - 1:
            return
        reader.add(row.tokens[-1])


def _draw(alive, logits, prompts, options) -> tuple[torch.Tensor, list[int]]:
    """Draw each row's next token from its ``logits`` (R, V): the tokens (R,), and the places of the rows that go on."""
    logits = logits.float()
    if options.temperature > 0:
        uniforms = torch.tensor([row.random.random() for row in alive], dtype=torch.float64, device=logits.device)
        probs = filtered_probs(logits, temperature=options.temperature, top_k=options.top_k, top_p=options.top_p)
        drawn = invert(probs, uniforms)
    else:
        drawn = logits.argmax(dim=-1)
    gained = (logits.gather(-1, drawn[:, None])[:, 0] - logits.logsumexp(dim=-1)).tolist()
    keep = []
    for place, (row, token) in enumerate(zip(alive, drawn.tolist(), strict=True)):
        row.tokens.append(token)
        row.logprob += gained[place]
        if token in options.eos:
            row.finish = "eos"
        elif options.stop and _stopped(row, prompts[row.prompt], options):
            row.finish = "stop"
        else:
            keep.append(place)
    return drawn, keep


def _stopped(row, prompt, options) -> bool:
    """Whether a stop string has appeared; if so the row's text is cut before the first one."""
    # a stop string of L characters spans at most 4 L byte tokens; a few more let the decoder see whole characters
    tail = 4 * max(map(len, options.stop)) + 8
    context = prompt if len(row.tokens) <= tail else []
    recent = options.decode(context, row.tokens[-tail:], options.shown)
    if not any(string in recent for string in options.stop):
        return False
    text = options.decode(prompt, row.tokens, options.shown)
    places = [text.find(string) for string in options.stop if string in text]
    if not places:  # seen only because the recent tokens were decoded out of their context
        return False
    row.text = text[: min(places)]
    for token in options.special if options.shown else ():
        row.text = row.text.replace(token, "")
    return True


def _generation(row: _Row, prompt: list[int], options: Options) -> Generation:
    text = row.text
    if text is None:
        text = options.decode(prompt, row.tokens[:-1] if row.finish == "eos" else row.tokens, False)
    return Generation(text, row.tokens, row.finish, len(prompt), row.logprob)
