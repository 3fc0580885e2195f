"""Tiny random models of many architectures, each saved as a folder that `workbench.load` can open like a user's own.

    python tests/zoo.py OUT [NAME ...]        # NAME: a key of ARCHITECTURES; default all that this transformers knows

Weights are widened (standard deviation .2 or more), so that attention, windows and scalings show in the logits. Windows
and switches lie at 16 or 32 tokens, so that short texts cross them. The tokenizer is a byte-level one of 320 entries.
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedTokenizerFast

V = 320  # entries of the vocabulary
ENDS = dict(bos_token_id=1, eos_token_id=2)
LLAMA = dict(  # most families take these names
    vocab_size=V, hidden_size=64, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.25, pad_token_id=2, **ENDS,
)  # fmt: skip
BARE = dict(vocab_size=V, initializer_range=0.25, **ENDS)  # families with names of their own begin from these
GPT2 = dict(**BARE, n_embd=48, n_layer=3, n_head=4, n_positions=512)
OWN = dict(**BARE, hidden_size=48, num_hidden_layers=3, pad_token_id=2)
MIXED = dict(sliding_window=16, layer_types=["sliding_attention", "full_attention"] * 2)
MOE = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, num_local_experts=4, decoder_sparse_step=1)
LATENT = dict(num_key_value_heads=4, kv_lora_rank=16, q_lora_rank=24, qk_rope_head_dim=8, qk_nope_head_dim=8)
DEEPSEEK = dict(
    **LATENT, v_head_dim=12, n_routed_experts=4, n_shared_experts=1, num_experts_per_tok=2, moe_intermediate_size=32,
    first_k_dense_replace=1, n_group=1, topk_group=1,
)  # fmt: skip
STATE = dict(mamba_n_heads=8, mamba_d_head=16, mamba_d_state=8, mamba_n_groups=1, mamba_chunk_size=16)
PER_LAYER = dict(vocab_size_per_layer_input=V, hidden_size_per_layer_input=16)
LONG = dict(type="longrope", short_factor=[1.0] * 8, long_factor=[4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 9.0, 9.0])


# name -> (model type, the options that differ from LLAMA's; "only": all options)
# fmt: off
ARCHITECTURES = {
    "llama": ("llama", {}),
    "llama-tied-bias": ("llama", dict(tie_word_embeddings=True, attention_bias=True)),
    "llama-dynamic-rope": ("llama", dict(rope_scaling=dict(rope_type="dynamic", factor=4.0))),
    "llama-dynamic-switch": ("llama", dict(
        rope_scaling=dict(rope_type="dynamic", factor=16.0), max_position_embeddings=32)),
    "qwen2": ("qwen2", {}),
    "qwen2-window": ("qwen2", dict(use_sliding_window=True, sliding_window=16, max_window_layers=2)),
    "qwen3": ("qwen3", dict(head_dim=16)),
    "gemma2": ("gemma2", dict(head_dim=16, sliding_window=16, query_pre_attn_scalar=16)),
    "gemma3_text": ("gemma3_text", dict(head_dim=16, **MIXED)),
    "gemma3n_text": ("gemma3n_text", dict(
        head_dim=16, **MIXED, **PER_LAYER, num_kv_shared_layers=2, activation_sparsity_pattern=[0.0] * 4, laurel_rank=8,
        altup_num_inputs=2, intermediate_size=[64] * 4)),
    "gemma4_text": ("gemma4_text", dict(
        head_dim=16, global_head_dim=16, **MIXED, **PER_LAYER, num_kv_shared_layers=0)),
    "vaultgemma": ("vaultgemma", dict(head_dim=16, sliding_window=16, query_pre_attn_scalar=16)),
    "recurrent_gemma": ("recurrent_gemma", dict(
        attention_window_size=16, lru_width=64, block_types=["recurrent", "attention"])),
    "mistral": ("mistral", dict(sliding_window=None)),
    "mistral-window": ("mistral", dict(sliding_window=16)),
    "ministral": ("ministral", dict(head_dim=16, **MIXED)),
    "mixtral": ("mixtral", MOE),
    "gpt2": ("gpt2", dict(only=GPT2)),
    "gpt_bigcode": ("gpt_bigcode", dict(only=GPT2)),
    "gptj": ("gptj", dict(only=GPT2 | dict(n_embd=64, rotary_dim=8))),
    "gpt_neo": ("gpt_neo", dict(only=BARE | dict(
        hidden_size=48, num_layers=4, num_heads=4, attention_types=[[["global", "local"], 2]], window_size=16,
        max_position_embeddings=512))),
    "gpt_neox": ("gpt_neox", {}),
    "gpt_oss": ("gpt_oss", dict(**MOE, head_dim=16, **MIXED, rope_scaling=None)),
    "opt": ("opt", dict(only=OWN | dict(
        ffn_dim=64, num_attention_heads=4, max_position_embeddings=512, word_embed_proj_dim=48, init_std=0.25))),
    "opt-projected": ("opt", dict(only=OWN | dict(
        ffn_dim=64, num_attention_heads=4, max_position_embeddings=512, word_embed_proj_dim=32, init_std=0.25))),
    "biogpt": ("biogpt", dict(num_hidden_layers=3)),
    "bloom": ("bloom", dict(only=BARE | dict(hidden_size=48, n_layer=3, n_head=4))),
    "mpt": ("mpt", dict(only=BARE | dict(d_model=64, n_layers=3, n_heads=4, max_seq_len=512, expansion_ratio=2))),
    "falcon": ("falcon", dict(num_kv_heads=2, new_decoder_architecture=True)),
    "falcon-alibi": ("falcon", dict(alibi=True, new_decoder_architecture=False, multi_query=False)),
    "falcon_h1": ("falcon_h1", dict(**STATE, mamba_d_ssm=128, head_dim=16)),
    "phi": ("phi", dict(partial_rotary_factor=0.5)),
    "phi3": ("phi3", {}),
    "phi3-window": ("phi3", dict(sliding_window=16)),
    "phi3-longrope": ("phi3", dict(original_max_position_embeddings=32, rope_scaling=LONG)),
    "phimoe": ("phimoe", MOE),
    "stablelm": ("stablelm", dict(partial_rotary_factor=0.5)),
    "cohere": ("cohere", dict(logit_scale=0.0625)),
    "cohere2": ("cohere2", MIXED),
    "granite": ("granite", dict(logits_scaling=8.0, residual_multiplier=0.2, embedding_multiplier=12.0)),
    "granitemoehybrid": ("granitemoehybrid", dict(
        **STATE, num_local_experts=2, num_experts_per_tok=1, shared_intermediate_size=32,
        layer_types=["mamba", "attention"] * 2)),
    "starcoder2": ("starcoder2", dict(sliding_window=16)),
    "smollm3": ("smollm3", dict(no_rope_layers=[1, 1, 1, 0])),
    "exaone4": ("exaone4", MIXED),
    "qwen2_moe": ("qwen2_moe", dict(**MOE, shared_expert_intermediate_size=32)),
    "qwen3_moe": ("qwen3_moe", dict(**MOE, head_dim=16)),
    "qwen3_next": ("qwen3_next", dict(
        **MOE, head_dim=16, linear_num_value_heads=4, linear_num_key_heads=2, linear_key_head_dim=8,
        linear_value_head_dim=8, shared_expert_intermediate_size=32,
        layer_types=["linear_attention", "full_attention"] * 2)),
    "olmoe": ("olmoe", MOE),
    "deepseek_v2": ("deepseek_v2", DEEPSEEK),
    "deepseek_v3": ("deepseek_v3", DEEPSEEK),
    "minicpm3": ("minicpm3", dict(**LATENT, v_head_dim=16)),
    "llama4_text": ("llama4_text", dict(
        **MOE, head_dim=16, attention_chunk_size=16, intermediate_size_mlp=64, no_rope_layers=[1, 1, 1, 0],
        interleave_moe_layer_step=2)),
    "mamba": ("mamba", dict(only=OWN | dict(state_size=8))),
    "mamba2": ("mamba2", dict(only=OWN | dict(
        hidden_size=32, state_size=8, num_heads=8, head_dim=8, n_groups=2, chunk_size=16))),
    "rwkv": ("rwkv", dict(only=OWN | dict(attention_hidden_size=48, intermediate_size=64, context_length=512))),
    "jamba": ("jamba", dict(
        num_experts=2, num_experts_per_tok=1, attn_layer_period=2, attn_layer_offset=1, expert_layer_period=2,
        expert_layer_offset=1, mamba_d_state=8, mamba_dt_rank=4)),
    "bamba": ("bamba", dict(**STATE, attn_layer_indices=[1, 3])),
    "zamba2": ("zamba2", dict(
        mamba_d_state=8, n_mamba_heads=8, mamba_ngroups=1, chunk_size=16, num_mem_blocks=1, hybrid_layer_ids=[1, 3],
        layers_block_type=["mamba", "hybrid"] * 2, num_key_value_heads=4, attention_head_dim=32, adapter_rank=8)),
    "lfm2": ("lfm2", dict(layer_types=["conv", "full_attention"] * 2, block_ff_dim=64, block_multiple_of=8)),
    "xlstm": ("xlstm", dict(num_blocks=2, num_heads=4)),
    "modernbert-decoder": ("modernbert-decoder", dict(local_attention=16, global_attn_every_n_layers=2)),
    "bert-decoder": ("bert", dict(is_decoder=True)),
    "diffllama": ("diffllama", {}),
    "bitnet": ("bitnet", {}),
    "doge": ("doge", dict(keep_window_size=512)),
    "nanochat": ("nanochat", {}),
}
# fmt: on


def tokenizer(folder):
    """A byte-level tokenizer: <pad> 0, <s> 1, </s> 2, then the 256 bytes, then fillers up to V."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<pad>", "<s>", "</s>", *alphabet] + [f"<x{i}>" for i in range(V - 3 - len(alphabet))]
    inner = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    ).save_pretrained(folder)


def build(name, folder):
    """Save the architecture ``name`` with random weights (seed 0) under ``folder``."""
    kind, options = ARCHITECTURES[name]
    torch.manual_seed(0)
    options = options.get("only") or {**LLAMA, **options}
    module = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**options)).float()
    with torch.no_grad():
        for key, weight in module.named_parameters():
            if weight.dim() >= 2 and 0 < weight.std() < 0.1 and "conv" not in key and "A_log" not in key:
                weight.mul_(0.2 / weight.std())
    module.save_pretrained(folder)
    tokenizer(folder)


# what a GGUF block has as float16 scales (bytes in it), by the type's name
HALVES = dict(Q4_0=[0], Q4_1=[0, 2], Q5_0=[0], Q5_1=[0, 2], Q8_0=[0], Q4_K=[0, 2], Q5_K=[0, 2], Q6_K=[208], IQ4_NL=[0])


def tiny_gguf(path, *, arch="llama", layers=2, width=64, without=None, kinds=(), tied=False):
    """A GGUF file that says it has two layers; ``layers`` of them are in it.

    The matrices take the types ``kinds`` (such as "Q4_K", which wants a width of 256) in turn; none: all are F32.
    """
    import gguf
    import numpy as np

    draw = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, arch)
    for name, value in {
        "block_count": 2, "context_length": 128, "embedding_length": width, "feed_forward_length": width,
        "head_count": 4, "head_count_kv": 2, "layer_norm_rms_eps": 1e-5, "vocab_size": 320, "key_length": width // 4,
        "rope_dimension_count": width // 4, "sliding_window": 16, "rope_freq_base": 1e4,
    }.items():  # fmt: skip
        getattr(writer, f"add_{name}")(value)
    words = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *(f"▁x{i}" for i in range(61))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * 3 + [-1000.0] * 256 + [-float(i) for i in range(61)])
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * 61)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    shapes = {"token_embd.weight": (320, width), "output_norm.weight": (width,)}
    shapes |= {} if tied else {"output.weight": (320, width)}
    for block in range(layers):
        inner = dict.fromkeys(("attn_q", "attn_output", "ffn_gate", "ffn_up", "ffn_down"), (width, width))
        inner |= dict.fromkeys(("attn_k", "attn_v"), (width // 2, width))
        inner |= dict.fromkeys(("attn_norm", "ffn_norm"), (width,))
        if arch in ("qwen3", "gemma3"):
            inner |= dict.fromkeys(("attn_q_norm", "attn_k_norm"), (width // 4,))
        if arch in ("gemma2", "gemma3"):
            inner |= dict.fromkeys(("post_attention_norm", "post_ffw_norm"), (width,))
        shapes |= {f"blk.{block}.{key}.weight": shape for key, shape in inner.items()}
        if arch == "qwen2":
            for key, count in (("attn_q", width), ("attn_k", width // 2), ("attn_v", width // 2)):
                shapes[f"blk.{block}.{key}.bias"] = (count,)
    turn = 0
    for key, shape in shapes.items():
        if key == without:
            continue
        if len(shape) == 1 or not kinds or kinds[turn % len(kinds)] == "F32":
            writer.add_tensor(key, draw.normal(0, 0.2, shape).astype(np.float32))
        else:
            kind = gguf.GGMLQuantizationType[kinds[turn % len(kinds)]]
            values, size = gguf.GGML_QUANT_SIZES[kind]
            if values == 1:  # F16, BF16: by ggml's own rounding
                data = gguf.quantize(draw.normal(0, 0.2, shape).astype(np.float32), kind)
            else:  # any bits are a block, if its scales are numbers
                data = draw.integers(0, 256, (shape[0], shape[1] // values, size), dtype=np.uint8)
                for place in HALVES[kind.name]:
                    scales = draw.uniform(-0.01, 0.01, data.shape[:2]).astype(np.float16)
                    data[..., place : place + 2] = scales[..., None].view(np.uint8)
                data = data.reshape(shape[0], -1)
            writer.add_tensor(key, data, raw_dtype=kind)
        turn += len(shape) > 1
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


if __name__ == "__main__":
    out, *names = sys.argv[1:]
    for name in names or ARCHITECTURES:
        try:
            build(name, Path(out) / name)
            print(name)
        except Exception as error:  # an architecture this transformers does not build so
            print(f"{name}: {type(error).__name__}: {str(error)[:120]}")
