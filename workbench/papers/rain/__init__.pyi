from .result import RainResult as RainResult
from .run import controls as controls, rain as rain
from .scorers import (
    LabelScorer as LabelScorer,
    VoteScorer as VoteScorer,
    ZeroScorer as ZeroScorer,
    objective as objective,
    scorer_report as scorer_report,
)
from .settings import PROFILES as PROFILES, RainSettings as RainSettings
