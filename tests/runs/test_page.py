"""A run's page loads nothing and runs nothing, whatever a model wrote into the notebook."""

import base64
import html
import re
import shutil
import subprocess
import time

import nbformat
import pytest
from bs4 import BeautifulSoup

from workbench import plots
from workbench.errors import RunError
from workbench.files import RUN_FOLDER
from workbench.runs.report import page
from workbench.runs.report.sanitise import TAGS

HOSTILE = "<script>document.title='OWNED'</script><img src=x onerror=\"document.title='OWNED'\"></pre></div>"
MARKUP = [
    "<script>document.title='OWNED'</script>",
    "<ScRiPt src='https://evil.example/x.js'></sCrIpT>",
    "<img src=x onerror=document.title='OWNED'>",
    "<img src='https://evil.example/track.png' srcset='https://evil.example/2.png 2x'>",
    "<svg onload=document.title='OWNED'><script>document.title='OWNED'</script></svg>",
    "<svg><use href='https://evil.example/a.svg#x'/><image href='https://evil.example/b.png'/></svg>",
    "<iframe srcdoc=\"<script>parent.document.title='OWNED'</script>\"></iframe>",
    "<a href=' java\nscript:document.title=1'>a</a><a href='data:text/html,x'>b</a>",
    "<a href='&#106;avascript:document.title=1'>c</a>",
    "<style>@import url(https://evil.example/x.css);</style><style>p{background:url(//evil.example)}</style>",
    "<p style='background:url(https://evil.example/p.png)'>p</p><body onload=document.title='OWNED'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'><base href='https://evil.example/'>",
    "<form action='https://evil.example'><input name=a><button formaction='https://evil.example'>go</button></form>",
    "<object data='https://evil.example'></object><embed src='https://evil.example'>",
    "<link rel=stylesheet href='https://evil.example/x.css'><video src='https://evil.example/v'></video>",
    "<!--[if IE]><script>document.title='OWNED'</script><![endif]-->",
    r"<p style='background:u\72l(https://evil.example/p.png)'>p</p><style>p{background:u\72l(https://evil.example)}</style>",
    "<svg><path d='M0' fill='url(https://evil.example)'/><feImage href='https://evil.example/x.svg'/></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=document.title='OWNED'></style></mglyph></table></math>",
]
PIXEL = base64.b64encode(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
).decode()
FIELDS = {
    "id": "20261122-141500-a1b2", "paper": "tiny", "status": "done", "error": None, "seconds": 1.5, "started": "now",
    "parameters": {"prompt": HOSTILE}, "given": ["prompt"], "hardware": {}, "git": None, "versions": {},
    "workbench": "0", "python": "3",
}  # fmt: skip


MATHS = {
    "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mstyle", "mfrac", "msqrt", "msub", "msup", "msubsup", "mover",
    "munder", "munderover", "mtable", "mtr", "mtd",
}  # fmt: skip


def output(data: dict) -> dict:
    return nbformat.v4.new_output("display_data", data=data)


@pytest.fixture(scope="module")
def hostile() -> str:
    """A page whose every output was written by an attacker."""
    outputs = [
        nbformat.v4.new_output("stream", name="stdout", text=HOSTILE),
        output({"text/plain": HOSTILE}),
        output({"text/markdown": HOSTILE + "\n\n[x](javascript:alert(1)) ![y](https://evil.example/z.png)"}),
        output({"application/javascript": "document.title='OWNED'", "text/plain": "js"}),
        output({"text/latex": "$" + HOSTILE + "$"}),
        output({"image/svg+xml": f"<svg xmlns='http://www.w3.org/2000/svg'>{HOSTILE}</svg>"}),
        *[output({"text/html": text, "text/plain": "x"}) for text in MARKUP],
        nbformat.v4.new_output("error", ename="ValueError", evalue=HOSTILE, traceback=[HOSTILE]),
    ]
    cells = [
        nbformat.v4.new_markdown_cell("# Title " + HOSTILE),
        nbformat.v4.new_markdown_cell(
            f"$\\text{{{HOSTILE}}}$ $\\href{{javascript:alert(1)}}{{x}}$\n\n$${MARKUP[2]}$$\n\n"
            f"<span class='wb-tex'>\\text{{{html.escape(MARKUP[0])}}} x</span>"
        ),
        nbformat.v4.new_code_cell("print(text)", outputs=outputs, execution_count=1, metadata={"tags": ["verdict"]}),
    ]
    return page.render(nbformat.v4.new_notebook(cells=cells), FIELDS | {"error": HOSTILE, "status": "failed"})


def test_the_page_opens_with_what_was_found():
    frame = """<table><thead><tr><th></th><th>gain</th><th>verdict</th></tr></thead><tbody>
      <tr><th>0</th><td>0.3 [-1, 1]</td><td>no difference was seen</td></tr>
      <tr><th>1</th><td>-0.2</td><td>no difference was seen</td></tr></tbody></table>"""
    code = nbformat.v4.new_code_cell
    cells = [
        code("figure", outputs=[output({"image/png": PIXEL})], metadata={"tags": ["main-figure"]}),
        code("table", outputs=[nbformat.v4.new_output("stream", name="stdout", text="meanwhile"),
                               output({"text/html": frame})], metadata={"tags": ["verdict"]}),
    ]  # fmt: skip
    soup = BeautifulSoup(page.render(nbformat.v4.new_notebook(cells=cells), FIELDS), "html.parser")
    found = soup.select_one("header section.found")
    assert found.select_one("table").find_next("img"), "the verdict, then the figure"
    assert "meanwhile" not in found.get_text() and not found.select(".input_area") and "meanwhile" in soup.get_text()
    words = [cell.get_text() for cell in found.select(".words")]
    assert words == ["verdict", "no difference was seen", "no difference was seen"], "columns of words, with their head"
    assert [cell.get_text() for cell in found.select("tr > :first-child")] == ["gain", "0.3 [-1, 1]", "-0.2"], (
        "no counts"
    )
    assert not BeautifulSoup(page.render(nbformat.v4.new_notebook(), FIELDS), "html.parser").select("section.found")


def test_words_are_read_from_the_left_under_an_index_that_spans_rows():
    frame = """<table class="dataframe"><thead><tr><th></th><th></th><th>first</th><th>p</th></tr>
      <tr><th>task</th><th></th><th></th><th></th></tr></thead><tbody>
      <tr><th rowspan="2" valign="top">typing</th><th>0</th><td>K-BERT</td><td>0.1</td></tr>
      <tr><th>1</th><td>BERT</td><td>0.1</td></tr>
      <tr><th>other</th><th>0</th><td>BERT</td><td>SENTENCE</td></tr></tbody></table>"""
    long = frame.replace("SENTENCE", "a sentence of words that is longer than others")
    cells = [nbformat.v4.new_code_cell("t", outputs=[output({"text/html": long})])]
    soup = BeautifulSoup(page.render(nbformat.v4.new_notebook(cells=cells), FIELDS), "html.parser")
    table = soup.select_one("table.dataframe")
    right = [cell.get_text() for cell in table.select("td, th") if "words" not in cell.get("class", [])]
    assert right == [] and table.select_one("tbody th").get_text() == "typing"
    cells[0].outputs[0].data["text/html"] = frame.replace("SENTENCE", "0.25")
    soup = BeautifulSoup(page.render(nbformat.v4.new_notebook(cells=cells), FIELDS), "html.parser")
    right = [cell.get_text() for cell in soup.select(".dataframe :is(td, th)") if "words" not in cell.get("class", [])]
    assert right == ["p", "", "0.1", "0.1", "0.25"]


def test_formulas_are_mathml_and_what_is_none_stays_as_it_was_typed():
    text = """# Loss $p(a\\mid b)$ for \\$5

$$\\frac{1}{2} < \\sqrt{x_t}$$

\\begin{align} a &= b \\\\ c &= \\mathbb{E}[d] \\end{align}

$\\frac$, $\\def\\a{\\a\\a}\\a$

<details><summary>Answers</summary>

because $\\text{a<b}$

</details>
"""
    cells = [
        nbformat.v4.new_markdown_cell(text),
        nbformat.v4.new_code_cell("m", outputs=[output({"text/latex": "$\\displaystyle y^2$", "text/plain": "y"})]),
    ]
    soup = BeautifulSoup(page.render(nbformat.v4.new_notebook(cells=cells), FIELDS), "html.parser")
    head, half, lines, inside, shown = soup.select("math")
    assert head.get_text() == "p(a∣b)" and head["display"] == "inline" and "for $5" in head.parent.parent.get_text()
    assert [part.get_text() for part in half.select("mfrac > *")] == ["1", "2"] and half["display"] == "block"
    assert half.find("mo", string="<") and half.select_one("msqrt msub").get_text() == "xt"
    assert len(lines.select("mtr")) == 2 and "𝔼" in lines.get_text()
    assert inside.find_parent("details").summary.get_text() == "Answers" and inside.get_text() == "a<b"
    assert [part.get_text() for part in shown.select("msup > *")] == ["y", "2"] and shown.find_parent(class_="output")
    typed = [tag.get_text() for tag in soup.select("p code")]
    assert typed == ["$\\frac$", "$\\def\\a{\\a\\a}\\a$"] and "wb-tex" not in str(soup.body)


def test_recorded_tables_and_figures_lie_beside_the_page(tmp_path, monkeypatch):
    import workbench as wb

    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    rows = [{"method": "a & b", "gain": 1 / 3, "note": "[held out] " + "long " * 10}, {"method": "=1+1", "gain": None}]
    wb.record({"x": 1}, {"arms: all": rows, "../up": [{"a": 1}], "none": []})
    plots.save(plots.bars({"a": [1]}, ["x"]), "two_bars", describe="one bar")
    (tmp_path / "figures" / "a b.pdf").write_text("a stranger's")
    text = page.write_page(tmp_path, FIELDS).read_text()
    assert 'href="figures/two_bars.svg"' in text and 'href="figures/two_bars.pdf"' in text and "a b.pdf" not in text
    kept = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "tables").iterdir())
    assert kept == [f"tables/{name}.{kind}" for name in ("___up", "arms__all") for kind in ("csv", "tex")]
    assert all(f'href="{name}"' in text for name in kept) and not list(tmp_path.parent.glob("up*"))
    lines = (tmp_path / "tables" / "arms__all.csv").read_text().splitlines()
    assert lines[0] == "method,gain,note" and lines[1].startswith(f"a & b,{1 / 3!r},[held out] long")
    assert lines[2] == "'=1+1,,", "no formula to a spreadsheet"
    latex = (tmp_path / "tables" / "arms__all.tex").read_text()
    assert "a \\& b & 0.3333 & [held out]" in latex and "{lrp{6cm}}" in latex and "None" not in latex
    other = tmp_path.parent / f"{tmp_path.name}-other"
    other.mkdir()
    for path in (tmp_path / "tables").iterdir():
        path.unlink()
    (tmp_path / "tables").rmdir()
    (tmp_path / "tables").symlink_to(other)
    with pytest.raises(RunError, match="is a link"):
        page.write_page(tmp_path, FIELDS)
    assert not list(other.iterdir())


def test_nothing_in_the_page_runs_or_fetches(hostile):
    soup = BeautifulSoup(hostile, "html.parser")
    own = {"html", "head", "meta", "body", "main", "header", "section"}
    assert {tag.name for tag in soup.find_all(True)} <= own | {tag.lower() for tag in TAGS} | MATHS
    for tag in soup.find_all(True):
        for name, value in tag.attrs.items():
            assert not name.startswith("on") and "\\72" not in value and "url(" not in value, tag
            if name in ("src", "srcset", "data", "action", "formaction", "poster"):
                assert str(value).startswith("data:image/"), tag
            if name in ("href", "xlink:href"):
                assert not re.match(r"(?i)\s*(java\s*script|data|vbscript)", str(value)), tag
    for tag in soup.find_all(["style"]):
        assert "evil.example" not in tag.get_text() and "url(" not in tag.get_text()
    assert "evil.example" not in " ".join(str(v) for tag in soup.find_all(True) for v in tag.attrs.values())
    policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none'") and "script-src" not in policy


def test_printed_markup_is_shown_as_text(hostile):
    text = BeautifulSoup(hostile, "html.parser").get_text()
    # stdout, text/plain, the traceback, the error sentence and the parameter: each shows the markup itself
    assert text.count("<script>document.title='OWNED'</script>") >= 5


def chromium(path, *arguments) -> str:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("chromium is not installed")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *arguments]
    return subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=60).stdout


@pytest.mark.browser
def test_a_real_browser_runs_nothing_of_it(hostile, tmp_path):
    (tmp_path / "report.html").write_text(hostile)
    dom = chromium(tmp_path / "report.html", "--dump-dom")
    assert "20261122-141500-a1b2" in dom
    assert "<title>OWNED</title>" not in dom
    # the policy alone holds too: the same page with a script smuggled behind the sanitiser
    (tmp_path / "raw.html").write_text(hostile.replace("</main>", MARKUP[0] + MARKUP[2] + "</main>"))
    assert "<title>OWNED</title>" not in chromium(tmp_path / "raw.html", "--dump-dom")
    (tmp_path / "open.html").write_text(f"<title>x</title>{MARKUP[0]}")  # and this browser does run scripts
    assert "<title>OWNED</title>" in chromium(tmp_path / "open.html", "--dump-dom")


def test_tables_pictures_and_links_stay():
    table = "<style scoped>.dataframe td {color: red}</style><table class='dataframe'><tr><td style='color: red'>1</td>"
    kept = page.sanitise(table + f"</tr></table><img src='data:image/png;base64,{PIXEL}'><a href='https://x.org'>x</a>")
    for part in ("<table", 'style="color:red"', f"base64,{PIXEL}", 'href="https://x.org"', ".dataframe td {color:red}"):
        assert part in kept


def test_tables_that_never_end_take_no_long_time():
    assert page.TABLE.findall("<table><table a>x<b></table></table>") == ["<table a>x<b></table>"]
    start = time.process_time()
    assert not page.TABLE.findall("<table" * 30_000) and time.process_time() - start < 2


def test_tables_whose_names_make_one_file_name_are_all_kept(tmp_path, monkeypatch):
    import workbench as wb

    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))
    wb.record({"x": 1}, {name: [{"a": place}] for place, name in enumerate(("a b", "a.b", "A b", "é", "q" * 99))})
    page.write_page(tmp_path, FIELDS)
    kept = {path.stem: path.read_text().split()[1] for path in (tmp_path / "tables").glob("*.csv")}
    assert kept == {"a_b": "0", "a_b-2": "1", "A_b-3": "2", "_": "3", "q" * 80: "4"}


@pytest.mark.parametrize(
    "declared",
    [
        "color:url(//evil.example)", r"color:u\72l(//evil.example)", r"colo\72:URL(//evil.example)",
        "background:image-set('//evil.example' 1x)", "background-image:none", "position:fixed", r"p\6fsition:fixed",
        "width:expression(alert(1))", "cursor:pointer", "behavior:none", "content:'x'", "--x:1",
        "color:red}p{position:fixed", "font-family:'a</style><img src=x onerror=alert(1)>'", "color:var(--x)",
        r"font-family:'\3c/style>\3cimg src=x onerror=alert`1`>'", r"font:a\3c\2fstyle\3e",
    ],
)  # fmt: skip
def test_styles_are_properties_of_the_list_without_addresses(declared):
    """As an attribute, as a sheet, and as a sheet inside SVG, where browsers read tags."""
    from workbench.runs.report.sanitise import STYLES

    quoted = declared.replace('"', "&quot;")
    sheet = f"<style>@import '//evil.example';p {{{declared};margin:1px}}</style>"
    soup = BeautifulSoup(page.sanitise(f'<p style="{quoted};margin:1px">x</p>{sheet}<svg>{sheet}</svg>'), "html.parser")
    texts = [tag["style"] for tag in soup.find_all(style=True)]
    texts += [body for tag in soup.find_all("style") for body in re.findall(r"\{([^}]*)\}", tag.get_text())]
    for text in texts:
        assert {one.partition(":")[0].strip() for one in text.split(";") if one.strip()} <= STYLES, text
        assert not re.search(r"\\|<|@|url|image-set|expression|var", text), text
    assert not soup.find_all("img") and "evil.example" not in str(soup)


def test_pictures_beside_the_notebook_are_embedded_and_others_named(tmp_path):
    (tmp_path / "a.png").write_bytes(base64.b64decode(PIXEL))
    (tmp_path.parent / "secret.png").write_bytes(b"secret")
    kept = page.sanitise("<img src='a.png'><img src='../secret.png' alt='two'><img src='/etc/passwd'>", tmp_path)
    assert f"data:image/png;base64,{PIXEL}" in kept
    assert "<em" in kept and "two" in kept and "secret" not in kept and "passwd" not in kept


def widget_notebook(data: dict, state: dict):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("w", outputs=[output(data)])])
    notebook.metadata["widgets"] = {page.STATE: {"state": state, "version_major": 2, "version_minor": 0}}
    return notebook


def test_a_widget_is_shown_as_its_own_snapshot():
    data = {page.WIDGET: {"model_id": "m"}, "text/html": "<b>snapshot</b>", "text/plain": "W()"}
    text = page.render(widget_notebook(data, {}), FIELDS)
    assert "<b>snapshot</b>" in text and "W()" not in text and "<script" not in text


def test_a_widget_without_one_shows_its_state():
    state = {
        "m": {"state": {"children": ["IPY_MODEL_a", "IPY_MODEL_b", "IPY_MODEL_c"], "_model_name": "VBoxModel"}},
        "a": {"state": {"_model_name": "IntSliderModel", "description": "flips", "value": 7}},
        "b": {"state": {"_model_name": "HTMLModel", "value": f"<i>curve</i>{MARKUP[0]}"}},
        "c": {"state": {"_model_name": "DropdownModel", "_options_labels": ["01", HOSTILE], "index": 1}},
    }
    text = page.render(widget_notebook({page.WIDGET: {"model_id": "m"}, "text/plain": "VBox()"}, state), FIELDS)
    soup = BeautifulSoup(text, "html.parser")
    assert soup.select_one(".widget").get_text(" ", strip=True).startswith("flips 7 curve")
    assert not soup.find_all("script") and "<i>curve</i>" in text


@pytest.mark.parametrize(
    "state",
    [
        ["no dict"], {"m": None}, {"m": {"state": "text"}}, {"m": {"state": {"children": 5}}},
        {"m": {"state": {"children": [None]}}}, {"m": {"state": {"_options_labels": ["a"], "index": 7}}},
        {"m": {"state": {"_model_name": "OutputModel", "outputs": [None]}}},
    ],
)  # fmt: skip
def test_a_damaged_state_is_a_sentence_and_costs_no_page(state):
    text = page.render(widget_notebook({page.WIDGET: {"model_id": "m"}, "text/plain": "W()"}, state), FIELDS)
    assert "whose saved state is damaged: run its cell again" in text


def test_a_state_that_holds_itself_comes_to_an_end():
    around = {name: {"state": {"children": [f"IPY_MODEL_{child}" for child in "abcdefgh"]}} for name in "mabcdefgh"}
    text = page.render(widget_notebook({page.WIDGET: {"model_id": "m"}, "text/plain": "W()"}, around), FIELDS)
    assert "open the notebook in JupyterLab" in text


def test_an_unknown_widget_says_where_to_use_it():
    text = page.render(widget_notebook({page.WIDGET: {"model_id": "gone"}, "text/plain": "W()"}, {}), FIELDS)
    assert "open the notebook in JupyterLab" in text


def test_long_code_is_folded_and_short_code_is_not():
    cells = [nbformat.v4.new_code_cell("\n".join(f"a{i} = {i}" for i in range(n))) for n in (30, 3)]
    soup = BeautifulSoup(page.render(nbformat.v4.new_notebook(cells=cells), FIELDS), "html.parser")
    folded = soup.select("details.code")
    assert len(folded) == 1 and "code, 30 lines" in folded[0].get_text() and "a29" in folded[0].get_text()


def test_a_run_without_a_notebook_still_has_a_page(tmp_path):
    page.write_page(tmp_path, FIELDS)
    assert "The run left no notebook." in (tmp_path / "report.html").read_text()
