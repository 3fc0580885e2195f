"""A bar moves while it lasts, and leaves neither a widget nor a line in the saved notebook."""

import io

import nbclient
import nbformat

CODE = """
from workbench.bars import tqdm
print("before")
for step in tqdm(range(3), desc="steps", leave=False, mininterval=0):
    pass
for step in tqdm(range(2), disable=True):
    pass
print("after")
"""


def test_an_ended_bar_is_gone_from_a_notebook():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)])
    moved = []

    class Client(nbclient.NotebookClient):
        def process_message(self, msg, cell, index):
            if msg["msg_type"] == "comm_msg":
                moved.append(str(msg["content"]["data"]))
            return super().process_message(msg, cell, index)

    Client(notebook).execute()
    shown = [output for output in notebook.cells[0].outputs if output.output_type != "stream"]
    assert [dict(output.data) for output in shown] == [{"text/plain": ""}]
    assert "".join(output.text for output in notebook.cells[0].outputs if output not in shown) == "before\nafter\n"
    assert any("3/3" in text for text in moved), "it moved meanwhile"


def test_outside_a_notebook_it_is_a_line_of_text():
    from workbench.bars import tqdm

    stream = io.StringIO()
    for _ in tqdm(range(3), desc="steps", file=stream):
        pass
    assert "steps: 100%" in stream.getvalue()
