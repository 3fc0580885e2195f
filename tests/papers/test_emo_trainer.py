"""EMO in training loops: the docs' Trainer example, accumulation, the fused patch, peft and 4-bit bases."""

import copy
import json
import re
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from workbench.errors import ModelError, UsageError
from workbench.papers.emo import VARIANTS, EMOLoss, compute_loss_func, emo_loss, unfuse

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


def test_an_adapter_on_the_head_is_one_sentence_and_its_matrix_counts_without_the_fused_path():
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    model = get_peft_model(
        tiny(tied=False), LoraConfig(r=2, lora_alpha=4, target_modules=["lm_head"], init_lora_weights="gaussian")
    )
    head = model.get_output_embeddings()
    with torch.no_grad():
        head.lora_B["default"].weight.normal_()
    with pytest.raises(ModelError, match=r"the output head has an adapter.*target_modules.*fused=False"):
        compute_loss_func(model)
    ids = torch.tensor([[1, 2, 3, 4]])
    outputs = model(input_ids=ids)
    matrix = head.base_layer.weight + 2 * head.lora_B["default"].weight @ head.lora_A["default"].weight
    wanted = emo_loss(outputs.logits, ids, matrix, **VARIANTS["emo1_adaptive"].settings)
    found = compute_loss_func(model, fused=False)(outputs, ids)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    # emo1's value is cross-entropy whatever the costs: the costs show in the gradient
    grads = [torch.autograd.grad(x, head.lora_B["default"].weight, retain_graph=True)[0] for x in (found, wanted)]
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-6)


def test_a_head_trained_beside_an_adapter_takes_the_fused_path(tmp_path):
    from peft import LoraConfig, get_peft_model

    ends = []
    for fused in (True, False):
        torch.manual_seed(1)
        options = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"], init_lora_weights="gaussian")
        model = get_peft_model(tiny(tied=False), options)
        start = weights(model)
        train(model, tmp_path, fused=fused, per_device_train_batch_size=4)
        ends.append(weights(model))
        assert not torch.equal(ends[-1], start)
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)


def test_copies_of_a_fused_model_have_heads_of_their_own(tmp_path):
    from torch.optim.swa_utils import AveragedModel

    model, ids = tiny(tied=False), torch.tensor([[1, 2, 3]])
    wanted = model.eval()(ids).logits
    loss = compute_loss_func(model)
    torch.save(model, tmp_path / "model.pt")
    copies = {
        "deepcopy": copy.deepcopy(model),
        "average": AveragedModel(model).module,
        "file": torch.load(tmp_path / "model.pt", weights_only=False),
    }
    with torch.no_grad():
        model.lm_head.weight.normal_()
    for name, other in copies.items():
        assert torch.equal(other.eval()(ids).logits, wanted), name
        assert other.train()(ids).logits.shape == (1, 3, 8), name
        with pytest.raises(UsageError, match="another model's head"):  # a loss multiplies by one head
            loss(other(ids), ids)
        compute_loss_func(other)(other(ids), ids).backward()
        assert other.lm_head.weight.grad.abs().sum() > 0 and model.lm_head.weight.grad is None
        unfuse(other)
        assert other(ids).logits.shape == (1, 3, 20)
    assert model.train()(ids).logits.shape == (1, 3, 8)


def test_half_precision_trains_fused_as_plainly(tmp_path):
    for options in ({"bf16": True}, {}):  # autocast over float32 weights, then weights in bfloat16
        ends = []
        for fused in (True, False):
            model = tiny(tied=False) if options else tiny(tied=False).to(torch.bfloat16)
            start = weights(model).float()
            train(model, tmp_path, fused=fused, per_device_train_batch_size=4, **options)
            ends.append(weights(model).float() - start)
        assert ends[1].norm() > 0 and (ends[0] - ends[1]).norm() < 0.05 * ends[1].norm()


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("gemma2", {}, "final_logit_softcapping=30.0"),
        ("cohere", {}, "logit_scale=0.0625"),
        ("granite", {}, "logits_scaling=8.0"),
        ("recurrent_gemma", {}, "logits_soft_cap=30.0"),
        ("xlstm", {}, "output_logit_soft_cap=30.0"),
        ("falcon_h1", {"lm_head_multiplier": 0.5}, "lm_head_multiplier=0.5"),
        ("gemma3_text", {"final_logit_softcapping": 1000.0}, "final_logit_softcapping=1000.0"),
    ],
)
def test_models_that_change_their_logits_are_refused(zoo, tmp_path, name, change, said):
    import shutil

    import workbench

    folder = shutil.copytree(zoo(name), tmp_path / name)
    config = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(config))
    model = workbench.load(folder)
    with pytest.raises(ModelError, match=rf"changes its logits after the head \(.*{said}.*fused=False"):
        compute_loss_func(model)
    assert not any(part.training for part in model.module.modules())
    compute_loss_func(model, fused=False)


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
