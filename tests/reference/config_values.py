"""What transformers reads from config.json and generation_config.json: the base of the rotation for each
spelling, and the ids at which generate stops.  The values are in tests/test_configs.c and
tests/test_loaders.c.

    python tests/reference/config_values.py        (transformers 5.23.0)
"""
import json
import logging
import os
import tempfile

logging.disable(logging.CRITICAL)
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

BASE = dict(model_type="llama", hidden_size=8, intermediate_size=12, num_hidden_layers=2,
            num_attention_heads=2, vocab_size=10)
ROPE = [
    {}, {"rope_theta": 500.0}, {"rope_theta": 500}, {"rope_scaling": None, "rope_theta": 300.0},
    {"rope_scaling": {"rope_type": "default", "rope_theta": 500.0}},
    {"rope_scaling": {"type": "default"}, "rope_theta": 700.0}, {"rope_scaling": {"type": "default"}},
    {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}, {"rope_parameters": {"rope_theta": 500.0}},
    {"rope_parameters": {"rope_type": "default"}},
    {"rope_parameters": {"rope_type": "default"}, "rope_theta": 900.0},
    {"rope_parameters": {}}, {"rope_scaling": {}}, {"rope_parameters": {}, "rope_theta": 40.0},
    {"rope_parameters": {"type": "default", "rope_theta": 20.0}},
    {"rope_scaling": {"rope_type": "default", "rope_theta": 500.0}, "rope_theta": 500.0},
    {"rope_scaling": {"rope_theta": 500.0}, "rope_parameters": {"rope_theta": 500.0}},
    {"rope_scaling": {"rope_type": "default", "factor": 1.0}},
    {"partial_rotary_factor": 1.0, "rope_theta": 30.0},
    {"layer_types": ["full_attention"] * 2, "rope_parameters": {"full_attention": {"rope_theta": 55.0}}},
    {"rope_scaling": {"rope_type": "default", "rope_theta": 500.0}, "rope_theta": 10000.0},
    {"rope_theta": None},
]
ENDS = [({"eos_token_id": 2}, None), ({"eos_token_id": [2, 3]}, None),
        ({"eos_token_id": 2}, {"eos_token_id": [4, 5]}), ({"eos_token_id": 2}, {"eos_token_id": 4}),
        ({"eos_token_id": None}, {"eos_token_id": [4]}), ({"eos_token_id": None}, None), ({"eos_token_id": 2}, {})]

for keys in ROPE:
    written = json.dumps(keys)
    print(written, "->", LlamaConfig.from_dict({**BASE, **keys}).rope_parameters.get("rope_theta"))

with tempfile.TemporaryDirectory() as folder:
    LlamaForCausalLM(LlamaConfig(**{k: v for k, v in BASE.items() if k != "model_type"})).save_pretrained(folder)
    generation = os.path.join(folder, "generation_config.json")
    for config, beside in ENDS:
        with open(os.path.join(folder, "config.json"), "w") as out:
            json.dump({**BASE, **config}, out)
        if os.path.exists(generation):
            os.remove(generation)
        if beside is not None:
            with open(generation, "w") as out:
                json.dump(beside, out)
        model = AutoModelForCausalLM.from_pretrained(folder)
        print(config, beside, "->", model._prepare_generation_config(None)[0].eos_token_id)
