"""Secrets among a notebook's parameters: a run uses them and never writes them down.

A parameter is a secret if its name is or ends in key, token, secret or password (``api_key``, ``hf_token``; not
``max_new_tokens``); so is a value under such a name inside a dict. The record, the manifests, the notebook, the page,
the log and the terminal show a mask with a hash instead: a cell keeps its identity, and two keys differ. The hash is
slow and short, so that guessing the value is expensive and uncertain.
"""

import contextlib
import functools
import hashlib
import html
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import WorkbenchError
from ...files import write_atomic

ENDINGS = ("key", "token", "secret", "password")
MASK = "masked "  # how a mask begins; ten hex digits follow
SHORTEST = 4  # a secret of so many characters is searched in running text, a shorter one only in quotes
ROUNDS = 200_000
FILES = (
    "log.txt", "metrics.json", "models.jsonl", "notebook.ipynb", "report.html", "rows.jsonl", "rows-before.jsonl",
    "items.html", "items.csv",
)  # fmt: skip


def is_secret(name: Any) -> bool:
    """Whether a parameter of this name holds a secret."""
    return str(name).lower().endswith(ENDINGS)


def masked(name: str, value: Any) -> Any:
    """A parameter's value for files: itself, or its mask."""
    if is_secret(name):
        if value is None or isinstance(value, bool) or value == "" or is_mask(value):
            return value
        return _mask(json.dumps(value, sort_keys=True, default=str))
    if isinstance(value, Mapping):
        return {key: masked(key, inner) for key, inner in value.items()}
    return [masked("", inner) for inner in value] if isinstance(value, list) else value


def mask(values: Mapping[str, Any]) -> dict[str, Any]:
    """`masked` of every parameter."""
    return {name: masked(name, value) for name, value in values.items()}


def is_mask(value: Any) -> bool:
    """Whether a value from a record is the mask of a secret."""
    return isinstance(value, str) and value.startswith(MASK) and len(value) == len(MASK) + 10


def has_mask(value: Any) -> bool:
    """Whether a mask is somewhere in a value."""
    return any(is_mask(leaf) for _, leaf in _leaves("", value))


@functools.cache
def _mask(text: str) -> str:
    return MASK + hashlib.pbkdf2_hmac("sha256", text.encode("utf-8", "replace"), b"workbench", ROUNDS).hex()[:10]


def secrets_in(values: Mapping[str, Any]) -> dict[str, str]:
    """Every secret among the parameters, as a text, and its mask."""
    return {
        str(value): masked(name, value) for name, value in _leaves("", dict(values)) if value != masked(name, value)
    }


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(name if is_secret(name) else key, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(name, inner)
    else:
        yield name, value


def shown(name: str, value: Any) -> Any:
    """`masked`, for a value that could not be read: do not repeat a text that seems to hold a secret."""
    if isinstance(value, str) and re.search(rf"({'|'.join(ENDINGS)})[\"']?\s*[:=]", value, re.IGNORECASE):
        return f"{MASK}(it seems to hold a secret)"
    return masked(name, value)


def _written(text: str) -> set[str]:
    """The forms a text can have in a file: as it is, or quoted by Python, JSON or HTML, or by two of them."""

    def quoted(text: str) -> set[str]:
        html_quotes = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return {
            repr(text)[1:-1],
            text.encode("unicode_escape").decode(),
            *(json.dumps(text, ensure_ascii=ascii)[1:-1] for ascii in (True, False)),
            html_quotes,
            html.escape(text),
            html_quotes.replace("'", "&#39;").replace('"', "&#34;"),  # as Jinja writes them
        }

    once = {text} | quoted(text)
    return once.union(*map(quoted, once))


class Masker:
    """Masks secrets in texts, JSON values and files; ``secrets`` comes from `secrets_in`."""

    def __init__(self, secrets: Mapping[str, str]):
        forms: dict[str, str] = {}
        for secret, word in secrets.items():
            for quote in ("'", '"') if len(secret) < SHORTEST else ("",):
                for form in _written(secret):
                    forms[quote + form + quote] = quote + word + quote
        self._forms = dict(sorted(forms.items(), key=lambda item: -len(item[0])))  # the longest first

    def text(self, text: str) -> str:
        """A text without secrets."""
        for form, word in self._forms.items():
            text = text.replace(form, word)
        return text

    def tree(self, value: Any) -> Any:
        """A JSON value without secrets; a notebook's list of lines is read as one text."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.tree(inner) for key, inner in value.items()}
        if isinstance(value, list):
            if value and all(isinstance(item, str) for item in value):
                whole = "".join(value)
                clean = self.text(whole)
                return value if clean == whole else clean.splitlines(keepends=True)
            return [self.tree(item) for item in value]
        return value

    def notebook(self, text: str) -> str:
        """A notebook's file without secrets."""
        if not self._forms:
            return text
        notebook = self.tree(json.loads(text))
        noted = notebook["metadata"].get("papermill", {})  # papermill's own account of the parameters
        given = noted["parameters"] = mask(noted.get("parameters", {}))
        for cell in notebook[
            "cells"
        ]:  # the cell that papermill added is written anew, so that no quoting hides a secret
            if "injected-parameters" in cell["metadata"].get("tags", []):
                cell["source"] = "\n".join(["# Parameters", *(f"{name} = {value!r}" for name, value in given.items())])
        return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"

    def folder(self, folder: Path) -> None:
        """Mask the secrets in what a run left."""
        if not self._forms:
            return
        for path in (*(folder / name for name in FILES), *(folder / "figures").glob("*.svg")):
            with contextlib.suppress(OSError, UnicodeDecodeError, WorkbenchError):
                if os.path.islink(path) or not path.is_file():
                    continue
                text = path.read_text("utf-8")
                if (clean := self.text(text)) != text:
                    write_atomic(path, clean)
