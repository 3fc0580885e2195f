"""What the widgets of the explainability page share: export as PNG or HTML, a small memory, checked names.

No method stands here: the numbers are those of `workbench.papers.explainability`.
"""

import html
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import traitlets

from ... import plots
from ...errors import UsageError
from ...files import write_atomic
from ..base import View

KEPT = 64  # answers of the model kept in a widget, so that a way back costs nothing


class ExportView(View):
    """A `View` whose still picture can be taken away: by the page's PNG and HTML buttons, or by `save`.

    Attributes
    ----------
    exported : dict
        What the page asked for last: {"name", "kind" (the MIME type), "data" (base64)}.
    """

    exported = traitlets.Dict().tag(sync=True)
    stem = "explanation"  # of the exported file's name

    def perform(self, command):
        """{"kind": "export", "format": "png" or "html"}; a child adds its own and hands the rest to this."""
        if command.get("kind") == "export":
            data, kind, ending = self._exported(str(command.get("format")))
            self.exported = {
                "name": f"{self.stem}.{ending}",
                "kind": kind,
                "data": b64encode(data).decode(),
                "n": command.get("n"),
            }

    def save(self, path) -> Path:
        """Write the still picture to ``path``: a .png, or an .html page of one file, with the numbers and no script.

        Raises
        ------
        UsageError
            Another ending, or there is nothing to show (the sentence says why).
        """
        path = Path(path)
        return write_atomic(path, self._exported(path.suffix.lstrip(".").lower())[0])

    def _exported(self, ending: str) -> tuple[bytes, str, str]:
        if self.error:
            raise UsageError(f"there is nothing to export: {self.error}")
        if ending == "png":
            return self.picture(), "image/png", ending
        if ending == "html":
            title = html.escape(self.caption())
            page = (
                f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
                f"<body>{self.page(self.picture())}</body></html>\n"
            )
            return page.encode(), "text/html", ending
        raise UsageError(f"a widget is exported as png or html, not as {ending!r}")


class ExplainView(ExportView):
    """An `ExportView` over a model, with a small memory."""

    def __init__(self, model, **state):
        self.model = model
        self._known: dict[tuple, object] = {}
        super().__init__(**state)

    def once(self, key: tuple, make):
        """``make()``, or what it gave when ``key`` was asked for before (the 64 latest are kept)."""
        if key not in self._known:
            if len(self._known) >= KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = make()
        return self._known[key]


@contextmanager
def still() -> Iterator[None]:
    """The house style for a still picture of somebody's prompt: a dollar sign in it is a dollar sign, no formula."""
    import matplotlib as mpl

    with plots.style(), mpl.rc_context({"text.parse_math": False}):
        yield


def one_of(what: str, value: str, known) -> str:
    """``value`` if it is among ``known``, else a UsageError that lists them."""
    if value not in known:
        raise UsageError(f"{what} {value!r} is unknown: choose one of {', '.join(map(str, known))}")
    return value


def visible(token: str) -> str:
    """A token as the page shows it: a space as ␣, a line's end as ↵."""
    return token.replace("\n", "↵").replace("\t", "⇥").replace(" ", "␣") or "∅"


def number(value, digits: int = 4) -> str:
    """A number for a table; – for none."""
    return "–" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no -0.0000
