#!/usr/bin/env python3
"""Ids of deleatur beside llama.cpp's, for GGUFs with a tokenizer of each kind.

    compare_gguf_tokenizers.py TOKENS_OF [--random N] [--seed S] [--texts FILE ...] [--only NAME ...] [--files GGUF ...]

TOKENS_OF is build/tests/tokens_of.  Without --files: files that this script writes, a byte-level vocabulary of 2,000 tokens
under each pre-tokenizer's name, and SentencePiece vocabularies with scores, with and without a blank before the text.
Each text is tokenized with special tokens taken as such, with and without BOS.  llama.cpp does not normalise: a name for
which deleatur has NFC is asked for texts in NFC only.  What its patterns make of letters outside ASCII differs from the
models' own tokenizer.json (\\p{Lu} is [^a-z] there, and a mark is no letter), so that for tekken and gpt-4o texts are of
ASCII letters.  Prints how many differ.

    compare_gguf_tokenizers.py --fixture > tests/fixtures/text/gguf_tokenizers.json

llama.cpp's ids of a few texts for each, with the vocabularies, for tests/test_tokenizer_gguf.c; names that give the same
ids are in one entry."""
import argparse
import json
import os
import random
import sys
import tempfile
import unicodedata

import gguf
import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import compare_tokenizers as ours
import llama_cpp_library as llama
import make_tokenizer_fixtures as page

NFC = ["olmo", "mpt", "qwen2", "deepseek-r1-qwen", "megrez", "qwen35"]
ASCII_LETTERS = ["tekken", "gpt-4o", "llama4"]
NAMES = ["gpt-2", "phi-2", "jais", "trillion", "exaone4", "mellum", "granite-docling", "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone",
         "minerva-7b", "dbrx", "smaug-bpe", "chatglm-bpe", "glm4", "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
         "jina-v5-nano", "stablelm2", "hunyuan", "default", None] + NFC + ASCII_LETTERS


def new_file(path, n_tokens):
    """A Llama of one layer, 32 wide, of zeros."""
    w = gguf.GGUFWriter(path, "llama")
    w.add_context_length(64), w.add_embedding_length(32), w.add_block_count(1), w.add_feed_forward_length(32)
    w.add_head_count(1), w.add_head_count_kv(1), w.add_layer_norm_rms_eps(1e-5), w.add_rope_dimension_count(32), w.add_vocab_size(n_tokens)
    for name, shape in [("token_embd", (n_tokens, 32)), ("output_norm", (32,)), ("output", (n_tokens, 32))] + [
            (f"blk.0.{n}", (32,) if "norm" in n else (32, 32)) for n in
            ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down")]:
        w.add_tensor(name + ".weight", np.zeros(shape, dtype=np.float32))
    return w


def close(w):
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()


def byte_level(path, pre, vocabulary):
    tokens, merges = vocabulary
    w = new_file(path, len(tokens))
    w.add_tokenizer_model("gpt2")
    if pre:
        w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    w.add_token_types([3 if t in ("<|start|>", "<|end|>") else 4 if t == "<tool>" else 1 for t in tokens])
    w.add_token_merges(merges)
    w.add_bos_token_id(tokens.index("<|start|>")), w.add_eos_token_id(tokens.index("<|end|>"))
    close(w)


def train_byte_level(texts, size=2000):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    model = json.loads(t.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get) + ["<|start|>", "<|end|>", "<tool>"]
    return tokens, [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]


def train_sentencepiece(texts, size=1500):
    """Scores are minus the rank of the merge that makes a token, as SentencePiece's own; some characters are bytes only."""
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.train_from_iterator([x.replace(" ", "\u2581") for x in texts], trainers.BpeTrainer(vocab_size=size, limit_alphabet=90, show_progress=False))
    model = json.loads(t.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    single, several = [p for p in pieces if len(p) == 1], [p for p in pieces if len(p) > 1]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + ["<tool>"] + several + single
    types = [2, 3, 3] + [6] * 256 + [4] + [1] * len(several + single)
    scores = [0.0] * 260 + [-float(i) for i in range(len(several + single))]
    return tokens, types, scores


def sentencepiece(path, vocabulary, prefix, bos):
    tokens, types, scores = vocabulary
    w = new_file(path, len(tokens))
    w.add_tokenizer_model("llama"), w.add_token_list(tokens), w.add_token_types(types), w.add_token_scores(scores)
    w.add_bos_token_id(1), w.add_eos_token_id(2), w.add_unk_token_id(0)
    if prefix is not None:
        w.add_add_space_prefix(prefix)
    if bos is not None:
        w.add_add_bos_token(bos)
    close(w)


def compare(name, path, program, lib, texts, show=5):
    model = llama.load(lib, path)
    vocab = lib.llama_model_get_vocab(model)
    answers = ours.Deleatur(program, path, [ours.text_request(t) for t in texts])
    if answers.error:
        print(f"{name}: REFUSED {answers.error.strip()}")
        return False
    wrong = 0
    for text in texts:
        want = tuple(llama.tokenize(lib, vocab, text, special) for special in (True, False))
        got = answers.pair(answers.ids)
        if got != want:
            wrong += 1
            if wrong <= show:
                print(f"{name}: {text[:200]!r}\n  llama.cpp {want[1][:40]}\n  deleatur  {str(got[1])[:300]}"
                      + ("" if want[1] != got[1] else f"\n  with BOS: {want[0][:5]} and {got[0][:5]}"))
    lib.llama_model_free(model)
    print(f"{name}: {len(texts)} texts, {wrong} differ", flush=True)
    return not wrong


FIXTURE_TEXTS = ["The capital of France is", " It's 2024-07-26, isn't IT'LL?  x12345 ", "a\n\n  b\t c\r\n\r\n d   ", "H\u00e4user Gr\u00f6\u00dfe \u65e5\u672c\u8a9e \U0001f600",
                 "<tool>def f(x):\n    return x*2 # $5.00 ^_^ |~|<|end|>", "HelloWorld camelCase ABCdef \u00c9COLE/ecole//", "<|start|>again <tool> 007", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0939\u093f\u0902\u0926\u0940"]


def fixture():
    lib, corpus = llama.library(), [t for t in page.PAGE if "<" not in t]
    bytes_, pieces = train_byte_level(corpus, 700), train_sentencepiece(corpus, 420)
    out = {"texts": FIXTURE_TEXTS, "gpt2": {"tokens": bytes_[0], "merges": bytes_[1], "cases": []},
           "llama": {"tokens": pieces[0], "types": pieces[1], "scores": pieces[2], "cases": []}}

    def ids(path, pre=None):
        """null: a text for which llama.cpp's pattern is not the tokenizer.json's."""
        marks = [pre in ASCII_LETTERS and any(unicodedata.category(c)[0] == "M" for c in t) for t in FIXTURE_TEXTS]
        model = llama.load(lib, path)
        vocab = lib.llama_model_get_vocab(model)
        return [None if m else [llama.tokenize(lib, vocab, t, special) for special in (True, False)] for t, m in zip(FIXTURE_TEXTS, marks)]

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "t.gguf")
        for pre in NAMES:
            byte_level(path, pre, bytes_)
            got = ids(path, pre)
            same = [c for c in out["gpt2"]["cases"] if c["ids"] == got]
            if same:
                same[0]["names"].append(pre)
            else:
                out["gpt2"]["cases"].append({"names": [pre], "ids": got})
        for prefix in (None, True, False):
            for bos in (None, False):
                sentencepiece(path, pieces, prefix, bos)
                out["llama"]["cases"].append({"prefix": prefix, "bos": bos, "ids": ids(path)})
    json.dump(out, sys.stdout, ensure_ascii=True)
    print()


def main():
    if sys.argv[1:] == ["--fixture"]:
        return fixture()
    a = argparse.ArgumentParser()
    a.add_argument("program")
    a.add_argument("--random", type=int, default=300)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--texts", nargs="*", default=[])
    a.add_argument("--only", nargs="*")
    a.add_argument("--files", nargs="*", default=[])
    o = a.parse_args()
    rng, lib = random.Random(o.seed), llama.library()
    texts = list(page.PAGE) + [line for f in o.texts for line in open(f, encoding="utf-8", newline="").read().split("\n")]
    texts += [ours.random_text(rng, ["<tool>", "<|end|>", " <tool> "]) for _ in range(o.random)]
    texts = ["".join(c for c in t if c != "\0" and unicodedata.category(c) != "Cn") for t in texts]  # llama.cpp's tables are of Unicode 15
    texts = [t for t in texts if t and not t.startswith("<s>")]  # deleatur puts no second BOS before a text
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "t.gguf")
        corpus = [t for t in page.PAGE if "<" not in t]  # llama.cpp makes a control token of a "<|endoftext|>", whatever its type
        vocabulary, pieces = train_byte_level(corpus), train_sentencepiece(corpus)
        for pre in [] if o.files else NAMES:
            if o.only and str(pre) not in o.only:
                continue
            byte_level(path, pre, vocabulary)
            mine = [unicodedata.normalize("NFC", t) for t in texts] if pre in NFC else texts
            if pre in ASCII_LETTERS:
                mine = ["".join(c for c in t if c.isascii() or unicodedata.category(c)[0] not in "LM") for t in mine]
            fine &= compare(str(pre), path, o.program, lib, [t for t in mine if t])
        for prefix in [] if o.files else [None, True, False]:
            for bos in [None, True, False]:
                name = f"llama, prefix {prefix}, bos {bos}"
                if o.only and name not in o.only and "llama" not in o.only:
                    continue
                sentencepiece(path, pieces, prefix, bos)
                fine &= compare(name, path, o.program, lib, texts)
        for file in o.files:
            fine &= compare(os.path.basename(file), file, o.program, lib, texts)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
