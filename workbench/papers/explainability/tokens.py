"""A prompt, a target and an explained quantity, read by the model's own reader and checked: where methods start."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import ModelError, UsageError
from ...models.base import Prompt, require
from ...models.forward import check_length
from ...models.reader import pieces as token_pieces
from .settings import QUANTITIES, REMOVALS

NEUTRAL = (" _", " …", " ...", "_")  # an underscore leaves the sentence whole; end-of-text would cut it in two


class MethodRefused(ModelError):
    """A method would be wrong for this model; the others may be right, so tables go on without it and say so."""


@dataclass(frozen=True)
class Reading:
    """A tokenised prompt: ``ids`` and the piece of text of each (their join is the text)."""

    ids: list[int]
    tokens: list[str]


@dataclass(frozen=True)
class Question:
    """What is explained: ``quantity`` of ``target`` (against ``foil``) after a prompt.

    ``held`` are the positions that are never removed.
    """

    model: object
    prompt: str
    ids: list[int]
    tokens: list[str]
    target: str
    target_ids: tuple[int, ...]
    foil: str | None
    foil_ids: tuple[int, ...]
    quantity: str
    held: tuple[int, ...]

    @property
    def free(self) -> list[int]:
        """The positions that can be removed."""
        return [place for place in range(len(self.ids)) if place not in self.held]

    @property
    def texts(self) -> tuple[tuple[int, ...], ...]:
        """The token sequences whose log-probability is needed: target, and foil if there is one."""
        return (self.target_ids, self.foil_ids) if self.foil_ids else (self.target_ids,)


def prompt_ids(model, prompt: Prompt, *, what: str = "the prompt", behind: int = 0) -> list[int]:
    """Token ids of a prompt: a text (with the model's start token), token ids, or messages (in its chat template).

    Raises
    ------
    UsageError
        An empty prompt, ids the model does not have, or more tokens than it reads, ``behind`` of an answer counted.
    ModelError
        No chat template for messages, or a text that the model cannot read.
    """
    if isinstance(prompt, str) and not prompt.strip():
        raise UsageError(f"{what} is empty ({prompt!r}): give some text")
    ids = _read(model.prompt_ids, prompt, what)
    if not ids:
        raise UsageError(f"{what} is empty ({prompt!r}): give some text")
    check_length(model, len(ids), more=behind, what=what)
    return ids


def continuation(model, text: str | Sequence[int], *, what: str = "the answer") -> tuple[int, ...]:
    """The tokens of ``text`` as it would follow a prompt (" Paris"), or one sentence."""
    ids = tuple(_read(lambda given: model.token_ids(given, start=False), text, what))
    if not ids:
        raise UsageError(f"{what} is empty ({text!r}): give the text that would follow, with its leading space")
    return ids


def answer_tokens(model, answer: str, foil: str) -> tuple[int, int]:
    """First tokens of an answer and its foil, which must differ for their logits to be compared."""
    both = continuation(model, answer)[0], continuation(model, foil, what="the foil")[0]
    if both[0] == both[1]:
        raise UsageError(
            f"answer {answer!r} and foil {foil!r} begin with the same token of {model.name}: choose two that differ"
        )
    return both


def read_prompt(model, prompt: Prompt) -> Reading:
    """`prompt_ids` with the text of each token; a model without local weights is refused."""
    local(model)
    ids = prompt_ids(model, prompt)
    return Reading(ids, pieces(model, ids))


def ask(model, prompt, target, *, foil=None, quantity=None, keep_first=True) -> Question:
    """Read and check a question; `attribute` says what the arguments mean.

    Raises
    ------
    UsageError
        An empty prompt or target, a prompt without a token that could be removed, an unknown quantity, a quantity that
        does not go with the foil, a foil equal to the target, or too many tokens for the model.
    """
    local(model)
    quantity = quantity or ("log_probability" if foil is None else "logit_difference")
    if quantity not in QUANTITIES:
        raise UsageError(f"quantity {quantity!r} is unknown: choose one of {', '.join(QUANTITIES)}")
    if foil is not None and quantity != "logit_difference":
        raise UsageError(
            f"a foil is contrasted by quantity='logit_difference', not {quantity!r}: leave one of them out"
        )
    if foil is None and quantity == "logit_difference":
        raise UsageError("quantity='logit_difference' needs a foil, the answer to contrast with: give foil=' London'")
    target_ids = continuation(model, target, what="the target")
    foil_ids = () if foil is None else continuation(model, foil, what="the foil")
    if foil_ids == target_ids:
        raise UsageError(f"target and foil are both {target!r}: give a foil that differs")
    ids = prompt_ids(model, prompt, behind=max(len(target_ids), len(foil_ids)))
    tokens = pieces(model, ids)
    held = (0,) if keep_first else ()
    if len(ids) <= len(held):
        raise UsageError(
            f"the prompt is the single token {tokens[0]!r}, which is held fixed: give a longer prompt, "
            "or keep_first=False"
        )
    return Question(
        model, prompt if isinstance(prompt, str) else "".join(tokens), ids, tokens, _text(model, target), target_ids,
        None if foil is None else _text(model, foil), foil_ids, quantity, held,
    )  # fmt: skip


def local(model) -> None:
    """One sentence where a model's weights are not in this process."""
    try:
        require(model, "hidden", for_="attribution")
    except ModelError as error:
        if "generate" not in model.can:
            raise
        raise ModelError(f"{error}; or explain it word by word with explainability.attribute_served") from None


def neutral_token(model) -> int:
    """The token that means "nothing here" when a token is replaced.

    An underscore where the vocabulary has one as a single token. End-of-text, captum's default for this model, is no
    neutral choice: the model takes it as the border between two documents and forgets what came before it.
    """
    for text in NEUTRAL:
        ids = model.token_ids(text, start=False)
        if len(ids) == 1:
            return ids[0]
    names = ("unk_token_id", "pad_token_id", "eos_token_id")
    return next((token for name in names if (token := getattr(model.tokenizer, name, None)) is not None), 0)


def baseline_token(model, baseline: str | int | None) -> int:
    """The replacing token that ``baseline`` names: None (neutral), an id, or a text of exactly one token."""
    if baseline is None:
        return neutral_token(model)
    if baseline in ("zero", "mean"):
        raise UsageError(
            f"baseline={baseline!r} is an embedding, for gradients; a replaced token needs a token: give a text "
            "of one token, an id, or None"
        )
    ids = continuation(model, baseline if isinstance(baseline, str) else [baseline], what="the baseline")
    if len(ids) != 1:
        raise UsageError(f"baseline={baseline!r} is {len(ids)} tokens of {model.name}: give a text of exactly one")
    return ids[0]


def check_removal(removal: str) -> None:
    """One sentence for an unknown way of removing."""
    if removal not in REMOVALS:
        raise UsageError(f"removal={removal!r} is unknown: choose one of {', '.join(REMOVALS)}")


def pieces(model, ids: Sequence[int], before: Sequence[int] = ()) -> list[str]:
    """The text each token adds (decoded in context: alone, some tokenizers drop a leading space)."""
    return token_pieces(model.tokenizer, ids, before)


def token_texts(model, ids) -> tuple[str, ...]:
    """Each token by itself as text, spaces kept."""
    return tuple(model.tokenizer.decode([int(token)], clean_up_tokenization_spaces=False) for token in ids)


def _read(reader, given, what: str) -> list[int]:
    """What ``reader`` makes of it; ids or messages that it refuses are the caller's fault."""
    try:
        return list(reader(given))
    except ModelError as error:
        if isinstance(given, str):
            raise
        raise UsageError(f"{what}: {error}") from None


def _text(model, text: str | Sequence[int]) -> str:
    return text if isinstance(text, str) else model.tokenizer.decode(list(text))
