"""What open-unlearning's attacks give for a few rows, row by row, written out in PyTorch after its src/data/utils.py,
src/evals/metrics/utils.py and src/evals/metrics/mia: labels, losses, zlib, Min-K, Min-K++ and GradNorm.

    python membership_open_unlearning.py data/models/demo tests/fixtures/score/membership_open_unlearning.json
"""
import json
import sys
import zlib

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROWS = [{"question": "Where does Arlo live?", "answer": "Arlo lives in the village."},
        {"question": "Who keeps the light?", "answer": "Bo"},
        {"question": "What stands by the sea?", "answer": "The lighthouse stands by the sea, and Bo keeps the light."},
        {"question": "Who keeps bees?", "answer": "zzz 17 %"},
        {"text": "Arlo lives in the village and went to the mill."},
        {"text": "zzz qqq 17 % ???"},
        {"text": "Who keeps bees? Mara keeps bees."},
        {"text": "The mill."}]
K = 0.4  # configs/eval/muse_metrics and tofu_metrics


def labels_of(row, tokenizer):
    """ids and the first label: preprocess_chat_instance without a template, preprocess_pretraining_instance."""
    if "text" in row:
        return tokenizer(row["text"]).input_ids, max(1, len(tokenizer("").input_ids))
    ids = tokenizer(row["question"] + " " + row["answer"]).input_ids
    first = len(tokenizer(row["question"]).input_ids)
    return ids + [tokenizer.eos_token_id] * (ids[-1] != tokenizer.eos_token_id), first


def attacks(row, model, tokenizer):
    ids, first = labels_of(row, tokenizer)
    labels = torch.tensor([[-100] * first + ids[first:]])
    model.zero_grad()
    result = model(torch.tensor([ids]), labels=labels)
    result.loss.backward()
    norms = [p.grad.norm(2).item() for p in model.parameters() if p.grad is not None]
    every = torch.log_softmax(result.logits[0].detach(), -1)
    own = torch.stack([every[i - 1, ids[i]] for i in range(first, len(ids))])
    text = tokenizer.decode(ids[first:], skip_special_tokens=True)
    loss = -own.mean().item()
    here = every[first - 1:len(ids) - 2]  # the last label is left out as an end of text, whatever it is
    mean = (here.exp() * here).sum(-1)
    variance = ((here.exp() * here.square()).sum(-1) - mean.square()).clamp(min=1e-6)
    lowest = lambda x: -float(np.mean(sorted(x.tolist())[:max(1, int(len(x) * K))])) if len(x) else 0.0
    return {**row, "tokens": len(own), "loss": loss, "zlib": loss / len(zlib.compress(text.encode())),
            "min_k": lowest(own[:-1]), "min_k_plus": lowest((own[:-1] - mean) / variance.sqrt()),
            "gradnorm": float(np.mean(norms))}


path, out = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(path)
with open(out, "w") as file:
    json.dump([attacks(row, model, tokenizer) for row in ROWS], file, indent=1)
    file.write("\n")
