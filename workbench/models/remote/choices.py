"""What a choice of a server's answer holds: its text, what came instead of a text, its log-probabilities."""

# why a choice has no text of its own: the word for `Generation.finish`, and what it means and what to do
WITHOUT_TEXT = {
    "tool calls": "tool calls (the server offers the model tools: switch them off there)",
    "refusal": "refusals of the model",
    "filtered": "answers that the server's content filter kept back",
    "reasoning": "reasoning only (the tokens ran out before the answer: raise max_new_tokens, or switch thinking off)",
    "broken off": "answers that the server broke off before their first word (see its log)",
    "no content": "neither a text nor a reason why there is none",
}
# a server's finish_reason where a text is there and was not ended by the model
CUT_SHORT = {
    "content_filter": "filtered", "tool_calls": "tool calls", "function_call": "tool calls", "abort": "broken off",
    "aborted": "broken off", "cancelled": "broken off", "canceled": "broken off", "error": "broken off",
    "timeout": "broken off", "time_limit": "broken off",
}  # fmt: skip
_PARTS = {
    "text": "text", "output_text": "text", "input_text": "text", "refusal": "refusal", "thinking": "reasoning",
    "reasoning": "reasoning", "reasoning_text": "reasoning", "tool_call": "tool calls", "tool_use": "tool calls",
    "tool_calls": "tool calls", "function_call": "tool calls",
}  # fmt: skip
_FIELDS = {  # of a message; each server has its own name for what a model thinks
    "reasoning": ("reasoning_content", "reasoning", "thinking"),
    "tool calls": ("tool_calls", "function_call"),
    "refusal": ("refusal",),
}


def text_of(choice: dict) -> str:
    """The text of a choice, of either endpoint; "" where there is none."""
    return _read(choice)[0]


def missing_text(choice: dict) -> str | None:
    """Why a choice has no text (a key of WITHOUT_TEXT), or None: an empty text that the model ended is a text too."""
    text, other = _read(choice)
    if text:
        return None
    for kind in WITHOUT_TEXT:
        if other.get(kind):
            return kind
    return "no content" if other.get("null") else None


def said_by(choice: dict) -> str:
    """All that was said, its reasoning or refusal too: what tells two samples apart."""
    text, other = _read(choice)
    return text or "".join(str(said) for kind in WITHOUT_TEXT if (said := other.get(kind)))


def unreadable(choice, *, chat: bool) -> str | None:
    """What is wrong with a choice that cannot be read, or None.

    A text may be a string, null, or a list of parts of kinds that are known.
    """
    holder = choice.get("message") if chat and isinstance(choice, dict) else choice
    if not isinstance(holder, dict):
        return "no text"
    content = holder.get("content" if chat else "text")
    if content is None or isinstance(content, str):
        return None
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            continue
        if not isinstance(part, dict):
            return "no text"
        if not isinstance(kind := part.get("type"), str) or kind not in _PARTS:
            return f"a part of type {str(kind)[:40]!r}, which is no text"
        if _PARTS[kind] == "text" and not isinstance(_part_text(part), str):
            return "no text"
    return None


def _read(choice: dict) -> tuple[str, dict]:
    """(the text, {kind: what came} of everything else; "null" is True where the content is null)."""
    message = choice["message"] if "message" in choice else {"content": choice.get("text")}
    content, texts = message.get("content"), []
    other: dict = {"null": content is None}
    for part in [content] if isinstance(content, str | dict) else content or []:
        kind = "text" if isinstance(part, str) else _PARTS[part["type"]]
        said = part if isinstance(part, str) else _part_text(part)
        if kind == "text":
            texts.append(said)
        else:
            other[kind] = said or True
    for kind, names in _FIELDS.items():
        other[kind] = other.get(kind) or next((message[name] for name in names if message.get(name)), None)
    ended = cut_short(choice)
    other["filtered"], other["broken off"] = ended == "filtered", ended == "broken off"
    return "".join(texts), other


def cut_short(choice: dict) -> str | None:
    """The word for a text that something other than the model or its limit has ended; None where nothing did."""
    reason = choice.get("finish_reason")
    return CUT_SHORT.get(reason) if isinstance(reason, str) else None


def _part_text(part: dict):
    said = part.get("text", part.get("refusal", part.get("thinking")))
    return said.get("value") if isinstance(said, dict) else said


def token_logprobs(choice: dict) -> list[float] | None:
    """The log-probability of each sampled token, or None where the answer has none."""
    said = choice.get("logprobs")
    if not isinstance(said, dict):
        return None
    if isinstance(said.get("content"), list):  # chat
        values = [item.get("logprob") for item in said["content"] if isinstance(item, dict)]
    else:
        values = said.get("token_logprobs")
    if not isinstance(values, list) or not values or not all(map(is_logprob, values)):
        return None
    return [float(value) for value in values]


def is_logprob(value) -> bool:
    """Whether a number can be a log-probability: at most 0, but for rounding, and no more than a double holds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1.7e308 < value < 1e-3


def echoed(choice: dict, text: str) -> tuple[list[int], list[float | None]] | None:
    """Where each token of an echoed text begins and its log-probability (None for the first), or None if not echoed."""
    said = choice.get("logprobs")
    if not isinstance(said, dict) or not str(choice.get("text") or "").startswith(text):
        return None
    tokens, values = said.get("tokens"), said.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        return None
    joined = "".join(map(str, tokens))
    shift = joined.find(text)  # a start token may stand in front of it
    if shift < 0:
        return None
    starts, at = [], -shift
    kept = []
    for token, value in zip(tokens, values, strict=True):
        if 0 <= at < len(text):
            starts.append(at)
            kept.append(float(value) if is_logprob(value) else None)
        at += len(str(token))
    if not starts or starts[0] != 0 or any(value is None for value in kept[1:]):
        return None
    return starts, kept
