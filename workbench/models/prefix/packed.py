"""Many token sequences at once: padded batches, and the next-token distribution after each, reduced to what is asked.

For the latter, sequences that share their beginnings are read in one forward (`models.prefix`), in the tree that all
users of a model share.
"""

from collections.abc import Callable, Iterator, Sequence

from ...errors import UsageError
from ..forward import check_length, side

ROWS = 256  # distributions handed to ``reduce`` at a time


def packed_next(model, sequences: Sequence[Sequence[int]], reduce: Callable, *, packed: bool | None = None):
    """What ``reduce`` makes of the next-token distribution after each of ``sequences``, in as few forwards as possible.

    Parameters
    ----------
    model : Model
        A local handle.
    sequences : list of list of int
        Token ids, at least one each. Equal beginnings are computed once.
    reduce : callable
        Takes float32 natural-log probabilities (R, V) on the model's device, returns a tensor (R, K): keep K small.
    packed : bool, optional
        False reads every longest sequence by a plain forward (the slow path, for comparison). Default: where the
        model's attention takes a tree's mask they share forwards.

    Returns
    -------
    torch.Tensor
        (len(sequences), K) float32 on the CPU.

    Raises
    ------
    UsageError
        A sequence is empty, or longer than the model reads.
    ModelError
        A model without weights in this process.
    """
    import torch

    sequences = [list(s) for s in sequences]
    if not sequences or not all(sequences):
        raise UsageError("packed_next got an empty sequence: give each at least one token to go on from")
    check_length(model, max(map(len, sequences)))
    with torch.inference_mode():
        from .tree import PrefixTree, shared_tree

        tree = PrefixTree(model, reuse=False) if packed is False else shared_tree(model)
        nodes = [tree.node(sequence) for sequence in sequences]
        distinct = list(dict.fromkeys(nodes))
        found = {}
        for start in range(0, len(distinct), tree.most_rows):
            some = distinct[start : start + tree.most_rows]
            rows = tree.logits(some).split(ROWS)
            reduced = torch.cat([reduce(part.log_softmax(-1)).float().cpu() for part in rows])  # (R, K)
            found.update(zip(some, reduced, strict=True))
        return torch.stack([found[node] for node in nodes])


def padded(model, sequences: Sequence[Sequence[int]], most: int) -> Iterator[tuple[list[int], dict]]:
    """Token sequences in batches of at most ``most`` tokens, pads included, the longest first.

    Sequences on different sides of a rope's switch go apart, and each by itself where the model cannot be trusted with
    a padded batch (`generation.way`).

    Yields
    ------
    The places of a batch's sequences in ``sequences`` (empty ones are left out), and the module's ``input_ids`` (B, T)
    and ``attention_mask``, padded on the right, where causal attention never looks.
    """
    import torch

    from ..generation import way

    alike = side(model.module.config.get_text_config(decoder=True))
    lengths = [len(sequence) for sequence in sequences]
    order = sorted((i for i, length in enumerate(lengths) if length), key=lengths.__getitem__)
    alone = len(order) > 1 and way(model.module, model.name) != "rows"
    while order:
        width = lengths[order[-1]]
        rows = 1 if alone else max(1, most // width)
        batch = [i for i in order[-rows:] if alike(lengths[i]) == alike(width)]
        order = order[: -len(batch)]
        tokens = torch.zeros(len(batch), width, dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for row, i in enumerate(batch):
            tokens[row, : lengths[i]] = torch.tensor(list(sequences[i]))
            mask[row, : lengths[i]] = 1
        inputs = {"input_ids": tokens.to(model.device)}
        yield batch, inputs if bool(mask.all()) else inputs | {"attention_mask": mask.to(model.device)}
