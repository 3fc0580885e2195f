"""The EMO explorer without a browser: questions, answers, sentences, and the page for where nobody can click."""

import pytest

from workbench.errors import UsageError
from workbench.papers import emo
from workbench.widgets.emo import EMOExplorer


@pytest.fixture(scope="module")
def explorer(smollm2):
    return EMOExplorer(smollm2, contexts=["The sky is| blue", "<b>x</b> no bar"])


def test_its_numbers_are_the_papers(explorer, smollm2):
    explorer.reset()
    expected = emo.pull(smollm2, "The sky is| blue", top=10)
    assert explorer.answer["rows"] == expected.values.tolist()
    explorer.temperature, explorer.variant = 0.5, "emo2_adaptive"
    assert (
        explorer.answer["rows"]
        == emo.pull(smollm2, "The sky is| blue", variant="emo2_adaptive", temperature=0.5, top=10).values.tolist()
    )
    explorer.command = {"kind": "reset", "n": 1}
    assert (explorer.temperature, explorer.variant) == (1.0, "emo1_adaptive")
    assert explorer.answer["rows"] == expected.values.tolist()


def test_errors_are_shown_and_escaped(explorer):
    explorer.context = 1
    assert "needs a bar" in explorer.error
    assert "<b>" not in explorer.page(b"")
    explorer.reset()
    assert explorer.error == ""
    with pytest.raises(UsageError, match="there is no EMO variant 'emo'"):
        explorer.variant = "emo"
    with pytest.raises(UsageError, match="context 9 is none"):
        explorer.context = 9


def test_the_page_without_a_kernel(explorer):
    explorer.reset()
    page = explorer.page(explorer.picture())
    assert page.count("<tr>") == 12 and "blue" in page and "script" not in page
