#!/usr/bin/env python3
"""Does llama.cpp read a GGUF of ours as the model it was made of?

    pip install torch transformers==5.23.0 numpy xllamacpp==2026.10.11549
    python tests/reference/llama_cpp_logits.py HF_DIR FILE.gguf [FILE.gguf ...]

Loads FILE with llama.cpp (the C functions in the xllamacpp package's library) and HF_DIR with transformers; prints, for a
few texts, whether both cut them into the same tokens, and how far the logits after the last token are apart: as the root
mean square of the differences over that of the logits' own spread, and whether the most likely token is the same.
llama.cpp keeps keys and values in float16, so that an F32 file too is some 1e-3 away.
"""
import ctypes
import os
import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from llama_cpp_library import library, load, tokenize

TEXTS = ["Gorm Ashgrove lives in the town of", "The capital of France is", "Question: Where does 12 café\n\n  x9? Answer:"]


def logits(lib, model, vocab, ids):
    context = lib.llama_init_from_model(model, lib.llama_context_default_params())
    array = (ctypes.c_int32 * len(ids))(*ids)
    assert lib.llama_decode(context, lib.llama_batch_get_one(array, len(ids))) == 0
    return np.ctypeslib.as_array(lib.llama_get_logits_ith(context, -1), (lib.llama_vocab_n_tokens(vocab),)).copy()


def main(directory, files):
    lib = library()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    theirs = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    for file in files:
        model = load(lib, file)
        vocab = lib.llama_model_get_vocab(model)
        for text in TEXTS:
            ids = tokenizer(text)["input_ids"]
            with torch.no_grad():
                want = theirs(torch.tensor([ids])).logits[0, -1].numpy()
            got = logits(lib, model, vocab, ids)
            apart = np.sqrt(np.mean((got - want) ** 2)) / np.std(want)
            print(f"{os.path.basename(file)}\tsame tokens {tokenize(lib, vocab, text) == ids}\tlogits apart {apart:.5f}\t"
                  f"same top {got.argmax() == want.argmax()}")


main(sys.argv[1], sys.argv[2:])
