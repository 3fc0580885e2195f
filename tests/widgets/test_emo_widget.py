"""The EMO explorer's numbers; what every widget does is in test_contract.py."""

import pytest

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
