#!/usr/bin/env python3
"""Writes word problems with solutions in GSM8K's form, for eval --suite gsm8k, finetune and unlearn.

    python3 make_arithmetic.py OUT_DIR [--train 1000] [--test 200] [--seed 0]
        -> OUT_DIR/train.jsonl, OUT_DIR/test.jsonl    {"id", "question", "answer"}

    {"id": "test-0", "question": "Ada has 12 pears. She buys 7 more and eats 4. How many pears does she have now?",
     "answer": "12 + 7 = 19\\n19 - 4 = 15\\n#### 15"}

One to three steps with whole numbers up to 200, in the manner of MultiArith and SVAMP.  No problem is in both files.
The text is our own; the same arguments write the same bytes.
"""
import argparse
import json
import pathlib
import random

NAMES = [("Ada", "she"), ("Ben", "he"), ("Cleo", "she"), ("Dan", "he"), ("Edda", "she"), ("Finn", "he"), ("Gia", "she"),
         ("Hugo", "he"), ("Ines", "she"), ("Jon", "he"), ("Kira", "she"), ("Leo", "he"), ("Mona", "she"), ("Nils", "he")]
THINGS = ["pears", "marbles", "stamps", "books", "coins", "shells", "pencils", "cards", "eggs", "beads", "tickets", "cups"]
BOXES = ["boxes", "bags", "jars", "baskets", "drawers"]


def solution(steps, answer):
    return "\n".join(steps + [f"#### {answer}"])


def gain(r, who, he, thing):
    a, b = r.randint(2, 99), r.randint(2, 99)
    verb = r.choice(["buys", "finds", "is given"])
    return (f"{who} has {a} {thing} and {verb} {b} more. How many {thing} does {he} have now?",
            solution([f"{a} + {b} = {a + b}"], a + b))


def loss(r, who, he, thing):
    b = r.randint(2, 80)
    a = b + r.randint(1, 99)
    verb = r.choice(["gives away", "loses", "sells"])
    return (f"{who} has {a} {thing} and {verb} {b} of them. How many {thing} are left?",
            solution([f"{a} - {b} = {a - b}"], a - b))


def groups(r, who, he, thing):
    n, m, box = r.randint(2, 12), r.randint(2, 15), r.choice(BOXES)
    return (f"{who} has {n} {box} with {m} {thing} in each. How many {thing} does {he} have?",
            solution([f"{n} * {m} = {n * m}"], n * m))


def share(r, who, he, thing):
    n, m = r.randint(2, 10), r.randint(2, 15)
    return (f"{who} shares {n * m} {thing} equally among {n} friends. How many {thing} does each friend get?",
            solution([f"{n * m} / {n} = {m}"], m))


def gain_loss(r, who, he, thing):
    a, b = r.randint(2, 80), r.randint(2, 80)
    c = r.randint(1, a + b - 1)
    return (f"{who} has {a} {thing}. {he.capitalize()} buys {b} more and loses {c}. "
            f"How many {thing} does {he} have now?",
            solution([f"{a} + {b} = {a + b}", f"{a + b} - {c} = {a + b - c}"], a + b - c))


def price(r, who, he, thing):
    n, p = r.randint(2, 12), r.randint(2, 9)
    paid = n * p + r.randint(1, 40)
    return (f"{who} buys {n} {thing} for {p} dollars each and pays with {paid} dollars. "
            f"How many dollars does {he} get back?",
            solution([f"{n} * {p} = {n * p}", f"{paid} - {n * p} = {paid - n * p}"], paid - n * p))


def boxes_more(r, who, he, thing):
    n, m, b, box = r.randint(2, 10), r.randint(2, 12), r.randint(2, 40), r.choice(BOXES)
    return (f"{who} fills {n} {box} with {m} {thing} each, and {b} {thing} remain. How many {thing} are there in all?",
            solution([f"{n} * {m} = {n * m}", f"{n * m} + {b} = {n * m + b}"], n * m + b))


def three(r, who, he, thing):
    n, m, b = r.randint(2, 9), r.randint(2, 12), r.randint(2, 30)
    c = r.randint(1, n * m + b - 1)
    return (f"{who} has {n} {BOXES[0]} of {m} {thing} and {b} loose ones. {he.capitalize()} sells {c} {thing}. "
            f"How many {thing} are left?",
            solution([f"{n} * {m} = {n * m}", f"{n * m} + {b} = {n * m + b}", f"{n * m + b} - {c} = {n * m + b - c}"],
                     n * m + b - c))


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("out", type=pathlib.Path)
    args.add_argument("--train", type=int, default=1000)
    args.add_argument("--test", type=int, default=200)
    args.add_argument("--seed", type=int, default=0)
    a = args.parse_args()
    r, seen, rows = random.Random(a.seed), set(), []
    while len(rows) < a.train + a.test:
        who, he = r.choice(NAMES)
        problem = r.choice([gain, loss, groups, share, gain_loss, price, boxes_more, three])
        question, answer = problem(r, who, he, r.choice(THINGS))
        if question not in seen:
            seen.add(question)
            rows.append((question, answer))
    a.out.mkdir(parents=True, exist_ok=True)
    for name, part in (("test", rows[:a.test]), ("train", rows[a.test:])):
        with open(a.out / f"{name}.jsonl", "w") as to:
            for i, (question, answer) in enumerate(part):
                print(json.dumps({"id": f"{name}-{i}", "question": question, "answer": answer}), file=to)


main()
