#!/usr/bin/env python3
"""What `deleatur upcycle` writes, loaded by transformers: no missing or unexpected key, and the dense model's logits.

    compare_upcycled.py DELEATUR WORK_DIR MODEL...     MODEL: a directory that transformers loads

A line a model; the exit status is 1 if the logits of 24 random tokens are more than 1e-5 of the largest apart.
Needs torch and transformers.
"""
import pathlib
import subprocess
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM

TOLERANCE = 1e-5  # of the largest logit; chosen before looking


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    deleatur, work, models = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    work.mkdir(parents=True, exist_ok=True)
    far = 0
    for model in models:
        out = work / pathlib.Path(model).name
        subprocess.run([deleatur, "upcycle", model, "--experts", "4", "--top-k", "2", "--dtype", "f32", "--out", str(out)],
                       check=True, stdout=subprocess.DEVNULL)
        dense = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        mixture, info = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, output_loading_info=True)
        wrong = {key: value for key, value in info.items() if value}
        ids = torch.randint(dense.config.vocab_size, (1, 24), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            a, b = dense(ids).logits, mixture(ids).logits
        gap = float((a - b).abs().max() / a.abs().max())
        print(f"{out.name}: {type(mixture).__name__}, logits {gap:.1e} of the largest apart, {wrong or 'every key known'}")
        far += bool(wrong) or gap > TOLERANCE
    sys.exit(far > 0)


if __name__ == "__main__":
    main()
