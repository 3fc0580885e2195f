from .encoder.families import FAMILIES as FAMILIES, family_of as family_of
from .encoder.model import KBert as KBert, Prediction as Prediction
from .graph.graph import KnowledgeGraph as KnowledgeGraph, Triple as Triple
from .graph.wordnet import read_wordnet as read_wordnet
from .injection.collate import KnowledgeCollator as KnowledgeCollator, check_mask as check_mask
from .injection.tree import (
    KnowledgeBatch as KnowledgeBatch,
    inject as inject,
    visible_matrix as visible_matrix,
)
from .scores import (
    Scores as Scores,
    boundary_scores as boundary_scores,
    entity_scores as entity_scores,
    mean_reciprocal_rank as mean_reciprocal_rank,
)
from .settings import (
    ARMS as ARMS,
    FUNCTION_WORDS as FUNCTION_WORDS,
    PROFILES as PROFILES,
    KBertSettings as KBertSettings,
)
from .tasks import Task as Task
