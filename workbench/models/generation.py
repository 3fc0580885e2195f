"""Generation: all samples of all prompts decoded in lock step, or one by one where an architecture asks for it.

The algorithm: (1) prompts of similar length are left-padded into one batch and encoded once; (2) the cache row of a
prompt is repeated for its ``n`` samples; (3) every step feeds one token a row and draws the next; (4) rows that are
finished are taken out of the batch, so the slow ones do not carry the others along.

What is right is the naive path: a token is drawn from an uncached forward of the text so far, alone in its row. Whether
a module follows it in lock step is tried once (`way`). Attention keeps keys and values a token, so the rows of a batch
can be padded, selected and repeated. Layers that keep a running state (Mamba, RWKV, linear attention, short
convolutions) have nothing to mask or to select: their samples are decoded one by one (`Reader`), each with a copy of
its prompt's state. A module that hands no state back is read from the start for every token. A sample that passes the
length where a rope changes is decoded alone too: there its whole text is encoded anew.
"""

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import torch

from ..errors import ModelError
from .base import Generation, say
from .device import free_bytes
from .forward import STATES, alike, logits_at, longest, side, switches, takes
from .memory import cache_bytes
from .reader import until_stop
from .sampling import filtered_probs, invert, stream

MAX_ROWS = {"cpu": 128, "cuda": 512}  # more rows gain little: the matrices are already large
CACHE_SHARE = 0.4  # of the free memory; rows beyond it wait for the next batch
STEPS = 4  # tokens decoded in the trial of a module
_ways: WeakKeyDictionary = WeakKeyDictionary()  # module -> what `way` found


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
    """How tokens are drawn and when a sample ends; the first five as in `Model.generate`."""

    max_new_tokens: int
    temperature: float
    top_k: int
    top_p: float
    stop: tuple[str, ...]
    eos: frozenset[int]  # token ids that end a text
    decode: Callable[[list[int], list[int], bool], str]  # (prompt ids, new ids, special tokens shown?) -> the new text
    special: tuple[str, ...] = ()  # the texts of the special tokens

    @property
    def shown(self) -> bool:
        """Whether a stop string names a special token, which a text without them cannot hold."""
        return any(token in string for token in self.special for string in self.stop)


@torch.inference_mode()
def generate(
    module: torch.nn.Module, prompts: Sequence[list[int]], options: Options, *, n: int, seed: int, name: str
) -> list[list[Generation]]:
    """``n`` samples for each of the tokenised ``prompts``, none empty; ``name`` is the model's, for sentences."""
    how, kind = way(module, name), side(_text_config(module))
    done: dict[tuple[int, int], _Row] = {}
    kinds: dict[Hashable, list[int]] = {}  # what texts must have in common to share a forward -> their prompts
    for index, prompt in enumerate(prompts):
        here = kind(len(prompt))
        moves = kind(len(prompt) + options.max_new_tokens - 1) != here
        kinds.setdefault("alone" if moves or how != "rows" else here, []).append(index)
    for index in kinds.pop("alone", ()):
        reader = Reader(module, prompts[index], way="placed" if how == "rows" else how)
        for sample in range(n):
            done[index, sample] = row = _Row(index, sample, stream(seed, index, sample))
            _one(row, reader.copy(), prompts, options)
    for group in kinds.values():
        _together(module, group, prompts, options, done, n=n, seed=seed)
    return [[_generation(done[index, sample], prompts[index], options) for sample in range(n)]
            for index in range(len(prompts))]  # fmt: skip


def _together(module, waiting, prompts, options, done, *, n, seed) -> None:
    """Decode ``n`` samples of the prompts ``waiting`` in lock step, into ``done``."""
    embedding = module.get_input_embeddings().weight
    device, memory = embedding.device, int(free_bytes(embedding.device) * CACHE_SHARE)
    most = MAX_ROWS.get(device.type, 64)
    waiting = sorted(waiting, key=lambda i: (len(prompts[i]), i))  # similar lengths: little padding
    while waiting:
        length = len(prompts[waiting[-1]]) + options.max_new_tokens
        row_bytes = cache_bytes(_text_config(module), length, embedding.dtype.itemsize)
        rows = max(1, min(most, memory // max(1, row_bytes)))
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
    text, found = until_stop(options.decode, prompt, row.tokens, options.stop, options.special)
    if found:  # not where it was seen only because the recent tokens were decoded out of their context
        row.text = text
    return found


def _generation(row: _Row, prompt: list[int], options: Options) -> Generation:
    text = row.text
    if text is None:
        text = options.decode(prompt, row.tokens[:-1] if row.finish == "eos" else row.tokens, False)
    return Generation(text, row.tokens, row.finish, len(prompt), row.logprob)


class Reader:
    """A text that grows token by token, and the logits (1, V) after it.

    Parameters
    ----------
    ids : list of int
        The text so far, not empty.
    way : {"placed", "kept", "whole"}
        Keep the module's state from token to token, and give each token its position; keep it, and let the module find
        the positions by itself; or keep nothing.
    """

    def __init__(self, module, ids: list[int], *, way: str):
        self.module, self.way, self._side = module, way, side(_text_config(module))
        self.ids, self.state = list(ids), None
        self._read(self.ids)

    def copy(self) -> "Reader":
        """A reader that goes on from here by itself."""
        other = copy.copy(self)
        other.ids, other.state = list(self.ids), copy.deepcopy(self.state)
        return other

    def add(self, token: int) -> None:
        """One more token."""
        if self._side(len(self.ids) + 1) != self._side(len(self.ids)):
            self.state = None  # a rope changes here: the state is worth nothing, the whole text is read again
        self.ids.append(token)
        self._read([token] if self.state is not None else self.ids)

    def _read(self, ids) -> None:
        device = self.module.get_input_embeddings().weight.device
        options = {"logits_to_keep": 1} if takes(self.module, "logits_to_keep") else {}
        slot = next((name for name in STATES if takes(self.module, name)), None) if self.way != "whole" else None
        if self.state is not None:
            options[slot] = self.state
        if self.way == "placed":
            options["position_ids"] = torch.arange(len(self.ids) - len(ids), len(self.ids), device=device)[None]
        output = self.module(input_ids=torch.tensor([ids], device=device), use_cache=slot is not None, **options)
        self.state = output.get(slot) if slot else None
        self.logits = output.logits[:, -1].float().to(device)


# --- may a module decode in lock step? tried once, against plain forwards ---------------------------------------------


@torch.inference_mode()
def way(module, name: str) -> str:
    """How a module's samples are decoded so that they follow the naive path, found out once: "rows" (in lock step), or
    one by one in a way of `Reader`. Only the first is not announced.
    """
    if module.training and module not in _ways:
        return "rows"  # dropout would speak in the trial
    if module not in _ways:
        family = getattr(_text_config(module), "model_type", "?")
        ids, plain = _texts(module, name)
        trials = {"rows": _both, "placed": partial(_alone, "placed"), "kept": partial(_alone, "kept")}
        found = next((one for one, trial in trials.items() if _right(trial, module, ids, plain)), "whole")
        if found == "whole":
            say(f"{name} ({family}) has no state to go on from rightly: each token reads its whole text, which is slow")
        elif found != "rows":
            say(f"{name} ({family}) takes no padded batch: its texts are read one by one, which takes longer")
        _ways[module] = found
    return _ways[module]


def _texts(module, name):
    """Two texts of different length, and the logits (2, STEPS + 1, V) of plain forwards after their last tokens."""
    config = _text_config(module)
    borders = [longest(config) or 64, *(last for last, _ in switches(config))]
    long = max(STEPS + 1, min(12, *borders))
    draws = np.random.default_rng(0).integers(config.vocab_size // 10, config.vocab_size // 2, 2 * long).tolist()
    texts = [draws[:long], draws[long : long + max(STEPS + 1, long // 2)]]
    plain = torch.stack(
        [logits_at(module, text, range(len(text) - STEPS - 1, len(text)), use_cache=False) for text in texts]
    )
    if not torch.isfinite(plain.amax(dim=-1)).all():
        raise ModelError(f"{name} gave logits that are not numbers: check its weights")
    return texts, plain


def _right(trial, module, texts, plain) -> bool:
    try:
        found = trial(module, texts)  # (2, as many steps as were tried + 1, V)
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError, NotImplementedError):
        return False  # whatever an architecture says to a state it does not have: the next way is tried
    plain = plain[:, : found.shape[1]]
    return not alike(found.flatten(0, 1), plain.flatten(0, 1), module.get_input_embeddings().weight.dtype)


def _both(module, texts):
    """The prompts padded into one batch, its rows exchanged, and one step."""
    device = module.get_input_embeddings().weight.device
    cache, before, mask = _prefill(module, [text[:-STEPS] for text in texts], device)
    order = torch.tensor([1, 0], device=device)
    cache.batch_select_indices(order)
    mask = torch.cat([mask[order], mask.new_ones(2, 1)], dim=-1)
    tokens = torch.tensor([texts[1][-STEPS], texts[0][-STEPS]], device=device)
    _, after = _feed(module, tokens, mask.sum(dim=-1) - 1, cache, mask)
    return torch.stack([before, after[order]], dim=1).float()


def _alone(way, module, texts):
    """Each text token by token: in some architectures what a step gets wrong grows with every further one."""
    found = []
    for text in texts:
        first = Reader(module, text[:-STEPS], way=way)
        if first.state is None:
            raise ValueError("no state came back")
        reader, rows = first.copy(), [first.logits]
        for token in text[-STEPS:]:
            reader.add(token)
            rows.append(reader.logits)
        found.append(torch.cat(rows))
    return torch.stack(found)


def _text_config(module):
    return module.config.get_text_config(decoder=True)
