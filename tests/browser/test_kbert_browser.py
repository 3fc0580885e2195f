"""The K-BERT explorer in a real browser: sentence, graph and switches reach the kernel, the table shows its answer."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = [
    "from workbench.papers.kbert import KBert, tasks\nfrom workbench.widgets.kbert import KBertExplorer",
    "model = KBert('minilm', labels=['medicine', 'illness'], graph=tasks.teaching_graph())",
    "KBertExplorer(model, text='He asked about heparin.')",
]


def test_sentence_graph_and_switches(lab, open_notebook):
    page = open_notebook(lab.write("kbert-widget.ipynb", CELLS))
    page.run_all()
    root = page.widget()
    assert "NaN" not in root.inner_html()
    first = page.table()
    assert [row[0] for row in first][-3:] == ["gut", ".", "[SEP]"] and "blood" in [row[0] for row in first]
    assert {row[5] for row in first} == {"yes", "no"}  # [CLS] does not see the branches
    root.get_by_label("Visible matrix", exact=True).uncheck()
    page.settled()
    free = page.table()
    assert {row[5] for row in free} == {"yes"} and [row[4] for row in free] != [row[4] for row in first]
    root.get_by_label("Soft positions").uncheck()
    page.settled()
    assert [int(row[1]) for row in page.table()] == list(range(len(first)))
    root.get_by_label("Graph").select_option("no graph")
    page.settled()
    assert {row[2] for row in page.table()} == {"word"}
    root.get_by_label("Sentence", exact=True).fill("What is gout?")
    root.get_by_label("Sentence", exact=True).press("Enter")
    page.settled()
    assert "gout" in "".join(row[0] for row in page.table()).replace("##", "")
    root.get_by_role("button", name="Reset").click()
    page.settled()
    assert page.table() == first
    root.get_by_label("Row of").select_option("5")
    assert page.table() != first  # another token's attention, from the same answer
