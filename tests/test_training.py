"""The one training loop against AdamW by hand, and LoRA on a real model that is given back as it was."""

import pytest
import torch

from workbench import training


def test_the_loop_is_adamw_with_a_falling_rate_by_hand():
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(module.weight)
    seen = []

    def loss(rows):
        assert module.training
        seen.append(rows.flatten().tolist())
        return module.weight.sum()  # gradient 1: with it AdamW's corrected mean over root is 1 at every step

    data = torch.arange(10.0)[:, None]
    training.train(module, training.rows_of(data, 3), loss, steps=2, lr=0.1, seed=4)
    by_hand = 1.0
    for rate in (0.1, 0.05):
        by_hand = by_hand * (1 - rate * 0.01) - rate
    assert module.weight.item() == pytest.approx(by_hand, abs=1e-6) and not module.training
    generator = torch.Generator().manual_seed(4)
    assert seen == [torch.randint(0, 10, (3,), generator=generator).tolist() for _ in range(2)]


def test_an_error_in_the_loss_leaves_eval_mode():
    module = torch.nn.Linear(1, 1)
    with pytest.raises(ZeroDivisionError):
        training.train(module, training.rows_of(torch.zeros(2, 1), 1), lambda rows: 1 / 0, steps=1, lr=1, seed=0)
    assert not module.training


def test_lora_trains_adapters_alone_and_gives_the_model_back(smollm2):
    module = smollm2.module
    ids = torch.tensor([smollm2.token_ids("The capital of France is Paris.")])
    before, names = smollm2.next_logprobs(ids[0].tolist()), [name for name, _ in module.named_parameters()]
    with training.lora(module, 4, 0) as adapted:
        mine = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
        assert mine and all("lora_" in name for name in mine) and not any("lm_head" in name for name in mine)
        first = [p.clone() for n, p in adapted.named_parameters() if "lora_A" in n][:2]
        losses = []

        def loss(rows):
            losses.append(adapted(input_ids=rows, labels=rows).loss)
            return losses[-1]

        training.train(adapted, training.rows_of(ids, 1), loss, steps=3, lr=1e-2, seed=0)
        assert losses[-1] < losses[0] and not torch.equal(smollm2.next_logprobs(ids[0].tolist()), before)
    assert [name for name, _ in module.named_parameters()] == names
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert torch.equal(smollm2.next_logprobs(ids[0].tolist()), before)
    with training.lora(module, 4, 0) as adapted:
        again = [p for n, p in adapted.named_parameters() if "lora_A" in n][:2]
        assert all(map(torch.equal, first, again))  # the first weights are the seed's
