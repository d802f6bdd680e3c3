"""Two items.jsonl of MMLU, question by question: `deleatur eval`'s and lm_eval_mmlu.py's.

    python compare_mmlu.py OURS THEIRS [--tolerance 1e-3]        exit 1 where they differ by more, or pick otherwise often

Only questions that are in both are compared; how many is printed.
"""
import argparse
import json
import sys

parser = argparse.ArgumentParser()
parser.add_argument("ours")
parser.add_argument("theirs")
parser.add_argument("--tolerance", type=float, default=1e-3)
args = parser.parse_args()


def load(path):
    rows = (json.loads(line) for line in open(path))
    return {(row["subject"], row["index"]): row for row in rows}


ours, theirs = load(args.ours), load(args.theirs)
both = sorted(ours.keys() & theirs.keys())
worst, where, same = 0.0, None, 0
for key in both:
    a, b = ours[key]["loglikelihoods"], theirs[key]["loglikelihoods"]
    gap = max(abs(x - y) for x, y in zip(a, b, strict=True))
    if gap > worst:
        worst, where = gap, key
    same += a.index(max(a)) == b.index(max(b))
print(f"{len(both)} questions in both ({len(ours)} and {len(theirs)}); largest difference {worst:.3g} at {where}; "
      f"same pick on {same} ({100 * same / max(1, len(both)):.2f} %)")
sys.exit(not both or worst > args.tolerance or same < 0.995 * len(both))
