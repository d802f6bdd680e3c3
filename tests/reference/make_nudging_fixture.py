"""Writes ../fixtures/nudging_rules.json: texts and what the rules about repetition of nudging_transcription.py make of
them.  Run in this folder; needs what the transcription imports."""
import json
import random

from nudging_transcription import occurs_already, without_repetition

random.seed(609)
sentence = "The answer is twelve, because three times four is twelve. "
texts = ["", " ", "\n\t ", "a", "  one two  ", "x" * 29, "x" * 59, "x" * 60, "x" * 61, "x" * 90, "x" * 200,
         sentence, sentence * 2, sentence * 3, "Well. " + sentence * 5, sentence * 2 + "And so on.",
         "\u00a0\u2003" + "größer als zehn, kleiner als fünfzig. " * 3 + "\u3000",
         "日本語のテキストが三十文字以上続いて繰り返されることがあるので注意する。" * 2,
         "😀" * 29, "😀" * 58, "😀" * 60, "😀" * 61, "ab" * 40 + "c" + "ab" * 40 + "c"]
for _ in range(40):
    piece = "".join(random.choice("ab é") for _ in range(random.randint(14, 45)))
    texts.append("".join(random.choice("ab") for _ in range(random.randint(0, 20))) + piece * random.randint(1, 5))
for _ in range(20):
    piece = "".join(random.choice("ab é") for _ in range(random.randint(25, 45)))
    texts.append(random.choice(["", "a", "é b"]) + piece * 2 + random.choice(["", "", "b"]))
    texts.append(random.choice(["ab", "a b", "é"]) * random.randint(30, 70))
cases = []
for text in texts:
    left, begin = without_repetition(text)
    cases.append({"text": text, "from": len(text[:begin].encode()), "left": left})
pairs = [("a b c d e", "x a b c d e y"), ("a b c d e f", "x a b c d e f y"), ("a b c d e f", "a b c d e"),
         ("a     b", "a     b"), ("a    b", "a    b"), ("", ""), ("one two three four five six", "one two three four five  six"),
         ("größer als eins zwei drei vier", "nichts größer als eins zwei drei vier")]
with open("../fixtures/nudging_rules.json", "w", encoding="utf-8") as out:
    json.dump({"without_repetition": cases, "repeated": [{"new": new, "earlier": earlier, "is": occurs_already(new, earlier)}
                                                         for new, earlier in pairs]}, out, ensure_ascii=False, indent=0)
    out.write("\n")
