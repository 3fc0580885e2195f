"""Made the weights and the tokenizer of this folder once: a random Llama of two layers over twelve words."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = ["<end>", "a", "b", "c", "d", "e", "f", "g", ".", ",", "Human:", "?"]


def main():
    here = Path(__file__).parent
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<end>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<end>", unk_token="<end>", clean_up_tokenization_spaces=False
    ).save_pretrained(here)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=96, bos_token_id=None, eos_token_id=0, pad_token_id=None,
        tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for weight in model.parameters():  # as drawn, every distribution would be flat
            if weight.dim() > 1:
                weight.mul_(6)
        model.lm_head.weight[0] *= 0.3  # the end of the text is no frequent word
    model.generation_config.eos_token_id = 0
    model.save_pretrained(here)


if __name__ == "__main__":
    main()
