"""Does any key of a family's config change what transformers computes without changing what deleatur computes?

    python tests/reference/make_family_checkpoints.py CK
    python tests/reference/sweep_family_keys.py BUILD CK [--only FAMILY,...] [--keys KEY,...] [--show]

BUILD holds tests/engine_probe.  Each checkpoint's config.json is changed in one way after another: each key of the
config class and of other families' configs gets other plausible values, is removed, or is null; so are the keys within
rope_parameters and rope_scaling, in both spellings.  The weights stay.  transformers loads the directory strictly, in
float64; deleatur loads it too.  Then one of these holds, or it is a fault:

  same       both compute, and logits agree to 1e-4 of the largest
  named      deleatur refuses, and its message names the key (or one within it)
  misfit     transformers refuses, or the weights do not fit, and deleatur refuses too; or the text is longer than the
             context, which deleatur does not exceed

--show lists what was refused by name although transformers computes the unchanged logits (keys without effect, which may
be refused but need not be), and what deleatur computes where transformers' own code fails on a value that its config class
allows.  Prints the numbers of each, and each fault; exit status 1 if there is one.
"""
import argparse
import copy
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
logging.disable(logging.CRITICAL)
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
SLIDE, FULL = "sliding_attention", "full_attention"
REMOVED = "removed"
ACTIVATIONS = ["silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "relu", "swish", "quick_gelu", "tanh"]

# Keys of any family's config, and values for them.
VALUES = {
    "hidden_size": [16, 64], "n_embd": [16, 64], "intermediate_size": [40, 96], "n_inner": [40, 128, None],
    "num_hidden_layers": [1, 2, 9], "n_layer": [1, 2, 9], "num_attention_heads": [2, 8, 3], "n_head": [2, 8, 3],
    "num_key_value_heads": [1, 2, 4, 3, None], "head_dim": [4, 8, 16, None], "vocab_size": [200, 300],
    "max_position_embeddings": [256, 40], "n_positions": [32, 128],
    "hidden_act": ACTIVATIONS, "activation_function": ACTIVATIONS, "hidden_activation": ACTIVATIONS + [None],
    "rms_norm_eps": [1e-2, 1e-12], "layer_norm_eps": [1e-2], "layer_norm_epsilon": [1e-2], "norm_eps": [1e-2],
    "rope_theta": [300.0, 500, None], "rotary_emb_base": [300, 500.0], "rotary_pct": [0.5, 1.0, 0.2],
    "rope_local_base_freq": [77.0], "partial_rotary_factor": [0.5, 1.0, 0.75, 0.2],
    "clip_qkv": [0.3, 8.0, None], "sliding_window": [4, 12, 64, None, 1], "use_sliding_window": [True, False],
    "max_window_layers": [0, 1, 3, 99], "sliding_window_pattern": [2, 3], "_sliding_window_pattern": [2],
    "layer_types": "layer_types", "no_rope_layers": "no_rope_layers", "no_rope_layer_interval": [1, 2, 3],
    "attention_bias": [True, False], "mlp_bias": [True, False], "qkv_bias": [True, False], "tie_word_embeddings": [True, False],
    "attention_dropout": [0.0, 0.1], "hidden_dropout": [0.1], "resid_pdrop": [0.1], "embd_pdrop": [0.1], "attn_pdrop": [0.1],
    "classifier_dropout": [0.3], "summary_type": ["first"],
    "query_pre_attn_scalar": [4, 100], "attn_logit_softcapping": [0.7, 20.0, None], "final_logit_softcapping": [0.7, 20.0, None],
    "use_bidirectional_attention": [True, False], "is_causal": [False, True], "use_parallel_residual": [True, False],
    "scale_attn_weights": [True, False], "scale_attn_by_inverse_layer_idx": [True, False],
    "reorder_and_upcast_attn": [True, False], "add_cross_attention": [True, False], "is_decoder": [True, False],
    "original_max_position_embeddings": [16, 64], "pretraining_tp": [1, 2],
    "use_cache": [False], "initializer_range": [0.5], "bos_token_id": [5, None, 1000], "eos_token_id": [5, None, [3, 4], 1000],
    "pad_token_id": [5, None, -1], "torch_dtype": ["bfloat16"], "dtype": ["float16"], "architectures": [["Other"]],
    "num_experts": [4, 6, 0, None], "num_local_experts": [4, 6, None], "num_experts_per_tok": [1, 3, 9, 0, None],
    "norm_topk_prob": [True, False, None], "moe_intermediate_size": [12, 40], "shared_expert_intermediate_size": [12, 40, 0],
    "mlp_only_layers": [[0], [2, 1], [], None, [7], [-1], [0, 1, 2, 3, 4]], "decoder_sparse_step": [1, 2, 3, 0, 99],
    "output_router_logits": [True, False], "router_aux_loss_coef": [0.0, 0.5], "router_jitter_noise": [0.0, 0.1],
    # of families that are not these
    "logit_scale": [0.5], "logits_scaling": [2.0], "embedding_multiplier": [3.0], "residual_multiplier": [0.5],
    "attention_multiplier": [0.3], "scale_embedding": [True], "qk_layernorm": [True], "use_qk_norm": [True, False],
    "parallel_attn": [True], "alibi": [True], "n_group": [2], "routed_scaling_factor": [2.0], "n_shared_experts": [1],
    "quantization_config": [{"quant_method": "bitsandbytes", "load_in_4bit": True}], "attention_chunk_size": [8],
    "attn_temperature_tuning": [True], "is_encoder_decoder": [True], "rope_interleaved": [False, True],
    "use_mup": [True], "attention_out_bias": [True], "attn_scale": [0.1], "output_attentions": [False],
    "chunk_size_feed_forward": [4], "cross_attention_hidden_size": [16], "pruned_heads": [{"0": [1]}], "tie_encoder_decoder": [True],
    "model_type": ["unheard_of"],
}
COMBINED = [
    dict(num_attention_heads=2, num_key_value_heads=2), dict(num_attention_heads=2, num_key_value_heads=1, head_dim=16),
    dict(num_attention_heads=8, num_key_value_heads=4, head_dim=4), dict(num_attention_heads=8, num_key_value_heads=8),
    dict(layer_types=REMOVED, sliding_window=4), dict(layer_types=REMOVED, sliding_window_pattern=2),
    dict(layer_types=REMOVED, use_sliding_window=True, sliding_window=6, max_window_layers=1),
    dict(layer_types=REMOVED, use_sliding_window=True, sliding_window=6, max_window_layers=REMOVED),
    dict(layer_types=REMOVED, use_sliding_window=True, sliding_window=REMOVED, max_window_layers=0),
    dict(layer_types=None), dict(no_rope_layers=REMOVED, no_rope_layer_interval=2, layer_types=REMOVED),
    dict(no_rope_layers=REMOVED, layer_types=REMOVED, use_sliding_window=True, sliding_window=6),
    dict(no_rope_layers=[0, 1, 1, 0], layer_types=REMOVED, use_sliding_window=True, sliding_window=6),
    dict(no_rope_layers=None, no_rope_layer_interval=3), dict(use_sliding_window=True, sliding_window=5),
    dict(max_position_embeddings=16, rope_parameters={"rope_type": "dynamic", "factor": 3.0, "rope_theta": 1e3}),
    dict(partial_rotary_factor=0.5, rope_parameters=REMOVED, rope_theta=1e3),
    dict(rope_parameters=REMOVED, rope_theta=1e3, rope_scaling={"type": "linear", "factor": 2.0}),
    dict(rope_parameters={"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4}, original_max_position_embeddings=32),
    dict(rope_parameters=REMOVED, rope_scaling=REMOVED, rope_theta=REMOVED, rotary_emb_base=REMOVED, rotary_pct=REMOVED),
    dict(rope_parameters=REMOVED, rope_scaling=None, rope_theta=1e3, rope_local_base_freq=50.0),
    dict(tie_word_embeddings=REMOVED, num_key_value_heads=REMOVED),
    dict(num_experts=4, num_local_experts=8), dict(num_experts=8, num_local_experts=8), dict(num_experts=REMOVED, num_local_experts=8),
    dict(num_local_experts=REMOVED, num_experts=8), dict(use_sliding_window=True, sliding_window=0),
    dict(use_sliding_window=False, sliding_window=0), dict(use_sliding_window=True, sliding_window=6, max_window_layers=1,
                                                           layer_types=REMOVED, mlp_only_layers=[1]),
]
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
SCALINGS = [
    {"rope_type": "default"}, {"type": "default"}, {"rope_type": "linear", "factor": 2.0}, {"type": "linear", "factor": 2.0},
    {"rope_type": "linear"}, {"rope_type": "linear", "factor": 2}, {"rope_type": "linear", "factor": 0.5},
    {"rope_type": "dynamic", "factor": 2.0}, {"rope_type": "dynamic", "factor": 2.0, "alpha": 3.0},
    {"rope_type": "dynamic", "factor": 4.0, "original_max_position_embeddings": 16},
    LLAMA3, {**LLAMA3, "low_freq_factor": 2.0}, {**LLAMA3, "high_freq_factor": 8.0}, {**LLAMA3, "factor": 32.0},
    {**LLAMA3, "original_max_position_embeddings": 64}, {k: v for k, v in LLAMA3.items() if k != "low_freq_factor"},
    {k: v for k, v in LLAMA3.items() if k != "original_max_position_embeddings"},
    {**LLAMA3, "high_freq_factor": 1.0},
    YARN, {**YARN, "factor": 16.0}, {**YARN, "original_max_position_embeddings": 64}, {**YARN, "attention_factor": 1.5},
    {**YARN, "beta_fast": 4.0}, {**YARN, "beta_fast": 4.0, "beta_slow": 0.25}, {**YARN, "mscale": 0.7},
    {**YARN, "mscale": 2.0, "mscale_all_dim": 0.5}, {**YARN, "beta_fast": 4.0, "truncate": False}, {**YARN, "beta_fast": None},
    {**YARN, "attention_factor": None}, {k: v for k, v in YARN.items() if k != "original_max_position_embeddings"},
    {**YARN, "factor": None}, {k: v for k, v in YARN.items() if k != "factor"}, {**YARN, "type": "yarn"},
    {"rope_type": "longrope", "factor": 2.0, "short_factor": [1.0] * 4, "long_factor": [2.0] * 4,
     "original_max_position_embeddings": 16},
    {"type": "su", "short_factor": [1.0] * 4, "long_factor": [2.0] * 4}, {"rope_type": "proportional", "factor": 2.0},
    {"rope_type": "mrope", "mrope_section": [1, 1, 2]}, {"type": "mrope", "mrope_section": [1, 1, 2]},
    {"rope_type": "unheard_of"}, {"rope_type": "default", "factor": 2.0}, {"rope_type": "default", "unheard_of": 2.0},
    {"rope_type": "default", "partial_rotary_factor": 0.5}, {"rope_type": "default", "partial_rotary_factor": 1.0},
    {"rope_type": "linear", "factor": 2.0, "partial_rotary_factor": 0.5},
    {"rope_type": "default", "partial_rotary_factor": 0.2}, {"rope_type": "default", "partial_rotary_factor": 0.4},
    {"rope_type": "default", "partial_rotary_factor": 0.01}, {"rope_type": "default", "partial_rotary_factor": 1.5},
    {**YARN, "partial_rotary_factor": 0.5}, {**LLAMA3, "partial_rotary_factor": 0.5},
]


def changes_of(config, first):
    """Each change as {path of keys: value}.  first: also keys that this family does not have."""
    for key, values in VALUES.items():
        if not first and key not in config:
            continue
        n = config.get("num_hidden_layers", config.get("n_layer"))
        if values == "layer_types":
            values = [[FULL] * n, [SLIDE] * n, [SLIDE if i % 2 else FULL for i in range(n)], [FULL] * (n - 1),
                      ["chunked_attention"] * n, [FULL] * (n - 1) + ["linear_attention"]]
        if values == "no_rope_layers":
            values = [[1] * n, [0] * n, [i % 2 for i in range(n)], [1] * (n + 2), [0, 1], []]
        for value in values:
            yield {key: value}
    for key in config:
        if key not in ("model_type",):
            yield {key: REMOVED}
    for change in COMBINED:
        yield change
    yield {"unheard_of": 3}
    theta = 777.0
    for scaling in SCALINGS:
        yield {"rope_parameters": {"rope_theta": theta, **scaling}, "rope_scaling": REMOVED}
        yield {"rope_parameters": REMOVED, "rope_theta": theta, "rope_scaling": scaling}
        yield {"rope_parameters": {FULL: {"rope_theta": theta, **scaling}, SLIDE: {"rope_theta": 99.0, "rope_type": "default"}},
               "rope_scaling": REMOVED}
    for parameters in ({}, None, {"rope_theta": theta}, {"rope_type": "default"}, {FULL: {"rope_theta": theta}},
                       {SLIDE: {"rope_theta": theta}}, {FULL: None, SLIDE: {"rope_theta": theta, "rope_type": "default"}},
                       {FULL: {"rope_type": "default"}, SLIDE: {"rope_type": "default"}},
                       {FULL: {**YARN, "rope_theta": 1e4}, SLIDE: {**YARN, "rope_theta": 1e3}},
                       {FULL: {"rope_theta": 10.0}, SLIDE: {"rope_theta": 99.0}, "truncate": False},
                       {"rope_theta": theta, "rope_type": "linear", "factor": 2.0, FULL: {"rope_theta": 5.0}}):
        yield {"rope_parameters": parameters, "rope_scaling": REMOVED}
        yield {"rope_parameters": parameters, "rope_theta": 333.0}
        yield {"rope_parameters": REMOVED, "rope_scaling": parameters}
    yield {"rope_parameters": REMOVED, "rope_theta": theta, "partial_rotary_factor": 0.5, "rope_scaling": None}
    yield {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}
    yield {"rope_scaling": {"rope_type": "linear", "factor": 2.0, "rope_theta": 50.0}, "rope_theta": 60.0}


def changed(config, change):
    config = copy.deepcopy(config)
    for key, value in change.items():
        if value == REMOVED and isinstance(value, str):
            config.pop(key, None)
        else:
            config[key] = value
    return config


def names_in(change):
    """The keys that a refusal may name."""
    found = set()
    for key, value in change.items():
        found.add(key)
        if isinstance(value, dict):
            found |= names_in(value)
    return found


def their_logits(path, tokens):
    """Logits, or why there are none."""
    try:
        with open(os.path.join(path, "config.json")) as f:
            upcast = json.load(f).get("reorder_and_upcast_attn")  # to float32, which must be the model's
        model, info = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32 if upcast else torch.float64,
                                                           attn_implementation="eager", experts_implementation="eager",
                                                           output_loading_info=True)
        wrong = {k: v for k, v in info.items() if v}
        if wrong:
            return "weights do not fit: " + str(wrong)[:200]
        with torch.no_grad():
            return model.eval()(torch.tensor(tokens)[None], use_cache=False).logits[0].double().numpy()
    except Exception as error:  # whatever transformers raises is a refusal
        return f"{type(error).__name__}: {error}"[:200]


def our_logits(build, paths, tokens, scratch):
    """For each directory logits, or why there are none."""
    results, todo = [], list(enumerate(paths))
    while todo:
        lines = "".join("\t".join([path, ",".join(map(str, tokens)), os.path.join(scratch, f"{i}.npz"), ""]) + "\n"
                        for i, path in todo)
        run = subprocess.run([os.path.join(build, "tests", "engine_probe")], input=lines, capture_output=True, text=True, env=ENV)
        said = run.stdout.splitlines()
        for (i, path), line in zip(todo, said):
            if line.startswith("ok"):
                results.append(np.load(os.path.join(scratch, f"{i}.npz"))["logits"].astype(np.float64))
            else:
                results.append(line)
        if len(said) < len(todo):
            results.append(f"CRASH: status {run.returncode} {run.stderr[-200:]}")
            todo = todo[len(said) + 1:]
        else:
            todo = []
    return results


def judge(theirs, ours, change, base):
    """A word, and what to say of it."""
    names = names_in(change)
    if isinstance(ours, str):
        if ours.startswith("CRASH"):
            return "FAULT", ours
        if isinstance(theirs, str) or "does not fit the model's context" in ours:
            return "misfit", ""
        inert = base.shape == theirs.shape and np.abs(base - theirs).max() <= 1e-9 * np.abs(base).max()
        if any(name in ours for name in names) or "rope" in ours and any("rope" in n or "rotary" in n for n in names):
            return ("named, without effect" if inert else "named"), ours
        return "FAULT", ("refused without naming the key" + (" (which has no effect)" if inert else "") + ": " + ours)
    fails = ("TypeError:", "KeyError:", "AttributeError:", "AssertionError:", "ValueError: Could not find a `sliding_window`")
    if isinstance(theirs, str) and theirs.startswith(fails):
        return "not computed there", theirs  # its config class allows the value, and its model's code fails on it
    nulls = all(value is None for value in change.values())
    if isinstance(theirs, str) and nulls and np.abs(ours - base).max() <= 1e-4 * np.abs(base).max():
        return "null as absent", ""
    if isinstance(theirs, str):
        return "FAULT", "computed, and transformers refuses: " + theirs
    if ours.shape != theirs.shape:
        return "FAULT", f"shape {ours.shape}, transformers {theirs.shape}"
    gap = np.abs(ours - theirs).max() / np.abs(theirs).max()
    if gap <= 1e-4:
        return "same", ""
    again = np.abs(ours - base).max() / np.abs(base).max() <= 1e-4 if base.shape == ours.shape else False
    return "FAULT", f"logits differ by {gap:.2g}" + (" (the key is ignored)" if again else "")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("build")
    a.add_argument("checkpoints")
    a.add_argument("--only", default="")
    a.add_argument("--show", action="store_true")
    a.add_argument("--keys", default="", help="only changes of these keys, or of keys within them")
    a = a.parse_args()
    only = [x for x in a.only.split(",") if x]
    failed = False
    for family in sorted(os.listdir(a.checkpoints)):
        folder = os.path.join(a.checkpoints, family)
        names = sorted(n[:-4] for n in os.listdir(folder) if n.endswith(".npz"))
        names = [n for n in names if not any(x in n for x in ("bf16", "f16", "wrapper", "@bare"))]
        names = [n for n in names if not only or family in only or f"{family}/{n}" in only]
        counts, lines, quiet = {}, {}, {}
        for k, name in enumerate(names):
            scratch = tempfile.mkdtemp(prefix="sweep-")
            path = os.path.join(folder, name)
            base = dict(np.load(path + ".npz"))
            tokens = [t % 200 for t in base["tokens"].tolist()]
            with open(os.path.join(path, "config.json")) as f:
                config = json.load(f)
            kept, paths, theirs = [], [], []
            unchanged, ours = their_logits(path, tokens), our_logits(a.build, [path], tokens, scratch)[0]
            if isinstance(ours, str):
                lines.setdefault(f"as it is\t{ours}", []).append(name)
                shutil.rmtree(scratch)
                continue
            seen = {json.dumps(config, sort_keys=True)}
            for change in changes_of(config, k == 0):
                if a.keys and not names_in(change) & set(a.keys.split(",")):
                    continue
                new = changed(config, change)
                text = json.dumps(new, sort_keys=True)
                if text in seen:
                    continue
                seen.add(text)
                there = os.path.join(scratch, str(len(kept)))
                os.mkdir(there)
                shutil.copy(os.path.join(path, "model.safetensors"), there)
                with open(os.path.join(there, "config.json"), "w") as f:
                    json.dump(new, f)
                kept.append(change)
                paths.append(there)
                theirs.append(their_logits(there, tokens))
            ours = our_logits(a.build, paths, tokens, scratch)
            for change, there, they, we in zip(kept, paths, theirs, ours):
                word, words = judge(they, we, change, unchanged)
                counts[word] = counts.get(word, 0) + 1
                line = f"{json.dumps(change)}\t{words.replace(there, 'DIR')}"
                if word == "FAULT":
                    lines.setdefault(line, []).append(name)
                elif word in ("named, without effect", "not computed there"):
                    quiet.setdefault(line, []).append(name)
            shutil.rmtree(scratch)
        if not names:
            continue
        print(f"== {family}: {len(names)} checkpoints; " + ", ".join(f"{n} {w}" for w, n in sorted(counts.items())))
        for line, where in lines.items():
            print(f"   FAULT\t{','.join(where)}\t{line}")
        if a.show:
            for line, where in quiet.items():
                print(f"   {','.join(where)}\t{line}")
        sys.stdout.flush()
        failed |= bool(lines)
    return failed


if __name__ == "__main__":
    sys.exit(main())
