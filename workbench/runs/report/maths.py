"""Formulas for pages: LaTeX becomes MathML, which a browser sets without a script and without anything fetched.

Markdown's formulas reach the sanitiser as text in an element of the class `SOURCE`; what it makes of them there is
MathML of the lists below and nothing else. What cannot be converted stays on the page as it was typed.
"""

import html
import re
from xml.etree import ElementTree

from jinja2 import pass_context
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

SOURCE = "wb-tex"
LONGEST = 4_000  # characters of a formula; the converter takes a second for 20,000
MACROS = re.compile(r"\\(def|newcommand|newenvironment|DeclareMathOperator)\b")  # one in another grows without an end
TAGS = {
    "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "mover",
    "munder", "munderover", "mmultiscripts", "mprescripts", "mtable", "mtr", "mtd", "mstyle", "mpadded", "mphantom",
    "menclose",
}  # fmt: skip
ATTRIBUTES = {
    "display", "displaystyle", "scriptlevel", "mathvariant", "mathsize", "stretchy", "fence", "separator", "form",
    "accent", "accentunder", "largeop", "movablelimits", "symmetric", "minsize", "maxsize", "lspace", "rspace", "width",
    "height", "depth", "linethickness", "columnalign", "rowspacing", "columnspacing", "columnlines", "rowlines",
    "notation",
}  # fmt: skip


def mathml(source: str, *, block: bool = False) -> str | None:
    """A formula as MathML; None where it cannot be converted.

    Parameters
    ----------
    source
        LaTeX without the dollar signs around it.
    block
        Whether it stands in a line of its own.
    """
    import nh3
    from latex2mathml.converter import Converter

    if len(source) > LONGEST or MACROS.search(source):
        return None
    try:
        tree = Converter(display="block" if block else "inline").convert_to_element(source)
    except Exception:  # of a dozen classes with no other base: what is typed is no formula, or half of one
        return None
    for element in tree.iter():
        element.text = html.unescape(element.text or "")  # the converter writes "&#x003C;"; ElementTree escapes it anew
    text = ElementTree.tostring(tree, encoding="unicode")
    return nh3.clean(text, tags=TAGS, attributes={tag: ATTRIBUTES for tag in TAGS}, clean_content_tags=set())


class Renderer(IPythonRenderer):
    """nbconvert's, which leaves formulas in dollar signs to a script that no page of ours has."""

    def __init__(self, attachments: dict):
        super().__init__(False, attachments=attachments)  # markup stays markup: the sanitiser judges it

    def block_math(self, body: str) -> str:
        """$$ … $$"""
        return f'<div class="{SOURCE}">{html.escape(body)}</div>'

    def inline_math(self, body: str) -> str:
        """$ … $"""
        return f'<span class="{SOURCE}">{html.escape(body)}</span>'

    def latex_environment(self, name: str, body: str) -> str:
        r"""\begin{name} … \end{name}"""
        return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")


@pass_context
def markdown(context, source: str) -> str:
    """nbconvert's filter ``markdown2html``, with formulas for the sanitiser."""
    return MarkdownWithMath(renderer=Renderer(context.get("cell", {}).get("attachments", {}))).render(source)


def set_formulas(soup) -> None:
    """Set, in place, the formulas of a sanitised page."""
    from bs4 import BeautifulSoup

    for tag in soup.select(f".{SOURCE}"):
        source, block = tag.get_text(), tag.name == "div"
        made = mathml(source, block=block)
        if made is None:
            sign = "$$" if block else "$"
            tag.name, tag.attrs, tag.string = "code", {}, f"{sign}{source}{sign}"
            continue
        tag.clear()
        tag.append(BeautifulSoup(made, "html.parser"))
        tag["class"] = "wide" if block else "maths"  # on a telephone a long one scrolls, not the page
