"""The one reader of the workbench: a text, token ids or a conversation, as the token ids a model goes on from.

Nobody else calls a tokenizer. What comes out is open (no end token behind it) and begins at most once.
"""

from collections.abc import Callable, Mapping, Sequence
from weakref import WeakKeyDictionary

from ..errors import ModelError
from .base import Prompt, check_messages, check_text
from .template import fill

CONTEXT = 8  # tokens decoded along with new ones, so that a leading space survives; a character has at most 4


_vocabularies: WeakKeyDictionary = WeakKeyDictionary()  # tokenizer -> the text of each token
NO_TEMPLATE = "{name} has no chat template (it is no chat model): give plain texts and leave chat out"


def is_conversation(prompt) -> bool:
    """Whether a prompt is a list of messages, and no text or token ids."""
    return isinstance(prompt, list | tuple) and bool(prompt) and isinstance(prompt[0], Mapping)


def read_text(tokenizer, text: str, *, start: bool) -> list[int]:
    """The ids of a text; with ``start`` what the tokenizer puts before a text, and never what it puts behind one.

    A text that begins with the start token keeps the one it has.
    """
    check_text(text)
    ids = list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    front = _front(tokenizer) if start else []
    return ids if front and ids[: len(front)] == front else front + ids


def _front(tokenizer) -> list[int]:
    """The ids that a tokenizer puts before every text (a start token, if it has one)."""
    whole, alone = (list(tokenizer("a", add_special_tokens=special)["input_ids"]) for special in (True, False))
    for place in range(len(whole) - len(alone) + 1):
        if alone and whole[place : place + len(alone)] == alone:
            return whole[:place]
    return [token for token in whole[:1] if token == tokenizer.bos_token_id]


def read_ids(ids, size: int, name: str) -> list[int]:
    """Token ids, checked: one row of whole numbers below ``size``."""
    shape = getattr(ids, "shape", None)
    if shape is not None and len(shape) != 1:
        raise ModelError(f"token ids have the shape {tuple(shape)}: give one row of them, like ids[0]")
    found = [None] if isinstance(ids, Mapping) or not hasattr(ids, "__iter__") else list(ids)
    if any(isinstance(token, list | tuple) for token in found):
        raise ModelError(f"token ids are rows of ids ({str(ids)[:60]}): give one row of them, like ids[0]")
    if not all(hasattr(token, "__index__") for token in found):
        raise ModelError(f"{str(ids)[:60]} is neither a text nor token ids nor a list of messages: give one of these")
    found = [int(token) for token in found]
    wrong = [token for token in found if not 0 <= token < size]
    if wrong:
        raise ModelError(f"{wrong[0]} is no token of {name}: its ids run to {size - 1}")
    return found


def read_conversation(tokenizer, prompt: Prompt, name: str) -> list[int]:
    """The ids of a conversation (a text: one message of the user) in the chat template, up to the answer's beginning.

    The template writes the control tokens itself; one that a message holds would end the message, so it is refused.
    """
    if not tokenizer.chat_template:
        raise ModelError(NO_TEMPLATE.format(name=name))
    messages = check_messages(prompt)
    refuse_typed(messages, special_texts(tokenizer), name)
    return read_text(tokenizer, fill(tokenizer, messages, name), start=False)


def refuse_typed(messages, special: Sequence[str], name: str) -> None:
    """Raise ModelError for a message that holds a control token, which would end the message."""
    for number, message in enumerate(messages):
        text = str(message["content"])
        typed = next((token for token in special if token in text), None)
        if typed:
            raise ModelError(
                f"message {number} holds {typed}, which {name} reads as a control token and not as text: write it "
                "differently, or write the whole conversation as one text"
            )


def special_texts(tokenizer) -> tuple[str, ...]:
    """The texts of a tokenizer's special tokens, longest first: those a text without special tokens does not show."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    found = {str(token) for token in added if getattr(token, "special", False)} | set(
        getattr(tokenizer, "all_special_tokens", ())
    )
    return tuple(sorted(filter(None, found), key=len, reverse=True))


def vocabulary(tokenizer) -> tuple[str, ...]:
    """The text of every token by itself, by id; made once a tokenizer."""
    if tokenizer not in _vocabularies:
        _vocabularies[tokenizer] = tuple(tokenizer.batch_decode([[i] for i in range(len(tokenizer))]))
    return _vocabularies[tokenizer]


def until_stop(
    decode: Callable, before: Sequence[int], tokens: Sequence[int], stops: Sequence[str], special: Sequence[str]
) -> tuple[str, bool]:
    """The text of new tokens up to the first stop string, and whether there was one.

    Parameters
    ----------
    decode
        (ids before, new ids, whether special tokens are shown) -> text, as `Model.new_text`; the third is left out
        where no stop string names a special token.
    special
        The tokenizer's `special_texts`: a text without them cannot hold a stop string that names one.
    """
    shown = any(token in stop for token in special for stop in stops)
    text = decode(before, tokens, True) if shown else decode(before, tokens)
    places = [text.find(stop) for stop in stops if stop in text]
    if not places:
        return (decode(before, tokens) if shown else text), False
    text = text[: min(places)]
    for token in special if shown else ():
        text = text.replace(token, "")
    return text, True


def pieces(tokenizer, ids: Sequence[int], before: Sequence[int] = ()) -> list[str]:
    """The text each token adds; decoded behind a few tokens of context: alone, some tokenizers drop a leading space.

    A token that is only part of a character gives "" and the token that completes it gives the character.
    """
    shown = list(before[-CONTEXT:])  # decoded and told; what follows in `open_` is decoded and not yet told
    open_: list[int] = []
    texts = []
    for place, token in enumerate(ids):
        open_.append(token)
        old, new = tokenizer.decode(shown), tokenizer.decode(shown + open_)
        if new.endswith("�") and place + 1 < len(ids) and len(open_) < CONTEXT:
            texts.append("")
            continue
        texts.append(new[len(old) :] if new.startswith(old) else tokenizer.decode(open_))
        shown, open_ = (shown + open_)[-CONTEXT:], []
    return texts
