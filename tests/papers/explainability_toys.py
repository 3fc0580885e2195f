"""Small models for the explainability tests: a linear one, where every method has a known answer, and a tiny Llama."""

from types import SimpleNamespace

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.modeling_outputs import CausalLMOutput

from workbench.models.local import LocalModel


class Linear(torch.nn.Module):
    """Logits that are linear in the tokens' embeddings: the sum of all states so far, times a readout.

    Two linear blocks stand between embedding and readout, so that layers can be asked for. It takes no mask and no
    cache, so its prompts must be evaluated one at a time.
    """

    def __init__(self, vocabulary: int, width: int = 6):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.config = LlamaConfig(vocab_size=vocabulary, hidden_size=width, num_hidden_layers=2, num_attention_heads=1)
        self.embedding = torch.nn.Embedding(vocabulary, width)
        self.layers = torch.nn.ModuleList([torch.nn.Linear(width, width, bias=False) for _ in range(2)])
        self.readout = torch.nn.Parameter(torch.empty(width, vocabulary))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, input_ids=None, inputs_embeds=None, logits_to_keep=0, use_cache=False, output_attentions=False):
        states = self.embedding(input_ids) if inputs_embeds is None else inputs_embeds
        for layer in self.layers:
            states = layer(states)
        sums = states.cumsum(1)  # (B, T, H)
        kept = sums[:, -logits_to_keep:] if isinstance(logits_to_keep, int) else sums[:, logits_to_keep]
        return CausalLMOutput(logits=kept @ self.readout)

    def effect(self, token: int, target: int, foil: int, layer: int = 0):
        """(state of a token at ``layer``, direction u): state . u is its share of logit(target) - logit(foil)."""
        state = self.embedding.weight[token]
        direction = self.readout[:, target] - self.readout[:, foil]
        for block in self.layers[:layer]:
            state = block(state)
        for block in reversed(self.layers[layer:]):
            direction = block.weight.T @ direction
        return state.detach(), direction.detach()


def tiny_llama(vocabulary: int, *, layers: int = 2, context: int = 64, bias: bool = False) -> LlamaForCausalLM:
    """A Llama small enough for hundreds of forwards a second, with weights large enough to say something."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=24, intermediate_size=40, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=context, attention_bias=bias, initializer_range=0.25,
    )  # fmt: skip
    module = LlamaForCausalLM(config).eval()
    if bias:
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name.endswith("bias"):
                    parameter.normal_()
    return module


def handle(module, tokenizer, name: str) -> LocalModel:
    """The workbench's handle over a module, with a real tokenizer."""
    report = SimpleNamespace(name=name, identity=f"{name} {id(module)}", line=lambda: "of a test")
    return LocalModel(module, tokenizer, name=name, report=report)


PLACES = {  # of what a part adds to the stream, under the names that the models of the tests have
    "attention": ("self_attn", "attn", "attention", "self_attention.dense"),
    "mlp": ("mlp.dense_4h_to_h", "mlp"),
    "heads": ("self_attn.o_proj", "attn.c_proj", "attention.dense", "self_attention.dense"),
}


@torch.no_grad()
def patched(model, clean, corrupt, answer, foil, part, layer, position, head=None) -> float:
    """logit(answer) - logit(foil) of one whole run of ``corrupt`` with one activation of ``clean``: hooks by hand."""
    names = dict(model.module.named_modules())
    blocks = next(names[path] for path in ("model.layers", "transformer.h", "gpt_neox.layers") if path in names)
    block = blocks[max(layer, 1) - 1]
    inner = dict(block.named_modules())
    place = block if part == "stream" else next(inner[name] for name in PLACES[part] if name in inner)
    kept, share = [], slice(None)
    if head is not None:
        size = model.module.config.hidden_size // model.module.config.num_attention_heads
        share = slice(head * size, (head + 1) * size)

    def put(tensor):
        tensor = tensor.clone()
        tensor[:, position, share] = kept[0][:, position, share]
        return tensor

    def run(text, change):
        def hook(given):
            new = change(given if torch.is_tensor(given) else given[0])
            return new if new is None or torch.is_tensor(given) else (new, *given[1:])

        if layer == 0 or part == "heads":  # what goes in
            hung = place.register_forward_pre_hook(lambda _, inputs: hook(inputs))
        else:
            hung = place.register_forward_hook(lambda _, __, output: hook(output))
        logits = model.module(input_ids=torch.tensor([model.token_ids(text)]), use_cache=False).logits[0, -1].float()
        hung.remove()
        first, second = (model.token_ids(word, start=False)[0] for word in (answer, foil))
        return float(logits[first] - logits[second])

    run(clean, lambda tensor: kept.append(tensor.clone()))
    return run(corrupt, put)
