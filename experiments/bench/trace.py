#!/usr/bin/env python3
"""A causal trace by deleatur and by the published way, side by side on this machine: wall time, peak memory, and how near
deleatur comes to the machine's sgemm.

    experiments/bench/trace.py DELEATUR BENCH_ENGINE MODEL FACTS [--facts 10] [--every 20] [--seed 1]

Ten facts that the model knows, drawn by the seed; three kinds, window 10, ten samples, float32, OMP_NUM_THREADS threads
(2).  The published way is tests/reference/rome_trace.py: PyTorch, 11 rows a cell, nothing cached.  It is timed on every
20th cell and scaled; its scores on those cells are compared with deleatur's.  Needs torch and transformers."""
import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
for name in ("deleatur", "bench_engine", "model", "fact_file"):
    parser.add_argument(name)
parser.add_argument("--facts", type=int, default=10)
parser.add_argument("--every", type=int, default=20)
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()
os.environ.setdefault("OMP_NUM_THREADS", "2")
work = tempfile.mkdtemp()


def run(command):
    """Output, seconds, and the peak memory in MB."""
    began = time.time()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return text, time.time() - began, usage.ru_maxrss / 1000


records = json.load(open(args.fact_file))
random.Random(args.seed).shuffle(records)
facts = os.path.join(work, "facts.json")
json.dump(records, open(facts, "w"))

rate = float(re.search(r"sgemm .*?([0-9.]+) GFLOP/s", run([args.bench_engine, args.model])[0]).group(1))
out = os.path.join(work, "trace")
_, seconds, memory = run([args.deleatur, "trace", args.model, "--facts", facts, "--limit", str(args.facts), "--noise-seed",
                          "shared", "--pictures", "0", "--out", out, "--quiet"])
when = json.load(open(os.path.join(out, "manifest.json")))["when"]
text, _, torch_memory = run([sys.executable, os.path.join(os.path.dirname(__file__), "../../tests/reference/rome_trace.py"),
                             args.model, "--facts", facts, "--compare", out, "--every", str(args.every)])
published = [float(x) for x in re.findall(r"as published (\d+) s", text)]
print(text)
print(f"""| | deleatur | PyTorch, as published |
|---|---|---|
| {len(published)} facts, wall | {seconds:.1f} s | {sum(published):.0f} s (every {args.every}th cell, scaled) |
| a fact | {seconds / len(published):.1f} s | {sum(published) / len(published):.0f} s |
| times faster | **{sum(published) / seconds:.1f}** | 1 |
| peak memory | {memory:.0f} MB | {torch_memory:.0f} MB |

tracing alone {when['trace_seconds']:.1f} s, {when['flops'] / 1e12:.2f} TFLOP: {when['flops'] / when['trace_seconds'] / 1e9:.0f} GFLOP/s,
{100 * when['flops'] / when['trace_seconds'] / 1e9 / rate:.0f} % of the {rate:.0f} GFLOP/s that sgemm reaches here""")
