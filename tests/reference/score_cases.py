"""Stored cases for tests/test_score_cases.c: what scipy, scikit-learn, statistics, lm_eval and plain PyTorch say.

    python score_cases.py data/models/demo tests/fixtures/score

    village.jsonl's log-likelihoods by lm_eval's HFLM; tokens' log-probabilities, moments and gradients by PyTorch in
    float32; the formulas of the attacks (Min-K, Min-K++, zlib, GradNorm) and of TOFU's scores written out in numpy.
"""
import csv
import json
import math
import statistics
import sys
import zlib
from fractions import Fraction

import numpy as np
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import exact_match_hf_evaluate
from lm_eval.models.huggingface import HFLM
from rouge_score import rouge_scorer
from scipy import stats
from sklearn.metrics import roc_auc_score
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = ["Arlo lives in the village and went to the mill.", "The lighthouse stands by the sea, and Bo keeps the light.",
         "zzz qqq 17 % ???", "Who keeps bees? Mara keeps bees. Who keeps bees? Mara keeps bees."]


def choices(model, path):
    lm = HFLM(pretrained=model, device="cpu", dtype="float32", batch_size=1)
    out = []
    for line in open(path):
        row = json.loads(line)
        contexts = row.get("contexts") or [row.get("context") or f"Question: {row['question']}\nAnswer:"] * len(row["choices"])
        pairs = [(a, row.get("delimiter", " ") + b) for a, b in zip(contexts, row["choices"])]
        requests = [Instance("loglikelihood", {}, p, i) for i, p in enumerate(pairs)]
        out.append([ll for ll, _ in lm.loglikelihood(requests, disable_tqdm=True)])
    return out


def membership(path):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32), AutoTokenizer.from_pretrained(path)
    out = []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt").input_ids
        model.zero_grad()
        result = model(ids, labels=ids)
        result.loss.backward()
        norms = [p.grad.norm(2).item() for p in model.parameters() if p.grad is not None]
        logp = torch.log_softmax(result.logits[0, :-1].double(), -1)
        p = logp.exp()
        mean = (p * logp).sum(-1)
        variance = ((p * logp ** 2).sum(-1) - mean ** 2).clamp(min=1e-6)
        own = logp.gather(-1, ids[0, 1:, None])[:, 0]
        plus = (own - mean) / variance.sqrt()
        k = lambda x, share: -np.mean(sorted(x.tolist())[:max(1, int(len(x) * share))])
        loss = -own.mean().item()
        out.append({"text": text, "loss": loss, "zlib": loss / len(zlib.compress(text.encode())), "min_k": k(own, .4),
                    "min_k_plus": k(plus, .4), "min_k_2": k(own, .2), "gradnorm": float(np.mean(norms)),
                    "greedy": (logp.argmax(-1) == ids[0, 1:]).int().tolist()})
    return out


def auc(rng):
    out = []
    for n, m, levels in ((1, 1, 3), (5, 7, 3), (20, 20, 5), (40, 13, 1000), (4, 4, 1)):
        a, b = rng.integers(levels, size=n) / levels - .1, rng.integers(levels, size=m) / levels
        out.append({"member": a.tolist(), "nonmember": b.tolist(),
                    "auc": roc_auc_score([1] * n + [0] * m, -np.concatenate([a, b]))})  # the lower, the more likely a member
    return out


def ks(rng):
    out = []
    for n, m, shift, digits in ((20, 20, .5, 6), (20, 20, 0, 1), (7, 12, .4, 6), (40, 25, .1, 1), (200, 200, .3, 6), (30, 100, 1, 6),
                                (400, 400, .1, 6), (9, 9, 0, 0)):
        a, b = np.round(rng.normal(size=n), digits), np.round(rng.normal(size=m) + shift, digits)
        result = stats.ks_2samp(a, b, method="exact")
        out.append({"a": a.tolist(), "b": b.tolist(), "d": float(result.statistic), "log_p": math.log(result.pvalue)})
    return out


def floors():
    log = lambda f: math.log(f.numerator) - math.log(f.denominator)  # of integers of any size
    return [{"n": n, "log_p": log(Fraction(2, math.comb(2 * n, n)))} for n in (1, 20, 40, 200, 400, 2000)]


def tofu(rng):
    """open-unlearning's truth ratio and TOFU's own, on made losses; its utility of nine."""
    correct, wrong = rng.uniform(.1, 3, size=6), rng.uniform(.1, 4, size=(6, 5))
    p, w = np.exp(-correct), np.exp(-wrong)
    geometric, arithmetic = np.exp(-wrong.mean(1)) / p, w.mean(1) / p
    return {"correct": correct.tolist(), "wrong": wrong.tolist(), "ratio": geometric.tolist(), "ratio_arithmetic": arithmetic.tolist(),
            "closer_to_1": float(np.minimum(geometric, 1 / geometric).mean()), "true_better": float(np.maximum(0, 1 - geometric).mean()),
            "options": (p / (p + w.sum(1))).tolist()}


def tofu_rows(path, folder):
    """Every row's values on the embedded model: losses by PyTorch on the joined text, ROUGE by rouge_score."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32), AutoTokenizer.from_pretrained(path)
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)

    def answer(question, text):
        before = tokenizer(question).input_ids
        ids = torch.tensor([tokenizer(question + " " + text).input_ids])
        with torch.no_grad():
            logp = torch.log_softmax(model(ids).logits[0, len(before) - 1:-1].double(), -1)
        labels = ids[0, len(before):]
        return -logp.gather(-1, labels[:, None]).mean().item(), (logp.argmax(-1) == labels).tolist()

    out = []
    for name in ("forget", "real_authors", "retain", "world_facts"):
        for line in open(f"{folder}/{name}_perturbed.jsonl"):
            row = json.loads(line)
            loss, greedy = answer(row["question"], row["answer"])
            correct = answer(row["question"], row["paraphrased_answer"])[0] if "paraphrased_answer" in row else loss
            wrong = np.array([answer(row["question"], w)[0] for w in row["perturbed_answer"]])
            probability = math.exp(-loss)
            if name in ("real_authors", "world_facts"):
                probability /= probability + np.exp(-wrong).sum()
            ids = tokenizer(row["question"], return_tensors="pt")
            said = model.generate(**ids, max_new_tokens=8, do_sample=False)[0, ids.input_ids.shape[1]:]
            said = tokenizer.decode(said, skip_special_tokens=True)
            k = next((k for k in range(len(greedy)) if all(greedy[k:])), len(greedy))
            out.append({"set": name, "loss": loss, "probability": float(probability),
                        "truth_ratio": float(np.exp(-wrong.mean()) / math.exp(-correct)),
                        "truth_ratio_arithmetic": float(np.exp(-wrong).mean() / math.exp(-correct)),
                        "exact_memorization": sum(greedy) / len(greedy), "extraction_strength": 1 - k / len(greedy),
                        "rougeL_recall": scorer.score(row["answer"], said)["rougeL"].recall, "generated": said})
    return out


def old_mmlu(path, folder, most):
    """hendrycks/test's evaluate.py and open-instruct's eval/mmlu written out: gen_prompt, format_example, fewer examples
    while the prompt is longer than `most` tokens; the letters' log p, and -100 beyond the 100 most likely."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32), AutoTokenizer.from_pretrained(path)
    out = []

    def example(row, answered):
        text = row[0] + "".join(f"\n{letter}. {choice}" for letter, choice in zip("ABCD", row[1:5])) + "\nAnswer:"
        return text + (f" {row[5]}\n\n" if answered else "")

    for subject in ("college_biology", "virology"):
        dev, val = ([*csv.reader(open(f"{folder}/{split}/{subject}_{split}.csv", newline=""))] for split in ("dev", "val"))
        head = "The following are multiple choice questions (with answers) about {}.\n\n".format(
            "".join(" " + word for word in subject.split("_")))
        for row in val:
            for shots in range(3, -1, -1):
                ids = tokenizer(head + "".join(example(r, True) for r in dev[:shots]) + example(row, False)).input_ids
                if len(ids) <= most:
                    break
            with torch.no_grad():
                logp = torch.log_softmax(model(torch.tensor([ids])).logits[0, -1].double(), -1)
            letters = [tokenizer.encode(" " + letter, add_special_tokens=False)[-1] for letter in "ABCD"]
            top = set(logp.topk(100).indices.tolist())
            out.append({"subject": subject, "shots": shots, "open-instruct": logp[letters].tolist(),
                        "hendrycks": [logp[i].item() if i in top else -100 for i in letters]})
    return out


def qa():
    """What lm_eval's triviaqa and nq_open make of what was said: stops, remove_whitespace, exact_match."""
    out = []
    articles = [r"\b(?:The |the |An |A |The |a |an )"]
    for said, answers in ((" Sunset Boulevard\nQuestion:", ["Sunset Blvd", "sunset boulevard"]), (" the Moon.", ["Moon"]),
                          ("  A Tale, of two", ["a tale"]), (" U.S. Navy", ["US Navy", "u"]), ("\nParis", ["Paris"]),
                          (" He said: an apple a day!", ["he said apple day", "He said: an apple a day"]), (" 1972 ", ["1972"]),
                          (" \u00c9t\u00e9 (summer)", ["\u00e9t\u00e9 summer"]), (" data the set", ["data set"]), (" Japan", ["an"])):
        for ignore in (False, True):
            cut = said
            for stop in ("\n", ".", ","):
                cut = cut.split(stop)[0]
            exact = [exact_match_hf_evaluate([cut.strip()], [a], regexes_to_ignore=articles if ignore else None, ignore_case=True,
                                             ignore_punctuation=True)["exact_match"] for a in answers]
            out.append({"said": said, "answers": answers, "ignore_articles": ignore, "exact": bool(max(exact))})
    return out


def main(model, out):
    rng = np.random.default_rng(5)
    means = [[.5, .25, 1], [1] * 12, [.9, .8, .97, .33, .1, .5, 1, .75, .2, .6, .61, .62], [1, 0, .5], [1e-12, 1, 1]]
    cases = {"choices": choices(model, f"{out}/sets/village.jsonl"), "membership": membership(model), "auc": auc(rng),
             "ks": ks(rng), "ks_floors": floors(), "tofu": tofu(rng), "qa": qa(),
             "old_mmlu": old_mmlu(model, f"{out}/mmlu", 230),
             "tofu_rows": tofu_rows(model, f"{out}/tofu"),
             "mcnemar": [[b, c, stats.binomtest(b, b + c).pvalue if b + c else 1.0]
                         for b, c in ((0, 0), (0, 1), (3, 9), (9, 3), (5, 5), (0, 30), (120, 171), (1500, 1700))],
             "harmonic": [[m, statistics.harmonic_mean(m)] for m in means]}
    with open(f"{out}/cases.json", "w") as file:
        json.dump(cases, file)
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
