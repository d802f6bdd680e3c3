#!/usr/bin/env python3
"""Tokenizers whose added tokens are in the files beside tokenizer.json, and what transformers' AutoTokenizer 5.23 makes of
texts, for tests/test_beside.c.

    make_beside_fixture.py [N] > tests/fixtures/text/beside.json      N: texts of each case, 12 if not given

{"bases": {name: tokenizer.json}, "cases": [{"base", "files": {name: JSON}, "texts": [[text, [ids]], ...]}]}.  The base
"vocab" is written as vocab.json and merges.txt, without a tokenizer.json.
DELEATUR_BESIDE names a larger file for the test to read instead of the fixture."""
import json, os, random, sys, tempfile

os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
from transformers import AutoTokenizer  # noqa: E402

SMALL = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def added(i, content, **flags):
    return {"id": i, "content": content, **SMALL, "special": True, **flags}


def alphabet():
    own = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    other = [b for b in range(256) if b not in own]
    return [chr(b) for b in own] + [chr(256 + i) for i in range(len(other))]


def byte_level():
    pairs = [("a", "b"), ("Ġ", "a"), ("<", "n"), ("Ġa", "b")]
    vocab = {t: i for i, t in enumerate(alphabet() + [a + b for a, b in pairs])}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added(len(vocab), "<|end|>")],
            "normalizer": None, "pre_tokenizer": level, "post_processor": None, "decoder": level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocab, "merges": [list(p) for p in pairs]}}


def unk_only_added():
    base = byte_level()
    base["model"]["unk_token"] = "<unk>"
    base["added_tokens"].append(added(len(base["model"]["vocab"]) + 1, "<unk>"))
    return base


def sentencepiece():
    pairs = [("▁", "a"), ("▁a", "b"), ("▁", "▁"), ("a", "b")]
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + list("▁abnexw<>/p") + [a + b for a, b in pairs]
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [added(i, t) for i, t in enumerate(tokens[:3])],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
            "pre_tokenizer": None,
            "post_processor": {"type": "TemplateProcessing",
                               "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                               "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
                               "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                      "vocab": {t: i for i, t in enumerate(tokens)}, "merges": [list(p) for p in pairs]}}


def unigram():
    tokens = ["<unk>", "</s>", "\u2581", "a", "b", "\u2581a", "ab", "\u2581ab", "n", "e", "<", ">", "x"]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added(0, "<unk>"), added(1, "</s>")],
            "normalizer": {"type": "NFKC"}, "post_processor": None,
            "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
            "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
            "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": False,
                      "vocab": [[t, -0.5 * len(t) * (1 + i % 3)] for i, t in enumerate(tokens)]}}


def vocab():
    base = byte_level()
    base["model"]["vocab"]["<|endoftext|>"] = len(base["model"]["vocab"])
    return base


FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}


def config(**more):
    return {"tokenizer_config.json": {**FAST, **more}}


def cases(n):
    new = {k: v for k, v in added(n + 1, "<new>").items() if k != "id"}
    yield config(added_tokens_decoder={str(n + 1): new})
    yield config(added_tokens_decoder={str(n + 9): {"content": "<p>"}, str(n + 4): {"content": "<x>", "lstrip": True}})
    yield {**config(added_tokens_decoder={str(n + 1): new}), "special_tokens_map.json": {"pad_token": "<p>"}}
    yield {**config(), "special_tokens_map.json": {"additional_special_tokens": ["<new>"], "pad_token": "<p>"}}
    yield {**config(), "special_tokens_map.json": {"eos_token": {"content": "<new>", "lstrip": True, "rstrip": True,
                                                                  "normalized": False, "single_word": False}}}
    yield {**config(), "added_tokens.json": {"<new>": n + 30, "<x>": n + 2}}
    yield {**config(), "added_tokens.json": {"<new>": n + 3, "<x>": n + 2}, "special_tokens_map.json": {"bos_token": "<x>"}}
    yield config(additional_special_tokens=["<new>"], pad_token="<p>", bos_token="<x>")
    yield config(image_token="<new>", extra_special_tokens=["<p>"], additional_special_tokens=["<x>"])
    yield config(eos_token="a")
    yield config(eos_token={"content": "<new>", "rstrip": True, "__type": "AddedToken"})
    yield config(add_bos_token=True, bos_token="<x>")
    yield config(add_bos_token=False, add_eos_token=True, eos_token="<new>")
    yield config(add_prefix_space=True)


def text(rng):
    parts = ["<new>", "<x>", "<p>", "<|end|>", "a", "b", "ab", " ", "  ", "<n", "é", "n", "</s>", "<unk>", "e>"]
    # ours, as lm_eval, adds no BOS where the text begins with it: none does here
    return rng.choice("ab ") + "".join(rng.choice(parts) for _ in range(rng.randrange(1, 10)))


def main():
    rng = random.Random(12)
    per_case = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    bases = {"byte_level": byte_level(), "unk_only_added": unk_only_added(), "sentencepiece": sentencepiece(),
             "unigram": unigram(), "vocab": vocab()}
    out = []
    for name, base in bases.items():
        n = len(base["model"]["vocab"])
        todo = list(cases(n))
        if name == "byte_level":
            todo += [{"tokenizer_config.json": {"tokenizer_class": c, "add_prefix_space": s, "unk_token": "<|end|>",
                                                "bos_token": "<|end|>", "eos_token": "<|end|>"}}
                     for c in ("GPT2Tokenizer", "GPT2TokenizerFast") for s in (True, False)]
        if name == "sentencepiece":
            todo += [{"tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False}}]
        if name == "vocab":  # the class is named, or that of the model
            todo = [{f: {k: v for k, v in c.items() if k != "tokenizer_class"} for f, c in files.items()} for files in todo]
            todo += [{}, {"tokenizer_config.json": {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True}},
                     {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "unk_token": None, "pad_token": "<p>"}}]
        for files in todo:
            with tempfile.TemporaryDirectory() as folder:
                own = {"vocab.json": base["model"]["vocab"]} if name == "vocab" else {"tokenizer.json": base}
                kind = "gpt2" if name == "vocab" else "llama"
                for file, content in {**own, "config.json": {"model_type": kind}, **files}.items():
                    with open(os.path.join(folder, file), "w") as f:
                        json.dump(content, f)
                if name == "vocab":
                    with open(os.path.join(folder, "merges.txt"), "w") as f:
                        f.write("#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in base["model"]["merges"]))
                t = AutoTokenizer.from_pretrained(folder)
                texts = [text(rng) for _ in range(per_case)]
                out.append({"base": name, "files": files, "texts": [[s, t(s)["input_ids"]] for s in texts]})
    print(json.dumps({"bases": bases, "cases": out}, ensure_ascii=True))


if __name__ == "__main__":
    main()
