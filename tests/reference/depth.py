#!/usr/bin/env python3
"""A plain PyTorch transcription of the depth score (arXiv 2605.24614), to measure deleatur depth against.

Each layer of each row is one forward pass of the full model with a hook on that decoder layer, which puts the other
model's hidden states in at the rows that predict the entity's tokens.  Run by hand; the product needs no Python.

    pip install torch==2.15.0 transformers==5.23.0 numpy==2.4.6 gguf      (the fixtures were made with these)

    depth.py UNLEARNED --full MODEL --retain MODEL --data ROWS --compare DIR
                            DIR: the --out of deleatur depth on the same models and rows.  Prints the largest difference
                            of any log-probability, delta and score.  Models: directories or .gguf files.
        --limit 10          only the first so many rows
    depth.py --fixture DIR  reads DIR/llama and DIR/olmo (tests/fixtures/trace), makes a retain and an unlearned model
                            from each by scaling some tensors, and writes DIR/*/depth.json
"""
import argparse
import copy
import json
import os

import torch

import rome_trace

THRESHOLD = 0.05


@torch.no_grad()
def states_of(model, ids):
    """What leaves each decoder layer: [n_layers] of [n, dim].  (output_hidden_states norms the last one.)"""
    seen = []
    handles = [layer.register_forward_hook(lambda module, args, output: seen.append(rome_trace.first_of(output)[0].clone()))
               for layer in model.model.layers]
    try:
        model(torch.tensor([ids]), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return seen


@torch.no_grad()
def logp(model, ids, first, layer=None, states=None, rows=None):
    """Mean log p of ids[first:], where states are given with those of one layer put in at `rows`."""
    def put_in(module, args, output):
        rome_trace.first_of(output)[0, rows] = states[rows]
        return output

    handle = model.model.layers[layer].register_forward_hook(put_in) if states is not None else None
    try:
        logits = model(torch.tensor([ids]), use_cache=False).logits[0].double()
    finally:
        if handle:
            handle.remove()
    scores = torch.log_softmax(logits[first - 1:len(ids) - 1], dim=-1)
    return float(scores[range(len(ids) - first), ids[first:]].mean())


def depth(models, ids, first, positions="entity", threshold=THRESHOLD):
    """models: full, retain, unlearned."""
    full = models[0]
    rows = torch.arange(0 if positions == "all" else first - 1, len(ids) - 1)
    s = [logp(model, ids, first) for model in models]
    delta = [[s[0] - logp(full, ids, first, l, states, rows) for l, states in enumerate(states_of(source, ids))]
             for source in models[1:]]
    counting = [l for l, d in enumerate(delta[0]) if d > threshold]
    total = sum(delta[0][l] for l in counting)
    uds = sum(delta[0][l] * min(max(delta[1][l] / delta[0][l], 0), 1) for l in counting) / total if counting else None
    return dict(s=s, delta1=delta[0], delta2=delta[1], counting=len(counting), uds=uds)


# ---- against a result ------------------------------------------------------------------------------------------------

def texts_of(row):
    for a, b in (("input", "output"), ("question", "answer"), ("prompt", "attribute")):
        if isinstance(row.get(a), str) and isinstance(row.get(b), str):
            return row[a], row[b]
    raise ValueError(row)


def encode(tokenizer, row, template):
    """ids up to the entity's end and where it begins; None where the answer does not hold it."""
    prompt, answer = texts_of(row)
    if template:
        prompt = template.replace("{}", prompt, 1)
    if not answer[:1].isspace():
        answer = " " + answer
    named = row.get("entity") or row.get("answer_span")
    begin = answer.find(named.strip()) if named else 0
    end = begin + len(named.strip()) if named else len(answer)
    if begin < 0:
        return None
    before = tokenizer(prompt)["input_ids"]
    after = tokenizer(answer, add_special_tokens=False, return_offsets_mapping=True)
    inside = [i for i, (a, b) in enumerate(after["offset_mapping"]) if b > begin and a < end]
    return before + after["input_ids"][:inside[-1] + 1], len(before) + inside[0]


def compare(args):
    models, tokenizer = [], None
    for path in (args.full, args.retain, args.model):
        model, own = rome_trace.load(path)
        models.append(model)
        tokenizer = tokenizer or own
    options = json.load(open(os.path.join(args.compare, "manifest.json")))["options"]
    ours = [json.loads(x) for x in open(os.path.join(args.compare, "items.jsonl"))]
    rows = [json.loads(x) for x in open(args.data) if x.strip()]
    worst, n = 0.0, 0
    for row, item in list(zip(rows, ours))[:args.limit or None]:
        found = encode(tokenizer, row, options["template"])
        if found is None or "left_out" in item:
            assert found is None and "left_out" in item, item
            continue
        ids, first = found
        assert item["tokens"] == len(ids) - first, (item, ids, first)
        theirs = depth(models, ids, first, options["positions"], options["threshold"])
        pairs = list(zip(theirs["delta1"], item["delta1"])) + list(zip(theirs["delta2"], item["delta2"]))
        pairs += [(a, item["logp"][k]) for a, k in zip(theirs["s"], ("full", "retain", "unlearned"))]
        assert (theirs["uds"] is None) == (item["uds"] is None), (theirs, item)
        if theirs["uds"] is not None:
            pairs.append((theirs["uds"], item["uds"]))
        worst, n = max(worst, max(abs(a - b) for a, b in pairs)), n + len(pairs)
        print(f"row {item['index']}: uds {theirs['uds']}, largest difference so far {worst:.2e}", flush=True)
    print(f"{n} numbers, largest difference {worst:.3e}")


# ---- the fixture -----------------------------------------------------------------------------------------------------

CHANGES = {  # factors that are exact in binary, so that whoever reads this makes the same weights
    "retain": [("model.layers.0.mlp.down_proj.weight", -0.5), ("model.layers.1.self_attn.o_proj.weight", 0.25),
               ("model.layers.2.mlp.down_proj.weight", -1.0), ("model.layers.3.mlp.up_proj.weight", 0.5)],
    "unlearned": [("model.layers.1.self_attn.o_proj.weight", 0.5), ("model.layers.2.mlp.down_proj.weight", -0.25),
                  ("model.layers.3.self_attn.v_proj.weight", 1.5)],
}


def fixture(where):
    for name in ("llama", "olmo"):
        folder = os.path.join(where, name)
        from transformers import AutoModelForCausalLM
        full = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        models = [full]
        for other in ("retain", "unlearned"):
            changed = copy.deepcopy(full)
            parameters = dict(changed.named_parameters())
            with torch.no_grad():
                for key, factor in CHANGES[other]:
                    parameters[key] *= factor
            models.append(changed)
        rng, rows = torch.Generator().manual_seed(7), []
        for n, first in ((7, 5), (9, 4), (3, 1), (12, 11), (6, 3)):
            ids = torch.randint(3, 97, (n,), generator=rng).tolist()
            ids[first:] = [int(logits.topk(3).indices[i % 3])  # tokens that the full model thinks likely
                           for i, logits in enumerate(full(torch.tensor([ids])).logits[0, first - 1:n - 1])]
            for positions in ("entity", "all"):
                result = depth(models, ids, first, positions)
                rows.append(dict(ids=ids, first=first, positions=positions,
                                 **{k: [float("%.9g" % x) for x in v] if isinstance(v, list) else v
                                    for k, v in result.items()}))
        with open(os.path.join(folder, "depth.json"), "w") as f:
            json.dump(dict(threshold=THRESHOLD, changes=CHANGES, rows=rows), f)
            f.write("\n")
        print(name, [row["uds"] for row in rows], [row["counting"] for row in rows])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    for name in ("full", "retain", "data", "compare", "fixture"):
        parser.add_argument("--" + name)
    parser.add_argument("--limit", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    fixture(args.fixture) if args.fixture else compare(args)
