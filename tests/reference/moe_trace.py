#!/usr/bin/env python3
"""A plain PyTorch transcription of causal tracing in a mixture of experts, to measure deleatur trace against.

As rome_trace.py: every cell is one forward pass of S + 1 copies of the prompt through hooks on transformers' OLMoE,
copy 0 clean, copies 1..S with noise on the subject's embeddings.  At the cell's token copies 1..S are given copy 0's

    moe      output of the block
    router   logits, from which the experts are chosen anew
    expert   contribution of one expert to the output: its weighted output, 0 where it is not chosen

The runs under the other run's routes: copies 1..S with copy 0's experts and weights in all layers and at all tokens,
and clean copies with those that copies 1..S had chosen.

    pip install torch==2.15.0 transformers==5.23.0 numpy==2.4.6      (the fixture was made with these)
    moe_trace.py --fixture DIR     writes DIR/olmoe: a tiny model and golden.json (tests/fixtures/trace)
"""
import argparse
import json
import os

import numpy
import torch

from rome_trace import clean, window


def rows_of(copies, tokens, at):
    """The rows of a flattened [copies, tokens] at one token: of copy 0, and of the others."""
    return at, [c * tokens + at for c in range(1, copies)]


def route(logits, gate):
    p = torch.softmax(logits, dim=-1)
    weights, experts = torch.topk(p, gate.top_k, dim=-1)
    return (weights / weights.sum(dim=-1, keepdim=True) if gate.norm_topk_prob else weights), experts


def contribution(experts, e, x, chosen, weights):
    """What expert e adds to one row."""
    if e not in chosen.tolist():
        return torch.zeros_like(x)
    gate, up = (experts.gate_up_proj[e] @ x).chunk(2)
    return weights[chosen.tolist().index(e)] * (experts.down_proj[e] @ (experts.act_fn(gate) * up))


@torch.no_grad()
def run(model, ids, begin, end, sigma, samples, hooks):
    """hooks: [(module, hook)].  The logits of the last token of each copy."""
    noise = numpy.random.RandomState(1)

    def corrupt(module, args, output):
        output[1:, begin:end] += torch.from_numpy(sigma * noise.randn(samples, end - begin, output.shape[2]))
        return output

    handles = [model.model.embed_tokens.register_forward_hook(corrupt)] if sigma else []
    handles += [module.register_forward_hook(hook) for module, hook in hooks]
    try:
        return model(torch.tensor([ids] * (samples + 1)), use_cache=False).logits[:, -1]
    finally:
        for handle in handles:
            handle.remove()


def restore(model, kind, l, t, e, w, n, samples):
    """The hooks of a cell."""
    first, others = rows_of(samples + 1, n, t)
    layers = model.model.layers

    def block(module, args, output):
        output[1:, t] = output[0, t].clone()
        return output

    def router(module, args, output):
        logits, weights, experts = output
        logits[others] = logits[first].clone()
        weights[others], experts[others] = route(logits[others], module)
        return logits, weights, experts

    def expert(module, args, output):
        x, chosen, weights = args
        own = [contribution(module, e, x[r], chosen[r], weights[r]) for r in [first] + others]
        for r, c in zip(others, own[1:]):
            output[r] += own[0] - c
        return output

    if kind == "moe":
        return [(layers[i].mlp, block) for i in window(l, w, len(layers))]
    return [(layers[l].mlp.gate, router)] if kind == "router" else [(layers[l].mlp.experts, expert)]


def p_of(logits, answer):
    return torch.softmax(logits.double(), dim=-1)[:, answer]


def trace(model, ids, begin, end, sigma, samples, w):
    n, L, E = len(ids), len(model.model.layers), model.config.num_experts
    answer, high = clean(model, ids)
    seen = {}

    def keep(l):
        def hook(module, args, output):
            seen[l] = [x.clone() for x in output]
        return hook

    gates = [layer.mlp.gate for layer in model.model.layers]
    low = p_of(run(model, ids, begin, end, sigma, samples, [(g, keep(l)) for l, g in enumerate(gates)])[1:], answer)
    shape = (samples + 1, n, model.config.num_experts_per_tok)
    weights, experts = [[seen[l][k].reshape(shape) for l in range(L)] for k in (1, 2)]

    def clean_routes(module, args, output):
        l = gates.index(module)
        return output[0], weights[l][0].repeat(samples + 1, 1), experts[l][0].repeat(samples + 1, 1)

    def corrupted_routes(module, args, output):
        l = gates.index(module)
        return output[0], weights[l].reshape(-1, shape[2]), experts[l].reshape(-1, shape[2])

    forced = [p_of(run(model, ids, begin, end, s, samples, [(g, hook) for g in gates])[1:], answer)
              for s, hook in ((sigma, clean_routes), (0, corrupted_routes))]
    cells = {}
    for kind in ("moe", "router", "expert"):
        cells[kind] = [p_of(run(model, ids, begin, end, sigma, samples,
                                restore(model, kind, l, t, e, w, n, samples))[1:], answer).mean().item()
                       for t in range(n) for l in range(L) for e in range(E if kind == "expert" else 1)]
    unchanged = [len(set(experts[l][0, t].tolist()) & set(experts[l][s, t].tolist())) / shape[2]
                 for s in range(1, samples + 1) for t in range(n) for l in range(L)]
    digits = lambda values: [float("%.9g" % x) for x in values]
    return dict(ids=ids, begin=begin, end=end, window=w, samples=samples, sigma=sigma, answer=answer, high=high,
                low=low.mean().item(), forced=digits(torch.stack(forced, 1).reshape(-1).tolist()), unchanged=unchanged,
                experts=[x for t in range(n) for l in range(L) for x in experts[l][0, t].tolist()],
                weights=digits(x for t in range(n) for l in range(L) for x in weights[l][0, t].tolist()),
                **{kind: digits(values) for kind, values in cells.items()})


def fixture(where):
    import transformers
    from transformers import OlmoeConfig, OlmoeForCausalLM
    config = OlmoeConfig(vocab_size=97, hidden_size=16, intermediate_size=8, num_hidden_layers=3, num_attention_heads=2,
                         num_key_value_heads=2, num_experts=6, num_experts_per_tok=2, max_position_embeddings=64,
                         bos_token_id=1, eos_token_id=2, pad_token_id=2)
    config._attn_implementation = config._experts_implementation = "eager"
    torch.manual_seed(15)
    model = OlmoeForCausalLM(config).float().eval()
    with torch.no_grad():
        for key, x in model.named_parameters():
            x.copy_(torch.randn_like(x) * 0.4 if x.dim() > 1 else 1 + 0.2 * torch.randn_like(x))
    folder = os.path.join(where, "olmoe")
    model.save_pretrained(folder)
    generated = os.path.join(folder, "generation_config.json")
    if os.path.exists(generated):
        os.remove(generated)
    rng = numpy.random.RandomState(3)
    cases = [trace(model, [int(x) for x in rng.randint(3, 97, n)], begin, end, 0.6, 3, w)
             for n, begin, end, w in [(5, 1, 3, 1), (4, 0, 2, 10), (4, 3, 4, 2)]]
    with open(os.path.join(folder, "golden.json"), "w") as f:
        json.dump(cases, f)
        f.write("\n")
    print("torch", torch.__version__, "transformers", transformers.__version__, "numpy", numpy.__version__)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixture", required=True)
    torch.set_num_threads(1)
    fixture(parser.parse_args().fixture)
