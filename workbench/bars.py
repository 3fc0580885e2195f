"""Progress bars that leave nothing behind in a notebook.

tqdm's own widget stays in the saved notebook after it has ended, as "Error displaying widget: model not found" where a
notebook is opened without the state of its widgets. This one takes its place in the cell back.
"""

from tqdm.auto import tqdm as _auto
from tqdm.notebook import tqdm as _notebook


class _Passing(_notebook):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options, display=False)
        self._place = None
        if not self.disable:
            from IPython.display import display

            self._place = display(self.container, display_id=True)

    def close(self):
        super().close()
        if self._place is not None:
            self._place.update({"text/plain": ""}, raw=True)
            self._place = None


tqdm = _Passing if issubclass(_auto, _notebook) else _auto
"""tqdm.auto's ``tqdm``, with the same arguments: a widget in a notebook, a line of text elsewhere."""
