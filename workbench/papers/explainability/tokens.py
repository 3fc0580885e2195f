"""A prompt, a target and an explained quantity, read once and checked: what every method starts from."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import ModelError, UsageError
from ...models.base import Prompt, require
from ...models.forward import longest
from ...models.reader import is_conversation
from ...models.reader import pieces as token_pieces
from .settings import QUANTITIES, REMOVALS

NEUTRAL = (" _", " …", " ...", "_")  # an underscore leaves the sentence standing; end-of-text would cut it in two


@dataclass(frozen=True)
class Reading:
    """A tokenised prompt: ``ids`` and the piece of text each stands for (their join is the text)."""

    ids: list[int]
    tokens: list[str]


@dataclass(frozen=True)
class Question:
    """What is explained: ``quantity`` of ``target`` (against ``foil``) after a prompt.

    ``held`` are the positions that are never removed.
    """

    model: object
    prompt: str
    reading: Reading
    target: str
    target_ids: tuple[int, ...]
    foil: str | None
    foil_ids: tuple[int, ...]
    quantity: str
    held: tuple[int, ...]

    @property
    def ids(self) -> list[int]:
        return self.reading.ids

    @property
    def free(self) -> list[int]:
        """The positions that can be removed."""
        return [place for place in range(len(self.ids)) if place not in self.held]

    @property
    def texts(self) -> tuple[tuple[int, ...], ...]:
        """The token sequences whose log-probability is needed: target, and foil if there is one."""
        return (self.target_ids, self.foil_ids) if self.foil_ids else (self.target_ids,)

    @property
    def target_tokens(self) -> list[str]:
        return pieces(self.model, list(self.target_ids), self.ids)


def read_prompt(model, prompt: Prompt | Sequence[int]) -> Reading:
    """Tokenise a prompt: a text (with the model's start token, if it has one), token ids, or a list of messages, which
    go through the model's chat template.

    Raises
    ------
    UsageError
        An empty prompt, ids the model does not have, or more tokens than the model reads.
    ModelError
        A model without local weights, or without chat template for messages.
    """
    local(model)
    ids = list(model.prompt_ids(prompt)) if is_conversation(prompt) else _ids(model, prompt, start=True)
    plain = _ids(model, prompt, start=False) if isinstance(prompt, str) else ids
    if not plain:
        raise UsageError("the prompt is empty: give at least two tokens of text to explain")
    limit = longest(model.module.config.get_text_config(decoder=True))
    if limit and len(ids) > limit:
        raise UsageError(f"the prompt has {len(ids)} tokens, but {model.name} reads at most {limit}: shorten it")
    return Reading(ids, pieces(model, ids))


def ask(model, prompt, target, *, foil=None, quantity=None, keep_first=True) -> Question:
    """Read and check a question; `attribute` says what the arguments mean.

    Raises
    ------
    UsageError
        An empty prompt or target, a prompt without a token that could be removed, an unknown quantity, a quantity that
        does not go with the foil, a foil equal to the target, or too many tokens for the model.
    """
    reading = read_prompt(model, prompt)
    quantity = quantity or ("log_probability" if foil is None else "logit_difference")
    if quantity not in QUANTITIES:
        raise UsageError(f"quantity {quantity!r} is unknown: choose one of {', '.join(QUANTITIES)}")
    if foil is not None and quantity != "logit_difference":
        raise UsageError(
            f"a foil is contrasted by quantity='logit_difference', not {quantity!r}: leave one of them out"
        )
    if foil is None and quantity == "logit_difference":
        raise UsageError("quantity='logit_difference' needs a foil, the answer to contrast with: give foil=' London'")
    target_ids = _continuation(model, target, "target")
    foil_ids = () if foil is None else _continuation(model, foil, "foil")
    if foil_ids == target_ids:
        raise UsageError(f"target and foil are both {target!r}: give a foil that differs")
    held = (0,) if keep_first else ()
    if len(reading.ids) <= len(held):
        raise UsageError(
            f"the prompt is the single token {reading.tokens[0]!r}, which is held fixed: give a longer prompt, "
            "or keep_first=False"
        )
    length = len(reading.ids) + max(len(target_ids), len(foil_ids))
    limit = longest(model.module.config.get_text_config(decoder=True))
    if limit and length > limit:
        raise UsageError(f"prompt and target have {length} tokens, but {model.name} reads at most {limit}: shorten one")
    return Question(
        model, prompt if isinstance(prompt, str) else "".join(reading.tokens), reading, _text(model, target),
        target_ids, None if foil is None else _text(model, foil), foil_ids, quantity, held,
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
    """The token that stands for "nothing here" when a token is replaced.

    An underscore where the vocabulary has one as a single token. End-of-text, captum's default for this model, is no
    neutral choice: the model takes it as the border between two documents and forgets what stands before it.
    """
    for text in NEUTRAL:
        ids = _ids(model, text, start=False)
        if len(ids) == 1:
            return ids[0]
    for name in ("unk_token_id", "pad_token_id", "eos_token_id"):
        token = getattr(model.tokenizer, name, None)
        if token is not None:
            return token
    return 0


def baseline_token(model, baseline: str | int | None) -> int:
    """The replacing token that ``baseline`` names: None (neutral), an id, or a text of exactly one token."""
    if baseline is None:
        return neutral_token(model)
    if isinstance(baseline, str):
        if baseline in ("zero", "mean"):
            raise UsageError(
                f"baseline={baseline!r} is an embedding, for gradients; a replaced token needs a token: give a text "
                "of one token, an id, or None"
            )
        ids = _ids(model, baseline, start=False)
        if len(ids) != 1:
            raise UsageError(f"baseline={baseline!r} is {len(ids)} tokens of {model.name}: give a text of exactly one")
        return ids[0]
    return _ids(model, [baseline], start=False)[0]


def check_removal(removal: str) -> None:
    """One sentence for an unknown way of removing."""
    if removal not in REMOVALS:
        raise UsageError(f"removal={removal!r} is unknown: choose replace or delete")


def pieces(model, ids: Sequence[int], before: Sequence[int] = ()) -> list[str]:
    """The text each token adds (decoded in context: alone, some tokenizers drop a leading space).

    A token that is only part of a character gives "" and the token that completes it gives the character.
    """
    return token_pieces(model.tokenizer, ids, before)


def _text(model, text: str | Sequence[int]) -> str:
    return text if isinstance(text, str) else model.tokenizer.decode(list(text))


def _continuation(model, text, what: str) -> tuple[int, ...]:
    ids = tuple(_ids(model, text, start=False))
    if not ids:
        raise UsageError(f"the {what} is empty: give the text whose probability is to be explained, like ' Paris'")
    return ids


def _ids(model, text: str | Sequence[int], *, start: bool) -> list[int]:
    try:
        return list(model.token_ids(text, start=start))
    except ModelError as error:
        if isinstance(text, str):
            raise
        raise UsageError(str(error)) from None
