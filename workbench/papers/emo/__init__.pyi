from .experiment import LABELS as LABELS
from .experiment import run_grammar as run_grammar
from .figures import (
    bars_figure as bars_figure,
)
from .figures import (
    frontier_figure as frontier_figure,
)
from .figures import (
    pull_figure as pull_figure,
)
from .fused import fused_emo_loss as fused_emo_loss
from .head import fuse as fuse
from .head import unfuse as unfuse
from .loss import baseline_loss as baseline_loss
from .loss import emo_loss as emo_loss
from .prose import finetune as finetune
from .settings import (
    BASELINES as BASELINES,
)
from .settings import (
    FORMS as FORMS,
)
from .settings import (
    PROFILES as PROFILES,
)
from .settings import (
    VARIANTS as VARIANTS,
)
from .settings import (
    Variant as Variant,
)
from .settings import (
    variant as variant,
)
from .trainer import EMOLoss as EMOLoss
from .trainer import compute_loss_func as compute_loss_func
from .views import (
    CONTEXTS as CONTEXTS,
)
from .views import (
    against_mle as against_mle,
)
from .views import (
    at_equal_validity as at_equal_validity,
)
from .views import (
    at_one as at_one,
)
from .views import (
    prose_differences as prose_differences,
)
from .views import (
    prose_table as prose_table,
)
from .views import (
    pull as pull,
)
