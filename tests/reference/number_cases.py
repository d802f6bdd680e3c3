"""Stored cases for tests/test_number_match.c: lm_eval's gsm8k filters and metric, and the rule of Nudging's program.

    python number_cases.py tests/fixtures/number_cases.json

    The filters are read from lm_eval's own gsm8k.yaml.  find_number transcribes parse_pred_ans_math_problems of the
    program that arXiv 2410.09300 released: numbers are compared as numbers, and a sign is not part of one.
"""
import json
import pathlib
import random
import re
import sys

import lm_eval
import yaml
from lm_eval.api.metrics import exact_match_hf_evaluate
from lm_eval.filters.extraction import RegexFilter

HAND = [
    ("3 + 2 = 5\n#### 5", "He has 3 + 2 = 5 apples.\n#### 5"), ("#### 5", " 5."), ("#### 5", "The answer is 5"),
    ("#### 1,200", "so $1,200."), ("#### 1,200", "1200"), ("1,200", "#### 1,200 dollars"), ("#### -7", "it is -7"),
    ("#### -7", "#### -7"), ("#### 7", "7 - 14 = -7"), ("18", "18.0"), ("18", "18.00"), ("#### 18", "18,000"),
    ("18", "nothing"), ("18", ""), ("[invalid]1", "none"), ("#### 0.5", ".5"), ("#### 0.5", "0.50"), ("5", "5\nQuestion: 6"),
    ("5", "6 Question: 5"), ("42", "#### 42.\n"), ("42", "#### ,"), ("42", "####42"), ("42", "#### x #### 42"),
    ("42", "#### 42 #### 43"), ("#### 1 #### 2", "2"), ("12", "$12"), ("12", "..."), ("12", "12 ..."), ("12", "--12"),
    ("12", "1,2345 12"), ("2345", "1,2345"), ("5", "5,678.,"), ("12", "12-"), ("3", "#### 3\n#### 4"), ("6", "- 6"),
    ("1.", "1"), ("1.\n", "1"), ("1e3", "1E3"), ("1e3", "1000"), ("7", "7th"), ("10", "ten 1 0"), ("100", "1,00"),
]
PIECES = ["#### ", "####", "-", "$", ",", ".", " ", "\n", "5", "12", "1,000", "0", "3.50", "7.", "Question:", "So ", "é"]


def gsm8k():
    text = (pathlib.Path(lm_eval.__file__).parent / "tasks/gsm8k/gsm8k.yaml").read_text()
    task = yaml.safe_load(text)
    metric = {k: task["metric_list"][0][k] for k in ("ignore_case", "ignore_punctuation", "regexes_to_ignore")}
    filters = {f["name"]: f["filter"][0] for f in task["filter_list"]}
    return {name: RegexFilter(f["regex_pattern"], f.get("group_select", 0)) for name, f in filters.items()}, metric


def find_number(text):
    found = re.findall(r"\d+(?:,\d{3})*(?:\.\d*)?", text)
    return float(found[-1].replace(",", "").rstrip(".")) if found else None


def main():
    filters, metric = gsm8k()
    rng = random.Random(20)
    cases = list(HAND)
    while len(cases) < 600:
        make = lambda n: "".join(rng.choice(PIECES) for _ in range(rng.randrange(n)))
        answer = make(6)
        if re.search("[0-9]", answer):
            cases.append((answer, make(12)))
    out = []
    for answer, said in cases:
        row = {"answer": answer, "said": said}
        for name, key in (("strict-match", "strict"), ("flexible-extract", "flexible")):
            text = filters[name].apply([[said.split("Question:")[0]]], [{}])[0][0]
            row[key] = bool(exact_match_hf_evaluate([text], [answer], **metric)["exact_match"])
        row["last"] = find_number(said) is not None and find_number(said) == find_number(answer)
        out.append(row)
    with open(sys.argv[1], "w") as to:
        json.dump(out, to, ensure_ascii=False, separators=(",", ":"))


main()
