from .encoder.families import FAMILIES as FAMILIES
from .encoder.families import family_of as family_of
from .encoder.model import KBert as KBert
from .encoder.model import Prediction as Prediction
from .graph.graph import KnowledgeGraph as KnowledgeGraph
from .graph.graph import Triple as Triple
from .graph.wordnet import read_wordnet as read_wordnet
from .injection.collate import KnowledgeCollator as KnowledgeCollator
from .injection.collate import check_mask as check_mask
from .injection.tree import (
    KnowledgeBatch as KnowledgeBatch,
)
from .injection.tree import (
    inject as inject,
)
from .injection.tree import (
    visible_matrix as visible_matrix,
)
from .scores import (
    Scores as Scores,
)
from .scores import (
    boundary_scores as boundary_scores,
)
from .scores import (
    entity_scores as entity_scores,
)
from .scores import (
    mean_reciprocal_rank as mean_reciprocal_rank,
)
from .settings import (
    ARMS as ARMS,
)
from .settings import (
    FUNCTION_WORDS as FUNCTION_WORDS,
)
from .settings import (
    PROFILES as PROFILES,
)
from .settings import (
    KBertSettings as KBertSettings,
)
from .settings import (
    fill as fill,
)
from .tasks import Task as Task
