#!/usr/bin/env python3
"""Random strings and what Python makes of them, for tests/test_pytext.c.

    make_pytext_fixture.py [N] > tests/fixtures/text/pytext.jsonl      N: how many, 250 if not given

Each line has the string, str.lower(), str.strip(), re's \\w character by character ("1" or "0"), the string
without articles as lm-evaluation-harness's nq_open drops them, and whether "paris" is in its lower case as a
whole word.  Characters are those that Python's and utf8proc's tables both have (Unicode 14).  DELEATUR_PYTEXT names
a larger file for the test to read instead of the fixture."""
import json, random, re, sys, unicodedata

ARTICLES = re.compile(r"\b(?:The |the |An |A |The |a |an )")
POOLS = [
    "aAbBzZ09_ .,:;'\"-!?", "\u201c\u201d\u2018\u2019\u00ab\u00bb\u2013\u2014\u2026\u00a1\u00bf", "ΣσςΑΒΓαβγΆ", "İIıiſKÅ",
    "\u0300\u0301\u0307\u0345\u200d\u200c\u00ad\u02b0\u0387\u00b7", " \t\n\r\x0b\x0c\x1c\x1f\x85\u00a0\u2003\u2028\u3000\u200b",
    "ÄÖÜßéÉñÑçŁžĐ", "ЖжЙйДд", "日本語漢字かなカナ", "אבגדالعربية", "½²³①Ⅷⅷ٣९㊀", "ⒶⓐＡａ🄰", "😀👍🏽€©ªº", "ǅǆᏣꭰȺⱥẞ"]
WORDS = ["Paris", "paris", "PARIS", "the ", "The ", "a ", "A ", "an ", "An ", "ΟΔΟΣ", "ΣΑΣ ", "Paris\u2019s", "\u201cParis\u201d", "éa "]


def assigned(rng):
    while True:
        c = chr(rng.randrange(1, 0x20000))
        if not 0xD800 <= ord(c) < 0xE000 and unicodedata.category(c) not in ("Cn", "Co"):
            return c


def one(rng):
    parts = []
    for _ in range(rng.randrange(1, 14)):
        k = rng.random()
        parts.append(rng.choice(WORDS) if k < .35 else assigned(rng) if k < .5 else rng.choice(rng.choice(POOLS)))
    return "".join(parts)


def main():
    rng = random.Random(12)
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 250):
        s = one(rng)
        row = {"text": s, "lower": s.lower(), "strip": s.strip(), "word": "".join("01"[bool(re.match(r"\w", c))] for c in s),
               "bare": ARTICLES.sub("", s), "paris": bool(re.search(r"(?<!\w)paris(?!\w)", s.lower()))}
        print(json.dumps(row, ensure_ascii=True))


if __name__ == "__main__":
    main()
