"""Compares `deleatur nudge` with nudging_transcription.py: the same text and the same spans for each question, and what
the base's passes are by both ways of verification.

    python compare_nudging.py DELEATUR BASE NUDGER WORKDIR [--plain] [--tokens] [--limit N] [--max-new N]

Prints each difference and a summary; exit status 1 if a text differs.
"""
import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("deleatur")
    a.add_argument("base")
    a.add_argument("nudger")
    a.add_argument("work")
    a.add_argument("--plain", action="store_true")
    a.add_argument("--tokens", action="store_true")
    a.add_argument("--data", default=os.path.join(HERE, "nudging_questions.jsonl"))
    a.add_argument("--limit", type=int, default=40)
    a.add_argument("--max-new", type=int, default=96)
    o = a.parse_args()
    os.makedirs(o.work, exist_ok=True)
    common = ["--data", o.data, "--limit", str(o.limit), "--max-new", str(o.max_new)] + ["--tokens"] * o.tokens
    theirs = os.path.join(o.work, "transcription.jsonl")
    if not os.path.exists(theirs):
        subprocess.run([sys.executable, os.path.join(HERE, "nudging_transcription.py"), "--base", o.base, "--nudger", o.nudger,
                        "--out", theirs] + common + ["--plain"] * o.plain, check=True)
    wanted, failed = lines(theirs), 0
    passes = {}
    for verify in ["draft", "plain"]:
        out = os.path.join(o.work, verify)
        if not os.path.exists(out):
            subprocess.run([o.deleatur, "nudge", o.base, "--with", o.nudger, "--out", out, "--verify", verify, "--quiet"] + common +
                           ["--chat", "none"] * o.plain, check=True, stdout=subprocess.DEVNULL)
        got = lines(os.path.join(out, "items.jsonl"))
        assert len(got) == len(wanted), (len(got), len(wanted))
        passes[verify] = sum(x["base_passes"] for x in got)
        for i, (x, y) in enumerate(zip(wanted, got)):
            spans = [[s["by"], s["text"]] for s in y["spans"]]
            same = x["text"] == y["generated"] and x["stop"] == y["stop"] and x["rounds"] == y["rounds"]
            if not same or ("spans" in x and x["spans"] != spans):
                failed += 1
                print(f"{verify}, question {i}: differs\n  transcription {x['stop']} {x['text']!r}\n  deleatur {y['stop']} {y['generated']!r}")
    print(f"{len(wanted)} questions, two ways of verification: {failed} answers differ")
    print(f"base passes: draft {passes['draft']}, plain {passes['plain']} (ratio {passes['draft'] / passes['plain']:.3f})")
    if "fetched" in wanted[0]:
        print(f"tokens that the released code asks the base for: {sum(x['fetched'] for x in wanted)}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
