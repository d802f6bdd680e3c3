#!/usr/bin/env python3
"""Ids and decoded texts of deleatur beside those of the `tokenizers` library, on given texts and on random strings.

    compare_tokenizers.py TOKENS_OF [--random N] [--seed S] [--texts FILE ...] [--kinds [NAME ...]]
        [--splits [BEHAVIOR ...]] [--characters] [TOKENIZER ...]

TOKENS_OF is build/tests/tokens_of.  --kinds: the tokenizers of make_tokenizer_kinds.py, all or the named ones; --splits: one
tokenizer for each behaviour of Split, all or the named ones, with many patterns.  --texts: files whose lines, and whole
text, are encoded.  --characters: every code point, between two letters.  For each tokenizer: ids with and without the post-processor's tokens, the decoded ids, and as many random lists of ids
decoded.  The exit status is 1 if anything differs.

A text that begins with the text of BOS gets no second one from deleatur (the library adds it)."""
import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

import make_tokenizer_fixtures as page  # noqa: E402
import make_tokenizer_kinds as kinds  # noqa: E402

EMOJI = ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f44d\U0001f3fd", "\U0001f1eb\U0001f1f7",
         "\u2764\ufe0f", "\U0001f642", "1\ufe0f\u20e3", "\U0001fae8"]
BLANKS = [" ", "  ", "\t", "\n", "\r", "\r\n", "\u00a0", "\u2003", "\u3000", "\u200b", "\u2028", "\u0085", "\u180e", "\x0b", "\x1c", "\ufeff"]
RIGHT_TO_LEFT = "\u05d0\u05d1\u05e9\u05c1\u0627\u0644\u0639\u0631\u064e\u0628\u064b\u200f\u0661\u06f2"
MARKS = "\u0301\u0323\u0308\u0344\u0f73\u05b0\u064b\u20dd\u0897\u1ac1\u0898\U00011938\u3099"
OTHER = ["\0", "\x01", "\x7f", "\u2581", "\u0120", "\u0130", "\u017f", "\ufb01", "\uff21", "\uff76\uff9e", "\u1100\u1161\u11a8", "\uac00",
         "\u4e00", "\u3042", "\u0e33", "\u0939\u093f", "\u00bd", "\u2167", "\u0661", "\U0001d7d8", "\ue000", "\uffff", "\U0010ffff", "\ufffd",
         "<0x41>", "<unk>", "</w>", "##", "'s", "'LL", "n't", "...", "_", "-", "\u2019", "\u201c", "``", "''", "\u01c5"]
WORDS = sorted({w for t in page.PAGE for w in t.split()})


def random_code(rng):
    while True:
        c = rng.randrange(0x110000) if rng.random() < 0.5 else rng.randrange(0x3100)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def random_text(rng, added):
    parts = []
    for _ in range(rng.randrange(1, 14)):
        which = rng.randrange(12)
        parts.append(rng.choice(WORDS) if which < 3 else rng.choice(BLANKS) * rng.choice((1, 1, 1, 2, 3, 9)) if which < 5 else
                     rng.choice(EMOJI) if which == 5 else "".join(rng.choices(RIGHT_TO_LEFT, k=rng.randrange(1, 6))) if which == 6 else
                     "e" * rng.randrange(2) + "".join(rng.choices(MARKS, k=rng.randrange(1, 5))) if which == 7 else
                     rng.choice(OTHER) if which == 8 else str(rng.randrange(10 ** rng.randrange(1, 9))) if which == 9 else
                     rng.choice(added) if which == 10 and added else "".join(random_code(rng) for _ in range(rng.randrange(1, 5))))
    return "".join(parts)


class Deleatur:
    """The answers of tokens_of."""

    def __init__(self, program, path, requests):
        data = b"".join(requests)
        run = subprocess.run([program, path], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.data, self.at, self.error = run.stdout, 0, run.stderr.decode() if run.returncode else None

    def number(self):
        self.at += 4
        return struct.unpack_from("<I", self.data, self.at - 4)[0]

    def read(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def pair(self, read):
        """Two answers, or an error's message."""
        n = self.number()
        if n == 0xFFFFFFFF:
            return self.read(self.number()).decode()
        return read(n), read(self.number())

    def ids(self, n):
        return list(struct.unpack(f"<{n}i", self.read(4 * n)))


def text_request(text):
    return struct.pack("<I", len(text.encode())) + text.encode()


def ids_request(ids):
    return struct.pack(f"<I{len(ids)}i", len(ids) | 1 << 31, *ids)


def compare(name, made, program, texts, rng, n_random, show):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tokenizer.json")
        json.dump(made, open(path, "w", encoding="utf-8"), ensure_ascii=False)
        t = Tokenizer.from_file(path)
        t.no_truncation()
        t.no_padding()
        added = [a["content"] for a in made.get("added_tokens") or []]
        texts = texts + [random_text(rng, added) for _ in range(n_random)]
        wholes, bares = ([e.ids for e in t.encode_batch(texts, add_special_tokens=special)] for special in (True, False))
        lists = bares + [[rng.randrange(t.get_vocab_size()) for _ in range(rng.randrange(1, 20))] for _ in range(n_random)]
        answers = Deleatur(program, path, [text_request(x) for x in texts] + [ids_request(x) for x in lists])
    if answers.error:
        print(f"{name}: REFUSED {answers.error.strip()}")
        return False
    wrong = 0
    for text, whole, bare in zip(texts, wholes, bares):
        got = answers.pair(answers.ids)
        if got not in ((whole, bare), (bare, bare)):
            wrong += 1
            if wrong <= show:
                print(f"{name}: {text[:300]!r}\n  library  {whole[:60]} {bare[:60]}\n  deleatur {str(got[0])[:300]} {str(got[1])[:300]}")
        if isinstance(got, tuple) and got[0] == bare != whole and not any(text.startswith(a) for a in added):
            wrong += 1
            print(f"{name}: {text[:300]!r} lacks the post-processor's tokens")
    bad = 0
    library = list(zip(*(t.decode_batch(lists, skip_special_tokens=skip) for skip in (False, True))))
    for ids, want in zip(lists, library):
        got = answers.pair(answers.read)
        if got != tuple(w.encode() for w in want):
            bad += 1
            if bad <= show:
                print(f"{name}: {ids[:60]}\n  library  {want}\n  deleatur {got}")
    print(f"{name}: {len(texts)} texts, {wrong} differ; {len(lists)} lists of ids, {bad} decode otherwise", flush=True)
    return not wrong and not bad


def every_character():
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    return ["".join(f"a{chr(c)}b " for c in codes[i:i + 256]) for i in range(0, len(codes), 256)]


def split_kinds(behaviors):
    """Split by patterns of every construct and by text, with each behaviour, on one small vocabulary."""
    base = kinds.make("gpt2")
    patterns = [r"\s+", r"\w+", r"[^\w\s]+", r"\d", r"\D+", r"\W", r"\b", r"\B", r"(?=[A-Z])", r"(?<=[.!?])", r"a*", r"^.", r".$", r"\p{Lu}", r"\P{L}",
                r"\p{^N}+", r"[\p{L}\p{M}]+|[^\p{L}\p{M}]", r"\h+", r"(?m:e.)", r"(?i:THE)", r"\p{Han}+", r"[\p{Arabic}\p{Hebrew}]+", r"\p{P}+|\p{S}",
                r"\p{Mn}", r"\p{Nl}|\p{No}", r"[\s\S]{1,5}", r"[^\S\n]+", r"(a|e|i)+?", r"x{,3}y", r"\R", r"[\]a-]", r"\u00e9|\x{e8}", r"\v|\t", r"(.)\1",
                r"\S++", r"(?>\s+)$", r"\A.|.\z", r"\p{Zs}", r"\p{Cyrillic}+|\p{Greek}+|\p{Latin}+", r"[ \t]*\n", kinds.O200K, kinds.DEEPSEEK]
    for pattern in patterns + [{"String": "e"}, {"String": " "}, {"String": ".*"}, {"String": "the "}]:
        for behavior in behaviors or ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
            for invert in (False, True):
                made = json.loads(json.dumps(base))
                given = pattern if isinstance(pattern, dict) else {"Regex": pattern}
                made["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
                    {"type": "Split", "pattern": given, "behavior": behavior, "invert": invert},
                    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}
                yield f"split {given} {behavior}{' inverted' if invert else ''}", made


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("tokenizer", nargs="*")
    p.add_argument("--random", type=int, default=1000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--show", type=int, default=3)
    p.add_argument("--texts", nargs="*", default=[])
    p.add_argument("--kinds", nargs="*")
    p.add_argument("--splits", nargs="*")
    p.add_argument("--characters", action="store_true")
    a = p.parse_args()
    texts = list(kinds.TEXTS) + list(page.PAGE)
    for file in a.texts:
        text = open(file, encoding="utf-8", newline="").read()
        texts += [text] + text.split("\n")
    if a.characters:
        texts += every_character()
    work = [(path, json.load(open(path, encoding="utf-8"))) for path in a.tokenizer]
    if a.kinds is not None:
        work += [(name, kinds.make(name)) for name in a.kinds or kinds.kinds()]
    good = True
    for name, made in work:
        good = compare(name, made, a.program, texts, random.Random(a.seed), a.random, a.show) and good
    for name, made in split_kinds(a.splits) if a.splits is not None else ():
        good = compare(name, made, a.program, texts, random.Random(a.seed), a.random // 10, a.show) and good
    sys.exit(not good)


if __name__ == "__main__":
    main()
