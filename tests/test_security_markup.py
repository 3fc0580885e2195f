"""Markup in what a model, a record or a notebook says runs nowhere.

Each sink of text is fed with markup that would run, and the result is read by a parser, not searched for a word.
"""

import ast
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from hostile import EVIL, RUNS, evil_record

from workbench import plots
from workbench.errors import WorkbenchError
from workbench.runs.report import exports, index as report, page, words

ROOT = Path(__file__).resolve().parent.parent


class Danger(HTMLParser):
    """What could run in a page: tags, handlers, addresses."""

    def __init__(self, allowed=()):
        super().__init__()
        self.allowed, self.found, self.script, self.texts = allowed, [], None, []

    def handle_starttag(self, tag, attributes):
        if tag == "script":
            self.script = ""
        if tag in {"iframe", "object", "embed", "base", "form", "link"}:
            self.found.append(tag)
        for name, value in attributes:
            bare = re.sub(r"\s", "", value or "").lower()
            if name.startswith("on") or bare.startswith(("javascript:", "vbscript:")) or "url(" in bare:
                self.found.append((tag, name, value))
            if name == "src" and not bare.startswith("data:image/"):
                self.found.append((tag, name, value))

    def handle_data(self, data):
        if self.script is not None:
            self.script += data
        self.texts.append(data)

    def handle_endtag(self, tag):
        if tag == "script":
            if self.script not in self.allowed:
                self.found.append(("script", self.script))
            self.script = None


def harmless(html, allowed=(), shown=True):
    seen = Danger(allowed)
    seen.feed(html)
    seen.close()
    assert seen.found == []
    if shown:
        assert RUNS in "".join(seen.texts), "the text must be shown as text, not lost"


def test_the_parser_sees_what_would_run():
    seen = Danger()
    seen.feed(EVIL)
    assert [item if isinstance(item, str) else item[0] for item in seen.found] == ["script", "img", "img", "a"]


def evil_notebook():
    v4 = nbformat.v4
    outputs = [
        v4.new_output("stream", name="stdout", text=EVIL),
        v4.new_output("stream", name="stderr", text=EVIL),
        v4.new_output("error", ename=EVIL, evalue=EVIL, traceback=[EVIL]),
        *(v4.new_output("display_data", data={kind: EVIL}) for kind in
          ("text/plain", "text/html", "text/markdown", "text/latex", "application/javascript", "image/svg+xml")),
        v4.new_output("display_data", data={"text/html": f'<svg><style><img src=x onerror="{RUNS}"></style></svg>'}),
        v4.new_output("display_data", data={"text/html": f"<xmp><img title='</xmp><img src=x onerror={RUNS}>'>"}),
        v4.new_output("display_data", data={page.WIDGET: {"model_id": "m"}}),
    ]  # fmt: skip
    cell = v4.new_code_cell(f"x = {EVIL!r}", outputs=outputs)
    state = {"m": {"state": {"_model_name": "HTMLModel", "value": EVIL, "description": EVIL}}}
    return v4.new_notebook(
        cells=[v4.new_markdown_cell(f"# {EVIL}\n\n{EVIL}"), cell],
        metadata={"widgets": {page.STATE: {"state": state}}},
    )


def test_a_runs_page_runs_nothing(tmp_path):
    record = evil_record(tmp_path)
    made = page.render(evil_notebook(), vars(record), record.folder)
    harmless(made)
    assert "script-src" not in made.split("</head>")[0].split("Content-Security-Policy")[1].split(">")[0]


def test_the_report_of_all_runs_runs_nothing_but_its_filter(tmp_path):
    records = [evil_record(tmp_path, name) for name in ("demo", "more")]
    for record in records:  # two finished runs of one paper, so that the comparison is drawn too
        second = tmp_path / record.paper / "20261122-101011-abcd"
        shutil.copytree(record.folder, second)
        written = json.loads((second / "record.json").read_text()) | {"id": second.name}
        (second / "record.json").write_text(json.dumps(written))
    made = report.write_report(tmp_path).read_text("utf-8")
    harmless(made, allowed=[(words.TEMPLATES / "filter.js").read_text("utf-8")])
    assert "<title>20261122" in made, "the comparison's picture is there"


def test_latex_has_no_command_of_a_strangers(tmp_path):
    evil = [r"\input{/etc/passwd} 100% & more_ #1 $x$ ~^"]
    text = exports.as_latex([evil_record(tmp_path)]) + exports.latex_table("evil", evil, [evil], "l")
    body = re.sub(r"\\(begin|end|toprule|midrule|bottomrule|usepackage|space|text\w+)\b|\\[&%$#_{}\\]", "", text)
    assert "\\" not in body, body


def test_widgets_snapshots_run_nothing():
    from workbench.widgets import base

    class Plain(base.Explorer):
        _esm = "export default { render() {} }"

        def compute(self):
            return {"text": EVIL}

        def caption(self):
            return EVIL

        def rows(self):
            return [EVIL, "b"], [[EVIL, EVIL]]

        def draw(self):
            return plots.empty(EVIL)

    class Failing(Plain):
        def compute(self):
            raise WorkbenchError(EVIL)

    class Broken(Plain):
        def compute(self):
            raise ValueError(EVIL)

    for kind in (Plain, Failing, Broken):
        data, _ = kind()._repr_mimebundle_()
        harmless(data["text/html"])
    # what every widget inherits is what was tested
    for path in (ROOT / "workbench" / "widgets").rglob("*.py"):
        names = {n.name for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)}
        if path.stem not in ("base", "map"):
            assert not names & {"page", "_repr_html_", "_repr_mimebundle_"}, path
    # the one widget that adds to its page: the map's texts are ours, and escaped all the same
    import dataclasses

    from workbench.papers.explainability import taxonomy
    from workbench.widgets.explain import map as explain_map

    evil = [
        dataclasses.replace(leaf, title=EVIL, path=(EVIL, EVIL), reason=EVIL, function=None)
        for leaf in taxonomy.TAXONOMY[:2]
    ]
    widget = explain_map.TaxonomyMap()
    widget._by_key = dict(zip((widget.leaf, "another"), evil, strict=True))
    harmless(widget.page(b""))


def test_reports_of_models_and_tables_run_nothing(tmp_path):
    import dataclasses

    import pandas as pd

    from workbench.data import quoted_table
    from workbench.models.remote.abilities import Abilities, RemoteReport
    from workbench.models.remote.client import ServerOptions, Usage
    from workbench.models.report import LoadReport

    filled = {
        item.name: EVIL if "str" in str(item.type) else [EVIL] if "list" in str(item.type) else 1
        for item in dataclasses.fields(LoadReport)
    }
    harmless(LoadReport(**filled)._repr_html_())
    found = Abilities(answers_as=EVIL, models=[EVIL], notes=[EVIL])
    harmless(RemoteReport(EVIL, EVIL, found, ServerOptions(currency="<b>"), Usage())._repr_html_())
    (tmp_path / "data" / "x").mkdir(parents=True)
    quote = {"value": EVIL, "source": EVIL, "read_from": EVIL, "unit": EVIL}
    (tmp_path / "data" / "x" / "paper.json").write_text(json.dumps({EVIL: quote}))
    harmless(quoted_table("x", root=tmp_path)._repr_html_(), shown=False)
    with pd.option_context("display.max_colwidth", None):
        harmless(pd.DataFrame([{EVIL: EVIL}])._repr_html_())
    sources = [*(ROOT / "workbench").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    for path in [*sources, *(ROOT / "notebooks").glob("*.ipynb")]:
        assert not re.search(r"escape\s*=\s*False", path.read_text("utf-8")), f"{path} shows a table unescaped"


@pytest.mark.slow
@pytest.mark.browser
def test_a_real_browser_runs_nothing_even_without_the_pages_policy(tmp_path):
    record = evil_record(tmp_path)
    pages = {
        "run": page.render(evil_notebook(), vars(record), record.folder),
        "all": report.write_report(tmp_path).read_text("utf-8"),
        "control": f"<!DOCTYPE html><p>{EVIL}",
    }
    for name, text in pages.items():
        (tmp_path / f"{name}.html").write_text(re.sub(r"<meta http-equiv[^>]*>", "", text), "utf-8")
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   "--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}",
                   "--virtual-time-budget=2000", "--dump-dom", (tmp_path / f"{name}.html").as_uri()]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert "</html>" in done.stdout, done.stderr[-500:]
        assert ('data-pwned="1"' in done.stdout) == (name == "control"), name
