"""Pairs of texts with rouge_score's ROUGE-L, and words with NLTK's stems: what tests/test_rouge.c and test_porter.c read.

    python rouge_pairs.py LUME_DIR OUT_DIR N            rouge-score 0.1.2, nltk 3.10.4

Writes OUT_DIR/rouge.jsonl (hand-made hard pairs, then N from LUME rows with damage done to them) and OUT_DIR/porter.tsv
(every rule's examples, then as many words of LUME).  The committed fixtures are of N = 60; more are checked by
    DELE_ROUGE_PAIRS=big/rouge.jsonl DELE_PORTER_WORDS=big/porter.tsv ctest -R 'rouge|porter'
"""
import json
import random
import re
import sys
from pathlib import Path

from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer

HARD = [
    ("", ""), ("", "word"), ("word", ""), ("...", "!!!"), ("a b c d", "a c d b"), ("the the the", "the"),
    ("Running runners ran", "running runner RAN"), ("It's O'Neill's 3.14", "its oneills 3 14"),
    ("\u212aelvin \u0130stanbul", "kelvin i stanbul"), ("caf\u00e9 na\u00efve", "cafe naive"), ("a_b-c/d", "a b c d"),
    ("skies dying lying news innings", "sky die lie new inning"), ("123 45.6 7th", "123 45 6 7TH"),
    ("\u4e2d\u6587 only", "only"), ("tab\tand\nnewline", "newline and tab"), ("a b c", "a b c"), ("x y x y x", "y x y"),
]

RULES = """caresses ponies ties caress cats dies flies died spied tied feed agreed plastered bled motoring sing conflated
troubled sized hopping tanned falling hissing fizzed failing filing happy sky enjoy spy fly try by say relational
conditional rational valenci hesitanci digitizer conformabli radicalli differentli vileli analogousli vietnamization
predication operator feudalism decisiveness hopefulness callousness formaliti sensitiviti sensibiliti triplicate formative
formalize electriciti electrical hopeful goodness revival allowance inference airliner gyroscopic adjustable defensible
irritant replacement adjustment dependent adoption homologou communism activate angulariti homologous effective bowdlerize
probate rate cease controll roll sky skies dying lying tying news innings inning outings outing cannings canning howe
proceed exceed succeed geology archaeology theology hopefully wonderfully analogously finally really totally usually
yyyy yyy syzygy toy eed bed ing king string ate ion nation onion lion vision mission ally rally ies ied sses 1234ing
2nd 1990s a1ed oing aing owed ued using used uses being seeing agreeing dyed eying skiing taxis buses gasses
""".split()


def damage(text, rng):
    words = text.split(" ")
    for _ in range(rng.randrange(1, 6)):
        kind = rng.randrange(4)
        if kind == 0 and len(words) > 1:
            del words[rng.randrange(len(words))]
        elif kind == 1:
            words.insert(rng.randrange(len(words) + 1), rng.choice(words or ["x"]))
        elif kind == 2 and len(words) > 1:
            i = rng.randrange(len(words) - 1)
            words[i], words[i + 1] = words[i + 1], words[i]
        else:
            i = rng.randrange(len(words))
            words[i] = words[i].upper() + rng.choice(["s", "ing", "ed", "ness", "\u00e9", "'s", ""])
    return " ".join(words)


def main(lume, out, n):
    rng = random.Random(0)
    rows = [json.loads(line) for name in ("forget", "retain") for line in open(Path(lume) / f"{name}.jsonl")]
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    pairs = list(HARD)
    for _ in range(n):
        row = rng.choice(rows)
        other = damage(row["output"], rng) if rng.random() < 0.7 else rng.choice(rows)["output"]
        pairs.append((row["output"], other))
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "rouge.jsonl", "w") as file:
        for target, prediction in pairs:
            s = scorer.score(target, prediction)["rougeL"]
            file.write(json.dumps({"target": target, "prediction": prediction, "precision": s.precision,
                                   "recall": s.recall, "f": s.fmeasure}) + "\n")
    words = sorted({w for row in rows for w in re.findall("[a-z0-9]+", row["output"].lower()) if len(w) > 3})
    rng.shuffle(words)
    made = [rng.choice(words) + rng.choice(["ing", "ed", "ness", "ational", "alli", "fulli", "logi", "ement", "y", "eed"])
            for _ in range(n)] + ["".join(rng.choice("aeioustylngdb") for _ in range(rng.randrange(3, 12))) for _ in range(n)]
    stemmer = PorterStemmer()
    with open(out / "porter.tsv", "w") as file:
        for word in dict.fromkeys(RULES + words[:n] + made):
            file.write(f"{word}\t{stemmer.stem(word)}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
