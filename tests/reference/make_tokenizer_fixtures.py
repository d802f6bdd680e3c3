"""Token ids as the `tokenizers` library gives them, for tests/test_tokenizer.c.

    python make_tokenizer_fixtures.py SHARED GGUF > ../fixtures/text/tokenizers.json

SHARED is the folder that holds data/ and models/, GGUF is SmolLM2-135M-Instruct.Q4_1.gguf.  For each tokenizer: the ids
of a page of hard Unicode, hashes of what they decode to, and for every LUME and MMLU file one hash over the ids of all
its texts.  What is called repository/... is this repository's own, and the tests need nothing else for it:

    python make_tokenizer_fixtures.py --own ../fixtures/text/tokenizers.json

makes that part again and leaves the rest as it is.  Of Qwen2 there is no published tokenizer at hand that is small:

    python make_tokenizer_fixtures.py --train-qwen2 ../fixtures/text/qwen2_tokenizer.json

trains one of 640 tokens with Qwen2's normalizer, pattern and special tokens on the page and the demo's rows.  A hash is 64-bit FNV-1a over the ids as little-endian 32-bit numbers, each text closed by 0xffffffff.
"""
import csv
import glob
import json
import os
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OWN = ["repository/data/models/demo/tokenizer.json", "repository/tests/fixtures/text/qwen2_tokenizer.json"]
OWN_FILES = ["repository/data/demo/forget.jsonl", "repository/data/demo/retain.jsonl"]
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

TOKENIZERS = [
    "data/tokenizers/allenai_gpt-neox-olmo-dolma-v1_5.json",
    "data/tokenizers/allenai_eleuther-ai-gpt-neox-20b-pii-special.json",
    "data/tokenizers/gpt2/tokenizer.json",
    "data/tokenizers/allenai_dolma2.json",
    "models/tinystories-656k/tokenizer.json",
]

PAGE = [
    "", " ", "  ", "a", "a  12", "The capital of France is", "  leading and trailing  ", "\n\n\n", "\r\n\r\n a\r\n",
    "tab\there\t\tthere", "def f(x):\n    if x:\n        return x\n" + " " * 25 + "x" + " " * 51 + "y\n",
    "I'll say he's, they've, we're, I'm, you'd, don't. I'LL SAY HE'S, DON'T", "don\u2019t \u2018quote\u2019 it'\u017f 's\u0301",
    "1 12 123 1234 12345 3.14159 1,000,000 2nd", "\u0663\u0664\u0665 \u0967\u0968\u0969 \u2167 \u00b2\u00b3 \u00bd \u2460 \U0001d7d8 \u4e09",
    "caf\u00e9 cafe\u0301 \u212b \u00c5 A\u030a \ufb01 \u1e9b\u0323 q\u0307\u0323 \u0344 \u0958 \u2126",
    "\uac00\uac01\ud7a3 \u1100\u1161\u11a8 \u1100\u1161", "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3002 \u4e2d\u6587\uff0c\ud55c\uad6d\uc5b4",
    "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac \u0420\u0443\u0441\u0441\u043a\u0438\u0439 \u05e2\u05d1\u05e8\u05d9\u05ea \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22 \u0ba4\u0bae\u0bbf\u0bb4\u0bcd", "\U0001f642\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7 \u2708\ufe0f",
    "a\u00a0b\u2003c\u2009d\u3000e\u200bf\u200dg\ufeffh\u180ei\u0085j\u2028k\u2029l\u202fm\u205fn\u1680o",
    "\u00a0\u00a0 \u2003\u2003x \u3000\u3000y \u180e\u180ez", "\x01\x02\x1c\x1d\x7f\x0b\x0c\x1b",
    "\u1c89 \ua7cb \U000105c0\U00010d4a \U00010d40\U000116d0 \U00011de0\U00016ff4 \U0001e5f1 \U00013460",
    "x\u0898\u0301 e\u1acf\u0301 q\U00011938\U0001133b\u0334", "\U0010ffff \ue000 \ufffd \ufdd0", "<|endoftext|>Hello<|endoftext|>",
    "a<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", "<|start_story|>Once upon a time<|end_story|><|start_story|>x",
    "|||IP_ADDRESS||| |||EMAIL_ADDRESS||| <|padding|>", "<unk> <0x41> <s> </s> [INST] <|user|>", "\u2581 \u2581\u2581a b\u2581c",
    "snake_case camelCase kebab-case __init__ ... --- !!! ?!?! $$$ %% #1 @x a/b\\c", "https://example.org/a?b=c&d=%20#e",
    "x" * 60, "ab" * 200, "9" * 50, "\u00e9" * 40, " \n \n  \n   \n", "Sehr gro\u00dfe Stra\u00dfe na\u00efve \u0130stanbul \u0131 \ufb06",
    "Once upon a time, there was a little girl named Lily. She loved to play.\nThe end.",
]


def smollm2(path):
    """The GGUF's tokens and merges with SmolLM2's own pre-tokenizer (transformers drops the digits)."""
    import gguf
    fields = gguf.GGUFReader(path).fields
    get = lambda name: fields["tokenizer.ggml." + name].contents()
    tokens, types = get("tokens"), get("token_type")
    merges = [tuple(m.split(" ")) for m in get("merges")]
    t = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([token for token, kind in zip(tokens, types) if kind == 3])
    return t


QWEN2_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                 r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def train_qwen2(out):
    """The parts of Qwen2's tokenizer.json around a vocabulary of our own; the page twice, so that its words merge."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])
    t.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    t.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    rows = [text for f in OWN_FILES for text in texts_of(os.path.join(ROOT, f.removeprefix("repository/")))]
    t.train_from_iterator(PAGE * 2 + rows, trainers.BpeTrainer(
        vocab_size=637, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    t.add_special_tokens([AddedToken(name, normalized=False, special=True)
                          for name in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    t.save(out, pretty=False)


def fnv(data, h=14695981039346656037):
    for b in data:
        h = (h ^ b) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return h


def hash_ids(encodings):
    h = 14695981039346656037
    for e in encodings:
        h = fnv(b"".join(i.to_bytes(4, "little") for i in e.ids) + b"\xff\xff\xff\xff", h)
    return f"{h:016x}"


def texts_of(path):
    if path.endswith(".jsonl"):
        rows = [json.loads(line) for line in open(path, encoding="utf-8")]
        return [row[name] for row in rows for name in ("input", "output")]
    return [field for row in csv.reader(open(path, encoding="utf-8", newline="")) for field in row]


def case(name, t, texts):
    t.no_truncation()
    t.no_padding()
    ids = [t.encode(text).ids for text in PAGE]
    return {
        "tokenizer": name,
        "ids": ids,
        "decoded": [f"{fnv(t.decode(i, skip_special_tokens=False).encode()):016x}" for i in ids],
        "decoded_without_special": [f"{fnv(t.decode(i, skip_special_tokens=True).encode()):016x}" for i in ids],
        "files": {f: hash_ids(t.encode_batch(x, add_special_tokens=False)) for f, x in texts.items()},
    }


def own_cases():
    at = lambda name: os.path.join(ROOT, name.removeprefix("repository/"))
    return [case(own, Tokenizer.from_file(at(own)), {f: texts_of(at(f)) for f in OWN_FILES}) for own in OWN]


def write(out, made):
    compact = lambda x: json.dumps(x, separators=(",", ":"))
    print('{"page":%s,\n"tokenizers":[' % compact(PAGE), file=out)
    print(",\n".join("{" + ",\n".join(f"{compact(k)}:{compact(v)}" for k, v in m.items()) + "}" for m in made), file=out)
    print("]}", file=out)


def main(shared, gguf_file):
    files = [f"data/lume/{name}.jsonl" for name in ("forget", "retain")]
    for split in ("dev", "val", "test"):
        files += sorted(os.path.relpath(f, shared) for f in glob.glob(f"{shared}/data/mmlu/{split}/*.csv"))
    texts = {f: texts_of(os.path.join(shared, f)) for f in files}
    made = own_cases()
    for name in TOKENIZERS + ["smollm2"]:
        t = smollm2(gguf_file) if name == "smollm2" else Tokenizer.from_file(os.path.join(shared, name))
        made.append(case(name, t, texts))
        print(name, file=sys.stderr)
    write(sys.stdout, made)


if __name__ == "__main__":
    if sys.argv[1] == "--train-qwen2":
        train_qwen2(sys.argv[2])
    elif sys.argv[1] == "--own":
        others = [m for m in json.load(open(sys.argv[2]))["tokenizers"] if m["tokenizer"] not in OWN]
        with open(sys.argv[2], "w") as out:
            write(out, own_cases() + others)
    else:
        main(sys.argv[1], sys.argv[2])
