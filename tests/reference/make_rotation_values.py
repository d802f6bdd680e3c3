"""Frequencies and factors of transformers' rotations -> tests/rotation_values.h

Run by hand: python make_rotation_values.py > ../rotation_values.h      (transformers 5.23; the header is committed)

A case is a LlamaConfig with the parameters of its rotation and, for dynamic scaling, the length of the sequence as the
forward pass gives it (a tensor).  Then the greedy text of a fixture with dynamic scaling, beyond its context, with the
cache that generate has.
"""
import pathlib
import textwrap

import torch
from transformers import AutoModelForCausalLM, LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

YARN = dict(rope_type="yarn", rope_theta=5e5, factor=8.0, original_max_position_embeddings=8192)
# name, head size, context, length, parameters
CASES = [
    ("default", 64, 2048, 10, dict(rope_type="default", rope_theta=1e4)),
    ("default", 16, 2048, 10, dict(rope_type="default", rope_theta=1e6)),
    ("linear", 16, 4096, 10, dict(rope_type="linear", rope_theta=1e4, factor=2.5)),
    ("dynamic", 16, 64, 64, dict(rope_type="dynamic", rope_theta=1e4, factor=1.7)),
    ("dynamic", 16, 64, 65, dict(rope_type="dynamic", rope_theta=1e4, factor=1.7)),
    ("dynamic", 16, 64, 250, dict(rope_type="dynamic", rope_theta=5e5, factor=4.0)),
    ("dynamic", 4, 2048, 4096, dict(rope_type="dynamic", rope_theta=1e4, factor=2.0)),
    ("llama3", 128, 131072, 10, dict(rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0,
                                     high_freq_factor=4.0, original_max_position_embeddings=8192)),
    ("llama3", 64, 131072, 10, dict(rope_type="llama3", rope_theta=5e5, factor=32.0, low_freq_factor=1.0,
                                    high_freq_factor=4.0, original_max_position_embeddings=8192)),
    ("llama3", 16, 256, 10, dict(rope_type="llama3", rope_theta=1e4, factor=3.0, low_freq_factor=1.5,
                                 high_freq_factor=9.0, original_max_position_embeddings=64)),
    ("yarn", 128, 65536, 10, YARN | dict(attention_factor=1.2079441541679836, beta_fast=32.0, beta_slow=1.0)),
    ("yarn", 128, 65536, 10, YARN | dict(truncate=False)),
    ("yarn", 64, 65536, 10, YARN | dict(mscale=0.707, mscale_all_dim=1.0)),
    ("yarn", 16, 256, 10, dict(rope_type="yarn", rope_theta=1e4, factor=4.0, beta_fast=8.0, beta_slow=2.0,
                               original_max_position_embeddings=64)),
    ("yarn", 8, 32, 10, dict(rope_type="yarn", rope_theta=1e4, factor=1.0, original_max_position_embeddings=32)),
    ("yarn", 8, 32, 10, dict(rope_type="yarn", rope_theta=1e4, factor=2.0, original_max_position_embeddings=4)),
]


def number(x):
    text = f"{float(x):.9g}"
    return text + ("f" if any(c in text for c in ".e") else ".0f")


print("/* Written by tests/reference/make_rotation_values.py.  clang-format off */")
print("enum { MOST_PAIRS = 64 };")
print("static const struct {\n    int head_dim, context, length;\n    dele_rope rope;\n    float factor, inv_freq[MOST_PAIRS];")
print("} CASES[] = {")
for kind, head_dim, context, length, rope in CASES:
    config = LlamaConfig(hidden_size=4 * head_dim, num_attention_heads=4, head_dim=head_dim, max_position_embeddings=context,
                         rope_parameters=dict(rope))
    if kind == "default":
        values, factor = LlamaRotaryEmbedding.compute_default_rope_parameters(config)
    elif kind == "dynamic" and length > context:
        values, factor = ROPE_INIT_FUNCTIONS[kind](config, None, seq_len=torch.tensor(length))
    else:
        values, factor = ROPE_INIT_FUNCTIONS[kind](config, None)
    fields = [f".theta = {number(rope['rope_theta'])}", f".type = DELE_ROPE_{kind.upper()}"]
    for key in ("factor", "low_freq_factor", "high_freq_factor", "attention_factor", "mscale", "mscale_all_dim"):
        if key in rope:
            fields.append(f".{key} = {number(rope[key])}")
    if kind in ("dynamic", "llama3", "yarn"):
        fields.append(f".original_context = {rope.get('original_max_position_embeddings', context)}")
    if kind == "yarn":  # the defaults, which the reader of the config sets
        fields += [f".beta_fast = {number(rope.get('beta_fast', 32))}", f".beta_slow = {number(rope.get('beta_slow', 1))}"]
        if not rope.get("truncate", True):
            fields.append(".no_truncate = true")
    text = (f"{{{head_dim}, {context}, {length}, {{{', '.join(fields)}}}, {number(factor)}, "
            "{" + ", ".join(number(x) for x in values) + "}},")
    print(textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="     "))
print("};")

FIXTURE = pathlib.Path(__file__).parents[1] / "fixtures" / "tiny-llama-tied"
PROMPT, CONTEXT, FACTOR, NEW = [5, 17, 3, 42, 8, 29], 8, 4.0, 24
model = AutoModelForCausalLM.from_pretrained(
    FIXTURE, dtype=torch.float32, attn_implementation="eager", max_position_embeddings=CONTEXT,
    rope_parameters=dict(rope_type="dynamic", rope_theta=1e4, factor=FACTOR))
ids = model.generate(torch.tensor([PROMPT]), max_new_tokens=NEW, do_sample=False, eos_token_id=None, pad_token_id=0)
print(f"enum {{ CONTEXT = {CONTEXT}, FACTOR = {int(FACTOR)}, N_PROMPT = {len(PROMPT)}, N_NEW = {NEW} }};")
print(textwrap.fill(f"static const int GENERATED[] = {{{', '.join(map(str, ids[0].tolist()))}}};", 100,
                    subsequent_indent="    "))
