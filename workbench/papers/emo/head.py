"""The output head on the fused path: while it trains it hands the hidden states through, and the loss multiplies by it.

The patch is the head's class, not an attribute of the object: a deep copy, an exponential average, a reference copy and
a file of `torch.save` have a head of their own that does the same. The hidden states leave the head with its weight in
their graph, so that DistributedDataParallel, which looks for parameters without a part in the forward, does not take
the head for unused.
"""

import types

import torch
from torch import nn

from workbench.errors import ModelError
from workbench.models.read_out import at_rest, behind_the_head

SEARCHED = 32  # autograd nodes between the head and the loss: conversions, DDP's and a loss scaler's


class FusedHead(nn.Linear):
    """A linear head that gives its input while it trains, and logits otherwise; made by `fuse`."""

    fused = True

    def forward(self, hidden):
        if self.training and self.fused:
            return _Through.apply(hidden, self.weight, self.bias)
        return super().forward(hidden)


class _Through(torch.autograd.Function):
    """The hidden states as they are. Weight and bias belong to the graph; their gradient comes from the loss alone."""

    @staticmethod
    def forward(ctx, hidden, weight, bias):
        return hidden.clone()  # a view would disturb what FSDP hangs on its outputs

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None, None


def output_head(model):
    """The output head of a Hugging Face model, a peft model or a workbench model: a module with a (V, H) weight."""
    module = getattr(model, "module", model)
    find = getattr(module, "get_output_embeddings", None)
    head = find() if find is not None else None
    if head is None or getattr(head, "weight", None) is None or head.weight.dim() != 2:
        raise ModelError(
            f"{type(module).__name__} has no output head with a (V, H) weight: EMO needs a causal language model"
        )
    trained = getattr(head, "modules_to_save", None)  # peft's wrapper around a copy that is trained as a whole
    active = [name for name in getattr(head, "active_adapters", ()) if trained is not None and name in trained]
    return trained[active[0]] if len(active) == 1 else head


def is_plain(head) -> bool:
    """Whether the head is its weight and bias, and nothing else: no adapter, no quantised numbers."""
    return head.weight.is_floating_point() and head.weight.dim() == 2 and not any(True for _ in head.children())


def head_matrix(head) -> torch.Tensor:
    """The head's current matrix (V, H) without gradient, whatever it is made of: LoRA, 4 bits, FSDP's shards."""
    weight = head.weight.detach()
    if is_plain(head):
        return weight.full_tensor() if hasattr(weight, "full_tensor") else weight
    with torch.no_grad(), at_rest(head):
        kind = weight.dtype if weight.is_floating_point() else torch.float32
        one = torch.eye(head.in_features, dtype=kind, device=weight.device)
        return (head(one) - head(torch.zeros_like(one[:1]))).T.contiguous()  # what it makes of each direction


def fuse(model):
    """Let the model's head hand hidden states through while it trains; returns the head. `unfuse` undoes it.

    Raises
    ------
    ModelError
        The head is not a plain linear layer (LoRA on it, or quantised), the model changes its logits after the head, or
        it is sharded already.
    """
    head = output_head(model)
    if isinstance(head, FusedHead):
        head.__dict__.pop("fused", None)
        return head
    if type(head).__module__.startswith("peft."):
        raise ModelError(
            "the output head has an adapter, and the fused loss multiplies by the head's own matrix alone: leave "
            "the head out of the adapter's target_modules, or use compute_loss_func(model, fused=False)"
        )
    if type(head).__name__.startswith("FSDP"):
        raise ModelError("the output head is sharded already: call compute_loss_func or fuse before fully_shard")
    if type(head) is not nn.Linear:
        raise ModelError(
            f"the output head is a {type(head).__name__}, not a plain Linear layer: leave it out of quantisation, or "
            "use compute_loss_func(model, fused=False)"
        )
    if "forward" in vars(head) and "_old_forward" not in vars(head):
        raise ModelError(
            "the output head has a forward of its own, put on it by other code: take that off, or use "
            "compute_loss_func(model, fused=False)"
        )
    module = getattr(model, "module", model)
    if change := behind_the_head(module, head):
        raise ModelError(
            f"{type(module).__name__} {change}, so the fused loss would not be that of its logits: use "
            "compute_loss_func(model, fused=False)"
        )
    head.__class__ = FusedHead
    if "_old_forward" in vars(head):  # accelerate moves inputs between devices around this one
        head._old_forward = types.MethodType(FusedHead.forward, head)
    return head


def unfuse(model) -> None:
    """Give the model its head back."""
    head = output_head(model)
    if type(head) is FusedHead:
        head.__class__ = nn.Linear
        if "_old_forward" in vars(head):
            head._old_forward = types.MethodType(nn.Linear.forward, head)
    elif isinstance(head, FusedHead):  # fully_shard has made a class of its own out of it
        head.fused = False


def gather(model, head) -> None:
    """Make the head's weight a whole matrix for the loss; FSDP2 shards it again in its backward.

    Raises
    ------
    ModelError
        It is in pieces that only their owner can put together (FSDP 1, DeepSpeed's third stage).
    """
    if hasattr(head.weight, "full_tensor"):
        from torch.distributed.fsdp import FSDPModule

        module = getattr(model, "module", model)
        owners = [m for m in module.modules() if isinstance(m, FSDPModule) and any(x is head for x in m.modules())]
        if owners:
            owners[-1].unshard()  # the innermost: modules() goes from the outside in
    weight = head.weight
    whole = weight.shape == (head.out_features, head.in_features) and not hasattr(weight, "full_tensor")
    if not whole or weight.untyped_storage().nbytes() == 0:
        raise ModelError(
            f"the output head's weight is in pieces (here {tuple(weight.shape)}), which the loss cannot put together: "
            "shard with FSDP 2 (torch's fully_shard), or use DDP"
        )


def through_a_head(rows) -> tuple[bool, torch.Tensor | None]:
    """Whether ``rows`` are hidden states that a fused head handed on, and that head's weight (None where frozen)."""
    nodes = [rows.grad_fn]
    for node in nodes:  # the list grows while it is walked
        if type(node).__name__ == "_ThroughBackward":
            return True, getattr(node.next_functions[1][0], "variable", None)
        if node is not None and len(nodes) < SEARCHED:
            nodes += [following for following, _ in node.next_functions]
    return False, None
