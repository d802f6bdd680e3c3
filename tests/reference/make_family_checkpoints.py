"""Tiny random checkpoints of every family, and what transformers computes with them (versions: requirements.txt).

    python tests/reference/make_family_checkpoints.py OUT [--only FAMILY[/CASE],...]

Writes OUT/FAMILY/CASE/ (a Hugging Face directory with a tokenizer) and OUT/FAMILY/CASE.npz:

    tokens [T]        int64
    logits [T, V]     and, for each layer l, residual.l, attn_out.l, mlp_out.l [T, H]: the stream after the layer and
                      what its sublayers add to it (after the norm, where there is one); embed [T, H]: the stream before
                      layer 0.  A parallel residual has both sublayers on one stream.
    router.l [T, E], experts.l [T, k]   of a layer with experts: its router's logits, and the experts in order of probability
    loss              mean cross-entropy of tokens 1, 2, ... after those before them
    grad:NAME         d loss / d tensor NAME, as the checkpoint names and stores it: of each expert its own

All from float64 passes with eager attention and experts.  (Norms, softmax and rotation tables of transformers are float32
within them.)  Of a mixture, the last chosen expert and the first that is not chosen have logits at least ROUTER_GAP apart.
A case changes what few others do: tied or not, grouped heads, biases, each scaling, caps, windows shorter than the text,
layer patterns, explicit head sizes, odd vocabularies, rows above the tokenizer's.  A case named X@v4 has X's weights and
the config of transformers 4 (rope_theta, rope_scaling, torch_dtype); X@bare, @buffers, @head, @mixed and @stacked have them
under other names, beside what is no weight, and so on (STORED_AS).  Their numbers must be X's, or this script fails.
Weights are N(0, 0.25), wide enough that attention is far from uniform; norms N(1, 0.3), biases N(0, 0.3).
"""
import argparse
import json
import os
import shutil

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.convert_slow_tokenizer import bytes_to_unicode

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
V = 267
T = 31
ROUTER_GAP = 2e-3

BASE = dict(vocab_size=V, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, bos_token_id=None, eos_token_id=2, pad_token_id=3)


def rope(theta=1e4, kind="default", **more):
    return {"rope_type": kind, "rope_theta": theta, **more}


YARN = dict(factor=4.0, original_max_position_embeddings=32, beta_fast=4.0, beta_slow=0.5, attention_factor=1.1386294361119891)
LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
SLIDE, FULL = "sliding_attention", "full_attention"
MIXTURE = dict(num_experts=8, num_experts_per_tok=2)
QWEN_MOE = {**BASE, **MIXTURE, "moe_intermediate_size": 20}

# family: (model_type's config class, base, {case: (keys, options)}).  options: v4 (keys of the config that transformers 4
# would write instead of rope_parameters), as (STORED_AS), dtype, f32.
FAMILIES = {
    "olmo": ("OlmoConfig", {**BASE, "num_key_value_heads": 4}, {
        "clip": (dict(clip_qkv=1.0, tie_word_embeddings=False), {"v4": True}),
        "tied": (dict(tie_word_embeddings=True, rope_parameters=rope(500.0)), {"v4": True}),
        "grouped-bf16": (dict(num_key_value_heads=2, clip_qkv=0.5), {"dtype": "bfloat16"}),
        "linear": (dict(rope_parameters=rope(1e4, "linear", factor=4.0), vocab_size=271), {"v4": True}),
    }),
    "olmo2": ("Olmo2Config", BASE, {
        "untied": (dict(rms_norm_eps=1e-3, rope_parameters=rope(5e5)), {"v4": True}),
        "tied-mha": (dict(tie_word_embeddings=True, num_key_value_heads=4, rms_norm_eps=1e-6), {}),
        "bias": (dict(attention_bias=True), {"v4": True}),
        "bf16": (dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=3, vocab_size=271), {"dtype": "bfloat16"}),
    }),
    "olmo3": ("Olmo3Config", {**BASE, "num_hidden_layers": 4, "sliding_window": 8}, {
        "plain": (dict(rms_norm_eps=1e-6, rope_parameters={FULL: rope(5e5), SLIDE: rope(5e5)}), {"v4": {"rope_theta": 5e5}}),
        "yarn": (dict(rope_parameters={FULL: rope(5e5, "yarn", **YARN), SLIDE: rope(5e5)}),
                 {"v4": {"rope_theta": 5e5, "rope_scaling": {"rope_type": "yarn", **YARN}}}),
        "yarn-released": (dict(rope_parameters={FULL: rope(1e4, "yarn", **{**YARN, "beta_fast": 32.0, "beta_slow": 1.0}),
                                                SLIDE: rope(1e4)}, num_key_value_heads=4), {}),
        "yarn-defaults": (dict(rope_parameters={FULL: rope(1e4, "yarn", factor=8.0, original_max_position_embeddings=64),
                                                SLIDE: rope(300.0)}, tie_word_embeddings=True), {}),
        "pattern": (dict(layer_types=[FULL, SLIDE, SLIDE, FULL], sliding_window=5, attention_bias=True,
                         rope_parameters={FULL: rope(2e4), SLIDE: rope(1e3)}, num_key_value_heads=1), {}),
        "bf16": (dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=3, vocab_size=271), {"dtype": "bfloat16"}),
    }),
    "llama": ("LlamaConfig", BASE, {
        "tied": (dict(tie_word_embeddings=True, rms_norm_eps=1e-3), {"v4": True, "as": ["head", "buffers"]}),
        "bias": (dict(attention_bias=True, mlp_bias=True, num_key_value_heads=4), {}),
        "head-dim": (dict(head_dim=12, num_key_value_heads=1, rope_parameters=rope(500.0)), {"v4": True}),
        "linear": (dict(rope_parameters=rope(1e4, "linear", factor=3.0)), {"v4": True}),
        "dynamic-within": (dict(rope_parameters=rope(1e4, "dynamic", factor=2.0)), {"v4": True}),
        "dynamic-beyond": (dict(rope_parameters=rope(1e4, "dynamic", factor=2.0), max_position_embeddings=16), {"v4": True}),
        "llama3": (dict(rope_parameters=rope(500.0, "llama3", **LLAMA3), hidden_size=64), {"v4": True}),
        "yarn": (dict(rope_parameters=rope(1e4, "yarn", **YARN)), {"v4": True}),
        "bf16": (dict(hidden_size=64, intermediate_size=96, vocab_size=271), {"dtype": "bfloat16", "as": ["mixed"]}),
        "f16": (dict(mlp_bias=True), {"dtype": "float16"}),
    }),
    "mistral": ("MistralConfig", BASE, {
        "window": (dict(sliding_window=8), {"v4": True}),
        "full": (dict(sliding_window=None, rope_parameters=rope(1e6)), {"v4": True}),
        "head-dim": (dict(sliding_window=5, head_dim=12, tie_word_embeddings=True), {}),
        "bf16": (dict(sliding_window=1, num_key_value_heads=4), {"dtype": "bfloat16"}),
    }),
    "qwen2": ("Qwen2Config", {**BASE, "num_hidden_layers": 4}, {
        "plain": (dict(tie_word_embeddings=True, rope_parameters=rope(1e6)), {"v4": True}),
        "untied-bf16": (dict(vocab_size=271), {"dtype": "bfloat16"}),
        "window": (dict(use_sliding_window=True, sliding_window=8, max_window_layers=2), {"v4": True}),
        "window-all": (dict(use_sliding_window=True, sliding_window=7, max_window_layers=0, layer_types=[SLIDE, FULL] * 2), {}),
        "yarn": (dict(rope_parameters=rope(1e6, "yarn", factor=4.0, original_max_position_embeddings=32)), {"v4": True}),
    }),
    "qwen3": ("Qwen3Config", {**BASE, "num_hidden_layers": 3}, {
        "tied": (dict(tie_word_embeddings=True, head_dim=16, rope_parameters=rope(1e6)), {"v4": True}),
        "bias": (dict(attention_bias=True, head_dim=8, num_key_value_heads=4), {}),
        "window": (dict(use_sliding_window=True, sliding_window=8, max_window_layers=1, head_dim=12), {"v4": True}),
        "yarn-bf16": (dict(head_dim=16, rope_parameters=rope(1e6, "yarn", factor=4.0, original_max_position_embeddings=32)),
                      {"dtype": "bfloat16"}),
    }),
    "gemma2": ("Gemma2Config", {**BASE, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8, "pad_token_id": 0}, {
        "plain": (dict(query_pre_attn_scalar=20), {"v4": True, "as": ["head"]}),
        "caps": (dict(attn_logit_softcapping=1.5, final_logit_softcapping=2.0, head_dim=12), {"v4": True}),
        "no-caps": (dict(attn_logit_softcapping=None, final_logit_softcapping=None, tie_word_embeddings=False), {}),
        "pattern": (dict(layer_types=[FULL, SLIDE, FULL], attention_bias=True, hidden_activation="gelu_pytorch_tanh",
                         rope_parameters=rope(500.0)), {}),
        "bf16": (dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=3, vocab_size=271), {"dtype": "bfloat16"}),
    }),
    "gemma3": ("Gemma3TextConfig", {**BASE, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8,
                                    "num_hidden_layers": 7, "pad_token_id": 0}, {
        "plain": (dict(rope_parameters={FULL: rope(1e6), SLIDE: rope(1e4)}),
                  {"v4": {"rope_theta": 1e6, "rope_local_base_freq": 1e4, "rope_scaling": None}}),
        "linear": (dict(rope_parameters={FULL: rope(1e6, "linear", factor=8.0), SLIDE: rope(1e3)}, query_pre_attn_scalar=20,
                        num_hidden_layers=3, layer_types=[SLIDE, FULL, SLIDE]),
                   {"v4": {"rope_theta": 1e6, "rope_local_base_freq": 1e3,
                           "rope_scaling": {"rope_type": "linear", "factor": 8.0}}}),
        "caps": (dict(attn_logit_softcapping=1.5, final_logit_softcapping=2.0, num_hidden_layers=2, head_dim=12), {}),
        "untied": (dict(tie_word_embeddings=False, attention_bias=True, num_hidden_layers=2, sliding_window=3), {}),
        "bf16": (dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=3, vocab_size=271, num_hidden_layers=6),
                 {"dtype": "bfloat16"}),
    }),
    "gpt2": ("GPT2Config", dict(vocab_size=V, n_positions=64, n_embd=32, n_layer=3, n_head=4, bos_token_id=2, eos_token_id=2), {
        "plain": ({}, {"as": ["bare", "head"]}),
        "inner": (dict(n_inner=40, layer_norm_epsilon=1e-3, vocab_size=271), {}),
        "unscaled": (dict(scale_attn_weights=False), {}),
        "by-layer": (dict(scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=True), {"f32": True}),
        "untied-bf16": (dict(tie_word_embeddings=False), {"dtype": "bfloat16"}),
        "relu": (dict(activation_function="relu"), {}),
        "gelu": (dict(activation_function="gelu"), {}),
    }),
    "gpt_neox": ("GPTNeoXConfig", {k: v for k, v in BASE.items() if k != "num_key_value_heads"}, {
        "parallel": (dict(hidden_size=64, rope_parameters=rope(1e4, partial_rotary_factor=0.25)),
                     {"v4": {"rotary_pct": 0.25, "rotary_emb_base": 10000}, "as": ["buffers"]}),
        "sequential": (dict(use_parallel_residual=False, rope_parameters=rope(500.0, partial_rotary_factor=0.5)),
                       {"v4": {"rotary_pct": 0.5, "rotary_emb_base": 500}}),
        "whole-tied": (dict(rope_parameters=rope(1e4, partial_rotary_factor=1.0), tie_word_embeddings=True, layer_norm_eps=1e-3),
                       {"v4": {"rotary_pct": 1.0, "rotary_emb_base": 10000, "layer_norm_eps": 1e-3}}),
        "no-bias": (dict(attention_bias=False, rope_parameters=rope(1e4, partial_rotary_factor=0.5), hidden_act="gelu_new"), {}),
        "linear": (dict(rope_parameters=rope(1e4, "linear", factor=4.0, partial_rotary_factor=0.5)), {}),
        "bf16": (dict(hidden_size=48, num_attention_heads=3, vocab_size=271, rope_parameters=rope(partial_rotary_factor=0.25)),
                 {"dtype": "bfloat16"}),
    }),
    "phi3": ("Phi3Config", BASE, {
        "plain": (dict(num_key_value_heads=4), {"v4": True}),
        "window": (dict(sliding_window=8, tie_word_embeddings=True), {"v4": True}),
        "partial": (dict(hidden_size=64, rope_parameters=rope(500.0, partial_rotary_factor=0.75)),
                    {"v4": {"rope_theta": 500.0, "partial_rotary_factor": 0.75, "rope_scaling": None}}),
        "bf16": (dict(num_key_value_heads=1, vocab_size=271), {"dtype": "bfloat16"}),
    }),
    "smollm3": ("SmolLM3Config", {**BASE, "num_hidden_layers": 4}, {
        "plain": (dict(tie_word_embeddings=True, rope_parameters=rope(2e6)), {"v4": True}),
        "layers": (dict(no_rope_layers=[0, 1, 1, 0], tie_word_embeddings=False), {"v4": True}),
        "interval": (dict(no_rope_layer_interval=2, attention_bias=True, mlp_bias=True), {}),
        "window": (dict(use_sliding_window=True, sliding_window=8), {"v4": True}),
        "bf16": (dict(num_key_value_heads=4, vocab_size=271, no_rope_layers=[1, 1, 1, 1]), {"dtype": "bfloat16"}),
    }),
    "olmoe": ("OlmoeConfig", {**BASE, **MIXTURE, "num_key_value_heads": 4}, {
        "plain": ({}, {"v4": True, "as": ["stacked"]}),
        "clip": (dict(clip_qkv=0.8, norm_topk_prob=True, num_experts_per_tok=3), {"v4": True}),
        "grouped": (dict(num_key_value_heads=2, num_experts_per_tok=1), {"as": ["stacked"]}),
        "bias": (dict(attention_bias=True, tie_word_embeddings=True, num_experts=5), {}),
        "one": (dict(num_experts=1, num_experts_per_tok=1, hidden_act="gelu"), {"as": ["stacked"]}),
        "all": (dict(num_experts=4, num_experts_per_tok=4, router_aux_loss_coef=0.0, output_router_logits=True), {}),
        "bf16": (dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=6, vocab_size=271),
                 {"dtype": "bfloat16", "as": ["stacked"]}),
    }),
    # not one expert a token: its weight is then always 1, its gradient transformers' rounding, and Adam makes steps of that
    "mixtral": ("MixtralConfig", {**BASE, "num_local_experts": 8, "num_experts_per_tok": 2}, {
        "plain": ({}, {"v4": True, "as": ["stacked"]}),
        "window": (dict(sliding_window=8, num_experts_per_tok=3), {"v4": True}),
        "head-dim": (dict(head_dim=12, tie_word_embeddings=True, num_local_experts=3, rope_parameters=rope(500.0)), {}),
        "linear": (dict(rope_parameters=rope(1e4, "linear", factor=3.0), num_key_value_heads=4, num_experts_per_tok=4), {"v4": True}),
        "bf16": (dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=3, vocab_size=271),
                 {"dtype": "bfloat16", "as": ["stacked"]}),
    }),
    "qwen2_moe": ("Qwen2MoeConfig", {**QWEN_MOE, "shared_expert_intermediate_size": 28}, {
        "plain": (dict(num_key_value_heads=4), {"v4": True, "as": ["stacked"]}),
        "normed": (dict(norm_topk_prob=True, num_experts=6, num_experts_per_tok=3, tie_word_embeddings=True), {}),
        "dense": (dict(mlp_only_layers=[1], num_hidden_layers=4), {"v4": True, "as": ["stacked"]}),
        "no-bias": (dict(qkv_bias=False, num_experts=1, num_experts_per_tok=1, shared_expert_intermediate_size=12), {}),
        "step": (dict(decoder_sparse_step=2, mlp_only_layers=[3], num_hidden_layers=5, qkv_bias=False), {}),
        "window": (dict(use_sliding_window=True, sliding_window=8, max_window_layers=3, num_hidden_layers=5), {"v4": True}),
        "bf16": (dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=3, vocab_size=271), {"dtype": "bfloat16"}),
    }),
    "qwen3_moe": ("Qwen3MoeConfig", {**QWEN_MOE, "norm_topk_prob": True}, {
        "plain": (dict(head_dim=16, rope_parameters=rope(1e6)), {"v4": True, "as": ["stacked"]}),
        "summed": (dict(norm_topk_prob=False, num_experts_per_tok=3), {}),
        "dense": (dict(mlp_only_layers=[0], decoder_sparse_step=1, num_hidden_layers=4), {"v4": True, "as": ["stacked"]}),
        "bias": (dict(attention_bias=True, tie_word_embeddings=True, decoder_sparse_step=2), {}),
        "window": (dict(use_sliding_window=True, sliding_window=8, num_experts=5), {"v4": True}),
        "bf16": (dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=3, vocab_size=271, head_dim=12),
                 {"dtype": "bfloat16"}),
    }),
}

# The module whose output joins the stream: after attention, after the MLP.
POST_NORM = ("post_attention_layernorm", "post_feedforward_layernorm")
JOINS = {"olmo2": POST_NORM, "olmo3": POST_NORM, "gemma2": POST_NORM, "gemma3": POST_NORM, "gpt2": ("attn", "mlp"),
         "gpt_neox": ("attention", "mlp")}


def randomise(model, seed):
    """Every parameter, norms about what they are where they do nothing, so that a forgotten one is seen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            about, std = 0.0, 0.25
            if p.dim() == 1:
                std = 0.3
                about = 0.0 if name.endswith("bias") or model.config.model_type.startswith("gemma") else 1.0
            p.copy_(about + std * torch.randn(p.shape, generator=generator))


def layers_of(model):
    base = model.base_model
    return base.h if hasattr(base, "h") else base.layers


def stored(name, tensor, family):
    """A parameter of transformers' model under its checkpoint's names: of experts, whose tensors are stacked there, each."""
    if family == "mixtral":
        name = name.replace(".mlp.", ".block_sparse_moe.")
    gate, up, down = ("w1", "w3", "w2") if family == "mixtral" else ("gate_proj", "up_proj", "down_proj")
    at = name.removesuffix("gate_up_proj").removesuffix("down_proj")
    if not at.endswith(".experts."):
        return {name: tensor}
    if name.endswith(".down_proj"):
        return {f"{at}{e}.{down}.weight": x for e, x in enumerate(tensor)}
    half = tensor.shape[1] // 2
    return {f"{at}{e}.{word}.weight": x for e, t in enumerate(tensor) for word, x in ((gate, t[:half]), (up, t[half:]))}


def closest_choice(states):
    """The least gap of the logits of the last chosen expert and the first that is not, over tokens and layers."""
    gap = np.inf
    for name, logits in states.items():
        k = states[name.replace("router", "experts")].shape[1] if name.startswith("router.") else 0
        if k and k < logits.shape[1]:
            order = -np.sort(-logits, axis=1)
            gap = min(gap, (order[:, k - 1] - order[:, k]).min())
    return gap


def watch_routers(model):
    """The least gap of the last chosen expert's logit and the next, of every pass: a list, filled as passes run."""
    gaps, k = [], getattr(model.config, "num_experts_per_tok", 0)

    def look(module, args, output):
        order = output[0].detach().sort(dim=-1, descending=True).values
        if k < order.shape[1]:
            gaps.append((order[:, k - 1] - order[:, k]).min().item())

    for name, module in model.named_modules():
        if name.endswith("mlp.gate"):
            module.register_forward_hook(look)
    return gaps


def of(output):
    return output[0] if isinstance(output, tuple) else output


def pass_over(model, family, tokens):
    """Logits, the states of every layer, the loss and its gradients."""
    states, hooks = {}, []

    def keep(name):
        return lambda module, args, output: states.__setitem__(name, of(output)[0].detach().numpy().copy())

    for i, layer in enumerate(layers_of(model)):
        attn, mlp = JOINS.get(family, ("self_attn", "mlp"))
        hooks.append(layer.register_forward_hook(keep(f"residual.{i}")))
        hooks.append(getattr(layer, attn).register_forward_hook(keep(f"attn_out.{i}")))
        hooks.append(getattr(layer, mlp).register_forward_hook(keep(f"mlp_out.{i}")))
        router = getattr(getattr(layer, "mlp", None), "gate", None)
        if router is not None:
            hooks.append(router.register_forward_hook(
                lambda module, args, output, i=i: states.update({f"router.{i}": output[0].detach().numpy().copy(),
                                                                 f"experts.{i}": output[2].numpy().copy()})))
        if i == 0:
            hooks.append(layer.register_forward_pre_hook(
                lambda module, args, kwargs: states.__setitem__(
                    "embed", (args[0] if args else kwargs["hidden_states"])[0].detach().numpy().copy()), with_kwargs=True))
    model.zero_grad()
    logits = model(torch.tensor(tokens)[None], use_cache=False).logits[0]
    loss = torch.nn.functional.cross_entropy(logits[:-1].double(), torch.tensor(tokens)[1:])
    loss.backward()
    for hook in hooks:
        hook.remove()
    states["logits"] = logits.detach().numpy()
    states["loss"] = np.array(loss.item())
    for name, p in model.named_parameters():
        states.update({"grad:" + n: x for n, x in stored(name, p.grad.numpy(), family).items()})
    return {name: np.asarray(x, np.float64) for name, x in states.items()}


def tokenizer_json(vocab):
    """GPT-2's form: three special tokens, the bytes, two merges; six rows of the embedding or more have no token."""
    words = ["<|pad|>", "<|unk|>", "<|endoftext|>"] + sorted(bytes_to_unicode().values()) + ["th", "the"]
    assert len(words) + 6 <= vocab
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": i, "content": words[i], "single_word": False, "lstrip": False, "rstrip": False,
                              "normalized": False, "special": True} for i in range(3)],
            "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "post_processor": None,
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": {w: i for i, w in enumerate(words)}, "merges": [["t", "h"], ["th", "e"]]}}


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, indent=2)
        f.write("\n")


def v4_config(config, keys, patterned):
    """A config.json as transformers 4 wrote it.  keys: what stands for rope_parameters; True: the common spelling.
    patterned: layer_types is not what the other keys say."""
    config = dict(config)
    parameters = config.pop("rope_parameters", None)
    config["torch_dtype"] = config.pop("dtype", "float32")
    config["transformers_version"] = "4.49.0"
    if not patterned:
        config.pop("layer_types", None)
    if config["model_type"] == "qwen3_moe":
        config["num_experts"] = config.pop("num_local_experts")
    if keys is True:
        scaling = {k: v for k, v in parameters.items() if k != "rope_theta"}
        config["rope_theta"] = parameters["rope_theta"]
        config["rope_scaling"] = None if scaling["rope_type"] == "default" else scaling
    else:
        config.update(keys)
    return config


def write_case(out, family, name, seed):
    kind, base, cases = FAMILIES[family]
    keys, options = cases[name]
    config = getattr(transformers, kind)(**{**base, **keys})
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    randomise(model, seed)
    dtype = getattr(torch, options.get("dtype", "float32"))
    path = os.path.join(out, family, name)
    shutil.rmtree(path, ignore_errors=True)
    model.to(dtype).save_pretrained(path)
    generation = os.path.join(path, "generation_config.json")
    if os.path.exists(generation):
        os.remove(generation)
    write_json(os.path.join(path, "tokenizer.json"), tokenizer_json(config.vocab_size))
    write_json(os.path.join(path, "tokenizer_config.json"),
               {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>", "pad_token": "<|pad|>",
                "model_max_length": 128, "add_bos_token": False})
    precise = torch.float32 if options.get("f32") else torch.float64
    for attempt in range(50):
        tokens = np.random.RandomState(seed + 1000 * attempt).randint(0, config.vocab_size, T)
        tokens[[4, 9]] = config.pad_token_id or 0  # whose row most families do not train when it is looked up
        states = pass_over(load(path, precise), family, tokens)
        if closest_choice(states) >= ROUTER_GAP:
            break
    else:
        raise SystemExit(f"{family}/{name}: two experts' logits are {closest_choice(states):.1e} apart")
    np.savez(os.path.join(out, family, name + ".npz"), tokens=tokens.astype(np.int64), **states)
    if "v4" in options:
        other = os.path.join(out, family, name + "@v4")
        twin(path, other)
        with open(os.path.join(path, "config.json")) as f:
            write_json(os.path.join(other, "config.json"), v4_config(json.load(f), options["v4"], "layer_types" in keys))
        same(out, family, name, "@v4", load(other, precise), tokens, states)
    for kind in options.get("as", ()):
        other = os.path.join(out, family, f"{name}@{kind}")
        twin(path, other)
        if kind == "stacked":
            AutoModelForCausalLM.from_pretrained(path).save_pretrained(other, save_original_format=False)
            os.remove(os.path.join(other, "generation_config.json"))
            same(out, family, name, "@stacked", load(other, precise), tokens, states)
            continue
        weights = load_file(os.path.join(path, "model.safetensors"))
        save_file(STORED_AS[kind](weights, config), os.path.join(other, "model.safetensors"), {"format": "pt"})
        same(out, family, name, "@" + kind, load(other, precise), tokens, states)


def bare(weights, config):
    """The names of GPT-2's first files, and buffers that are no weights."""
    weights = {n.removeprefix("transformer."): w for n, w in weights.items()}
    for i in range(config.n_layer):
        weights[f"h.{i}.attn.bias"] = torch.tril(torch.ones(1, 1, 64, 64))
    return weights


def buffers(weights, config):
    """Buffers that older versions stored."""
    for i in range(config.num_hidden_layers):
        if config.model_type == "gpt_neox":
            weights[f"gpt_neox.layers.{i}.attention.bias"] = torch.tril(torch.ones(1, 1, 64, 64)).bool()
            weights[f"gpt_neox.layers.{i}.attention.masked_bias"] = torch.tensor(-1e9)
            weights[f"gpt_neox.layers.{i}.attention.rotary_emb.inv_freq"] = torch.ones(4)
        else:
            weights[f"model.layers.{i}.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    return weights


def head(weights, config):
    """A tied head that is stored all the same."""
    weights["lm_head.weight"] = next(w for n, w in weights.items() if n.endswith(("embed_tokens.weight", "wte.weight"))).clone()
    return weights


def mixed(weights, config):
    """Norms in float32 beside matrices in bfloat16."""
    return {n: w.float() if w.dim() == 1 else w for n, w in weights.items()}


STORED_AS = {"bare": bare, "buffers": buffers, "head": head, "mixed": mixed}


def load(path, dtype):
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="eager", experts_implementation="eager")


def twin(path, other):
    shutil.rmtree(other, ignore_errors=True)
    shutil.copytree(path, other)


def same(out, family, name, suffix, model, tokens, states):
    again = pass_over(model, family, tokens)
    gap = np.abs(again["logits"] - states["logits"]).max()
    if gap > 1e-6:
        raise SystemExit(f"{family}/{name}{suffix}: transformers reads it otherwise: logits differ by {gap}")
    np.savez(os.path.join(out, family, name + suffix + ".npz"), tokens=tokens.astype(np.int64), **again)


def gemma3_wrapper(out, seed):
    """Gemma-3 with a vision tower: the text model's keys are in text_config, its tensors below language_model."""
    keys = {**FAMILIES["gemma3"][1], "num_hidden_layers": 3}
    keys.pop("bos_token_id")
    text = transformers.Gemma3TextConfig(**keys, bos_token_id=1)
    vision = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28,
                  patch_size=14)
    config = transformers.Gemma3Config(text_config=text.to_dict(), vision_config=vision, mm_tokens_per_image=4,
                                       image_token_index=266, boi_token_index=264, eoi_token_index=265)
    config._attn_implementation = "eager"
    model = transformers.Gemma3ForConditionalGeneration(config)
    randomise(model, seed)
    path = os.path.join(out, "gemma3", "wrapper")
    shutil.rmtree(path, ignore_errors=True)
    model.save_pretrained(path)
    generation = os.path.join(path, "generation_config.json")
    if os.path.exists(generation):
        os.remove(generation)
    write_json(os.path.join(path, "tokenizer.json"), tokenizer_json(V))
    model = transformers.Gemma3ForConditionalGeneration.from_pretrained(path, dtype=torch.float64, attn_implementation="eager")
    tokens = np.random.RandomState(seed).randint(0, 260, T)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor(tokens)[None]).logits[0].numpy()
    np.savez(os.path.join(out, "gemma3", "wrapper.npz"), tokens=tokens.astype(np.int64), logits=logits)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("out")
    a.add_argument("--only", default="")
    a = a.parse_args()
    only = [x for x in a.only.split(",") if x]
    for i, (family, (_, _, cases)) in enumerate(FAMILIES.items()):
        for j, name in enumerate(cases):
            if only and family not in only and f"{family}/{name}" not in only:
                continue
            write_case(a.out, family, name, 100 * i + j + 1)
            print(f"{family}/{name}", flush=True)
    if not only or "gemma3" in only or "gemma3/wrapper" in only:
        gemma3_wrapper(a.out, 999)
        print("gemma3/wrapper")


if __name__ == "__main__":
    main()
