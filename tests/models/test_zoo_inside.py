"""Lens, steering, patching, attribution and EMO on the zoo, against forwards of the raw module with hooks by hand.

Each model is loaded twice: by the front door, and with transformers alone. The second is the oracle: whole uncached
forwards, with hooks written here. Where a method does not fit an architecture, one sentence must say so.
"""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM
from zoo import ARCHITECTURES

import workbench
from workbench.errors import ModelError
from workbench.papers import explainability as ex
from workbench.papers.emo import compute_loss_func

pytestmark = pytest.mark.slow

CLEAN, CORRUPT = "a cat sat on the mat, and the dog saw it all", "a cow sat on the mat, and the dog saw it all"
SHORT, TARGET, FOIL = CLEAN[:14], "x", "y"
FORWARD, GRADIENT = 2e-5, 5e-3
STRENGTH, POSITIONS = 2.0, (2, 9, 30, -1)

BLOCKS = (
    "model.layers", "transformer.h", "transformer.blocks", "gpt_neox.layers", "model.decoder.layers", "biogpt.layers",
    "bert.encoder.layer", "backbone.layers", "rwkv.blocks",
)  # fmt: skip
# the module that gives what a block adds to the stream, where it has no usual name; None: none gives it alone
ATTENTION = {"bloom": "self_attention.dense", "bert-decoder": None, "mamba": None, "mamba2": None}
MLP = {
    "bloom": "mlp.dense_4h_to_h", "mpt": "ffn.down_proj", "opt": None, "opt-projected": None, "bert-decoder": None,
    "recurrent_gemma": None, "granitemoehybrid": None, "zamba2": None, "mamba": None, "mamba2": None,
    "llama4_text": None,
}  # fmt: skip
# the stream of Gemma-3n is four tensors; xLSTM's configuration names another number of layers than it has
NO_STREAM = {"gemma3n_text", "xlstm"}
NO_EMBEDDINGS = {"gemma4_text"}  # it looks its embeddings' tokens up
RULED = {  # families
    "llama", "qwen2", "qwen3", "gemma3_text", "mistral", "ministral", "stablelm", "cohere", "cohere2", "granite",
    "smollm3", "exaone4",
}  # fmt: skip
MIXTURES = {  # of experts, which are other ones at the baseline than at the prompt
    "mixtral", "gpt_oss", "phimoe", "granitemoehybrid", "qwen2_moe", "qwen3_moe", "qwen3_next", "olmoe", "deepseek_v2",
    "deepseek_v3", "llama4_text", "jamba",
}  # fmt: skip
CHANGES_LOGITS = {
    "gemma2", "gemma3n_text", "vaultgemma", "recurrent_gemma", "cohere", "cohere2", "granite", "nanochat", "xlstm",
}  # fmt: skip


class Raw:
    """The module as transformers gives it, and forwards of it with hooks."""

    def __init__(self, folder, name):
        self.module = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.name, self.blocks = name, None
        for path in BLOCKS:
            try:
                self.blocks = self.module.get_submodule(path)
                break
            except AttributeError:
                continue

    def logits(self, ids, *hooks, before=()):
        """(T, V) of a whole forward; hooks: (module, f(module, inputs, output))."""
        handles = [part.register_forward_hook(hook) for part, hook in hooks]
        handles += [part.register_forward_pre_hook(hook) for part, hook in before]
        try:
            with torch.no_grad():
                return self.module(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()
        finally:
            for handle in handles:
                handle.remove()

    def output(self, ids, part):
        """What ``part`` gives: (1, T, H), as it was when it was given."""
        kept = []
        self.logits(ids, (part, lambda _, __, out: kept.append(stream(out).clone())))
        return kept[-1]

    def parts(self, table, names):
        """[(number of the block, module)] of a part, where a block has it."""
        path = table.get(self.name, "")
        if path is None:
            return []
        found = []
        for number, block in enumerate(self.blocks, 1):
            for one in [path] if path else names:
                part = dict(block.named_modules()).get(one)
                if part is not None:
                    found.append((number, part))
                    break
        return found


def stream(output):
    return output if torch.is_tensor(output) else output[0]


def exchanged(output, tensor):
    return tensor if torch.is_tensor(output) else (tensor, *output[1:])


def refused(call, *said):
    """The call raises one sentence."""
    with pytest.raises(ModelError) as caught:
        call()
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) < 400 and all(word in sentence for word in said), sentence


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def pair(request, zoo):
    """(the handle, the raw module)."""
    torch.set_num_threads(1)
    folder = zoo(request.param)
    try:
        model = workbench.load(str(folder))
    except ModelError as error:
        assert request.param in {"mamba", "mamba2", "rwkv"} and "\n" not in str(error)
        return None, None
    return model, Raw(folder, request.param)


def one(model, text):
    return model.token_ids(text, start=False)[0]


def test_lens_and_steering(pair):
    model, raw = pair
    if raw is None:
        return
    if raw.name in NO_STREAM:
        refused(lambda: ex.logit_lens(model, CLEAN), "cannot read logits")
        refused(lambda: ex.concept_vector(model, ["a b"], ["c d"]), "cannot read logits")
        return
    ids, target, depth = model.token_ids(CLEAN), one(model, TARGET), len(raw.blocks)
    lens = ex.logit_lens(model, CLEAN, TARGET, top_k=2)
    for layer in {1, depth // 2, depth}:
        kept = raw.output(ids, raw.blocks[layer - 1])
        # read out by the whole model, with the last block's output exchanged for an earlier one's
        logits = raw.logits(ids, (raw.blocks[-1], lambda _, __, out, kept=kept: exchanged(out, kept)))
        logs, spread = logits.log_softmax(-1), float(logits.std())
        found, row = np.log(lens.probability[layer]), logs[:, target].numpy()
        seen = row > -60
        assert np.abs(found - row)[seen].max() < FORWARD * spread, layer
        assert np.abs(lens.entropy[layer] + (logs.exp() * logs).sum(-1).numpy()).max() < FORWARD * spread
        best = logs.topk(2)
        for at in np.flatnonzero((best.values[:, 0] - best.values[:, 1]) > 1e-3):
            assert lens.top[layer][at][0] == model.tokenizer.decode([int(best.indices[at, 0])])

    concept = ex.concept_vector(model, ["I am glad", "how good"], ["I am sad", "how bad"])
    block = raw.blocks[concept.layer - 1]
    last = [raw.output(model.token_ids(t), block)[0, -1] for t in ("I am glad", "how good", "I am sad", "how bad")]
    move = STRENGTH * ((last[0] + last[1]) - (last[2] + last[3])) / 2
    assert np.abs(STRENGTH * concept.scale * concept.vector - move.numpy()).max() < FORWARD * float(last[0].std()) * 4
    wanted = raw.logits(ids, (block, lambda _, __, out: exchanged(out, stream(out) + move)))
    spread, wanted = float(wanted.std()), wanted.log_softmax(-1)
    steered = ex.steer_next(model, CLEAN, concept, [0.0, STRENGTH], [TARGET])
    if wanted[-1, target] > -60:
        assert abs(np.log(steered.probability[1, 0]) - float(wanted[-1, target])) < FORWARD * spread * 4
    with ex.steering(model, concept, STRENGTH):
        assert float((model.next_logprobs(ids) - wanted).abs().max()) < FORWARD * spread * 4


def test_patching(pair):
    model, raw = pair
    if raw is None:
        return
    asked = (model, CLEAN, CORRUPT, TARGET, FOIL)
    if raw.name in NO_STREAM:
        refused(lambda: ex.patching_grid(*asked), "cannot read logits")
        return
    clean, corrupt = model.token_ids(CLEAN), model.token_ids(CORRUPT)
    answer, foil = one(model, TARGET), one(model, FOIL)
    spread = float(raw.logits(clean).std())
    attention = raw.parts(ATTENTION, ("self_attn", "attn", "attention", "self_attention"))
    parts = {
        "stream": list(enumerate(raw.blocks, 1)),
        "attention": attention,
        "mlp": raw.parts(MLP, ("mlp", "feed_forward", "ffn", "fc2")),
    }
    for part, modules in parts.items():
        if not modules:
            refused(lambda part=part: ex.patching_grid(*asked, part=part), "stream")
            continue
        numbers = [number for number, _ in modules]
        grid = ex.patching_grid(*asked, part=part, layers=numbers, positions=POSITIONS)
        for row, (_, module) in enumerate(modules):
            kept = raw.output(clean, module)
            for column, position in enumerate(POSITIONS):

                def put(_, __, out, kept=kept, position=position):
                    tensor = stream(out).clone()
                    tensor[:, position] = kept[:, position]
                    return exchanged(out, tensor)

                logits = raw.logits(corrupt, (module, put))[-1]
                wanted = float(logits[answer] - logits[foil])
                assert abs(grid.values[row, column] - wanted) < 2 * FORWARD * spread, (part, numbers[row], position)
    whole, other = (raw.logits(ids)[-1] for ids in (clean, corrupt))
    gap = float((whole[answer] - whole[foil]) - (other[answer] - other[foil]))
    for number, module in attention[:1]:
        names = dict(module.named_modules())
        projection = next((names[n] for n in ("o_proj", "c_proj", "out_proj", "dense") if n in names), None)
        if projection is None or raw.name == "bloom":
            continue
        heads = model.module.config.num_attention_heads
        kept = []
        raw.logits(clean, before=[(projection, lambda _, inputs, kept=kept: kept.append(inputs[0].clone()))])
        size = kept[0].shape[-1] // heads
        found = ex.patch_heads(*asked, position=9, layers=[number])
        for head in range(heads):

            def put_head(_, inputs, kept=kept, share=slice(head * size, (head + 1) * size)):
                tensor = inputs[0].clone()
                tensor[:, 9, share] = kept[0][:, 9, share]
                return (tensor, *inputs[1:])

            logits = raw.logits(corrupt, before=[(projection, put_head)])[-1]
            wanted = float(logits[answer] - logits[foil] - other[answer] + other[foil])
            assert abs(float(found.recovery[0, head]) * gap - wanted) < 4 * FORWARD * spread


def test_attribution(pair):
    model, raw = pair
    if raw is None:
        return
    ids, target = model.token_ids(SHORT), one(model, TARGET)
    neutral = ex.neutral_token(model)
    logits = raw.logits(ids)[-1]
    spread = float(logits.std())

    def log_probability(ids):
        return float(raw.logits(ids)[-1].log_softmax(-1)[target])

    found = ex.attribute(model, SHORT, TARGET, method="occlusion")
    wanted = [log_probability(ids) - log_probability([*ids[:i], neutral, *ids[i + 1 :]]) for i in range(1, len(ids))]
    assert np.abs(found.scores[1:] - wanted).max() < 2 * FORWARD * spread
    if ARCHITECTURES[raw.name][0] in RULED:
        found = ex.attribute(model, SHORT, TARGET, method="decomposition")
        assert abs(found.value - float(logits[target] - logits.mean())) < FORWARD * spread
        if not any(name.endswith("bias") for name, _ in raw.module.named_parameters()):
            assert abs(found.scores.sum() - found.value) < 1e-3 * spread
    else:
        refused(lambda: ex.attribute(model, SHORT, TARGET, method="decomposition"), "relevance rule")
    if raw.name in NO_EMBEDDINGS:
        refused(lambda: ex.attribute(model, SHORT, TARGET, method="gradient"), "cannot be read from embeddings")
        return

    embedding = raw.module.get_input_embeddings()
    real = embedding(torch.tensor([ids])).detach()

    def gradients(states):
        states = states.clone().requires_grad_()
        value = raw.module(inputs_embeds=states, use_cache=False).logits[:, -1].float().log_softmax(-1)[:, target]
        return torch.autograd.grad(value.sum(), states)[0]

    found = ex.attribute(model, SHORT, TARGET, method="gradient")
    wanted = gradients(real)[0].norm(dim=-1).numpy()
    assert np.abs(found.scores[1:] - wanted[1:]).max() < GRADIENT * wanted[1:].max()
    if raw.name in MIXTURES:
        for method in ("integrated_gradients", "gradient_shap"):
            refused(lambda method=method: ex.attribute(model, SHORT, TARGET, method=method), "picks other experts")
        return
    start = embedding(torch.tensor([[ids[0], *[neutral] * (len(ids) - 1)]])).detach()
    for steps in (900, 9000):  # the second where the first is not fine enough to be an oracle
        each = torch.cat([  # (steps, T)
            (gradients(start + (at[:, None, None] + 0.5) / steps * (real - start)) * (real - start)).sum(-1)
            for at in torch.arange(steps, dtype=torch.float32).split(100)
        ])  # fmt: skip
        wanted, coarse = each.mean(0).numpy(), each[1::3].mean(0).numpy()
        if np.abs(wanted - coarse).max() < GRADIENT / 5 * np.abs(wanted).max():
            break
    found = ex.attribute(model, SHORT, TARGET, method="integrated_gradients", samples=300)
    assert np.abs(found.scores - wanted).max() < GRADIENT * np.abs(wanted).max()
    whole = log_probability(ids) - log_probability([ids[0], *[neutral] * (len(ids) - 1)])
    assert found.gap == pytest.approx(abs(found.scores.sum() - whole) / abs(whole), rel=1e-3, abs=1e-3)


def test_emo(pair):
    model, raw = pair
    if raw is None:
        return
    ids = torch.tensor([model.token_ids(CLEAN)])
    wanted = by_hand(raw.module, ids)
    if raw.name in CHANGES_LOGITS:
        refused(lambda: compute_loss_func(model), "fused=False")
        loss, outputs = compute_loss_func(model, fused=False), model.module(input_ids=ids, use_cache=False)
    else:
        loss = compute_loss_func(model)
        model.module.get_output_embeddings().train()  # the head alone: no dropout
        outputs = model.module(input_ids=ids, use_cache=False)
        assert outputs.logits.shape[-1] != model.module.get_output_embeddings().weight.shape[0]
    value = loss(outputs, ids)
    value.backward()
    assert abs(float(value) - wanted) < FORWARD * max(1.0, wanted)
    found = dict(model.module.named_parameters())
    pairs = [(p.grad, found[n].grad) for n, p in raw.module.named_parameters() if p.grad is not None]
    size = sum(float(a.square().sum()) for a, _ in pairs)
    apart = sum(float((a - b).square().sum()) for a, b in pairs)
    assert apart**0.5 < GRADIENT * size**0.5 and len(pairs) > 5


def by_hand(module, ids):
    """emo1 with D+ (own head, detached) from whole logits: the value, and the gradients in ``module``."""
    logs = module(input_ids=ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)
    labels = ids[0, 1:]
    unit = torch.nn.functional.normalize(module.get_output_embeddings().weight.detach(), dim=1)
    near = unit[labels] @ unit.T  # cosines, (T, V)
    likelihood = -logs.gather(1, labels[:, None])[:, 0]
    own = logs.exp().gather(1, labels[:, None])[:, 0].detach()
    cost = 1 - (logs.exp() * near).sum(1) + own
    loss = (0.5 * (likelihood + (likelihood / (cost + 1e-10)).detach() * cost)).mean()
    loss.backward()
    return float(loss)
