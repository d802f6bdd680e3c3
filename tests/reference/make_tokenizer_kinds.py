#!/usr/bin/env python3
"""Small tokenizers of every kind that tests/test_tokenizer_kinds.c replays, and what the `tokenizers` library (0.23)
makes of hard texts with them.

    make_tokenizer_kinds.py > ../fixtures/text/tokenizer_kinds.json

{"texts": [...], "kinds": [{"kind", "tokenizer": tokenizer.json, "whole": [hash], "bare": [hash], "decoded": [hash],
"decoded_without_special": [hash]}]}, the hashes in the order of the texts.  whole is the ids with the post-processor's
tokens, bare without, and the bare ones are decoded.  A hash is 64-bit FNV-1a: of the ids as little-endian 32-bit numbers, of
the decoded text's bytes.  Training a Unigram model is not deterministic: a file made again has other vocabularies.

The kinds are those of published tokenizers (their normalizers, patterns, options and processors) around vocabularies
trained here on the demo's rows and make_tokenizer_fixtures.py's page.  compare_tokenizers.py makes them too."""
import base64
import json
import os
import struct
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import make_tokenizer_fixtures as page

CL100K = page.QWEN2_PATTERN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+")
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
BYTES = [f"<0x{b:02X}>" for b in range(256)]


# ---- a charsmap ------------------------------------------------------------------------------------------------------

def charsmap(rules):
    """A precompiled_charsmap (src/text/charsmap.h says its form) of {text: replacement}."""
    texts, at = b"", {}
    for new in sorted(set(rules.values())):
        at[new] = len(texts)
        texts += new.encode() + b"\0"
    root = {}
    for old, new in rules.items():
        node = root
        for byte in old.encode():
            node = node.setdefault(byte, {})
        node[0] = at[new]
    units, used = {}, {0}

    def place(position, node, label):
        base = next(b for b in range(1, 1 << 20) if all(b ^ c not in used for c in node))
        used.update(base ^ c for c in node)
        units[position] = (position ^ base) << 10 | (0 in node) << 8 | label
        for c, child in sorted(node.items()):
            if c == 0:
                units[base] = child | 1 << 31
            else:
                place(base ^ c, child, c)

    place(0, root, 0)
    size = (max(units) | 255) + 1
    trie = b"".join(struct.pack("<I", units.get(i, 0)) for i in range(size))
    return struct.pack("<I", len(trie)) + trie + texts


def rules():
    out = {chr(c): chr(c - 0xFEE0) for c in range(0xFF01, 0xFF5F)}  # wide Latin
    out |= {c: " " for c in "\t\n\r\u00a0\u2003\u3000\u200b\ufeff"}
    out |= {"\ufb01": "fi", "\u2026": "...", "e\u0301": "\u00e9", "A\u030a": "\u00c5", "\u212b": "\u00c5", "\u00bd": "1\u20442",
            "\u2460": "1", "\u3231": "(\u682a)", "\uff76": "\u30ab", "\uff76\uff9e": "\u30ac", "\u00ad": "", "\u0344": "\u0308\u0301"}
    return out


# ---- training --------------------------------------------------------------------------------------------------------

def corpus():
    return page.PAGE * 2 + [t for f in page.OWN_FILES for t in page.texts_of(os.path.join(page.ROOT, f.removeprefix("repository/")))]


def train_bpe(t, size, special=(), alphabet=(), **options):
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, special_tokens=list(special), show_progress=False,
                                                        initial_alphabet=list(alphabet), **options))


def awkward(t):
    """Added tokens with every flag, some within others, one that is in the vocabulary already."""
    t.add_special_tokens(["<|end|>", AddedToken("<|im_start|>", normalized=False), AddedToken("<mask>", lstrip=True)])
    t.add_tokens([AddedToken("<|im|>", normalized=True), AddedToken("<|im|><|im|>"), AddedToken("  ", normalized=False),
                  AddedToken("    ", normalized=False), AddedToken("word", single_word=True), AddedToken("\u00c9t", normalized=True),
                  AddedToken("<sep>", rstrip=True, normalized=False), AddedToken(" sp ", normalized=True), AddedToken("the")])
    return t


def byte_level(pre, size=300, normalizer=None, ignore_merges=False, post=None, **bpe):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges, **bpe))
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    train_bpe(t, size, special=[bpe["unk_token"]] if "unk_token" in bpe else [], alphabet=ALPHABET, **({"end_of_word_suffix": bpe["end_of_word_suffix"]} if "end_of_word_suffix" in bpe else {}))
    awkward(t)
    if post:
        t.post_processor = post(t)
    return t


def split_and_bytes(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), behavior, invert=invert),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def template(single, *names):
    return lambda t: processors.TemplateProcessing(single=single, special_tokens=[(n, t.token_to_id(n)) for n in names])


def roberta(t):
    return processors.RobertaProcessing(("<|end|>", t.token_to_id("<|end|>")), ("<|im_start|>", t.token_to_id("<|im_start|>")))


def sentencepiece_bpe(normalizer, pre, decoder, byte_fallback=True, fuse_unk=True, size=520):
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=byte_fallback, fuse_unk=fuse_unk))
    t.normalizer = normalizers.Replace(" ", "\u2581")
    if pre:
        t.pre_tokenizer = pre
    train_bpe(t, size if byte_fallback else 300, ["<unk>", "<s>", "</s>"] + (BYTES if byte_fallback else []), limit_alphabet=120)
    made = json.loads(t.to_str())  # the trainer's special tokens are not all special tokens of the model
    made["added_tokens"] = made["added_tokens"][:3]
    t = Tokenizer.from_str(json.dumps(made))
    if normalizer:
        t.normalizer = normalizer
    else:
        made = json.loads(t.to_str())
        made["normalizer"] = None
        t = Tokenizer.from_str(json.dumps(made))
    t.decoder = decoder
    t.post_processor = template("<s> $A", "<s>")(t)
    return awkward(t)


def llama_decoder(strip=True):
    return decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()] +
                             ([decoders.Strip(" ", 1, 0)] if strip else []))


def unigram(normalizer, pre, decoder, single, special, bytes_too=False, size=300):
    t = Tokenizer(models.Unigram())
    if normalizer:
        t.normalizer = normalizer
    if pre:
        t.pre_tokenizer = pre
    t.train_from_iterator(corpus(), trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token="<unk>",
                                                            show_progress=False))
    made = json.loads(t.to_str())
    made["model"]["vocab"] = [[token, round(score, 6)] for token, score in made["model"]["vocab"]]
    if bytes_too:
        made["model"]["vocab"] += [[b, -30.0] for b in BYTES]
        made["model"]["byte_fallback"] = True
    made["added_tokens"] = [a for a in made["added_tokens"]]
    t = Tokenizer.from_str(json.dumps(made))
    if decoder:
        t.decoder = decoder
    t.post_processor = template(single, *[s for s in special if s in single])(t)
    return awkward(t)


def old_metaspace(t):
    """The spelling of Metaspace before prepend_scheme."""
    made = json.loads(t.to_str())
    for part in ("pre_tokenizer", "decoder"):
        made[part] = {"type": "Metaspace", "replacement": "\u2581", "str_rep": "\u2581", "add_prefix_space": True}
    return made


def kinds():
    """Name -> a function that makes the Tokenizer, or its tokenizer.json."""
    P, N = pre_tokenizers, normalizers
    level = P.ByteLevel(add_prefix_space=False)
    spm = lambda *extra: N.Sequence([*extra, N.Replace(" ", "\u2581")])
    return {
        "gpt2": lambda: byte_level(level, post=lambda t: processors.ByteLevel(trim_offsets=False)),
        "roberta": lambda: byte_level(P.ByteLevel(add_prefix_space=True), post=roberta),
        "llama3": lambda: byte_level(split_and_bytes(CL100K), ignore_merges=True, post=lambda t: processors.Sequence(
            [processors.ByteLevel(trim_offsets=False), template("<|im_start|> $A", "<|im_start|>")(t)])),
        "dolma2": lambda: byte_level(split_and_bytes(CL100K, "removed", True)),
        "qwen2": lambda: byte_level(split_and_bytes(page.QWEN2_PATTERN), normalizer=N.NFC()),
        "neox": lambda: byte_level(level, normalizer=N.NFC(), post=template("$A <|end|>", "<|end|>")),
        "smollm": lambda: byte_level(P.Sequence([P.Digits(individual_digits=True), level])),
        "o200k": lambda: byte_level(split_and_bytes(O200K)),
        "deepseek": lambda: byte_level(P.Sequence([
            P.Split(Regex(r"\p{N}{1,3}"), "isolated"), P.Split(Regex("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), "isolated"),
            P.Split(Regex(DEEPSEEK), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)])),
        "falcon": lambda: byte_level(P.Sequence([P.Punctuation("contiguous"), level, P.Digits(individual_digits=False),
                                                 P.Split(Regex("[0-9][0-9][0-9]"), "isolated")])),
        "clip": lambda: byte_level(P.Sequence([P.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"),
                                                       "removed", invert=True), level]), post=roberta, unk_token="<|end|>",
                                   normalizer=N.Sequence([N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()]),
                                   end_of_word_suffix="</w>", size=600),
        "llama2": lambda: sentencepiece_bpe(spm(N.Prepend("\u2581")), None, llama_decoder()),
        "llama2_unknown": lambda: sentencepiece_bpe(spm(N.Prepend("\u2581")), None, llama_decoder(), byte_fallback=False,
                                                    fuse_unk=False),
        "gemma": lambda: sentencepiece_bpe(spm(), P.Split(" ", "merged_with_previous"), llama_decoder(False)),
        "metaspace_old": lambda: old_metaspace(sentencepiece_bpe(None, P.Metaspace(), decoders.Metaspace())),
        "metaspace_first": lambda: sentencepiece_bpe(None, P.Metaspace(prepend_scheme="first", split=False), llama_decoder()),
        "metaspace_never": lambda: sentencepiece_bpe(N.Strip(), P.Metaspace(prepend_scheme="never"),
                                                     decoders.Metaspace(prepend_scheme="never")),
        "t5": lambda: unigram(N.Precompiled(charsmap(rules())), P.Sequence([P.WhitespaceSplit(), P.Metaspace()]),
                              decoders.Metaspace(), "$A </s>", ["<pad>", "</s>", "<unk>"]),
        "albert": lambda: unigram(
            N.Sequence([N.Replace("``", '"'), N.Replace("''", '"'), N.NFKD(), N.StripAccents(), N.Lowercase(),
                        N.Precompiled(charsmap(rules())), N.Replace(Regex(" {2,}"), " ")]),
            P.Metaspace(), decoders.Metaspace(), "[CLS] $A [SEP]", ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]),
        "xlmr": lambda: unigram(N.Sequence([N.Nmt(), N.Precompiled(charsmap(rules())), N.NFKC()]), P.Metaspace(prepend_scheme="first"),
                                decoders.Metaspace(), "<s> $A </s>", ["<s>", "<pad>", "</s>", "<unk>"]),
        "unigram_bytes": lambda: unigram(spm(N.Prepend("\u2581")), None, llama_decoder(), "<s> $A", ["<unk>", "<s>"], bytes_too=True),
        "continuing": lambda: continuing(),
        "words": lambda: words(),
    }


def continuing():
    t = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##", fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    train_bpe(t, 260, ["[UNK]", "[CLS]", "[SEP]"], limit_alphabet=60, continuing_subword_prefix="##")
    t.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return awkward(t)


def words():
    t = Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.NFKC()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("merged_with_previous"),
                                               pre_tokenizers.CharDelimiterSplit("_")])
    t.decoder = decoders.BPEDecoder("</w>")
    train_bpe(t, 260, ["[UNK]"], limit_alphabet=60, end_of_word_suffix="</w>")
    return awkward(t)


def make(kind):
    made = kinds()[kind]()
    return made if isinstance(made, dict) else json.loads(made.to_str())


# ---- the fixture -----------------------------------------------------------------------------------------------------

TEXTS = [t for t in page.PAGE if len(t) < 200] + [
    "a<|im|><|im|>b <|im|> the word, words sword word. <mask> x <mask>", "  <sep>   x<sep>\n\n y sp z  sp ", "\u00c9t e\u0301t E\u0301t \u00e9t",
    "\u2581\u2581a \u2581 b", "``quoted'' text\u2026 \uff21\u0301\uff42\uff23 \uff76\uff9e \u3231 \u00bd\u0301", "caf\u00e9\u0301\u0301 \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466!",
    "a\rb\r\nc\n\rd", "\u05e9\u05c1\u05dc\u05d5\u05dd \u0645\u064e\u0631\u0652\u062d\u064e\u0628\u064b\u0627 123 \u0661\u0662\u0663", "\u0378\u0379 \U000e0fff \uffff", "x_y__z 12_34 don't 1st 2nd3",
    "<|im_start|>system\n<|end|>", "<0x41><0xZZ> <unk>", "DŽungla ǅ ǆ \u0130I\u0131 ΑΣ",
]


def main():
    out = []
    for kind in kinds():
        made = make(kind)
        t = Tokenizer.from_str(json.dumps(made))
        whole = [t.encode(x).ids for x in TEXTS]
        bare = [t.encode(x, add_special_tokens=False).ids for x in TEXTS]
        ids = lambda lists: [f"{page.fnv(struct.pack(f'<{len(i)}i', *i)):016x}" for i in lists]
        decoded = lambda skip: [f"{page.fnv(t.decode(i, skip_special_tokens=skip).encode()):016x}" for i in bare]
        out.append({"kind": kind, "tokenizer": made, "whole": ids(whole), "bare": ids(bare), "decoded": decoded(False),
                    "decoded_without_special": decoded(True)})
        print(kind, t.get_vocab_size(), file=sys.stderr)
    compact = lambda x: json.dumps(x, separators=(",", ":"), ensure_ascii=False)
    print('{"texts":%s,\n"kinds":[' % compact(TEXTS))
    print(",\n".join(compact(k) for k in out) + "\n]}")


if __name__ == "__main__":
    main()
