#!/usr/bin/env python3
"""A plain PyTorch transcription of ROME's causal tracing, to measure deleatur trace against.

Every cell is one forward pass of S + 1 copies of the prompt through hooks, as in the published code: copy 0 stays
clean, copies 1..S get noise on the subject's embeddings, and at the cell's token and modules copies 1..S are given
copy 0's output.  Run by hand; the product needs no Python.

    pip install torch==2.15.0 transformers==5.23.0 numpy==2.4.6 gguf      (the fixtures were made with these)

    rome_trace.py MODEL --facts FILE --compare DIR    MODEL: a Hugging Face directory or a .gguf file; DIR: the --out
                                                      of deleatur trace --noise-seed shared on the same facts (the same
                                                      draws for each, as the published code has them).  Prints the
                                                      largest difference.
        --every 10    only every tenth cell           --ids 1,2,3    only these facts
        --out DIR     writes what it computed as .npz files with ROME's names
    rome_trace.py --olmo DIR --facts FILE --tokenizer TOKENIZER_JSON
                                                      writes a random 16-layer OLMo, and DIR/facts.json: ten of the facts
                                                      with the model's own next token as the attribute
    rome_trace.py --fixture DIR                       writes the tiny models and golden scores of tests/fixtures/trace
"""
import argparse
import json
import os
import time

import numpy
import torch


def window(l, w, L):
    return range(max(0, l - w // 2), min(L, l - (-w // 2)))


def first_of(output):
    return output[0] if isinstance(output, tuple) else output


def modules_of(model, kind, l, w):
    layers = model.model.layers
    if kind == "hidden":
        return [layers[l]]
    return [layers[i].mlp if kind == "mlp" else layers[i].self_attn for i in window(l, w, len(layers))]


@torch.no_grad()
def trace_with_patch(model, ids, restore, answer, begin, end, sigma, samples):
    """restore: list of (token, module).  Returns p(answer) of each corrupted copy."""
    noise = numpy.random.RandomState(1)
    batch = torch.tensor([ids] * (samples + 1))
    by_module = {}
    for token, module in restore:
        by_module.setdefault(module, []).append(token)

    def corrupt(module, args, output):
        output[1:, begin:end] += torch.from_numpy(sigma * noise.randn(samples, end - begin, output.shape[2]))
        return output

    def put_back(module, args, output):
        h = first_of(output)
        for token in by_module[module]:
            h[1:, token] = h[0, token]
        return output

    handles = [model.model.embed_tokens.register_forward_hook(corrupt)]
    handles += [module.register_forward_hook(put_back) for module in by_module]
    try:
        logits = model(batch, use_cache=False).logits
    finally:
        for handle in handles:
            handle.remove()
    return torch.softmax(logits[1:, -1].double(), dim=1)[:, answer].numpy()


@torch.no_grad()
def clean(model, ids, answer=None):
    p = torch.softmax(model(torch.tensor([ids]), use_cache=False).logits[0, -1].double(), dim=0)
    answer = int(p.argmax()) if answer is None else answer
    return answer, float(p[answer])


def grid(model, ids, begin, end, sigma, samples, w, kinds, every=1, answer=None):
    answer, high = clean(model, ids, answer)
    low = trace_with_patch(model, ids, [], answer, begin, end, sigma, samples)
    L, out, passes = len(model.model.layers), {}, 0
    for kind in kinds:
        scores = numpy.full((len(ids), L), numpy.nan)
        for cell in range(0, len(ids) * L, every):
            t, l = divmod(cell, L)
            restore = [(t, module) for module in modules_of(model, kind, l, w)]
            scores[t, l] = trace_with_patch(model, ids, restore, answer, begin, end, sigma, samples).mean()
            passes += 1
        out[kind] = scores
    return dict(answer=answer, high=high, low=float(low.mean()), scores=out, passes=passes)


def subject_range(tokenizer, ids, subject):
    tokens = [tokenizer.decode([i]) for i in ids]
    whole = "".join(tokens)
    start = whole.index(subject)
    stop, at, begin, end = start + len(subject), 0, None, None
    for i, token in enumerate(tokens):
        at += len(token)
        if begin is None and at > start:
            begin = i
        if end is None and at >= stop:
            return begin, i + 1
    raise ValueError(subject)


def collect_std(model, tokenizer, subjects):
    rows = [model.model.embed_tokens.weight.detach()[tokenizer(s)["input_ids"]] for s in subjects]
    return torch.cat(rows).std().item()


def load(path):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    where, extra = (path, {}) if os.path.isdir(path) else (os.path.dirname(path) or ".",
                                                           {"gguf_file": os.path.basename(path)})
    tokenizer = AutoTokenizer.from_pretrained(where, **extra)
    if extra:  # what transformers drops when it reads SmolLM2's tokenizer from a GGUF
        from tokenizers import pre_tokenizers as pre
        tokenizer.backend_tokenizer.pre_tokenizer = pre.Sequence(
            [pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False, use_regex=True)])
    model = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, attn_implementation="eager", **extra)
    return model.eval(), tokenizer


def compare(args):
    model, tokenizer = load(args.model)
    text = open(args.facts).read()
    facts = json.loads(text) if text.lstrip().startswith("[") else [json.loads(x) for x in text.splitlines() if x.strip()]
    ours = {row["id"]: row for row in map(json.loads, open(os.path.join(args.compare, "facts.jsonl")))}
    options = json.load(open(os.path.join(args.compare, "manifest.json")))
    if "shared" not in options["options"]["noise-seed"] and options["options"]["compat"] != "rome":
        raise SystemExit("the trace was made with noise of its own for each fact; make it with --noise-seed shared")
    sigma = 3 * collect_std(model, tokenizer, [f["subject"] for f in facts])
    print(f"sigma {sigma:.9g} here, {options['sigma']:.9g} there")
    sigma = options["sigma"]
    worst, cells, wanted = 0.0, 0, [int(x) for x in args.ids.split(",")] if args.ids else None
    for i, fact in enumerate(facts):
        row = ours.get(fact.get("known_id", i))
        if not row or not row["traced"] or (wanted and row["id"] not in wanted):
            continue
        ids = tokenizer(fact["prompt"])["input_ids"]
        assert ids == row["input_ids"], (ids, row["input_ids"])
        begin, end = subject_range(tokenizer, ids, fact["subject"])
        assert [begin, end] == row["subject_range"], (begin, end)
        kinds = [k for k in ("hidden", "mlp", "attn")
                 if os.path.exists(os.path.join(args.compare, "traces", f"{row['id']}_{k}.npz"))]
        theirs = {k: numpy.load(os.path.join(args.compare, "traces", f"{row['id']}_{k}.npz")) for k in kinds}
        samples, w = len(theirs[kinds[0]]["low"]), max(int(x["window"]) for x in theirs.values())
        began, cpu = time.time(), time.process_time()
        g = grid(model, ids, begin, end, sigma, samples, w, kinds, args.every, row["answer_id"])
        took, cpu = time.time() - began, time.process_time() - cpu
        most = max(abs(g["high"] - row["clean"]), abs(g["low"] - row["corrupted"]))
        for k in kinds:
            assert str(theirs[k]["kind"]) == ("" if k == "hidden" else k)
            done = ~numpy.isnan(g["scores"][k])
            cells += int(done.sum())
            most = max(most, float(numpy.abs(g["scores"][k] - theirs[k]["scores"])[done].max()))
        worst = max(worst, most)
        scale = len(kinds) * (len(ids) * len(model.model.layers) + 2) / (g["passes"] + 2)  # 2: clean and corrupted
        print(f"fact {row['id']}: {g['passes']} cells of {len(kinds) * len(ids) * len(model.model.layers)}, largest "
              f"difference {most:.2e}; {took:.1f} s, {cpu:.1f} s of CPU; the whole fact as published {took * scale:.0f} s, "
              f"{cpu * scale:.0f} s of CPU", flush=True)
        if args.out:
            os.makedirs(args.out, exist_ok=True)
            for k in kinds:
                numpy.savez(os.path.join(args.out, f"{row['id']}_{k}.npz"), scores=g["scores"][k], low_score=g["low"],
                            high_score=g["high"], input_ids=ids, subject_range=(begin, end), window=w, kind=k)
    print(f"{cells} cells, largest difference {worst:.3e}")


def random_olmo(args):
    """Weights large enough that the model is sure of something: its greedy token is what the facts will ask for."""
    from transformers import OlmoConfig, OlmoForCausalLM, PreTrainedTokenizerFast
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=args.tokenizer)
    config = OlmoConfig(vocab_size=50304, hidden_size=256, intermediate_size=704, num_hidden_layers=16,
                        num_attention_heads=8, num_key_value_heads=8, max_position_embeddings=2048, clip_qkv=8.0,
                        tie_word_embeddings=False, bos_token_id=None, eos_token_id=50279, pad_token_id=1)
    torch.manual_seed(16)
    config._attn_implementation = "eager"
    model = OlmoForCausalLM(config).float().eval()
    with torch.no_grad():
        for key, x in model.named_parameters():
            x.copy_(torch.randn_like(x) * (0.5 if "embed" in key else 0.25 if "lm_head" in key else 0.12))
    model.save_pretrained(args.olmo)
    tokenizer.save_pretrained(args.olmo)
    facts = json.load(open(args.facts))
    picked = []
    for fact in (facts[i] for i in numpy.random.RandomState(16).permutation(len(facts))):
        answer = clean(model, tokenizer(fact["prompt"])["input_ids"])[0]
        text = tokenizer.decode([answer])
        if text.strip() and tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text:
            picked.append(dict(fact, attribute=text))
        if len(picked) == 10:
            break
    with open(os.path.join(args.olmo, "facts.json"), "w") as f:
        json.dump(picked, f, indent=1)
        f.write("\n")


def fixture(where):
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM, OlmoConfig, OlmoForCausalLM
    sizes = dict(vocab_size=97, hidden_size=24, intermediate_size=40, num_hidden_layers=4, num_attention_heads=3,
                 max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=2)
    for name, config, model_class in [
            ("llama", LlamaConfig(num_key_value_heads=1, tie_word_embeddings=True, rms_norm_eps=1e-5, **sizes),
             LlamaForCausalLM),
            ("olmo", OlmoConfig(num_key_value_heads=3, tie_word_embeddings=False, clip_qkv=2.0, **sizes),
             OlmoForCausalLM)]:
        torch.manual_seed(11)
        config._attn_implementation = "eager"
        model = model_class(config).float().eval()
        with torch.no_grad():
            for key, x in model.named_parameters():
                x.copy_(torch.randn_like(x) * 0.25 if x.dim() > 1 else 1 + 0.2 * torch.randn_like(x))
        folder = os.path.join(where, name)
        os.makedirs(folder, exist_ok=True)
        tensors = {k: v.contiguous() for k, v in model.state_dict().items()
                   if not (config.tie_word_embeddings and k == "lm_head.weight")}
        save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        config.architectures = [model_class.__name__]
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump({k: v for k, v in config.to_dict().items() if v is not None and not k.startswith("_")}, f,
                      indent=2, sort_keys=True)
            f.write("\n")
        cases, rng = [], numpy.random.RandomState(3)
        for n, begin, end, w in [(6, 1, 3, 3), (5, 0, 2, 10), (4, 3, 4, 1), (7, 2, 3, 4)]:
            ids = [int(x) for x in rng.randint(3, 97, n)]
            g = grid(model, ids, begin, end, 0.3, 3, w, ("hidden", "mlp", "attn"))
            cases.append(dict(ids=ids, begin=begin, end=end, window=w, samples=3, sigma=0.3, answer=g["answer"],
                              high=g["high"], low=g["low"],
                              **{k: [float("%.9g" % x) for x in v.reshape(-1)] for k, v in g["scores"].items()}))
        with open(os.path.join(folder, "golden.json"), "w") as f:
            json.dump(cases, f)
            f.write("\n")
    import transformers
    print("torch", torch.__version__, "transformers", transformers.__version__, "numpy", numpy.__version__)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--facts")
    parser.add_argument("--compare")
    parser.add_argument("--out")
    parser.add_argument("--ids")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--fixture")
    parser.add_argument("--olmo")
    parser.add_argument("--tokenizer")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    if args.fixture:
        fixture(args.fixture)
    elif args.olmo:
        random_olmo(args)
    else:
        compare(args)
