"""EMO: fine-tuning with an earth mover bound in place of cross-entropy.

Ren, Wu, Zhu, "EMO: Earth Mover Distance Optimization for Auto-Regressive Language Modeling", ICLR 2024,
arXiv 2310.04691.

The model's next-token distribution q is compared with the one-hot target t by the cost of moving q's mass to t, where
the cost between two tokens is 1 - the cosine of their rows in a *cost embedding* E. With a one-hot target the cheapest
plan is forced, so the cost is D = 1 - Σ_j q_j cos(E_t, E_j). EMO joins it with the likelihood L = -log q_t:

    emo1 = ½ (L + sg(L/D) D)          emo2 = sg(D/L) L + D          (sg: no gradient)

- `emo_loss`: as on the blackboard, from logits. `baseline_loss`: cross-entropy, label smoothing, MixCE, TVD.
- `fused_emo_loss`: the same numbers from hidden states and the head; logits never exist.
- `run_grammar`, `finetune`: does it help? Against a known distribution; on real prose. `views` shows the results.
- `VARIANTS`: every form the authors' scripts use, by name. `EMOLoss`, `compute_loss_func`, `fuse`: for Trainer.

Deviations from the reference are named where they are: `fused.py` (no stored Ê), `loss.py` (mixce's q_t is detached).
"""

from ...lazy import from_stub

__getattr__, __dir__, __all__ = from_stub(__name__, __file__)
