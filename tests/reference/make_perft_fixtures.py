"""PERFT's adapters in PyTorch on a tiny random OLMoE of transformers: the reference of src/model/sublayers/perft.c.

Run by hand: python make_perft_fixtures.py ../fixtures  (what it writes is committed in ../fixtures/perft)

A transcription of arXiv 2411.08212 (PERFT-R, E, D, S with LoRA and parallel adapters), and for case "compat" of the authors'
released OLMoE code, in which the k-th chosen adapter is multiplied by the k-th weight of the model's own router.  Everything
is computed in double.  Each case has the adapters before training in DIR, and in expected.safetensors: the logits of both
sequences' last rows, the loss before each of ten updates, the gradients of the first, and the adapters behind the tenth.
"""
import json
import pathlib
import shutil
import sys

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file

torch.set_num_threads(1)
HIDDEN, EXPERTS, TOP_K, LAYERS, VOCAB = 16, 6, 2, 2, 40
ROWS = [[3, 17, 9, 31, 5, 22, 8], [11, 2, 38, 14, 6]]
FIRST_LABEL, UPDATES, LR = 1, 10, 1e-2
CASES = {
    "r": dict(type="perft-r", form="lora", rank=3, adapters=3, top_k=2, alpha=6),
    "r-parallel": dict(type="perft-r", form="parallel", rank=2, adapters=2, top_k=1),
    "r-normed": dict(type="perft-r", form="lora", rank=2, adapters=3, top_k=2, alpha=4),
    "compat": dict(type="perft-r", form="lora", rank=2, adapters=3, top_k=2, alpha=4, compat="perft"),
    "e": dict(type="perft-e", form="lora", rank=2, adapters=EXPERTS, alpha=4),
    "e-parallel": dict(type="perft-e", form="parallel", rank=2, adapters=EXPERTS),
    "d": dict(type="perft-d", form="lora", rank=2, adapters=2, alpha=3),
    "s-parallel": dict(type="perft-s", form="parallel", rank=4, adapters=1),
}


class Unit(torch.nn.Module):
    def __init__(self, case):
        super().__init__()
        self.case = case
        r = case["rank"]
        names = ("lora_A", "lora_B") if case["form"] == "lora" else ("adapter_w1", "adapter_w2")
        self.names = names
        self.add_module(names[0], torch.nn.Linear(HIDDEN, r, bias=False))
        self.add_module(names[1], torch.nn.Linear(r, HIDDEN, bias=False))

    def forward(self, x):
        down, up = (getattr(self, name) for name in self.names)
        if self.case["form"] == "lora":
            return up(down(x)) * (self.case["alpha"] / self.case["rank"])
        return up(F.silu(down(x)))


class Adapter(torch.nn.Module):
    def __init__(self, case):
        super().__init__()
        self.unit = Unit(case)


def attach(block, case, normed):
    """The block's forward pass with adapters; the modules are named as in the released code."""
    kind = case["type"]
    if kind == "perft-r":
        block.shared_routing_adapter_gate = torch.nn.Linear(HIDDEN, case["adapters"], bias=False)
        block.shared_routing_adapter = torch.nn.ModuleList(Adapter(case) for _ in range(case["adapters"]))
    elif kind == "perft-e":
        for e in range(EXPERTS):
            block.experts.add_module(f"{e}", torch.nn.Module())
            getattr(block.experts, f"{e}").embedded_routing_adapter = Adapter(case)
    else:
        block.shared_adapter = torch.nn.ModuleList(Adapter(case) for _ in range(case["adapters"]))

    def forward(hidden):
        x = hidden.reshape(-1, HIDDEN)
        p = F.softmax(F.linear(x, block.gate.weight), dim=-1)
        weight, expert = torch.topk(p, TOP_K, dim=-1)
        if normed:
            weight = weight / weight.sum(-1, keepdim=True)
        out = torch.zeros_like(x)
        for e in range(EXPERTS):
            row, k = torch.where(expert == e)
            gate, up = F.linear(x[row], block.experts.gate_up_proj[e]).chunk(2, dim=-1)
            y = F.linear(F.silu(gate) * up, block.experts.down_proj[e])
            if kind == "perft-e":
                y = y + getattr(block.experts, f"{e}").embedded_routing_adapter.unit(x[row])
            out = out.index_add(0, row, y * weight[row, k, None])
        if kind == "perft-r":
            q = F.softmax(block.shared_routing_adapter_gate(x), dim=-1)
            q, chosen = torch.topk(q, case["top_k"], dim=-1)
            if normed:
                q = q / q.sum(-1, keepdim=True)
            if case.get("compat"):
                q = weight  # the slot's weight of the model's router
            for j in range(case["adapters"]):
                row, k = torch.where(chosen == j)
                out = out.index_add(0, row, block.shared_routing_adapter[j].unit(x[row]) * q[row, k, None])
        if kind in ("perft-d", "perft-s"):
            out = out + sum(adapter.unit(x) for adapter in block.shared_adapter)
        return out.reshape(hidden.shape)

    block.forward = forward


def adapter_tensors(model):
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def loss_of(model):
    total, n = 0, 0
    for row in ROWS:
        logits = model(torch.tensor([row])).logits[0, :-1]
        labels = torch.tensor(row[1:])
        keep = torch.arange(1, len(row)) >= FIRST_LABEL
        total = total + F.cross_entropy(logits[keep], labels[keep], reduction="sum")
        n += int(keep.sum())
    return total / n


def make_base(out):
    config = transformers.OlmoeConfig(
        vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=8, num_hidden_layers=LAYERS, num_attention_heads=4,
        num_key_value_heads=2, num_experts=EXPERTS, num_experts_per_tok=TOP_K, norm_topk_prob=False, pad_token_id=None,
        bos_token_id=1, eos_token_id=2, max_position_embeddings=32, tie_word_embeddings=False)
    torch.manual_seed(1)
    model = transformers.OlmoeForCausalLM(config).float()
    for name, parameter in model.named_parameters():
        scale = 1.5 if "mlp.gate" in name else 0.3
        parameter.data = torch.randn_like(parameter) * scale if parameter.dim() > 1 else 1 + 0.1 * torch.randn_like(parameter)
    model.save_pretrained(out / "base")
    (out / "base/generation_config.json").unlink(missing_ok=True)


def make_case(out, name, case):
    model = transformers.OlmoeForCausalLM.from_pretrained(out / "base", dtype=torch.float64, attn_implementation="eager")
    model.requires_grad_(False)
    torch.manual_seed(sorted(CASES).index(name) + 10)
    for layer in model.model.layers:
        attach(layer.mlp, case, name == "r-normed")
    model.double()
    for parameter_name, parameter in adapter_tensors(model).items():
        parameter.data = (torch.randn_like(parameter) * (1.0 if "gate" in parameter_name else 0.3)).float().double()
    dir = out / name
    dir.mkdir()
    before = {n: p.detach().float().clone() for n, p in adapter_tensors(model).items()}
    save_file(before, dir / "adapter_model.safetensors", metadata={"format": "pt"})
    (dir / "deleatur_adapter.json").write_text(json.dumps(case) + "\n")
    expected = {f"logits.{i}": model(torch.tensor([row])).logits[0, -1].detach().float() for i, row in enumerate(ROWS)}
    optimizer = torch.optim.AdamW(adapter_tensors(model).values(), lr=LR, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: (UPDATES - update) / UPDATES)
    losses = []
    for update in range(UPDATES):
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        losses.append(loss.item())
        if update == 0:
            for n, p in adapter_tensors(model).items():
                gradient = p.grad if p.grad is not None else torch.zeros_like(p)
                expected["gradient." + n] = gradient.float().clone()
        optimizer.step()
        schedule.step()
    expected["loss"] = torch.tensor(losses).float()
    expected |= {"after." + n: p.detach().float().clone() for n, p in adapter_tensors(model).items()}
    save_file(expected, dir / "expected.safetensors", metadata={"format": "pt"})
    print(name, len(before), "tensors, loss", losses[0], "to", losses[-1])


def main():
    out = pathlib.Path(sys.argv[1]) / "perft"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    make_base(out)
    for name, case in CASES.items():
        make_case(out, name, case)


main()
