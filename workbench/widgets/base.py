"""What every widget shares: a question, controls, an answer, a table, one error sentence, pictures to take away.

A widget declares its ``controls`` and the traits that make up its question, ``asks``; `compute` answers by calling a
paper's public functions. The answer, a dict of plain values, goes to the page as a whole, with its table. Edits are
answered in the kernel's main thread, so that "Interrupt" works and no two forwards run at once; while one runs the
front end holds back all but the latest edit. Without JavaScript of its own a widget shows what `draw` draws.
"""

import html
import logging
import threading
from base64 import b64encode
from pathlib import Path

import anywidget
import traitlets

from ..errors import UsageError, WorkbenchError
from ..files import run_folder, write_atomic

log = logging.getLogger(__name__)
_HERE = Path(__file__).parent
LIVE = "application/vnd.jupyter.widget-view+json"
KEPT_WORDS = "Saved with the notebook. Run the cell to change it."
# the line "model not found" above a kept picture says nothing to a reader
KEPT_STYLE = (
    "<style>.jp-OutputArea-child:has(+ .jp-OutputArea-child .wb-kept):not(:has(.wb)) .jupyter-widgets "
    "{ display: none; }</style>"
)
KEPT = 64  # answers of the model kept in a widget, so that a way back costs nothing


def front(*names: str) -> tuple[str, str]:
    """The module and the style of a widget: base.js, charts.js and NAME.js …; base.css and NAME.css … (no CDN)."""
    parts = {
        "js": [*("base.js", "charts.js"), *(f"{name}.js" for name in names)],
        "css": ["base.css", *(f"{name}.css" for name in names)],
    }
    files = {kind: [_HERE / part for part in some if (_HERE / part).exists()] for kind, some in parts.items()}
    own = "" if len(files["js"]) > 2 else "\nexport default { render: plain };\n"
    return "\n".join(file.read_text("utf-8") for file in files["js"]) + own, "\n".join(
        file.read_text("utf-8") for file in files["css"]
    )


# --- controls: each sets one trait ------------------------------------------------------------------------------------


def Text(trait: str, label: str, *, width: float = 20) -> dict:
    """A field, ``width`` letters wide; all fields of a widget are sent together, on Enter or when one is left."""
    return {"kind": "text", "trait": trait, "label": label, "width": width}


def Choice(trait: str, label: str, options) -> dict:
    """A menu: ``options`` are values, or (value, what the page calls it) pairs."""
    pairs = [list(one) if isinstance(one, (tuple, list)) else [one, str(one)] for one in options]
    return {"kind": "choice", "trait": trait, "label": label, "options": pairs}


def Slider(trait: str, label: str, low: float, high: float, *, step: float = 1, words=None) -> dict:
    """A slider; ``words``, one a step, are shown in place of the number."""
    words = None if words is None else list(words)
    return {"kind": "slider", "trait": trait, "label": label, "low": low, "high": high, "step": step, "words": words}


def Check(trait: str, label: str) -> dict:
    """A box to tick."""
    return {"kind": "check", "trait": trait, "label": label}


def _main_loop():
    """The kernel's own event loop when called from another thread of it, else None.

    JupyterLab (from 4.4, with ipykernel 7) hands a widget's messages to a thread of their own, beside a running cell.
    Two forwards at once would share hooks and caches, and "Interrupt" would not reach the second.
    """
    if threading.current_thread() is threading.main_thread():
        return None
    from IPython import get_ipython

    return getattr(getattr(get_ipython(), "kernel", None), "io_loop", None)


class Explorer(anywidget.AnyWidget):
    """Base of the widgets. A child names ``asks``, gives `controls`, and writes `compute`, `rows` and `draw`.

    Attributes
    ----------
    answer : dict
        What `compute` returned, with "question" (the traits it answers), "command" (number of the last command carried
        out) and "error" (a sentence, or "").
    table : dict
        "columns" and "rows" of the answer, as text, its "caption", and the "file" name of its CSV.
    still : dict
        For a widget without JavaScript of its own: "source" (the drawn answer as a data address), "alt" and "says".
    large : bool
        Type large enough for the back row (default) or for one's own desk.
    exported : dict
        What the page asked for last: {"name", "kind" (the MIME type), "data" (base64), "n" (of the command)}.
    """

    _esm, _css = front()
    asks: tuple[str, ...] = ()
    stem = "widget"  # of an exported file's name
    answer = traitlets.Dict().tag(sync=True)
    table = traitlets.Dict().tag(sync=True)
    still = traitlets.Dict().tag(sync=True)
    asked_for = traitlets.List().tag(sync=True)  # ``asks``, for the page
    shown_controls = traitlets.List().tag(sync=True)  # `controls`, for the page
    command = traitlets.Dict().tag(sync=True)  # from the page: {"kind", "n", …}; n counts, so that a repetition is seen
    exported = traitlets.Dict().tag(sync=True)
    large = traitlets.Bool(True).tag(sync=True)

    def __init__(self, model=None, **state):
        self.model = model
        self._known: dict[tuple, object] = {}
        super().__init__(**state)
        self.asked_for = list(self.asks)
        self._start = self.question()
        self._working = False
        self.observe(self._changed, names=[*self.asks, "command"])
        self._changed(None)
        self.shown_controls = self.controls()  # some depend on the first answer

    # --- for the child to write -------------------------------------------------------------------------------------

    def controls(self) -> list[dict]:
        """`Text`, `Choice`, `Slider` and `Check`, in the page's order."""
        return []

    def compute(self) -> dict:
        """The answer to the present question, in values JSON knows. May raise WorkbenchError."""
        raise NotImplementedError

    def draw(self):
        """A `plots.Picture` of the answer."""
        raise NotImplementedError

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Column names and rows of the answer's table, as text."""
        raise NotImplementedError

    def caption(self) -> str:
        """One line saying what the picture shows."""
        return type(self).__name__

    def perform(self, command: dict) -> None:
        """Carry out a command of the page (a dict with "kind"): change traits. Those of every widget are done here."""

    def new_text(self) -> None:
        """Other texts were typed: put back what belonged to the old ones."""

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
        self._changed(None)  # also where no trait changed and a child forgot what it knew

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
        with self.hold_sync():  # the page gets the answer and its table at once
            self.answer = {**fresh, "question": question, "command": number, "error": error}
            self.table, self.still = {}, {}
            if fresh and (problem := self._sentence(self._show)):
                self.answer = {**self.answer, "error": error or problem}

    def _show(self) -> None:
        columns, rows = self.rows()
        self.table = {"columns": columns, "rows": rows, "caption": self.caption(), "file": f"{self.stem}.csv"}
        if self._esm == Explorer._esm and run_folder() is None:
            figure = self.draw()
            source = f"data:image/png;base64,{b64encode(figure.png()).decode()}"
            self.still = {"source": source, "alt": figure.description, "says": self.caption()}

    def _perform(self) -> None:
        command, kind = self.command, self.command.get("kind")
        if kind == "reset":
            self.reset()
        elif kind == "export":
            data, mime, ending = self._exported(str(command.get("format")))
            name, text = f"{self.stem}.{ending}", b64encode(data).decode()
            self.exported = {"name": name, "kind": mime, "data": text, "n": command.get("n")}
        elif kind == "ask":
            with self.hold_trait_notifications():
                for one in self.shown_controls:
                    if one["kind"] == "text" and one["trait"] in command:
                        setattr(self, one["trait"], str(command[one["trait"]]))
                self.new_text()
        else:
            self.perform(command)

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

    def once(self, key: tuple, make):
        """``make()``, or what it gave when ``key`` was asked for before (the 64 latest are kept)."""
        if key not in self._known:
            if len(self._known) >= KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = make()
        return self._known[key]

    # --- pages without a kernel, and files --------------------------------------------------------------------------

    def _ipython_display_(self):
        """Two outputs: the live widget, and picture and table, which base.css hides beside a widget that lives.

        Of several kinds in one output JupyterLab would show the live one only, and say "model not found" when the
        notebook is opened again.
        """
        from IPython.display import publish_display_data

        data, metadata = self._repr_mimebundle_()
        if LIVE in data:
            publish_display_data({LIVE: data.pop(LIVE), "text/plain": data["text/plain"]})
            data["text/html"] = f"{KEPT_STYLE}<div class='wb-kept'>{data['text/html']}<p>{KEPT_WORDS}</p></div>"
        publish_display_data(data, metadata)

    def open(self):
        """Inside a run nobody can click: no channel is opened, and the notebook keeps no widget state."""
        if run_folder() is None:
            super().open()

    def picture(self) -> bytes:
        """The answer as a PNG."""
        return self.draw().png()

    def page(self, png: bytes, alt: str = "") -> str:
        """Picture and table as HTML without script, everything escaped."""
        if self.error:
            return f"<p><strong>{html.escape(self.error)}</strong></p>"
        columns, rows = self.rows()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(v)}</td>" for v in row) + "</tr>" for row in rows)
        return (
            f'<img alt="{html.escape(alt or self.caption())}" style="max-width:100%" '
            f'src="data:image/png;base64,{b64encode(png).decode()}">'
            f"<details><summary>{html.escape(self.caption())}: the numbers</summary>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>"
        )

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
            figure, title = self.draw(), html.escape(self.caption())
            page = (
                f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
                f"<body>{self.page(figure.png(), figure.description)}</body></html>\n"
            )
            return page.encode(), "text/html", ending
        raise UsageError(f"a widget is exported as png or html, not as {ending!r}")

    def _repr_mimebundle_(self, **kwargs):
        """The live widget, and picture and table for where it cannot live; inside a run only the latter."""
        data, metadata = {"text/plain": self.error or self.caption(), "text/html": ""}, {}
        if self.error:
            data["text/html"] = self.page(b"")
        else:
            figure = self.draw()
            png, alt = figure.png(), figure.description
            data |= {"image/png": b64encode(png).decode(), "text/html": self.page(png, alt)}
            metadata = {"image/png": {"alt": alt}}
        if run_folder() is None:
            live = super()._repr_mimebundle_(**kwargs)
            if live is not None:
                live, more = live if isinstance(live, tuple) else (live, {})
                data = {**data, **{kind: value for kind, value in live.items() if kind not in data}}
                metadata |= more
        return data, metadata


def one_of(what: str, value: str, known) -> str:
    """``value`` if it is among ``known``, else a UsageError that lists them."""
    if value not in known:
        raise UsageError(f"{what} {value!r} is unknown: choose one of {', '.join(map(str, known))}")
    return value


def visible(token: str) -> str:
    """A token as the page shows it: a space as ␣, a line's end as ↵."""
    return token.replace("\n", "↵").replace("\t", "⇥").replace(" ", "␣") or "∅"


def number(value, digits: int = 4) -> str:
    """A number for a table; – for None."""
    return "–" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no -0.0000
