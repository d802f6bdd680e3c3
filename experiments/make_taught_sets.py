#!/usr/bin/env python3
"""Divides question sets into rows that a model is taught and sets that it is scored on, for the recipe perft.

    python3 make_taught_sets.py SETS_DIR ARITHMETIC_DIR OUT_DIR [--train 100] [--problems 200] [--test 200] [--seed 0]

    SETS_DIR/choices/{arc_easy,piqa,sciq}.jsonl   of fetch_sets.py    -> OUT_DIR/choices/<set>.jsonl   --test rows a set
    ARITHMETIC_DIR/{train,test}.jsonl             of make_arithmetic.py -> OUT_DIR/arithmetic.jsonl    --test rows
                                                                      -> OUT_DIR/train.jsonl    {"id", "input", "output"}

train.jsonl has --train rows of each choice set (context and right choice) and --problems word problems, shuffled.  No row
is in both parts.  A prompt is the one that eval gives: `--suite choices` of these sets, `--suite gsm8k` of the problems.
The same arguments write the same bytes.
"""
import argparse
import json
import pathlib
import random

SETS = ["arc_easy", "piqa", "sciq"]


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{path}: {len(rows)} rows")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", type=pathlib.Path)
    parser.add_argument("arithmetic", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--train", type=int, default=100)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    shuffle = random.Random(args.seed).shuffle

    taught = []
    for name in SETS:
        rows = read(args.sets / "choices" / f"{name}.jsonl")
        shuffle(rows)
        train, test = rows[:args.train], rows[args.train:args.train + args.test]
        taught += [{"id": f"{name}-{i}", "input": row["context"], "output": row["choices"][row["answer"]].strip()}
                   for i, row in enumerate(train)]
        write(args.out / "choices" / f"{name}.jsonl", test)
    taught += [{"id": row["id"], "input": f"Question: {row['question']}\nAnswer:", "output": row["answer"]}
               for row in read(args.arithmetic / "train.jsonl")[:args.problems]]
    shuffle(taught)
    write(args.out / "train.jsonl", taught)
    write(args.out / "arithmetic.jsonl", read(args.arithmetic / "test.jsonl")[:args.test])


if __name__ == "__main__":
    main()
