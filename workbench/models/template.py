"""A chat template is code that came with the model's files: it is run in jinja's sandbox, within bounds.

The sandbox keeps a template from the machine, not from running for ever or filling the memory, so it is watched: line
by line for time and for memory, and what one line alone could blow up (a power, a product) is bounded beforehand.
"""

import sys
import time

from ..errors import ModelError

SECONDS = 10.0  # a template of the longest conversation takes milliseconds
GROWTH = 2**30  # bytes that the process may grow by meanwhile
LONGEST = 2**24  # characters of the text, and of any product of a text and a number


class _TooMuch(Exception):
    """The template ran into a bound; says which."""


def fill(tokenizer, messages: list[dict], name: str) -> str:
    """The conversation in the tokenizer's chat template, ready for the model's answer.

    Raises
    ------
    ModelError
        The template does not end, or wants more memory than a text can need.
    """
    try:
        _check_source(tokenizer.chat_template)
        text = _watched(lambda: tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
        if len(text) > LONGEST:
            raise _TooMuch(f"it wrote {len(text):,} characters")
    except (_TooMuch, OverflowError, MemoryError, RecursionError) as error:
        raise ModelError(
            f"the chat template of {name} does not come to an end ({error or type(error).__name__}): it is no template "
            "that a model was trained with; take it from the model's publisher, or give plain texts"
        ) from error
    return text


def _check_source(template) -> None:
    """Refuse powers, which no template needs and one of which can take for ever, and products of large constants."""
    import jinja2

    for source in template.values() if isinstance(template, dict) else [template]:
        try:
            tree = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(source)
        except jinja2.TemplateSyntaxError:
            continue  # transformers' own tags; a true error is its to tell
        if next(tree.find_all(jinja2.nodes.Pow), None) is not None:
            raise _TooMuch("it computes a power")
        for product in tree.find_all(jinja2.nodes.Mul):
            for side in (product.left, product.right):
                if isinstance(side, jinja2.nodes.Const) and isinstance(side.value, int) and side.value > 10**4:
                    raise _TooMuch(f"it multiplies by {side.value:,}")


def _watched(run):
    """``run()``, stopped at the next line of Python once it has taken `SECONDS` or grown by `GROWTH`."""
    import psutil

    process = psutil.Process()
    ends, most, looked = time.monotonic() + SECONDS, process.memory_info().rss + GROWTH, [0.0]

    def trace(frame, event, argument):
        now = time.monotonic()
        if now > ends:
            raise _TooMuch(f"stopped after {SECONDS:.0f} s")
        if now - looked[0] > 0.01:
            looked[0] = now
            if process.memory_info().rss > most:
                raise _TooMuch(f"stopped at {GROWTH / 1e9:.0f} GB")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return run()
    finally:
        sys.settrace(before)
