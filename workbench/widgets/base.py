"""What every widget shares: a question, an answer, one error sentence, and a picture for where nobody can click.

A view's traits named in ``asks`` are the question; `compute` answers it by calling a paper's public functions; the
answer, a dict of plain values, goes to the page as a whole. Edits are answered in the kernel's main thread, so that
"Interrupt" works and no two forwards run at once; while one runs the front end holds back all but the latest edit.
"""

import html
import logging
import threading
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import anywidget
import traitlets

from ..errors import WorkbenchError
from ..files import run_folder

log = logging.getLogger(__name__)
_HERE = Path(__file__).parent


def front(*names: str) -> tuple[str, str]:
    """The module and the style of a widget: base.js + NAME.js …, base.css + NAME.css … (package files, no CDN)."""
    files = {kind: [_HERE / f"{part}.{kind}" for part in ("base", *names)] for kind in ("js", "css")}
    return tuple(
        "\n".join(file.read_text(encoding="utf-8") for file in files[kind] if kind == "js" or file.exists())
        for kind in ("js", "css")
    )


def _main_loop():
    """The kernel's own event loop when called from another thread of it, else None.

    JupyterLab (from 4.4, with ipykernel 7) hands a widget's messages to a thread of their own, beside a running cell.
    Two forwards at once would share hooks and caches, and "Interrupt" would not reach the second.
    """
    if threading.current_thread() is threading.main_thread():
        return None
    from IPython import get_ipython

    return getattr(getattr(get_ipython(), "kernel", None), "io_loop", None)


class View(anywidget.AnyWidget):
    """Base of the widgets. A child names ``asks``, sets ``_esm`` and ``_css``, and writes `compute` and `draw`.

    Attributes
    ----------
    answer : dict
        What `compute` returned, with "question" (the traits it answers), "command" (number of the last command carried
        out) and "error" (a sentence, or "").
    large : bool
        Type large enough for the back row (default) or for one's own desk.
    """

    asks: tuple[str, ...] = ()
    answer = traitlets.Dict().tag(sync=True)
    command = traitlets.Dict().tag(sync=True)  # from the page: {"kind", "n", …}; n counts, so that a repetition is seen
    large = traitlets.Bool(True).tag(sync=True)

    def __init__(self, **state):
        super().__init__(**state)
        self._start = self.question()
        self._working = False
        self.observe(self._changed, names=[*self.asks, "command"])
        self._changed(None)

    # --- for the child to write -------------------------------------------------------------------------------------

    def compute(self) -> dict:
        """The answer to the present question, in values JSON knows. May raise WorkbenchError."""
        raise NotImplementedError

    def draw(self):
        """A matplotlib figure of the answer."""
        raise NotImplementedError

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Column names and rows of the answer's table, as text."""
        raise NotImplementedError

    def perform(self, command: dict) -> None:
        """Carry out a command of the page (a dict with "kind"): change traits. "reset" is done here already."""

    # --- the same for all -------------------------------------------------------------------------------------------

    def question(self) -> dict:
        """The traits that the answer depends on."""
        return {name: getattr(self, name) for name in self.asks}

    @property
    def error(self) -> str:
        """The sentence shown in place of a result, or ""."""
        return self.answer.get("error", "")

    def reset(self) -> None:
        """Back to how the widget was built."""
        with self.hold_trait_notifications():
            for name, value in self._start.items():
                setattr(self, name, value)

    def _changed(self, change) -> None:
        loop = _main_loop()
        if loop is not None:  # answered behind the running cell, and behind any other widget's answer
            loop.add_callback(self._changed, None)
            return
        if self._working:  # a command that sets traits is answered once, when it is done
            return
        self._working = True
        try:
            self._answer()
        finally:
            self._working = False

    def _answer(self) -> None:
        number, error = self.command.get("n", 0), ""
        if number != self.answer.get("command", 0):
            error = self._sentence(self._perform)
        question = self.question()
        fresh = {}
        if question == self.answer.get("question"):
            if not error and number == self.answer.get("command") and not self.error:
                return
            fresh = {**self.answer, "error": ""}
        if not fresh or (self.error and not error):  # new, or worth another try
            error = self._sentence(lambda: fresh.update(self.compute())) or error
        self.answer = {**fresh, "question": question, "command": number, "error": error}

    def _perform(self) -> None:
        if self.command.get("kind") == "reset":
            self.reset()
        else:
            self.perform(self.command)

    def _sentence(self, work) -> str:
        """Do ``work``; what went wrong as one sentence, or "". The page must get an answer whatever happens."""
        try:
            work()
        except WorkbenchError as error:
            return str(error)
        except KeyboardInterrupt:
            return "interrupted: change anything to compute again"
        except Exception as error:  # unforeseen: the traceback goes to the log
            log.exception("the widget %s failed", type(self).__name__)
            return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no message'])[0]}"
        return ""

    # --- pages without a kernel -------------------------------------------------------------------------------------

    def open(self):
        """Inside a run nobody can click: no channel is opened, and the notebook keeps no widget state."""
        if run_folder() is None:
            super().open()

    def picture(self) -> bytes:
        """The answer as a PNG."""
        buffer = BytesIO()
        self.draw().savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()

    def page(self, png: bytes) -> str:
        """Picture and table as HTML without script, everything escaped."""
        if self.error:
            return f"<p><strong>{html.escape(self.error)}</strong></p>"
        columns, rows = self.rows()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(v)}</td>" for v in row) + "</tr>" for row in rows)
        return (
            f'<img alt="{html.escape(self.caption())}" style="max-width:100%" '
            f'src="data:image/png;base64,{b64encode(png).decode()}">'
            f"<details><summary>{html.escape(self.caption())}: the numbers</summary>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>"
        )

    def caption(self) -> str:
        """One line saying what the picture shows."""
        return type(self).__name__

    def _repr_mimebundle_(self, **kwargs):
        """The live widget, and picture and table for where it cannot live; inside a run only the latter."""
        data, metadata = {"text/plain": self.error or self.caption()}, {}
        if not self.error:
            png = self.picture()
            data["image/png"] = b64encode(png).decode()
            data["text/html"] = self.page(png)
        else:
            data["text/html"] = self.page(b"")
        if run_folder() is None:
            live = super()._repr_mimebundle_(**kwargs)
            if live is not None:
                live, metadata = live if isinstance(live, tuple) else (live, {})
                data = {**data, **{kind: value for kind, value in live.items() if kind not in data}}
        return data, metadata
