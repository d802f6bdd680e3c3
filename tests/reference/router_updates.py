"""Ten updates of a tiny OLMoE with terms on its routers, by torch and transformers' own load_balancing_loss_func.

    python router_updates.py tests/fixtures/tiny-olmoe tests/fixtures/router_updates.json

Makes the model too.  All rows are one batch.  A row's last id is only a label: it has no position of its own, and the
padding after a row is masked.  Each run: the coefficients, the losses and the norm of the gradient at each update, and
at the end every 7th value of each tensor.
"""
import json
import os
import sys

import torch
import transformers
from transformers import OlmoeConfig, OlmoeForCausalLM
from transformers.models.olmoe.modeling_olmoe import load_balancing_loss_func

torch.set_num_threads(1)
UPDATES, LR, EPS = 10, 3e-3, 1e-4
ROWS = [[11, 3, 42, 17, 60, 8, 29], [5, 9, 33, 2, 14], [7, 50, 21, 44, 13, 6], [1, 58, 36, 25, 40, 12, 19]]
FORGET = 2  # the first rows, where a run has an anchor
FIRST = 2   # labels from here on
RUNS = [{"name": "concatenated", "balance": 0.3, "z": 0, "anchor": 0, "over": "concatenated"},
        {"name": "layers", "balance": 0.3, "z": 0, "anchor": 0, "over": "layers"},
        {"name": "z", "balance": 0, "z": 0.1, "anchor": 0, "over": "concatenated"},
        {"name": "seuf", "balance": 0.1, "z": 0.01, "anchor": 1.0, "over": "concatenated",
         "target": [1, 2], "alpha": 1.5}]


def make_model():
    torch.manual_seed(20)
    config = OlmoeConfig(vocab_size=61, hidden_size=16, intermediate_size=8, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, num_experts=4, num_experts_per_tok=2, max_position_embeddings=64,
                         pad_token_id=None, bos_token_id=None, eos_token_id=None, initializer_range=0.3,
                         router_aux_loss_coef=0.02, tie_word_embeddings=False)
    return OlmoeForCausalLM._from_config(config, dtype=torch.float32, attn_implementation="eager")


def run(path, what):
    model = OlmoeForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.999), eps=EPS, weight_decay=0)
    longest = max(map(len, ROWS)) - 1
    ids = torch.tensor([r[:-1] + [0] * (longest + 1 - len(r)) for r in ROWS])
    mask = torch.tensor([[1] * (len(r) - 1) + [0] * (longest + 1 - len(r)) for r in ROWS])
    forget = torch.zeros_like(mask)
    forget[:FORGET] = mask[:FORGET]
    n_experts, k = model.config.num_experts, model.config.num_experts_per_tok
    steps = []
    for _ in range(UPDATES):
        out = model(input_ids=ids, attention_mask=mask, output_router_logits=True)
        z = out.router_logits  # of each layer [rows * positions, experts]
        logp = torch.log_softmax(out.logits, -1)
        nll = [sum(-logp[i, t - 1, r[t]] for t in range(FIRST, len(r))) for i, r in enumerate(ROWS)]
        labels = [len(r) - FIRST for r in ROWS]
        mean = lambda a, b: sum(nll[a:b]) / sum(labels[a:b])
        if what["over"] == "concatenated":
            balance = load_balancing_loss_func(z, n_experts, k, mask)
        else:
            balance = sum(load_balancing_loss_func((x,), n_experts, k, mask) for x in z) / len(z)
        flat = mask.flatten().bool()
        square = sum((torch.logsumexp(x[flat], -1) ** 2).mean() for x in z) / len(z)
        anchor = torch.zeros(())
        if what["anchor"]:
            layer, expert = what["target"]
            p = torch.softmax(z[layer], -1)[forget.flatten().bool()]
            anchor = ((p - torch.eye(n_experts)[expert]) ** 2).sum(-1).mean()
            main = -mean(0, FORGET) + what["alpha"] * mean(FORGET, len(ROWS))
        else:
            main = mean(0, len(ROWS))
        optimizer.zero_grad()
        (main + what["balance"] * balance + what["z"] * square + what["anchor"] * anchor).backward()
        norm = torch.sqrt(sum((p.grad ** 2).sum() for p in model.parameters() if p.grad is not None))
        steps.append([float("%.9g" % x) for x in (norm, balance, square, anchor)])
        optimizer.step()
    after = {}
    for name, p in model.named_parameters():
        p = p.detach()
        if name.endswith("experts.gate_up_proj"):  # [experts, 2 ff, hidden]: the gate's rows first
            half = p.shape[1] // 2
            for e in range(n_experts):
                base = name.replace("gate_up_proj", "%d." % e)
                after[base + "gate_proj.weight"], after[base + "up_proj.weight"] = p[e, :half], p[e, half:]
        elif name.endswith("experts.down_proj"):
            for e in range(n_experts):
                after[name.replace("down_proj", "%d.down_proj.weight" % e)] = p[e]
        else:
            after[name] = p
    return {**what, "steps": steps,
            "after": {n: [float("%.9g" % x) for x in p.flatten()[::7].tolist()] for n, p in after.items()}}


path, out = sys.argv[1:]
make_model().save_pretrained(path)
os.remove(os.path.join(path, "generation_config.json"))
result = {"torch": torch.__version__, "transformers": transformers.__version__, "updates": UPDATES, "lr": LR, "eps": EPS,
          "first": FIRST, "forget": FORGET, "rows": ROWS, "runs": [run(path, what) for what in RUNS]}
with open(out, "w") as file:
    json.dump(result, file)
    file.write("\n")
