"""The parameters cell is read without running anything, and every value is checked against its annotation."""

import json
import typing

import pytest
from hypothesis import given, strategies as st
from tiny_notebooks import PARAMETERS, write_notebook

from workbench.errors import UsageError
from workbench.papers import PAPERS
from workbench.profiles import of_paper
from workbench.runs.notebook.jupyter import read_notebook
from workbench.runs.notebook.notebook import read
from workbench.runs.notebook.parameters import Parameter, convert, read_parameters, resolve, split_assignment


def parameters(tmp_path, source):
    return read_parameters(read_notebook(write_notebook(tmp_path / "n.ipynb", parameters=source)), "n.ipynb")


def parameter(kind, annotation="…"):
    return Parameter("x", kind, annotation, None)


def test_names_types_defaults_and_help_are_read(tmp_path):
    found = parameters(tmp_path, PARAMETERS)
    assert list(found) == ["profile", "model", "bits", "base_url", "seed", "concept", "sizes"]
    assert found["bits"] == Parameter("bits", typing.Union[int, None], "int | None", None, "4 or 8")  # noqa: UP007
    assert found["sizes"].default == [1, 2] and found["sizes"].type == list[int]
    assert found["concept"].help == "the repeated word"


def test_help_behind_a_hash_inside_a_text(tmp_path):
    assert parameters(tmp_path, 'a: str = "#1"  # the first')["a"].help == "the first"


def test_nothing_of_the_cell_is_executed(tmp_path):
    flag = tmp_path / "flag"
    touch = f"open({str(flag)!r}, 'w')"
    for source in (f"a: {touch} = 1", f"a: int = {touch}", f"a: list[{touch}] = []", f"a: Literal[{touch}] = 1"):
        with pytest.raises(UsageError, match=r"parameter 'a' of n\.ipynb"):
            parameters(tmp_path, source)
    assert not flag.exists()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, "no cell tagged 'parameters'"),
        ("a: int", "'a' of n.ipynb has no default"),
        ("a: int = 2 * seed", "not a plain value"),
        ("a: complex = 1", "annotation 'complex'"),
        ("a: Any = {1, 2}", "not a plain value"),
        ("a: Any = b'x'", "not a plain value"),
        ("a: float = 1e999", "not a plain value"),
        ("a: Any = " + "[" * 70 + "]" * 70, "not a plain value"),
        ("a: int = 1\0", "not Python|cannot be read as Python"),
        ("a: int = = 2", "not Python: line 1"),
    ],
)
def test_cells_that_cannot_be_used(tmp_path, source, says):
    with pytest.raises(UsageError, match=says):
        parameters(tmp_path, source)


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "cannot be read"), ("[]", "not a version 4"), ('{"cells": [], "nbformat": 3}', "not a version 4")],
)
def test_files_that_are_no_notebook(tmp_path, content, says):
    path = tmp_path / "n.ipynb"
    path.write_text(content)
    with pytest.raises(UsageError, match=says):
        read_notebook(path)


def test_an_unannotated_text_stays_a_text(tmp_path):
    assert resolve(parameters(tmp_path, 'word = "01"'), {"word": "10"}, "n") == {"word": "10"}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (str, "01", "01"),
        (str, "null", "null"),
        (str, "", ""),
        (str | None, "null", None),
        (int | None, "null", None),
        (int | None, "4", 4),
        (int, "-3", -3),
        (float, "1e-3", 1e-3),
        (float, "2", 2.0),
        (bool, "true", True),
        (bool, "False", False),
        (int | str, "7", 7),
        (int | str, "seven", "seven"),
        (list[str], '["01", "011"]', ["01", "011"]),
        (list[float], "[1, 2.5]", [1.0, 2.5]),
        (dict, '{"a": [1]}', {"a": [1]}),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (typing.Literal["paper", "plain"], "plain", "plain"),
        (typing.Literal[1, 2], "2", 2),
        (typing.Optional[typing.Literal["a"]], "null", None),  # noqa: UP045
    ],
)
def test_texts_become_values(kind, text, value):
    got = convert(parameter(kind), text)
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (int, "abc", "cannot be 'abc': expected a whole number"),
        (int, "1.5", "expected a whole number"),
        (int, "", "expected a whole number"),
        (int | None, "x", "a whole number or null"),
        (float, "nan", "expected a number"),
        (float, "inf", "expected a number"),
        (bool, "maybe", "true or false"),
        (list[int], "1,2", "a JSON list such as"),
        (list[int], '["a"]', r"\[0\]"),
        (list[float], "[NaN]", "a JSON list"),
        (list[str], "[1]", r'such as \["a", "b"\]'),
        (dict, "[1]", "a JSON object"),
        (typing.Literal["paper", "plain"], "plane", "one of paper, plain"),
    ],
)
def test_values_that_do_not_fit(kind, text, says):
    with pytest.raises(UsageError, match=says):
        convert(parameter(kind), text)


def test_values_from_python_are_checked_too():
    assert convert(parameter(float), 2) == 2.0
    for kind, value in ((str, 1), (int, 1.0), (int, True), (list[int], (1,)), (int, None)):
        with pytest.raises(UsageError, match="'x' cannot be"):
            convert(parameter(kind), value)


def test_an_unknown_name_names_its_neighbour(tmp_path):
    known = parameters(tmp_path, PARAMETERS)
    with pytest.raises(UsageError, match=r"'concpet' is not a parameter of n; did you mean concept\?"):
        resolve(known, {"concpet": "01"}, "n")
    with pytest.raises(UsageError, match="`workbench params n` lists them"):
        resolve(known, {"zzz": "01"}, "n")


@pytest.mark.parametrize("value", ["[" * 70 + "]" * 70, "1" + "0" * 400])
def test_what_a_record_could_not_hold_is_refused_before_anything_starts(tmp_path, value):
    known = parameters(tmp_path, "a: int = 0\nb: list | None = None")
    with pytest.raises(UsageError, match="cannot be kept in a record"):
        resolve(known, {"b" if value[0] == "[" else "a": value}, "n")


def test_an_unknown_profile_is_refused_before_anything_starts(tmp_path):
    known = parameters(tmp_path, PARAMETERS)
    assert resolve(known, {"profile": "smoke"}, "n") == {"profile": "smoke"}
    with pytest.raises(UsageError, match="'fast' is unknown; give one of smoke, quick, standard, paper"):
        resolve(known, {"profile": "fast"}, "n")


@pytest.mark.parametrize("value", [b"caf\xff".decode(errors="surrogateescape"), "a\ud800"])
def test_half_a_character_is_refused_before_anything_starts(tmp_path, value):
    known = parameters(tmp_path, PARAMETERS)
    with pytest.raises(
        UsageError, match=r"'concept' cannot be 'caf\\udcff|'a\\ud800': U\+D.* give UTF-8 text"
    ) as caught:
        resolve(known, {"concept": value}, "n")
    str(caught.value).encode()


def test_assignments_are_split_at_the_first_sign():
    assert split_assignment("prompt=a=b ") == ("prompt", "a=b ")
    for text in ("seed", "=3", "a b=3", ""):
        with pytest.raises(UsageError, match="not of the form name=value"):
            split_assignment(text)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ROUND_TRIPS = st.one_of(
    st.text().map(lambda value: (str, value, value)),
    st.text().filter(lambda value: value not in ("null", "None")).map(lambda value: (str | None, value, value)),
    st.integers(-(10**15), 10**15).map(lambda value: (int | None, str(value), value)),
    FLOATS.map(lambda value: (float, repr(value), value)),
    st.booleans().map(lambda value: (bool, json.dumps(value), value)),
    st.lists(st.text()).map(lambda value: (list[str], json.dumps(value), value)),
    st.lists(st.integers(-(2**60), 2**60)).map(lambda value: (list[int] | None, json.dumps(value), value)),
    st.lists(FLOATS).map(lambda value: (list[float], json.dumps(value), value)),
    st.dictionaries(st.text(), st.one_of(st.integers(-99, 99), st.text(), st.none())).map(
        lambda value: (dict, json.dumps(value), value)
    ),
)


@given(ROUND_TRIPS)
def test_what_is_written_comes_back(case):
    kind, text, value = case
    assert convert(parameter(kind), text) == value


@given(st.sampled_from([int, float, bool, list[int], list[str], dict, int | None]), st.text())
def test_any_text_gives_a_value_or_one_sentence(kind, text):
    try:
        value = convert(parameter(kind), text)
    except UsageError as error:
        assert repr(text) in str(error) and "\n" not in str(error).replace(repr(text), "")
    else:
        json.dumps(value, allow_nan=False)


@pytest.mark.parametrize("paper", [paper.name for paper in PAPERS if paper.status == "done"])
def test_every_size_of_every_paper_refuses_less_than_its_least_before_a_kernel_starts(paper):
    notebook, sizes = read(paper), of_paper(paper).sizes
    asked = [name for name in sizes if name in notebook.known]  # the others are no parameters
    assert len(asked) >= 5
    for name in asked:
        size = sizes[name]
        least = "no such word\n" if size.choices or size.pattern else size.least - 1
        least = -1 if least == 0 and size.zero else least
        with pytest.raises(UsageError, match=name if not size.item else size.item):
            notebook.resolve({name: [least] if isinstance(size.smoke, list) else least})
