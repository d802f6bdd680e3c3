"""The measures of routing (src/routing/measures.h, vocabulary.h) in numpy, from their definitions.

    python tests/reference/routing_measures.py tests/fixtures/routing     the fixtures of tests/test_routing.c, and fuzz seeds
    python tests/reference/routing_measures.py --compare DIR              a result of `deleatur routing` against them

The fixtures: expected.json, all measures of 10,000 synthetic tokens, which `synthetic` makes here and synthetic_routes of the
test makes in C; numpy.npz, a few tokens as numpy.savez writes them, whole numbers as int64.  Written apart from the C code: sets
and counts of Python where C goes through arrays."""
import argparse
import collections
import itertools
import json
import os

import numpy as np

KINDS = ("input", "ground truth", "predicted")
N, LAYERS, EXPERTS, K, VOCAB, DENSE = 10000, 3, 16, 4, 2003, 1
DOCUMENT, WINDOW, DOMAINS, MIN_COUNT = 250, 125, 4, 10


def mix(x):
    """splitmix64's finaliser, of uint64 arrays."""
    with np.errstate(over="ignore"):
        x = np.asarray(x, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def synthetic(model):
    t = np.arange(N)
    below = lambda start, n: (mix(start + t) % np.uint64(n)).astype(np.int64)
    ids = below(7000000, VOCAB) * below(8000000, VOCAB) // VOCAB
    last = (t + 1) % WINDOW == 0
    follows = np.where(last, -1, np.append(ids[1:], 0))
    guess = below(9500000, VOCAB)
    predicted = np.where((below(9000000, 3) > 0) & ~last, follows, guess)
    document = t // DOCUMENT
    domain = document * DOMAINS // (N // DOCUMENT)
    experts = np.full((N, LAYERS, K), -1)
    changed = (mix(6000000 + t) & np.uint64(3)) == 0
    for layer in range(LAYERS):
        if layer == DENSE:
            continue
        e = np.arange(EXPERTS)
        key = ((t[:, None] * LAYERS + layer) * EXPERTS + e) * 2
        own = mix(key + model * changed[:, None]) >> np.uint64(44)
        score = own.astype(np.int64)
        score += 600000 * (e == ((domain * 3 + layer) % EXPERTS)[:, None])
        score += 400000 * (e == (ids % EXPERTS)[:, None])
        experts[:, layer] = np.argsort(-score, axis=1, kind="stable")[:, :K]
    counted = np.where(t % DOCUMENT == 0, -1, domain)
    return dict(ids=ids, next=follows, predicted=predicted, document=document, domain=counted, experts=experts)


def load_of(experts, n_experts, k):
    return np.bincount(experts[:, :k].ravel(), minlength=n_experts)


def entropy(load):
    p = load[load > 0] / load.sum()
    return float(-(p * np.log(p)).sum() / np.log(len(load)))


def distance(a, b):
    return float(np.abs(a / a.sum() - b / b.sum()).sum() / 2)


def coactivation(experts, n_experts, compat):
    together, alone = np.zeros((n_experts, n_experts)), np.zeros(n_experts)
    for token in experts.tolist():
        for e in token:
            alone[e] += 1
        pairs = zip(token, token[1:]) if compat else itertools.combinations(token, 2)
        for a, b in pairs:
            together[a, b] += 1
            together[b, a] += 1
    return together / np.maximum(alone, 1)[:, None]


def vocabulary(ids, experts, n_experts, k, min_count, compat):
    """ids [n], -1: none; experts [n, k].  The released code's way where compat: all ids, first of equals."""
    of_id = collections.defaultdict(list)
    for x, chosen in zip(ids.tolist(), experts[:, :k].tolist()):
        if x >= 0:
            of_id[x].append(chosen)
    means, weights, lists = collections.defaultdict(list), [], []
    for x in sorted(of_id):
        n = len(of_id[x])
        count = collections.Counter(itertools.chain(*of_id[x]))
        most = max(count.values())
        first = next(e for e in count if count[e] == most)  # a Counter keeps the order of first meeting
        expert = first if compat else min(e for e in count if count[e] == most)
        if n >= min_count:
            lists.append((expert, -most / n, -n, x))
        if compat or n >= min_count:
            means[expert].append(most / n)
            weights.append((most, n))
    every = [share for own in means.values() for share in own]
    return dict(unweighted=float(np.mean(every)), weighted=sum(w for w, _ in weights) / sum(n for _, n in weights),
                ids=len(every), by_expert=[float(np.mean(means[e])) if means[e] else None for e in range(n_experts)],
                listed=len(lists), first=[[e, x, -n] for e, _, n, x in sorted(lists)[:8]])


def measure(data, n_experts, k, min_count):
    """All measures of one model's tokens."""
    keep = data["domain"] >= 0
    domains = range(int(data["domain"].max()) + 1)
    layers = []
    for layer in range(data["experts"].shape[1]):
        experts = data["experts"][:, layer]
        if experts[0, 0] < 0:
            layers.append(None)
            continue
        loads = {j: [load_of(experts[data["domain"] == d], n_experts, j) for d in domains] for j in (k, 1)}
        tokens = [int((data["domain"] == d).sum()) for d in domains]
        keys = dict(zip(KINDS, (data["ids"], data["next"], data["predicted"])))
        layers.append(dict(
            specialisation=[(load / n).tolist() for load, n in zip(loads[k], tokens)],
            top1=[(load / n).tolist() for load, n in zip(loads[1], tokens)],
            entropy=[entropy(load) for load in loads[k]] + [entropy(sum(loads[k]))],
            distance=[distance(a, b) for a, b in itertools.combinations(loads[k], 2)],
            coactivation={mode: coactivation(experts[keep], n_experts, mode == "olmoe").tolist() for mode in ("none", "olmoe")},
            vocabulary={mode: {kind: {str(j): vocabulary(keys[kind][keep], experts[keep], n_experts, j, min_count, mode == "olmoe")
                                      for j in (1, k)} for kind in KINDS} for mode in ("none", "olmoe")}))
    return layers


def saturation(a, b, k):
    """[layer] of [each domain, all], of E_k."""
    out = []
    for layer in range(a["experts"].shape[1]):
        if a["experts"][0, layer, 0] < 0:
            out.append(None)
            continue
        share = np.array([len(set(x) & set(y)) / k for x, y in
                          zip(a["experts"][:, layer, :k].tolist(), b["experts"][:, layer, :k].tolist())])
        domains = range(int(a["domain"].max()) + 1)
        out.append([float(share[a["domain"] == d].mean()) for d in domains] + [float(share[a["domain"] >= 0].mean())])
    return out


def shift(a, b, n_experts, k):
    """Distance of two models' loads over all tokens, by layer."""
    keep = a["domain"] >= 0
    return [None if a["experts"][0, layer, 0] < 0 else
            distance(load_of(a["experts"][keep, layer], n_experts, k), load_of(b["experts"][keep, layer], n_experts, k))
            for layer in range(a["experts"].shape[1])]


def rounded(x):
    """Numbers with 15 digits, so that the file stays small and reads back within 1e-14."""
    if isinstance(x, float):
        return float(f"{x:.15g}")
    if isinstance(x, dict):
        return {key: rounded(value) for key, value in x.items()}
    return [rounded(value) for value in x] if isinstance(x, list) else x


def fixtures(out):
    os.makedirs(out, exist_ok=True)
    a, b = synthetic(0), synthetic(1)
    expected = dict(tokens=N, layers=measure(a, EXPERTS, K, MIN_COUNT), saturation={str(j): saturation(a, b, j) for j in (1, K)},
                    shift=shift(a, b, EXPERTS, K))
    with open(f"{out}/expected.json", "w") as file:
        json.dump(rounded(expected), file, separators=(",", ":"))
        file.write("\n")
    few = slice(0, 6)
    weights = np.where(a["experts"] < 0, 0, 1 / (2 + np.arange(K))).astype(np.float32)
    np.savez(f"{out}/numpy.npz", ids=a["ids"][few], experts=a["experts"][few], weights=weights[few])
    seeds = os.path.join(os.path.dirname(__file__), "..", "fuzz", "seeds", "routes")
    os.makedirs(seeds, exist_ok=True)
    some = np.arange(0, N, 250) + 1  # a token of each document
    names = dict(ids="ids", experts="experts", predicted="predicted", documents="document", domains="domain")
    np.savez(f"{seeds}/tokens.npz", weights=weights[some], logp=np.where(some % 3, -1.5, np.nan).astype(np.float32),
             **{name: a[ours][some].astype(np.int32) for name, ours in names.items()})
    np.savez(f"{seeds}/numpy.npz", ids=a["ids"][few], experts=a["experts"][few], weights=weights[few])


def compare(directory):
    """The tokens of a result, measured here, against its own routing.json; prints the largest difference."""
    with open(f"{directory}/routing.json") as file:
        result = json.load(file)
    file = np.load(f"{directory}/tokens.npz")
    data = dict(ids=file["ids"], predicted=file["predicted"], document=file["documents"], domain=file["domains"],
                experts=file["experts"], next=np.where(np.isnan(file["logp"]), -1, np.append(file["ids"][1:], -1)))
    compat = result["compat"]
    layers = measure(data, result["experts"], result["top_k"], result["min_count"])
    worst = 0.0
    for own, layer in zip(layers, result["layers"]):
        if own is None:
            assert layer["experts"] == 0
            continue
        pairs = [(own["entropy"], [d["entropy"] for d in layer["domains"]] + [layer["entropy"]]),
                 (own["distance"], [p["distance"] for p in layer["pairs"]]),
                 (own["specialisation"], [d["specialisation"] for d in layer["domains"]])]
        for kind in KINDS:
            for v in layer["vocabulary"]:
                if v["by"] == kind:
                    theirs = own["vocabulary"][compat][kind][str(v["k"])]
                    pairs.append(([theirs["unweighted"], theirs["weighted"]], [v["unweighted"], v["weighted"]]))
        for x, y in pairs:
            worst = max(worst, float(np.abs(np.array(x) - np.array(y)).max()) if len(x) else 0)
    arrays = np.load(f"{directory}/measures.npz")
    sparse = [l for l in layers if l is not None]
    theirs = np.array([l["coactivation"][compat] for l in sparse])
    ours = arrays["coactivation"][[l is not None for l in layers]]
    worst = max(worst, float(np.abs(theirs - ours).max()))
    print(f"{directory}: {len(data['ids'])} tokens, compat {compat}: largest difference {worst:.3g}")
    return worst <= 1e-9


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", nargs="?")
    parser.add_argument("--compare")
    given = parser.parse_args()
    if given.compare:
        raise SystemExit(not compare(given.compare))
    fixtures(given.out)
