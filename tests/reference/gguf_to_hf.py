"""A GGUF as a Hugging Face directory, by transformers alone: what deleatur's own reader is compared with.

    python gguf_to_hf.py DIR FILE.gguf OUT        transformers 5.23.0, torch 2.x, gguf 0.x

Two traps of transformers 5.23 are undone: the tokenizer made from a GGUF with pre-tokenizer "smollm" lacks the split
of digits, and save_pretrained refuses a model that still carries its quantizer.
"""
import sys

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(directory, name, out):
    tokenizer = AutoTokenizer.from_pretrained(directory, gguf_file=name)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    assert tokenizer.convert_ids_to_tokens(tokenizer("a  12")["input_ids"]) == ["a", "ĠĠ", "1", "2"]
    assert tokenizer("The capital of France is")["input_ids"] == [504, 3575, 282, 4649, 314]
    model = AutoModelForCausalLM.from_pretrained(directory, gguf_file=name, dtype=torch.float32)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
