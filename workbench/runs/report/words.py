"""The pages' templates, and values in words for pages and terminals."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

NUMBER = re.compile(r"[\s\[(]*[-−+<>~≈]?\s*\.?\d|(nan|None|-?inf|[-–—])$")  # a cell that begins like this is no words
TEMPLATES = Path(__file__).parent / "templates"


def environment():
    """The templates' Jinja2 environment; it escapes everything unless a template says ``safe``."""
    import jinja2

    from ..store.metrics import show

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"duration": duration, "size": size, "shown": show, "value": plain}
    made.globals["css"] = (TEMPLATES / "style.html").read_text("utf-8")
    made.globals["code_colours"] = code_colours
    return made


def code_colours(theme: str) -> str:
    """pygments' style sheet for code in the reader's theme."""
    from pygments.formatters import HtmlFormatter

    return HtmlFormatter(style={"light": "default", "dark": "monokai"}[theme]).get_style_defs(".highlight")


def script(name: str) -> dict[str, str]:
    """A template's script and its hash; the page's policy lets only that script run."""
    text = (TEMPLATES / name).read_text("utf-8")
    return {"script": text, "script_hash": base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}


def duration(seconds: float | None) -> str:
    """Seconds for people: 3.2 s, 4 min 10 s, 2 h 5 min."""
    if not isinstance(seconds, (int, float)):  # None, or what the template does not know
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min {int(seconds % 60)} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float | None) -> str:
    """Bytes for people."""
    if not isinstance(count, (int, float)):  # None, or what the template does not know
        return ""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def plain(value: Any) -> str:
    """A parameter's value for people: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
