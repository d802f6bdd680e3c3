"""How far do ten updates move by float32's rounding alone?  Beside compare_families.py, whose check "train" gives one number.

    python tests/reference/make_family_checkpoints.py CK
    python tests/reference/updates_precision.py BUILD CK FAMILY/CASE

One finetune of compare_families.py (AdamW, cross-entropy, four rows).  The reference is torch in float64, with the routers'
softmax in float64 too.  Against it: deleatur, torch in float32, and torch in float64 whose initial weights were each moved by
6e-8 of themselves, half a unit in float32's last place.  For each the three weights that are furthest away, among those whose
first gradient is not below 1e-5 of its tensor's largest.
"""
import json
import os
import shutil
import sys

import torch
from compare_families import Case, tensors_of
from make_family_checkpoints import stored
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

HALF_ULP, SEEDS = 6e-8, 4


def in_double(router):
    """A router's forward pass whose softmax has the type of its weights; transformers' is float32."""
    def forward(x):
        logits = torch.nn.functional.linear(x.reshape(-1, router.hidden_dim), router.weight)
        p, chosen = torch.topk(torch.softmax(logits, -1), router.top_k, -1)
        return logits, p / p.sum(-1, keepdim=True) if getattr(router, "norm_topk_prob", True) else p, chosen
    return forward


class Typed(Case):
    dtype, moved = torch.float64, None

    def theirs(self, path):
        model = AutoModelForCausalLM.from_pretrained(path, dtype=self.dtype, attn_implementation="eager",
                                                     experts_implementation="eager").eval()
        for module in model.modules():
            if type(module).__name__.endswith("TopKRouter"):
                module.forward = in_double(module)
        if self.moved is not None:
            generator = torch.Generator().manual_seed(self.moved)
            for p in model.parameters():
                p.data *= 1 + HALF_ULP * torch.randn(p.shape, generator=generator, dtype=p.dtype)
        return model


def main():
    build, root, which = sys.argv[1:]
    family, name = which.split("/")
    case = Typed(build, root, family, name)
    case.DECIDED = 0  # routes may be close: that is part of what is measured
    rows = case.rows(case.ROWS, Tokenizer.from_file(os.path.join(case.path, "tokenizer.json")))

    def loss(model):
        sums, counts = case.nll(model, rows)
        return sums.sum() / counts.sum()

    def train(dtype=torch.float64, moved=None):
        case.dtype, case.moved = dtype, moved
        weights, told = case.train_torch(case.path, loss, decay=0.1)
        each = lambda tensors: {k: v for n, p in tensors.items() for k, v in stored(n, p.detach(), family).items()}
        return each(weights), each(told)

    exact, told = train()

    def say(what, weights):
        gaps = []
        for n, value in exact.items():
            gap, at = ((weights[n].double() - value).abs() * told[n]).flatten().topk(min(3, value.numel()))
            gaps += [(g, f"{n}[{i}]") for g, i in zip(gap.tolist(), at.tolist())]
        print(f"{what}: " + ", ".join(f"{g:.1e} {n}" for g, n in sorted(gaps, reverse=True)[:3]), flush=True)

    with open(case.at("rows.jsonl"), "w") as f:
        for a, b in case.ROWS:
            f.write(json.dumps({"input": a, "output": b}) + "\n")
    case.deleatur("finetune", case.path, "--data", case.at("rows.jsonl"), "--batch", "4", "--weight-decay", "0.1", "--epochs", "10",
                  "--lr", "1e-3", "--no-eos", "--layers", "all", "--parts", "all", "--dtype", "f32", "--collapse", "0",
                  "--schedule", "linear", "--out", case.at("tuned"))
    ours = tensors_of(case.at("tuned"))
    say("deleatur", {n: ours[case.stored(n)] for n in exact})
    say("torch, float32", train(torch.float32)[0])
    for seed in range(1, SEEDS + 1):
        say(f"torch, float64, weights moved by {HALF_ULP} of themselves, seed {seed}", train(moved=seed)[0])
    shutil.rmtree(case.scratch)


if __name__ == "__main__":
    main()
