"""A stranger's HTML as a page may show it: allow-lists of tags, attributes and style properties (nh3).

What is not listed is taken out; the text inside a tag that is not listed stays, except in scripts and the like. nh3
reads HTML and styles as browsers do and writes them anew, so no escape hides a function's name when values are checked.
"""

import base64
import functools
import html
import mimetypes
import re
from pathlib import Path

HIDDEN = ("remove-input", "hide-input")  # nbconvert's and Jupyter Book's tags of cells whose code is not for the class
LARGEST_IMAGE = 4_000_000  # bytes of a picture beside the notebook that is embedded
SVG = {
    "svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "defs", "clipPath",
    "linearGradient", "radialGradient", "stop", "symbol", "marker", "title", "desc",
}  # fmt: skip
TAGS = SVG | {
    "a", "abbr", "b", "blockquote", "br", "caption", "center", "cite", "code", "col", "colgroup", "dd", "del",
    "details", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i",
    "img", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "s", "samp", "section", "small", "span", "strong",
    "style", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "u", "ul", "var",
}  # fmt: skip
GONE = {"script", "iframe", "object", "embed", "noscript", "template", "textarea", "xmp", "noembed", "noframes", "math"}
ATTRIBUTES = {
    "*": {"class", "id", "title", "lang", "dir", "role", "style", "align", "valign", "width", "height"},
    "a": {"href"}, "img": {"src", "alt"}, "details": {"open"}, "ol": {"start", "type"}, "table": {"border"},
    "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan", "scope"}, "col": {"span"}, "colgroup": {"span"},
}  # fmt: skip
DRAWN = {
    "d", "x", "y", "x1", "y1", "x2", "y2", "dx", "dy", "cx", "cy", "r", "rx", "ry", "points", "viewBox", "version",
    "transform", "fill", "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-opacity", "stroke-linecap",
    "stroke-linejoin", "stroke-dasharray", "stroke-dashoffset", "stroke-miterlimit", "opacity", "clip-path",
    "font-family", "font-size", "font-style", "font-weight", "text-anchor", "dominant-baseline", "offset",
    "stop-color", "stop-opacity", "preserveAspectRatio", "clipPathUnits", "gradientUnits", "gradientTransform",
    "markerWidth", "markerHeight", "refX", "refY", "orient", "marker-start", "marker-end",
}  # fmt: skip
LINKS = re.compile(r"(?i)\s*(https?:|mailto:|#)|[\w./-]+$")  # an address that may be followed
STYLES = {name for name in DRAWN if "-" in name} | {
    "fill", "stroke", "opacity", "color", "background", "background-color", "font", "font-variant", "line-height",
    "text-align", "text-decoration", "text-indent", "text-transform", "vertical-align", "white-space", "word-break",
    "overflow-wrap", "letter-spacing", "list-style-type", "display", "visibility", "float", "clear", "width", "height",
    "min-width", "max-width", "min-height", "max-height", "overflow", "overflow-x", "overflow-y", "box-sizing", "gap",
    "flex", "flex-direction", "flex-wrap", "align-items", "justify-content", "border-collapse", "border-spacing",
    "border-radius", "border-color", "border-style", "border-width", "caption-side", "table-layout",
    *(f"{kind}{side}" for kind in ("margin", "padding", "border") for side in
      ("", "-top", "-right", "-bottom", "-left")),
}  # fmt: skip
FUNCTIONS = {"rgb", "rgba", "hsl", "hsla", "calc"}  # in a value: none of them fetches
FUNCTION = re.compile(r"([\w-]*)\(")
RULE = re.compile(r"""([\w\s.#:,>()+~*=\[\]"'-]+)\{([^{}]*)\}""")  # of a style sheet: selector and declarations


def sanitise(text: str, folder: Path | None = None) -> str:
    """HTML without anything that could run, fetch or submit something, with formulas set and long code folded.

    Pictures with a relative path inside ``folder`` are embedded; pictures from elsewhere become their own description.
    """
    import nh3
    from bs4 import BeautifulSoup

    from .maths import set_formulas

    def kept(tag: str, name: str, value: str) -> str | None:
        if name == "src":
            return value if value.startswith("data:image/") else _embedded(value, folder)
        if name == "href":
            return value if LINKS.match(value) else None
        if "url(" in value and name in DRAWN:
            return value if re.fullmatch(r"url\(#[\w-]+\)", value) else None
        return value

    clean = nh3.clean(
        text, tags=TAGS, clean_content_tags=GONE, attributes=ATTRIBUTES | {tag: DRAWN for tag in SVG},
        attribute_filter=kept, generic_attribute_prefixes={"aria-"}, url_schemes={"http", "https", "mailto", "data"},
        link_rel=None,
    )  # fmt: skip
    soup = BeautifulSoup(clean, "html.parser")
    for tag in soup.find_all(style=True):
        tag["style"] = _declarations(tag["style"])
    for sheet in soup.find_all("style"):
        rules = [(selector.strip(), _declarations(body)) for selector, body in RULE.findall(sheet.get_text())]
        sheet.string = "\n".join(f"{selector} {{{body}}}" for selector, body in rules if body)
    set_formulas(soup)
    for picture in soup.find_all("img", src=False):
        picture.name = "em"
        picture.string = picture.get("alt") or "a picture that is not part of this page"
    for cell in soup.select("div.input"):  # long code is folded, so that the page reads as a story
        lines = (cell.select_one(".input_area") or cell).get_text().strip().splitlines()
        if len(lines) > 16 or cell.find_parent(class_=[f"celltag_{tag}" for tag in HIDDEN]):
            details = soup.new_tag("details", attrs={"class": "code"})
            summary = soup.new_tag("summary")
            summary.string = f"code, {len(lines)} lines" if len(lines) > 1 else "code"
            cell.wrap(details)
            details.insert(0, summary)
    return str(soup)


@functools.lru_cache(maxsize=1024)  # the cells of a table are styled alike
def _declarations(body: str) -> str:
    """What of some style declarations may stay. nh3 filters attributes only, so a rule of a sheet passes as one."""
    import nh3
    from bs4 import BeautifulSoup

    tag = f'<p style="{html.escape(body)}">'
    clean = nh3.clean(tag, tags={"p"}, attributes={"p": {"style"}}, filter_style_properties=STYLES)
    style = BeautifulSoup(clean, "html.parser").p.get("style", "")
    if "<" in style or set(FUNCTION.findall(style)) - FUNCTIONS:  # "\3c/style>" would end the sheet it stands in
        return ""
    return style


def _embedded(source: str, folder: Path | None) -> str | None:
    """A picture of the run as a data: address; None if it is not a picture, too large, or outside the run's folder."""
    path = (folder / source).resolve() if folder is not None and source and ":" not in source else None
    kind = mimetypes.guess_type(source)[0] or ""
    inside = path is not None and path.is_relative_to(folder.resolve()) and path.is_file()
    if inside and kind.startswith("image/") and path.stat().st_size <= LARGEST_IMAGE:
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return None
