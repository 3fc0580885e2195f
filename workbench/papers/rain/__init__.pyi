from .result import Move as Move
from .result import Node as Node
from .result import RainResult as RainResult
from .result import Search as Search
from .run import Control as Control
from .run import controls as controls
from .run import rain as rain
from .scorers import (
    LabelScorer as LabelScorer,
)
from .scorers import (
    ScorerReport as ScorerReport,
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
