from . import papers as papers, stats as stats
from .errors import WorkbenchError as WorkbenchError
from .models import load as load, load_encoder as load_encoder
from .runs.store.metrics import record as record, stop as stop
from .stats import Estimate as Estimate
from .widgets.explain.heat import explain as explain

__version__: str
