"""EMO inside a training loop: a module with a variant's cost embedding, and the function for Hugging Face's Trainer.

On the fused path (`head.fuse`) Trainer's ``outputs.logits`` are hidden states, and `fused_emo_loss` multiplies by the
head itself. In eval mode (evaluation, generation) the head is the head. Nothing else of the model is touched.
"""

import torch

from workbench.errors import ModelError, UsageError

from .fused import fused_emo_loss
from .head import FusedHead, fuse, gather, head_matrix, is_plain, output_head, through_a_head
from .loss import SMOOTH, check_cost_embedding, loss_by
from .settings import variant as _variant


class EMOLoss(torch.nn.Module):
    """A named variant (`VARIANTS`) as a module that keeps the cost embedding the variant asks for.

    Parameters
    ----------
    variant : str
        A name in `VARIANTS`.
    head : torch.nn.Module or None
        The model's output head, weight (V, H). Needed for `from_hidden`, and for every variant whose cost embedding is
        the head or a copy of it.
    cost_embedding : torch.Tensor (V, H') or None
        For "buffer", "frozen_head" and "initial_head": kept as a buffer; None copies the head as it is now.
        For "argument": used where a call gives none; None is the current head.
    active_eps, chunk_size
        As in `fused_emo_loss`, for `from_hidden`.

    Raises
    ------
    UsageError
        An unknown variant, a variant without a cost embedding to use, or with one that it would not use.
    """

    def __init__(self, variant="emo1_adaptive", *, head=None, cost_embedding=None, active_eps=None, chunk_size="auto"):
        super().__init__()
        self.name, self.variant = variant, _variant(variant)
        self._head = [head]  # in a list: the head is the model's, not a part of this module
        self.active_eps, self.chunk_size = active_eps, chunk_size
        kind = self.variant.cost_embedding
        if kind is not None and head is None and cost_embedding is None and kind != "argument":
            raise UsageError(f"variant {variant!r} needs a cost embedding: give EMOLoss head= or cost_embedding=")
        if head is not None and cost_embedding is not None and kind in ("head", None):
            takes = "the model's current head as its cost embedding" if kind else "no cost embedding"
            raise UsageError(f"variant {variant!r} takes {takes}: leave cost_embedding out, or choose another variant")
        if head is not None and cost_embedding is not None:
            check_cost_embedding(cost_embedding, head_matrix(head).shape[0])
        if kind in ("frozen_head", "initial_head", "buffer") and cost_embedding is None:
            cost_embedding = head_matrix(head).clone()
        self.register_buffer("cost_embedding", cost_embedding, persistent=False)

    def _cost(self, given):
        if given is not None:
            return given
        if self.variant.cost_embedding != "head" and self.cost_embedding is not None:
            return self.cost_embedding
        return self.cost_embedding if self._head[0] is None else head_matrix(self._head[0])

    def forward(self, logits, labels, *, cost_embedding=None, num_items_in_batch=None):
        """The loss from whole logits (B, T, V) and labels (B, T); see `emo_loss`. Divides by ``num_items_in_batch``."""
        reduction = "mean" if num_items_in_batch is None else "sum"
        cost = self._cost(cost_embedding) if self.variant.is_emo else None
        cost = cost if cost is None else cost.to(logits.device)
        loss = loss_by(self.variant.settings, logits.float(), labels, cost, reduction=reduction)
        return loss if num_items_in_batch is None else loss / (num_items_in_batch + SMOOTH)

    def from_hidden(self, hidden, labels, *, cost_embedding=None, num_items_in_batch=None):
        """The loss from hidden states (B, T, H): fused for EMO; a baseline goes through the logits."""
        head = self._head[0]
        if not is_plain(head):
            raise ModelError(
                f"the output head is a {type(head).__module__}.{type(head).__name__}, which is more than one matrix: "
                "give its logits to EMOLoss, not the hidden states"
            )
        bias = getattr(head, "bias", None)
        if not self.variant.is_emo:
            logits = torch.nn.functional.linear(hidden.to(head.weight.dtype), head.weight, bias)
            return self(logits, labels, num_items_in_batch=num_items_in_batch)
        cost = self._cost(cost_embedding)
        return fused_emo_loss(
            hidden, head.weight, labels, bias=bias,
            cost_embedding=None if cost.data_ptr() == head.weight.data_ptr() else cost, **self.variant.settings,
            active_eps=self.active_eps, chunk_size=self.chunk_size, num_items_in_batch=num_items_in_batch,
        )  # fmt: skip


def compute_loss_func(model, variant="emo1_adaptive", *, cost_embedding=None, fused=True, active_eps=None):
    """What Trainer's argument of the same name takes: ``Trainer(..., compute_loss_func=compute_loss_func(model))``.

    Parameters
    ----------
    model : transformers.PreTrainedModel, peft.PeftModel or a workbench model
        Its output head is the default cost embedding; with peft LoRA and 4-bit bases it stays an ordinary matrix.
    variant : str
        A name in `VARIANTS`, baselines included.
    cost_embedding : torch.Tensor (V, H'), or None
        In place of the head, for the variants that keep or are given one.
    fused : bool
        True patches the head (`fuse`) so that no logits exist while training. Labels must then go to this function, as
        Trainer does, not into the model; undo with `unfuse`.

    Returns
    -------
    callable
        (outputs, labels, num_items_in_batch=None) -> scalar. The sum over tokens is divided by ``num_items_in_batch``,
        so gradient accumulation equals one large batch.
    """
    head = output_head(model)
    criterion = EMOLoss(variant, head=head, cost_embedding=cost_embedding, active_eps=active_eps)
    if fused and criterion.variant.is_emo:
        fuse(model)

    def loss(outputs, labels, num_items_in_batch=None):
        rows = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        criterion.to(rows.device)
        if torch.is_tensor(num_items_in_batch):
            num_items_in_batch = num_items_in_batch.to(rows.device)
        labels = labels.to(rows.device)
        handed, weight = through_a_head(rows)
        if isinstance(head, FusedHead) and (handed or (head.training and head.fused)):
            gather(model, head)
            if weight is not None and weight is not head.weight:
                raise UsageError(
                    "these outputs come from another model's head (a copy's?) than the one that the loss was made for: "
                    "make one with compute_loss_func for each model that trains"
                )
            return criterion.from_hidden(rows, labels, num_items_in_batch=num_items_in_batch)
        return criterion(rows, labels, num_items_in_batch=num_items_in_batch)

    return loss
