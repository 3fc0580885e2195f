from .experiment import LABELS as LABELS, run_grammar as run_grammar
from .figures import (
    bars_figure as bars_figure,
    frontier_figure as frontier_figure,
    pull_figure as pull_figure,
)
from .fused import fused_emo_loss as fused_emo_loss
from .head import fuse as fuse, unfuse as unfuse
from .loss import baseline_loss as baseline_loss, emo_loss as emo_loss
from .prose import finetune as finetune
from .settings import (
    BASELINES as BASELINES,
    FORMS as FORMS,
    PROFILES as PROFILES,
    VARIANTS as VARIANTS,
    Variant as Variant,
    variant as variant,
)
from .trainer import EMOLoss as EMOLoss, compute_loss_func as compute_loss_func
from .views import (
    CONTEXTS as CONTEXTS,
    against_mle as against_mle,
    at_equal_validity as at_equal_validity,
    at_one as at_one,
    prose_differences as prose_differences,
    prose_table as prose_table,
    pull as pull,
    verdict as verdict,
)
