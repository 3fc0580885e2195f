"""EMO in training loops: the docs' Trainer example, accumulation, the fused patch, peft and 4-bit bases."""

import copy
import re
from pathlib import Path

import pytest
import torch
from transformers import Gemma3Config, LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from workbench.errors import ModelError, UsageError
from workbench.papers.emo import VARIANTS, EMOLoss, compute_loss_func, emo_loss, fuse, unfuse

ROOT = Path(__file__).resolve().parents[2]
ROWS = [{"input_ids": list(range(i, i + 6)), "labels": list(range(i, i + 6))} for i in range(8)]


def tiny(tied=True):
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=20, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            max_position_embeddings=32, tie_word_embeddings=tied,
        )
    )  # fmt: skip


def train(model, tmp_path, *, rows=ROWS, **options):
    func = {k: options.pop(k) for k in ("variant", "fused") if k in options}
    settings = TrainingArguments(
        str(tmp_path), max_steps=2, report_to=[], use_cpu=True, save_strategy="no", learning_rate=1e-2, max_grad_norm=0,
        disable_tqdm=True, optim="sgd", lr_scheduler_type="constant", **options,
    )  # fmt: skip
    func = compute_loss_func(model, **func)
    trainer = Trainer(model, settings, train_dataset=rows, eval_dataset=rows, compute_loss_func=func)
    trainer.train()
    return trainer


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_and_fused_equals_plain(name, tmp_path):
    start, ends = weights(tiny()), []
    for fused in (True, False):
        model = tiny()
        train(model, tmp_path, variant=name, fused=fused, per_device_train_batch_size=4)
        ends.append(weights(model))
    assert torch.isfinite(ends[0]).all() and not torch.equal(ends[0], start)
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fused", [True, False])
def test_accumulation_equals_one_large_batch(fused, tmp_path):
    padding = {"input_ids": 0, "labels": -100}
    uneven = [{k: v[: 3 + i % 4] + [padding[k]] * (3 - i % 4) for k, v in row.items()} for i, row in enumerate(ROWS)]
    large, small = tiny(), tiny()
    train(large, tmp_path, rows=uneven, fused=fused, per_device_train_batch_size=4)
    train(small, tmp_path, rows=uneven, fused=fused, per_device_train_batch_size=1, gradient_accumulation_steps=4)
    torch.testing.assert_close(weights(small), weights(large), rtol=1e-5, atol=1e-7)


def test_evaluation_and_generation_see_the_real_head(tmp_path):
    model = tiny()
    trainer = train(model, tmp_path, per_device_train_batch_size=4)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(3, abs=0.5)  # near log 20
    model.eval()
    assert model(torch.tensor([[1, 2]])).logits.shape == (1, 2, 20)
    model.train()
    assert model(torch.tensor([[1, 2]])).logits.shape == (1, 2, 8)  # hidden states, for the loss alone
    unfuse(model)
    assert model(torch.tensor([[1, 2]])).logits.shape == (1, 2, 20)
    unfuse(model)  # a second time changes nothing


def test_lora_on_a_frozen_head(tmp_path):
    from peft import LoraConfig, get_peft_model

    ends = []
    for fused in (True, False):
        torch.manual_seed(1)
        model = get_peft_model(tiny(), LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights="gaussian"))
        train(model, tmp_path, fused=fused, per_device_train_batch_size=4)
        ends.append(weights(model))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)
    on_head = get_peft_model(tiny(tied=False), LoraConfig(r=2, target_modules=["lm_head"]))
    with pytest.raises(ModelError, match="leave it out of LoRA's target modules"):
        fuse(on_head)


def test_models_that_change_their_logits_are_refused():
    model = tiny()
    model.config.final_logit_softcapping = 30.0
    with pytest.raises(ModelError, match=r"final_logit_softcapping=30.0.*fused=False"):
        compute_loss_func(model)
    model.config = Gemma3Config(text_config={"final_logit_softcapping": 20.0})  # it stands in the text part
    with pytest.raises(ModelError, match=r"final_logit_softcapping=20.0"):
        compute_loss_func(model)
    model = tiny()
    model.config.lm_head_multiplier = 0.5  # Falcon-H1
    with pytest.raises(ModelError, match=r"lm_head_multiplier=0.5"):
        compute_loss_func(model)


def test_which_cost_embedding_a_variant_keeps():
    head = tiny(tied=False).lm_head
    logits, labels = torch.randn(1, 4, 20), torch.tensor([[1, 2, 3, 4]])
    losses = {name: EMOLoss(name, head=head) for name in VARIANTS}
    before = copy.deepcopy(head.weight.detach())
    with torch.no_grad():
        head.weight += torch.randn_like(head.weight)
    for name, loss in losses.items():
        chosen = VARIANTS[name]
        if chosen.is_emo:
            current = chosen.cost_embedding in ("head", "argument")
            expected = emo_loss(logits, labels, head.weight if current else before, **chosen.settings)
            assert torch.equal(loss(logits, labels), expected), name
            given = emo_loss(logits, labels, before, **chosen.settings)
            assert torch.equal(loss(logits, labels, cost_embedding=before), given)


def test_errors():
    with pytest.raises(UsageError, match="there is no EMO variant 'emo9'"):
        compute_loss_func(tiny(), "emo9")
    with pytest.raises(UsageError, match="variant 'emo2_fixed' needs a cost embedding"):
        EMOLoss("emo2_fixed")
    with pytest.raises(UsageError, match=r"cost embedding has shape \(3, 4\)"):
        compute_loss_func(tiny(), "emo2_fixed", cost_embedding=torch.ones(3, 4))
    for name in ("emo1_adaptive", "mixce"):  # it was left out without a word
        with pytest.raises(UsageError, match="leave cost_embedding out"):
            compute_loss_func(tiny(), name, cost_embedding=torch.ones(20, 4))
    with pytest.raises(ModelError, match="Linear has no output head"):
        compute_loss_func(torch.nn.Linear(2, 2))


def test_the_example_of_the_docs_runs(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "emo.md").read_text()
    example = re.search(r"## Ten lines with Trainer\n\n```python\n(.*?)```", page, re.S).group(1)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/emo.md", "exec"), {})
    assert 0 < float(capsys.readouterr().out.splitlines()[-1]) < 20


@pytest.mark.slow
def test_the_qlora_example_of_the_docs_learns(tmp_path, monkeypatch, capsys):
    """It asks the model something before it trains, after which bitsandbytes on a CPU had no right gradient."""
    page = (ROOT / "docs" / "emo.md").read_text()
    example = re.search(r"QLoRA, on a GPU or a CPU:\n\n```python\n(.*?)```", page, re.S).group(1)
    assert "bits=4" in example and example.index("generate(") < example.index("train()")
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(compile(example, "docs/emo.md", "exec"), space)
    assert capsys.readouterr().out.splitlines()[0] == " Paris"
    module, ids = space["tuned"].eval(), torch.tensor([space["ids"]])
    unfuse(module)
    with torch.no_grad():
        learnt = float(module(ids, labels=ids).loss)
        with module.disable_adapter():
            before = float(module(ids, labels=ids).loss)
    assert learnt < before - 0.3, (before, learnt)


@pytest.mark.slow
def test_lora_on_a_4_bit_base(tmp_path):
    from peft import LoraConfig, get_peft_model

    import workbench

    base = workbench.load("smollm2", bits=4)
    model = get_peft_model(base.module, LoraConfig(r=2, target_modules=["q_proj"]))
    rows = [{"input_ids": ids, "labels": ids} for ids in base.tokenizer(["The quick brown fox jumps"])["input_ids"]]
    trainer = train(model, tmp_path, rows=rows, per_device_train_batch_size=1)
    assert 0 < trainer.evaluate()["eval_loss"] < 20
