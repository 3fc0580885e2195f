"""One of two processes that train a tiny model with EMO; test_emo_processes.py starts them.

    torchrun … emo_two.py KIND OUT      # KIND: trainer, head, root

KIND "trainer": transformers' Trainer with its defaults (DistributedDataParallel). "head": FSDP2 with the output head
sharded on its own. "root": FSDP2 with blocks and root, the root sharded again after its forward. Process 0 writes the
trained weights to OUT.
"""

import copy
import os
import sys

import torch
import torch.distributed as dist
from transformers import LlamaConfig, LlamaForCausalLM

from workbench.papers.emo import compute_loss_func

ROWS = [{"input_ids": list(range(i, i + 6)), "labels": list(range(i, i + 6))} for i in range(8)]
RATE, STEPS = 0.05, 2


def tiny(tied=False):
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=20, hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=32, tie_word_embeddings=tied, initializer_range=0.3,
        )
    )  # fmt: skip


def by_trainer(model, folder, **options):
    """Two steps of SGD over ROWS in order, four rows a step over all processes."""
    from transformers import Trainer, TrainingArguments  # heavy, and every worker collects this file

    settings = TrainingArguments(
        folder, max_steps=STEPS, report_to=[], use_cpu=True, save_strategy="no", learning_rate=RATE, max_grad_norm=0,
        disable_tqdm=True, optim="sgd", lr_scheduler_type="constant", train_sampling_strategy="sequential", **options,
    )  # fmt: skip
    Trainer(model, settings, train_dataset=ROWS, compute_loss_func=compute_loss_func(model)).train()


def by_fsdp(model, kind):
    """The same steps with fully_shard: each process has two of the four rows."""
    from torch.distributed.fsdp import fully_shard

    loss = compute_loss_func(model, "emo1_adaptive")
    for block in model.model.layers:
        fully_shard(block)
    if kind == "head":
        fully_shard(model.lm_head)
    fully_shard(model, reshard_after_forward=True)
    optimiser = torch.optim.SGD(model.parameters(), RATE)
    model.train()
    for step in range(STEPS):
        mine = [ROWS[4 * step + dist.get_rank() + 2 * i] for i in range(2)]
        ids = torch.tensor([row["input_ids"] for row in mine])
        loss(model(input_ids=ids, use_cache=False), ids).backward()
        optimiser.step()
        optimiser.zero_grad()
    model.eval()
    assert model(input_ids=ids).logits.shape[-1] == 20  # the head is the head again
    return {name: value.full_tensor() for name, value in model.state_dict().items()}


if __name__ == "__main__":
    kind, out = sys.argv[1:]
    torch.set_num_threads(1)
    model = tiny(tied=kind.endswith("tied"))
    if kind.startswith("trainer"):
        by_trainer(model, os.path.dirname(out), per_device_train_batch_size=2)
        state = copy.deepcopy(model.state_dict())
    else:
        dist.init_process_group("gloo")
        state = by_fsdp(model, kind)
    if int(os.environ["RANK"]) == 0:
        torch.save(state, out)
    if dist.is_initialized():
        dist.destroy_process_group()
