"""A stranger's HTML as a page may show it: an allow-list of tags and attributes (nh3), read as browsers read.

What is not listed is taken out; the text inside a tag that is not listed stays, but for scripts and their like.
"""

import base64
import mimetypes
import re
from pathlib import Path

LARGEST_IMAGE = 4_000_000  # bytes of a picture beside the notebook that are worth embedding
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
STYLE = re.compile(r"(?i)url\s*\(|expression|@import|\\|<|position\s*:\s*(fixed|sticky)")


def sanitise(text: str, folder: Path | None = None) -> str:
    """HTML with everything taken out that could run, fetch or submit something, and long code folded.

    Pictures with a relative path inside ``folder`` are embedded; pictures from elsewhere become their own description.
    """
    import nh3
    from bs4 import BeautifulSoup

    def kept(tag: str, name: str, value: str) -> str | None:
        if name == "src":
            return value if value.startswith("data:image/") else _embedded(value, folder)
        if name == "href":
            return value if LINKS.match(value) else None
        if "url(" in value and name in DRAWN:
            return value if re.fullmatch(r"url\(#[\w-]+\)", value) else None
        return None if name == "style" and STYLE.search(value) else value

    clean = nh3.clean(
        text, tags=TAGS, clean_content_tags=GONE, attributes=ATTRIBUTES | {tag: DRAWN for tag in SVG},
        attribute_filter=kept, generic_attribute_prefixes={"aria-"}, url_schemes={"http", "https", "mailto", "data"},
        link_rel=None,
    )  # fmt: skip
    soup = BeautifulSoup(clean, "html.parser")
    for sheet in soup.find_all("style"):
        # a sheet with a tag in it is read differently inside SVG, where browsers see the tag
        if STYLE.search(sheet.get_text()):
            sheet.decompose()
    for picture in soup.find_all("img", src=False):
        picture.name = "em"
        picture.string = picture.get("alt") or "a picture that is not part of this page"
    for cell in soup.select("div.input"):  # code that is long is put behind a click: the page reads as a story
        lines = (cell.select_one(".input_area") or cell).get_text().strip().splitlines()
        if len(lines) > 16:
            details = soup.new_tag("details", attrs={"class": "code"})
            summary = soup.new_tag("summary")
            summary.string = f"code, {len(lines)} lines"
            cell.wrap(details)
            details.insert(0, summary)
    return str(soup)


def _embedded(source: str, folder: Path | None) -> str | None:
    """A picture of the run as a data: address; None where it is no picture, too large, or somebody else's."""
    path = (folder / source).resolve() if folder is not None and source and ":" not in source else None
    kind = mimetypes.guess_type(source)[0] or ""
    inside = path is not None and path.is_relative_to(folder.resolve()) and path.is_file()
    if inside and kind.startswith("image/") and path.stat().st_size <= LARGEST_IMAGE:
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return None
