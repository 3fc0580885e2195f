"""The notebook's parameters against the profiles, and the profiles against one another."""

import ast

import nbformat
import pytest

from workbench.errors import UsageError
from workbench.files import ROOT
from workbench.papers import explainability as ex


def test_every_size_of_the_parameters_cell_is_in_every_profile():
    notebook = nbformat.read(ROOT / "notebooks" / "explainability.ipynb", as_version=4)
    cell = next(one for one in notebook.cells if "parameters" in one.metadata.get("tags", []))
    nothing = {
        line.target.id for line in ast.parse(cell.source).body if ast.unparse(line.value) == "None"
    } - {"bits", "base_url", "revision"}  # fmt: skip
    known = set(ex.PROFILES["quick"])
    assert nothing and nothing <= known
    assert all(set(sizes) == known for sizes in ex.PROFILES.values())


def test_what_is_given_wins_over_the_profile():
    assert ex.fill("smoke", questions=7)["questions"] == 7
    assert ex.fill("smoke", questions=None) == ex.PROFILES["smoke"]
    assert ex.sizes(ex.fill("smoke", methods=["random"])) == ex.sizes("smoke")
    assert "random" in ex.PROFILES["smoke"]["methods"]  # nothing is measured without it
    with pytest.raises(UsageError, match="profile 'big' is unknown"):
        ex.fill("big")
