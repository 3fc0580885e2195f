from .result import RainResult as RainResult
from .run import controls as controls
from .run import rain as rain
from .scorers import (
    LabelScorer as LabelScorer,
)
from .scorers import (
    VoteScorer as VoteScorer,
)
from .scorers import (
    ZeroScorer as ZeroScorer,
)
from .scorers import (
    objective as objective,
)
from .scorers import (
    scorer_report as scorer_report,
)
from .settings import PROFILES as PROFILES
from .settings import RainSettings as RainSettings
