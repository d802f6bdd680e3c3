#!/usr/bin/env python3
"""src/text/unicode_tables.h: where the `tokenizers` library's tables of Unicode differ from utf8proc's and PCRE2's.

    make_unicode_tables.py > src/text/unicode_tables.h       then clang-format

Every code point is put through the library's own steps (0.23: Oniguruma's classes, Rust's, and older crates'), and what
they say is compared with utf8proc's category.  The table of newer characters is against Unicode 14.0, which PCRE2 10.42
has; Python 3.11's unicodedata has it too, so that PCRE2 is not needed here."""
import ctypes
import ctypes.util
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

assert unicodedata.unidata_version == "14.0.0", "run this with Python 3.11"
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
utf8proc = ctypes.CDLL(ctypes.util.find_library("utf8proc"))
utf8proc.utf8proc_category_string.restype = ctypes.c_char_p
CATEGORY = {c: utf8proc.utf8proc_category_string(c).decode() for c in CODES}


def blocks():
    for i in range(0, len(CODES), 4096):
        yield CODES[i:i + 4096]


def regex_class(pattern):
    split, found = pre_tokenizers.Split(Regex(pattern), "removed", invert=True), set()
    for block in blocks():
        for text, _ in split.pre_tokenize_str("".join(map(chr, block))):
            found.update(map(ord, text))
    return found


def pieces(step):
    """What becomes of a code point between two ideographs: 1 piece (a letter of a word), 2 (removed) or 3."""
    return {c: len(step.pre_tokenize_str("\u4e00%c\u4e00" % c)) for c in CODES}


def isolated(step):
    return {c for c, n in pieces(step).items() if n == 3}


def ranges(codes):
    out = []
    for c in sorted(codes):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def table(name, codes, comment):
    print(f"/* {comment} */\nstatic const int32_t {name}[][2] = {{")
    print(", ".join("{0x%x, 0x%x}" % tuple(r) for r in ranges(codes)) + "};\n")


def main():
    names = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn").split()
    onig = {c: k for k in names for c in regex_class(r"\p{%s}" % k)}
    newer = {c: k for c, k in onig.items() if unicodedata.category(chr(c)) == "Cn" and k != "Cn"}
    changed = {c for c in CODES if unicodedata.category(chr(c)) not in ("Cn", onig[c])}
    assert changed == {0x1171E}, changed  # Mn in Unicode 14, Mc in 16
    known = {c: newer.get(c, k) if k == "Cn" else k for c, k in CATEGORY.items()}
    assert all(known[c] == onig[c] for c in CODES if c != 0x1171E)

    kind = lambda *which: {c for c in CODES if known[c] in which or known[c][0] in which}
    alphabetic = {c for r in ((0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189))
                  for c in range(r[0], r[1] + 1)}
    word = kind("L", "M", "Nd", "Nl", "Pc") | alphabetic
    assert regex_class(r"\w") == word | {0xB2, 0xB3, 0xB9, 0xBC, 0xBD, 0xBE}
    assert regex_class(r"\d") == kind("Nd")
    space = regex_class(r"\s")
    letters = pieces(pre_tokenizers.Whitespace())
    assert {c for c in CODES if letters[c] == 1} == word | {0x200C, 0x200D}
    assert space == {c for c in CODES if letters[c] == 2} == {c for c in CODES if normalizers.Strip().normalize_str(chr(c)) == ""}

    punctuation = isolated(pre_tokenizers.Punctuation("isolated"))
    ascii_symbols = set(map(ord, "$+<=>^`|~"))
    assert isolated(pre_tokenizers.BertPreTokenizer()) == punctuation
    numeric = isolated(pre_tokenizers.Digits(individual_digits=True))
    marks = {c for c in CODES if normalizers.StripAccents().normalize_str(chr(c)) == ""}
    lower = {c: normalizers.Lowercase().normalize_str(chr(c)) for c in CODES}
    own = {c: utf8proc.utf8proc_tolower(c) for c in CODES}
    other = {c: ord(lower[c]) for c in CODES if lower[c] != chr(own[c]) and c != 0x130}

    print("/* Made by tests/reference/make_unicode_tables.py.  Where the tables of the `tokenizers` library, 0.23,\n"
          " * differ from those of utf8proc and PCRE2. */\n#ifndef DELE_UNICODE_TABLES_H\n#define DELE_UNICODE_TABLES_H\n"
          "\n#include <stdint.h>\n")
    print("/* Characters of Unicode 15.0 to 16.0, which PCRE2 10.42 does not have. */\n"
          "static const struct {\n    int32_t first, last;\n    char category[3];\n} newer_characters[] = {")
    for first, last in ranges(newer):
        start = first
        for c in range(first, last + 1):
            if c == last or newer[c + 1] != newer[start]:
                print('{0x%x, 0x%x, "%s"},' % (start, c, newer[start]))
                start = c + 1
    print("};\n")
    table("not_numeric_yet", numeric - kind("N"), "Numbers of Unicode 17.0, which Rust has.")
    table("not_punctuation", kind("P") - punctuation, "Punctuation that the library's older table lacks ...")
    table("also_punctuation", punctuation - kind("P") - ascii_symbols, "... and what it has as punctuation.")
    table("not_a_mark", kind("M") - marks, "Marks that are newer than the library's Unicode 9.0 ...")
    table("also_a_mark", marks - kind("M"), "... and what were marks then.")
    print("/* Small letters that utf8proc does not know, as an offset. */\n"
          "static const struct {\n    int32_t first, last, offset;\n} small_letters[] = {")
    for first, last in ranges(other):
        start = first
        for c in range(first, last + 1):
            if c == last or other[c + 1] - c - 1 != other[start] - start:
                print("{0x%x, 0x%x, %d}," % (start, c, other[start] - start))
                start = c + 1
    print("};\n\n#endif")


main()
