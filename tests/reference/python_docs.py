#!/usr/bin/env python3
"""Runs the Python of docs/python.md on results that are made here.  Wants numpy, pandas, torch, tensorboard and lm_eval.

usage: python_docs.py DELEATUR [SOURCE_DIR]
"""
import os, re, subprocess, sys, tempfile
from pathlib import Path

deleatur = os.path.abspath(sys.argv[1])
source = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parents[2]).resolve()
model, facts = source / "data/models/demo", source / "data/facts/demo_facts.json"
blocks = re.findall(r"```python\n(.*?)```", (source / "docs/python.md").read_text(), re.S)
assert len(blocks) == 5, len(blocks)
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    os.mkdir("results")
    for command in (["eval", model, "--suite", "facts", "--data", facts, "--out", "results/eval"],
                    ["trace", model, "--facts", facts, "--limit", "2", "--samples", "2", "--out", "results/trace"],
                    ["finetune", model, "--data", source / "data/demo/forget.jsonl", "--epochs", "1",
                     "--out", "results/finetuned"]):
        subprocess.run([deleatur, *map(str, command), "--quiet"], check=True, stdout=subprocess.DEVNULL)
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), {})
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator("results/tensorboard")
    events.Reload()
    assert events.Scalars("loss"), "TensorBoard reads no loss"
    os.chdir("/")
print(f"{len(blocks)} blocks ran")
