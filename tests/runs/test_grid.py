"""Grids: what a command line and a grid.yaml become, and every way in which they are refused."""

import itertools
import json
import os

import pytest
from hypothesis import given, strategies as st
from tiny_notebooks import PARAMETERS, write_notebook

from workbench.errors import UsageError
from workbench.runs.notebook.notebook import read
from workbench.runs.notebook.parameters import split_assignment
from workbench.runs.store import entry as store
from workbench.runs.sweep import grid as grids, plan
from workbench.runs.sweep.grid import build, build_all, identity, read_file, split_values


@pytest.fixture
def tiny(tmp_path):
    return str(write_notebook(tmp_path / "tiny.ipynb"))


def test_a_grid_is_every_combination_once(tiny):
    grid = build(tiny, ["concept=01,011", "sizes=[1],[2, 3]"], seeds=3, fixed={"profile": "smoke"})
    cells = list(grid.cells())
    assert len(grid) == len(cells) == len({cell.key for cell in cells}) == 12
    asked = [(c.values["concept"], c.values["sizes"], c.values["seed"]) for c in cells]
    assert sorted(asked) == sorted(itertools.product(["01", "011"], [[1], [2, 3]], range(3)))
    assert [c.values["seed"] for c in cells] == sorted(c.values["seed"] for c in cells), "all of seed 0 comes first"
    assert all(c.values["profile"] == "smoke" for c in cells)


def test_an_identity_is_what_was_asked_of_which_notebook(tiny, tmp_path):
    def only(**options):
        (cell,) = build(options.pop("paper", tiny), options.pop("axes", ["seed=1"]), **options).cells()
        return cell.key

    same = only()
    assert only(fixed={"concept": "01"}) == same, "a default that is written out is the same cell"
    assert only(axes=["concept=01"], fixed={"seed": "1"}) == same, "whether by -g or by -p"
    assert only(axes=["seed=2"]) != same and only(fixed={"model": "gemma3-270m"}) != same
    assert only(fixed={"concept": "1"}) != same
    changed = write_notebook(tmp_path / "other" / "tiny.ipynb", "1") if (tmp_path / "other").mkdir() is None else None
    assert only(paper=str(changed)) != same, "another notebook"
    record = json.loads(json.dumps(read(tiny).filled({"seed": 1})))  # as it comes back from record.json
    assert identity("tiny", read(tiny).sha256, record) == same


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("01,011", ["01", "011"]),
        ('"a, b",c', ["a, b", "c"]),
        ("[1,2],[3]", ["[1,2]", "[3]"]),
        ('["a,]",2],{"k": [1,2]}', ['["a,]",2]', '{"k": [1,2]}']),
        ('it"s,5"', ['it"s', '5"']),
        ('""', [""]),
        ('"\\"x\\""', ['"x"']),
        (" a , b ", ["a", "b"]),
        ("", []),
    ],
)
def test_values_are_split_outside_quotes_and_brackets(text, values):
    assert split_values(text) == values


@given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_any_texts_come_back_from_what_is_typed_for_them(texts):
    typed = ",".join(plan.as_typed(text, in_grid=True) for text in texts)
    assert split_values(typed) == texts


@pytest.mark.parametrize(
    ("axes", "options", "says"),
    [
        (["concpet=01"], {}, "'concpet' is not a parameter of tiny.ipynb; did you mean concept?"),
        (["seed=1,many"], {}, "'seed' cannot be 'many'"),
        (["seed=1,1"], {}, "has the value 1 of 'seed' twice"),
        (["bits=4,04"], {}, "has the value 4 of 'bits' twice"),
        ([], {}, "the grid is empty: nothing varies"),
        (["seed="], {}, "the grid is empty: 'seed' has no value"),
        (["seed=1,,2"], {}, "have an empty one"),
        (["seed"], {}, "-g 'seed' is not of the form name=value, for example -g concept=01,011"),
        (["seed=1", "seed=2"], {}, "the grid has 'seed' twice"),
        (["seed=1"], {"seeds": 3}, "seeds are given twice"),
        (["seed=1"], {"fixed": {"seed": "2"}}, "'seed' is fixed and an axis"),
        ([], {"seeds": 0}, "the number of seeds is 0"),
        ([], {"seeds": 10**12}, "the number of seeds is beyond 1,000,000"),
        (["sizes=[1,[2]"], {}, "have an open bracket"),
        (['concept="a'], {}, "have an open quote"),
        (['concept="a"b'], {}, "is not a quoted text"),
        (["profile=tiny"], {}, "profile 'tiny' is unknown"),
        (["seed=" + ",".join(map(str, range(1001))), "bits=" + ",".join(map(str, range(1000)))], {}, "1,001,000 cells"),
    ],
)
def test_what_is_refused(tiny, axes, options, says):
    with pytest.raises(UsageError) as caught:
        build(tiny, axes, **options)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def write(tmp_path, text):
    (tmp_path / "grid.yaml").write_text(text)
    return tmp_path / "grid.yaml"


def test_a_file_is_the_same_grid_as_the_command(tiny, tmp_path):
    text = f"paper: {tiny}\ngrid:\n  concept: ['01', '011']\n  bits: [null, 4]\nfixed: {{profile: smoke}}\nseeds: 2\n"
    one = build(None, [], file=write(tmp_path, text))
    other = build(tiny, ["concept=01,011", "bits=null,4"], fixed={"profile": "smoke"}, seeds=2)
    assert one.name == other.name and list(one.cells()) == list(other.cells()) and len(one) == 8
    mixed = build(None, ["sizes=[1],[2]"], file=tmp_path / "grid.yaml")
    assert len(mixed) == 16


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("grid: {concept: ['01', ", "is not YAML, line "),
        ("- a", "holds no mapping"),
        ("", "holds no mapping"),
        ("gird: {seed: [1]}", "did you mean grid?"),
        ("grid: {seed: 1}", "the axis 'seed' in {file} is 1, not a list"),
        ("grid: [1]", "'grid' in {file} is not a mapping"),
        ("grid: {concept: [01]}", "the grid's value 1 of 'concept' is not a text; in YAML write it in quotes: '1'"),
        ("grid: {concept: [no, yes]}", "the grid's value False of 'concept' is not a text"),
        ("grid: {seed: [1.5]}", "'seed' cannot be 1.5"),
        ("grid: {seed: []}", "'seed' has no value"),
        ("grid: {seed: [1]}\ngrid: {seed: [2]}", "has 'grid' twice"),
        ("grid: {concept: &a ['x'], model: *a}", "uses a YAML alias"),
        ("grid: !!python/object/apply:os.system ['touch hacked']", "is not YAML"),
        ("grid: {1: [2]}", "has the parameter name 1"),
        ("seeds: yes", "the number of seeds is True"),
        ("\x00", "is not YAML"),
        ("[" * 2000, "is not YAML"),
    ],
)
def test_a_malformed_file_is_one_sentence(tiny, tmp_path, monkeypatch, text, says):
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        build(tiny, [], file=file)
    assert says.format(file=file) in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "hacked").exists()


def test_a_missing_or_huge_file(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_file(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="a grid file has at most"):
        read_file(write(tmp_path, "#" * (grids.FILE_BYTES + 1)))


def test_commands_are_quoted_and_mean_their_cell(tmp_path):
    import shlex

    folder = tmp_path / "it's; $HOME"
    folder.mkdir()
    path = write_notebook(folder / "a b.ipynb", parameters=PARAMETERS)
    grid = build(str(path), ["concept=\"x, y\",$(touch hacked),'q'"], seeds=2, fixed={"sizes": "[1, 2]"})
    lines = plan.commands(grid, list(grid.cells()), out=folder / "runs", options=["--timeout", "5"])
    assert len(lines) == len(set(lines)) == 6
    for line, cell in zip(lines, grid.cells()):
        words = shlex.split(line)
        assert words[:3] == ["workbench", "sweep", str(path)]
        axes = [words[i + 1] for i, word in enumerate(words) if word == "-g"]
        fixed = dict(split_assignment(words[i + 1]) for i, word in enumerate(words) if word == "-p")
        (again,) = build(str(path), axes, fixed=fixed).cells()
        assert again == cell
        assert words[words.index("--out") + 1] == str(folder / "runs") and words[-1] == "--quiet"


def record(seconds, **parameters):
    values = {"profile": "quick", "model": "smollm2", "bits": None} | parameters
    return store.Record("x", "tiny", "tiny.ipynb", "00", values, status="done", seconds=seconds)


def test_an_estimate_names_what_it_is_taken_from(tiny):
    grid = build(tiny, ["concept=01,011"])
    assert plan.estimate(grid, []).seconds == 180 and "profile quick" in plan.estimate(grid, []).source
    old = [record(9.0), record(11.0), record(100.0, model="big"), record(1.0, profile="smoke")]
    assert plan.estimate(grid, old).seconds == 10.0
    assert plan.estimate(grid, old[2:]).seconds == 100.0
    assert plan.estimate(build(tiny, ["seed=1"], fixed={"profile": "paper"}), []).seconds is None


def test_an_identity_is_of_what_the_files_hold(tiny, tmp_path):
    """A folder's weights, a GGUF file, any other file: changed content is another cell, however well it is hidden."""

    def key(**fixed):
        (cell,) = build(tiny, ["seed=1"], fixed=fixed).cells()
        return cell.key

    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    weights, graph = model / "model.safetensors", tmp_path / "one.gguf"
    weights.write_bytes(b"a" * 100)
    graph.write_bytes(b"a" * 100)
    before = key(model=str(model)), key(model=str(graph)), key(model="smollm2")
    assert (key(model=str(model)), key(model=str(graph)), key(model="smollm2")) == before
    stamp = weights.stat()
    for file in (weights, graph):
        file.write_bytes(b"b" * 100)
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # same size, same time
    after = key(model=str(model)), key(model=str(graph)), key(model="smollm2")
    assert after[0] != before[0] and after[1] != before[1] and after[2] == before[2]
    (model / "config.json").write_text('{"a": 1}')
    assert key(model=str(model)) not in (before[0], after[0])
    other = tmp_path / "next"
    model.rename(other)
    other.joinpath("model.safetensors").write_bytes(b"a" * 100)
    other.joinpath("config.json").write_text("{}")
    assert key(model=str(other)) != before[0], "the path is part of what was asked"


def test_a_moving_branch_is_another_cell(tiny, monkeypatch):
    """The hub's answer is played here; test_hub.py has a server with the hub's addresses."""
    from workbench.models.files import sources
    from workbench.models.files.identity import settled

    commits = iter(["1" * 40, "2" * 40])
    monkeypatch.setattr(sources, "commit_of", lambda name, revision: next(commits))
    first, second = (next(iter(build(tiny, ["seed=1"], fixed={"model": "org/name"}).cells())).key for _ in range(2))
    assert first != second
    line = {"name": "org/name", "identity": "commit:3"}
    assert settled({"org/name": "commit:1"}, {}, [line]) == {"org/name": "commit:3"}, "what was loaded counts"
    assert settled({"/x": "sha256:1"}, {"/x": "sha256:2"}, []) == {"/x": "sha256:1, changed meanwhile"}


def test_a_file_may_hold_a_grid_a_paper(tmp_path):
    """One file, several papers: all of them, or the one that the command names; the test's own cells are counted."""
    text = "- paper: rain\n  fixed: {profile: smoke}\n  grid: {budget: [1, 2], form: [words, vote]}\n"
    file = write(tmp_path, text + "- paper: randomness\n  seeds: 3\n  grid: {concept: ['01']}\n")
    both = build_all(None, [], file=file)
    assert [(one.notebook.name, len(one)) for one in both] == [("rain", 4), ("randomness", 3)]
    (one,) = build_all("randomness", [], file=file)
    assert [cell.key for cell in one.cells()] == [cell.key for cell in both[1].cells()]
    with pytest.raises(UsageError, match="'emo' is not a paper in"):
        build_all("emo", [], file=file)
    with pytest.raises(UsageError, match="not each of its grids names its paper"):
        build_all(None, [], file=write(tmp_path, "- paper: rain\n  grid: {seed: [1]}\n- grid: {seed: [2]}\n"))
