"""LoRA directories as PEFT writes them, and the logits of PEFT's models with them: the reference of src/adapter/peft.c.

Run by hand: python make_peft_fixtures.py ../fixtures  (what it writes is committed in ../fixtures/peft)

    python make_peft_fixtures.py ../fixtures check BASE ADAPTER

loads an adapter that deleatur wrote (finetune --lora-keep) into PEFT and prints the logits of IDS, for comparison with those
of the merged checkpoint.
"""
import json
import os
import pathlib
import shutil
import sys

import peft
import torch
import transformers

os.environ["HF_HUB_OFFLINE"] = "1"
torch.set_num_threads(1)
IDS = [3, 17, 9, 31, 5, 22]
# name: base, options of LoraConfig, dtype of the file
CASES = {
    "patterns": ("tiny-llama-untied",
                 dict(r=4, lora_alpha=6, use_rslora=True, target_modules=["q_proj", "v_proj", "down_proj", "lm_head"],
                      rank_pattern={"q_proj": 2, "layers.1.self_attn.v_proj": 3},
                      alpha_pattern={r"layers\.[01]\.mlp\.down_proj": 9.5, "q_proj": 1}), torch.float32),
    "regex": ("tiny-llama-untied",
              dict(r=3, lora_alpha=12, target_modules=r".*\.layers\.(0|2)\.mlp\.(?:up|gate)_proj"), torch.bfloat16),
    "embedding": ("tiny-llama-untied",
                  dict(r=2, lora_alpha=5, target_modules=["embed_tokens", "o_proj"], layers_to_transform=[0, 2],
                       exclude_modules=["layers.2.self_attn.o_proj"]), torch.float32),
    "transposed": ("families/gpt2", dict(r=2, lora_alpha=3, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True),
                   torch.float32),
    "router": ("perft/olmoe/base", dict(r=2, lora_alpha=7, target_modules=["q_proj"], target_parameters=["mlp.gate.weight"],
                                  lora_dropout=0.0), torch.float32),
    "fused": ("families/phi3", dict(r=2, lora_alpha=3, target_modules=["qkv_proj", "gate_up_proj"]), torch.float16),
    # the router has another name in transformers than in the files of the hub
    "renamed": ("families/mixtral", dict(r=2, lora_alpha=7, target_modules=["v_proj"], target_parameters=["mlp.gate.weight"],
                                         lora_dropout=0.0), torch.float32),
    # the experts and the router are no modules, so that PEFT adapts none of them
    "linear": ("families/qwen2-moe", dict(r=2, lora_alpha=3, target_modules="all-linear", exclude_modules=["shared_expert_gate"]),
               torch.float32),
}


def load(base):
    return transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager",
                                                             experts_implementation="eager")


def logits_of(model):
    with torch.no_grad():
        return [round(x, 6) for x in model(torch.tensor([IDS])).logits[0, -1].double().tolist()]


def make(fixtures):
    out = fixtures / "peft"
    shutil.rmtree(out, ignore_errors=True)
    expected = {"_made_with": f"make_peft_fixtures.py, peft {peft.__version__}, transformers {transformers.__version__}",
                "ids": IDS}
    for seed, (name, (base, options, dtype)) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        # layers_to_transform is for the modules inside the layers; the embedding is named whole
        if name == "embedding":
            options = {**options, "target_modules": ["model.embed_tokens", "o_proj"]}
        model = peft.get_peft_model(load(fixtures / base), peft.LoraConfig(**{"lora_dropout": 0.1, "task_type": "CAUSAL_LM", **options}))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = (0.3 * torch.randn_like(parameter)).to(dtype).float()
        model.eval()
        expected[name] = {"base": base, "logits": logits_of(model)}
        model.to(dtype)
        model.peft_config["default"].base_model_name_or_path = base
        model.save_pretrained(out / name)
        (out / name / "README.md").unlink(missing_ok=True)
        with model.disable_adapter():
            pass
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def check(base, adapter):
    model = peft.PeftModel.from_pretrained(load(base), adapter)
    model.eval()
    print(json.dumps(logits_of(model)))


fixtures = pathlib.Path(sys.argv[1])
if len(sys.argv) > 2 and sys.argv[2] == "check":
    check(sys.argv[3], sys.argv[4])
else:
    make(fixtures)
