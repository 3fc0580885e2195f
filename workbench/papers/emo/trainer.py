"""EMO inside a training loop: a module, the function for Hugging Face's Trainer, and the patch for the fused path.

The patch is one attribute: while the model trains, its output head hands the hidden states through, so that Trainer's
``outputs.logits`` are hidden states and `fused_emo_loss` multiplies by the head itself. In eval mode (evaluation,
generation) the head is the head. Nothing else of the model is touched.
"""

import torch

from workbench.errors import ModelError, UsageError

from .fused import fused_emo_loss
from .loss import SMOOTH, baseline_loss, check_cost_embedding, emo_loss
from .settings import variant as _variant

# what some models do to their logits after the head
LOGIT_CHANGES = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")


def output_head(model):
    """The output head of a Hugging Face model, a peft model or a workbench model: a module with a (V, H) weight."""
    module = getattr(model, "module", model)
    find = getattr(module, "get_output_embeddings", None)
    head = find() if find is not None else None
    if head is None or getattr(head, "weight", None) is None or head.weight.dim() != 2:
        raise ModelError(
            f"{type(module).__name__} has no output head with a (V, H) weight: EMO needs a causal language model"
        )
    return head


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
            check_cost_embedding(cost_embedding, head.weight.shape[0])
        if kind in ("frozen_head", "initial_head", "buffer") and cost_embedding is None:
            cost_embedding = head.weight.detach().clone()
        self.register_buffer("cost_embedding", cost_embedding, persistent=False)

    def _cost(self, given):
        if given is not None:
            return given
        if self.variant.cost_embedding != "head" and self.cost_embedding is not None:
            return self.cost_embedding
        return self.cost_embedding if self._head[0] is None else self._head[0].weight

    def forward(self, logits, labels, *, cost_embedding=None, num_items_in_batch=None):
        """The loss from whole logits (B, T, V) and labels (B, T); see `emo_loss`. Divides by ``num_items_in_batch``."""
        reduction = "mean" if num_items_in_batch is None else "sum"
        if self.variant.is_emo:
            cost = self._cost(cost_embedding)
            cost = cost if cost is None else cost.to(logits.device)
            loss = emo_loss(logits.float(), labels, cost, **self.variant.settings, reduction=reduction)
        else:
            loss = baseline_loss(logits.float(), labels, **self.variant.settings, reduction=reduction)
        return loss if num_items_in_batch is None else loss / (num_items_in_batch + SMOOTH)

    def from_hidden(self, hidden, labels, *, cost_embedding=None, num_items_in_batch=None):
        """The loss from hidden states (B, T, H): fused for EMO; a baseline goes through the logits."""
        head = self._head[0]
        if not self.variant.is_emo:
            logits = torch.nn.functional.linear(hidden.to(head.weight.dtype), head.weight, head.bias)
            return self(logits, labels, num_items_in_batch=num_items_in_batch)
        cost = self._cost(cost_embedding)
        return fused_emo_loss(
            hidden, head.weight, labels, bias=head.bias, cost_embedding=None if cost is head.weight else cost,
            **self.variant.settings, active_eps=self.active_eps, chunk_size=self.chunk_size,
            num_items_in_batch=num_items_in_batch,
        )  # fmt: skip


def fuse(model):
    """Let the model's head hand hidden states through while it trains; returns the head. `unfuse` undoes it.

    Raises
    ------
    ModelError
        The head is not a plain linear layer (LoRA on it, or quantised), or the model changes its logits after the head.
    """
    head = output_head(model)
    if type(head) is not torch.nn.Linear:
        raise ModelError(
            f"the output head is a {type(head).__name__}, not a plain Linear layer: leave it out of LoRA's target "
            "modules and of quantisation, or use compute_loss_func(model, fused=False)"
        )
    config = getattr(getattr(model, "module", model), "config", None)
    text = config.get_text_config(decoder=True) if hasattr(config, "get_text_config") else config
    for name in LOGIT_CHANGES:
        value = getattr(config, name, None) or getattr(text, name, None)  # of a vision model the text part's
        if value not in (None, 1, 1.0):
            raise ModelError(
                f"this model changes its logits after the head ({name}={value}), which the fused loss "
                "does not do: use compute_loss_func(model, fused=False)"
            )
    if not hasattr(head, "_emo_forward"):
        head._emo_forward = head.__dict__.get("forward")  # an earlier patch (accelerate's hooks), or None
        plain = head.forward
        head.forward = lambda hidden: hidden if head.training else plain(hidden)
    return head


def unfuse(model) -> None:
    """Give the model its head back."""
    head = output_head(model)
    if hasattr(head, "_emo_forward"):
        earlier = head._emo_forward
        del head.forward, head._emo_forward
        if earlier is not None:
            head.forward = earlier


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
        if head.training and hasattr(head, "_emo_forward"):
            return criterion.from_hidden(rows, labels, num_items_in_batch=num_items_in_batch)
        return criterion(rows, labels, num_items_in_batch=num_items_in_batch)

    return loss
