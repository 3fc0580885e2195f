"""A table as people read it in a notebook; `plots` draws, this writes."""

import html
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from .stats import Estimate

SHORT = 32  # letters: an interval or a name up to this length is not broken into two lines


def shown(table: Any, caption: str = ""):
    """A table for people: whole texts, escaped, read from the left; three digits; a blank where there is no value.

    Parameters
    ----------
    table : DataFrame, list of dict, or mapping of a name to its value
        A named index becomes columns, an unnamed one is left out: no column is without a name. A mapping has the
        columns "what" and "value".

    Returns
    -------
    pandas.io.formats.style.Styler
        Its ``.data`` is the table as texts.
    """
    import pandas as pd

    if isinstance(table, Mapping):
        table = pd.Series(table, name="value", dtype=object).rename_axis("what").to_frame()
    frame = pd.DataFrame(table)
    named = [name for name in frame.index.names if name is not None]
    frame = (frame.reset_index(named, allow_duplicates=True) if named else frame).rename(columns=str)
    texts, rules = frame.astype(object).map(_said), []  # an empty column of numbers has no texts
    for place in range(frame.shape[1]):
        if not all(isinstance(value, (Real, Estimate, type(None))) for value in frame.iloc[:, place]):
            rules.append({"selector": f"th.col{place}, td.col{place}", "props": "text-align: left"})
        if texts.iloc[:, place].str.len().max() <= SHORT:
            rules.append({"selector": f"td.col{place}", "props": "white-space: nowrap"})
    style = texts.style.hide(axis="index").format(escape="html").format_index(escape="html", axis="columns")
    style.set_table_styles(rules)
    return style.set_caption(html.escape(caption)) if caption else style


def _said(value: Any) -> str:
    if value is None or (isinstance(value, Real) and value != value):
        return ""
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)
