from . import papers as papers
from . import stats as stats
from .errors import WorkbenchError as WorkbenchError
from .models import load as load
from .models import load_encoder as load_encoder
from .runs.store.metrics import record as record
from .runs.store.metrics import stop as stop
from .stats import Estimate as Estimate
from .widgets.explain.heat import explain as explain

__version__: str
