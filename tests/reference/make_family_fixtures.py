"""Fixtures of the families for the tests that need no Python (versions: requirements.txt).

    python tests/reference/make_family_fixtures.py tests/fixtures/families [--only CASE,...]

Writes OUT/CASE/, a tiny random checkpoint in bfloat16 (weights as in make_family_checkpoints.py), with

    states.npz   tokens [n], logits [n, V], resid [layers + 1, n, d] (what enters each layer, and what leaves the last),
                 attn_out, mlp_out [layers, n, d] (what joins the stream), of a mixture experts [layers, n, k]: the form of
                 `deleatur parity --against`
    gradient/    a model of the same form whose tensors are d loss / d tensor, loss the mean cross-entropy of tokens 1, 2, ...
                 after those before them; float16
    moved/       likewise what ten updates of AdamW add to each weight: ROWS as one batch, labels from FIRST on, linear
                 decay from LR, weight decay DECAY but on vectors, clipping at 1; float16.  NOT_COMPARED marks weights whose first
                 gradient is rounding: AdamW's first step is the rate, whatever the gradient's size.

All from float64 passes with eager attention.  Sizes are as small as the block allows; all together stay below 1.5 MB.
"""
import argparse
import json
import os
import shutil

import numpy as np
import torch
import transformers
from make_family_checkpoints import (FULL, LLAMA3, ROUTER_GAP, SLIDE, YARN, closest_choice, load, pass_over, randomise, rope,
                                     stored, watch_routers)
from transformers import AutoModelForCausalLM

V, N, PAD = 61, 20, 7  # the tokens and ROWS have the pad token, whose row most families do not train
ROWS = [[11, 3, 42, 17, 60, 8, 29], [5, 9, 33, 2, 14], [7, 50, 21, 44, 13, 6], [1, 58, 36, 25, 40, 12, 19]]
FIRST, UPDATES, LR, DECAY = 2, 10, 1e-3, 0.1
NOT_COMPARED = 9.0
MIXTURE = dict(num_experts=4, num_experts_per_tok=2)
BASE = dict(vocab_size=V, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=64, bos_token_id=None, eos_token_id=2, pad_token_id=PAD)
GEMMA = dict(head_dim=8, sliding_window=6, query_pre_attn_scalar=12)
CASES = {
    "llama-llama3": ("LlamaConfig", dict(rope_parameters=rope(500.0, "llama3", **LLAMA3), mlp_bias=True)),
    "olmo-grouped": ("OlmoConfig", dict(clip_qkv=0.5, rope_parameters=rope(500.0))),
    "mistral-window": ("MistralConfig", dict(sliding_window=6, head_dim=12)),
    "olmo2": ("Olmo2Config", dict(rms_norm_eps=1e-3, attention_bias=True)),
    "olmo3-yarn": ("Olmo3Config", dict(num_hidden_layers=4, sliding_window=6, tie_word_embeddings=True,
                                       rope_parameters={FULL: rope(1e4, "yarn", **YARN), SLIDE: rope(500.0)})),
    "qwen2-window": ("Qwen2Config", dict(use_sliding_window=True, sliding_window=6, max_window_layers=1)),
    "qwen3": ("Qwen3Config", dict(head_dim=8, tie_word_embeddings=True, rms_norm_eps=1e-3)),
    "gemma2": ("Gemma2Config", dict(**GEMMA, attn_logit_softcapping=1.5, final_logit_softcapping=3.0)),
    "gemma3": ("Gemma3TextConfig", dict(**GEMMA, num_hidden_layers=3, layer_types=[SLIDE, FULL, SLIDE],
                                        rope_parameters={FULL: rope(1e4, "linear", factor=4.0), SLIDE: rope(100.0)})),
    "gpt2": ("GPT2Config", dict(vocab_size=V, n_positions=32, n_embd=16, n_layer=2, n_head=2, n_inner=24,
                                scale_attn_by_inverse_layer_idx=True, bos_token_id=2, eos_token_id=2, pad_token_id=PAD)),
    "neox-parallel": ("GPTNeoXConfig", dict(rope_parameters=rope(1e4, partial_rotary_factor=0.5))),
    "neox-sequential": ("GPTNeoXConfig", dict(use_parallel_residual=False, tie_word_embeddings=True,
                                              rope_parameters=rope(500.0, partial_rotary_factor=0.25))),
    "phi3": ("Phi3Config", dict(sliding_window=6, rope_parameters=rope(500.0, partial_rotary_factor=0.75))),
    # no bias of attention: that of keys has no gradient where nothing is rotated, and Adam would move it by the noise
    "smollm3": ("SmolLM3Config", dict(num_hidden_layers=3, no_rope_layers=[1, 0, 1], mlp_bias=True)),
    "olmoe": ("OlmoeConfig", dict(**MIXTURE, num_key_value_heads=2, intermediate_size=10, clip_qkv=1.0)),
    "mixtral": ("MixtralConfig", dict(num_local_experts=4, num_experts_per_tok=2, intermediate_size=12, rms_norm_eps=1e-3)),
    "qwen2-moe": ("Qwen2MoeConfig", dict(**MIXTURE, num_hidden_layers=3, mlp_only_layers=[1], moe_intermediate_size=9,
                                         shared_expert_intermediate_size=14)),
    "qwen3-moe": ("Qwen3MoeConfig", dict(num_experts=5, num_experts_per_tok=3, decoder_sparse_step=2, moe_intermediate_size=11,
                                         norm_topk_prob=True, head_dim=8, tie_word_embeddings=True)),
}
SEED = {"qwen2-moe": 63}  # where two experts' logits would be too close
FAMILY = {"olmo3_text": "olmo3", "gemma3_text": "gemma3"}


def save(model, path, dtype):
    model.to(dtype).save_pretrained(path)
    generation = os.path.join(path, "generation_config.json")
    if os.path.exists(generation):
        os.remove(generation)


def save_values(path, out, values, family):
    """Values under the checkpoint's names, as a model of the same form."""
    model = load(path, torch.float64)
    with torch.no_grad():
        for name, p in model.named_parameters():
            for part, view in stored(name, p, family).items():
                view.copy_(values[part])
    save(model, out, torch.float16)


def ten_updates(path, family):
    model = load(path, torch.float64)
    gaps = watch_routers(model)
    parameters = dict(model.named_parameters())
    before = {n: p.detach().clone() for n, p in parameters.items()}
    optimiser = torch.optim.AdamW([{"params": [p for p in parameters.values() if p.dim() > 1], "weight_decay": DECAY},
                                   {"params": [p for p in parameters.values() if p.dim() == 1], "weight_decay": 0.0}], lr=LR)
    for update in range(UPDATES):
        for group in optimiser.param_groups:
            group["lr"] = LR * (UPDATES - update) / UPDATES
        optimiser.zero_grad()
        loss, n = 0, 0
        for row in ROWS:
            logits = model(torch.tensor([row]), use_cache=False).logits[0].double()
            loss = loss + torch.nn.functional.cross_entropy(logits[FIRST - 1:-1], torch.tensor(row[FIRST:]), reduction="sum")
            n += len(row) - FIRST
        (loss / n).backward()
        if update == 0:
            unclear = {name: (p.grad.abs() <= 1e-5 * p.grad.abs().max()) & (p.grad != 0) for name, p in parameters.items()}
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    if gaps and min(gaps) < ROUTER_GAP / 10:
        raise SystemExit(f"{path}: while it trains, two experts' logits are {min(gaps):.1e} apart; take another seed")
    moved = {n: p.detach() - before[n] for n, p in parameters.items()}
    moved = {n: torch.where(unclear[n], torch.tensor(NOT_COMPARED, dtype=torch.float64), x) for n, x in moved.items()}
    return {part: x for n, whole in moved.items() for part, x in stored(n, whole, family).items()}


def router_choices(states, layers, k):
    """[layers, N, k], -1 in layers without experts; nothing of a model without any."""
    if not any(name.startswith("experts.") for name in states):
        return {}
    none = np.full((N, k), -1)
    return {"experts": np.stack([states.get(f"experts.{i}", none) for i in range(layers)]).astype(np.int64)}


def fixture(out, name, seed):
    kind, keys = CASES[name]
    base = {} if kind == "GPT2Config" else dict(BASE)
    if kind == "GPTNeoXConfig":
        del base["num_key_value_heads"]
    config = getattr(transformers, kind)(**{**base, **keys})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    randomise(model, seed)
    path = os.path.join(out, name)
    shutil.rmtree(path, ignore_errors=True)
    save(model, path, torch.bfloat16)
    tokens = np.random.RandomState(seed).randint(0, V, N)
    tokens[[4, 9]] = PAD
    family = FAMILY.get(config.model_type, config.model_type)
    states = pass_over(load(path, torch.float64), family, tokens)
    if closest_choice(states) < ROUTER_GAP:
        raise SystemExit(f"{name}: two experts' logits are {closest_choice(states):.1e} apart; take another seed")
    layers = config.num_hidden_layers
    stack = lambda site: np.stack([states[f"{site}.{i}"] for i in range(layers)])
    np.savez(os.path.join(path, "states.npz"), tokens=tokens.astype(np.int64), logits=states["logits"].astype(np.float32),
             resid=np.concatenate([states["embed"][None], stack("residual")]).astype(np.float32),
             attn_out=stack("attn_out").astype(np.float32), mlp_out=stack("mlp_out").astype(np.float32),
             **router_choices(states, layers, getattr(config, "num_experts_per_tok", 0)))
    save_values(path, os.path.join(path, "gradient"),
                {n[5:]: torch.tensor(x) for n, x in states.items() if n.startswith("grad:")}, family)
    save_values(path, os.path.join(path, "moved"), ten_updates(path, family), family)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("out")
    a.add_argument("--only", default="")
    a = a.parse_args()
    for i, name in enumerate(CASES):
        if not a.only or name in a.only.split(","):
            fixture(a.out, name, SEED.get(name, 40 + i))
            print(name, flush=True)


if __name__ == "__main__":
    main()
