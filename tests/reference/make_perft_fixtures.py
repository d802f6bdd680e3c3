"""PERFT's adapters in PyTorch on tiny random mixtures of transformers: the reference of src/model/sublayers/perft.c.

Run by hand: python make_perft_fixtures.py ../fixtures  (what it writes is committed in ../fixtures/perft)

A transcription of arXiv 2411.08212 (PERFT-R, E, D, S with LoRA and parallel adapters) on OLMoE, Mixtral, Qwen2-MoE (with a
shared expert) and Qwen3-MoE (with dense layers among the sparse ones).  Cases "compat" are the authors' released code: that
for OLMoE multiplies the k-th chosen adapter by the k-th weight of the model's own router, that for Mixtral by the adapter
router's weight.  Cases "balance" add transformers' load-balancing loss of the model's routers and of the adapters' to the
loss, as the released training does, with larger weights.  Everything is computed in double.  Each FAMILY has its model in
FAMILY/base, and each case the adapters before training in FAMILY/CASE, with expected.safetensors: the logits from which both
sequences' last tokens are predicted, the losses before each of ten updates, the gradients of the first, and the adapters
after the tenth.
"""
import json
import pathlib
import shutil
import sys
import zlib

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file
from transformers.models.olmoe.modeling_olmoe import load_balancing_loss_func

torch.set_num_threads(1)
HIDDEN, EXPERTS, TOP_K, VOCAB = 16, 6, 2, 40
ROWS = [[3, 17, 9, 31, 5, 22, 8], [11, 2, 38, 14, 6]]
FIRST_LABEL, UPDATES, LR = 1, 10, 1e-2
EVERY = {
    "r": dict(type="perft-r", form="lora", rank=3, adapters=3, top_k=2, alpha=6),
    "r-parallel": dict(type="perft-r", form="parallel", rank=2, adapters=2, top_k=1),
    "e": dict(type="perft-e", form="lora", rank=2, adapters=EXPERTS, alpha=4),
    "e-parallel": dict(type="perft-e", form="parallel", rank=2, adapters=EXPERTS),
    "d": dict(type="perft-d", form="lora", rank=2, adapters=2, alpha=3),
    "d-parallel": dict(type="perft-d", form="parallel", rank=3, adapters=2),
    "s": dict(type="perft-s", form="lora", rank=3, adapters=1, alpha=6),
    "s-parallel": dict(type="perft-s", form="parallel", rank=4, adapters=1),
}
R = dict(type="perft-r", form="lora", rank=2, adapters=3, top_k=2, alpha=4)
COMPAT = dict(R, compat="perft")
AUX = {"router": 0.2, "adapter": 0.3}  # weights of the balancing losses in cases "balance"
MIXTURE = dict(num_experts=EXPERTS, num_experts_per_tok=TOP_K)
PAPER = dict(EVERY, balance=R)
SEED = {"olmoe/compat-balance": 7}  # where two adapters' logits would be too close
# the class of transformers, its config, and the cases; a case "r-normed" runs with norm_topk_prob
FAMILIES = {
    "olmoe": ("Olmoe", dict(MIXTURE, intermediate_size=8, num_hidden_layers=2, norm_topk_prob=False),
              dict(PAPER, **{"r-normed": R, "compat": COMPAT, "compat-balance": COMPAT})),
    "mixtral": ("Mixtral", dict(num_local_experts=EXPERTS, num_experts_per_tok=TOP_K, intermediate_size=8, num_hidden_layers=2),
                dict(PAPER, compat=COMPAT)),
    "qwen2-moe": ("Qwen2Moe", dict(MIXTURE, num_hidden_layers=2, moe_intermediate_size=8, shared_expert_intermediate_size=12,
                                   intermediate_size=20, norm_topk_prob=False), PAPER),
    "qwen3-moe": ("Qwen3Moe", dict(MIXTURE, num_hidden_layers=3, mlp_only_layers=[1], moe_intermediate_size=8, head_dim=6,
                                   intermediate_size=20, norm_topk_prob=True), PAPER),
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


def route(x, weight, top_k, normed):
    """In double, where transformers' routers have a softmax in single precision."""
    logits = F.linear(x, weight)
    p, chosen = torch.topk(F.softmax(logits, dim=-1), top_k, dim=-1)
    return logits, p / p.sum(-1, keepdim=True) if normed else p, chosen


def attach(block, case, normed, block_weights):
    """Adapters beside the block's own forward pass; the modules are named as in the released code.

    Of PERFT-E, Σ w (E(x) + Δ(x)) is Σ w E(x), which the block gives, and Σ w Δ(x).
    """
    kind, plain = case["type"], block.forward
    if kind == "perft-r":
        block.shared_routing_adapter_gate = torch.nn.Linear(HIDDEN, case["adapters"], bias=False)
        block.shared_routing_adapter = torch.nn.ModuleList(Adapter(case) for _ in range(case["adapters"]))
        units = block.shared_routing_adapter
    elif kind == "perft-e":
        for e in range(EXPERTS):
            block.experts.add_module(f"{e}", torch.nn.Module())
            getattr(block.experts, f"{e}").embedded_routing_adapter = Adapter(case)
        units = [getattr(block.experts, f"{e}").embedded_routing_adapter for e in range(EXPERTS)]
    else:
        block.shared_adapter = torch.nn.ModuleList(Adapter(case) for _ in range(case["adapters"]))
    block.gate.forward = lambda x: route(x.reshape(-1, HIDDEN), block.gate.weight, TOP_K, normed)
    block.seen = [], []  # logits of the router, and of the adapters', of all rows but a sequence's last

    def forward(hidden):
        x = hidden.reshape(-1, HIDDEN)
        out = plain(hidden).reshape(-1, HIDDEN)
        if kind in ("perft-d", "perft-s"):
            return (out + sum(adapter.unit(x) for adapter in block.shared_adapter)).reshape(hidden.shape)
        logits, weight, chosen = block.gate(x)
        if kind == "perft-r":
            own, of_block = block.shared_routing_adapter_gate.weight, weight
            block.seen[0].append(logits[:-1])
            logits, weight, chosen = route(x, own, case["top_k"], normed)
            block.seen[1].append(logits[:-1])
            if block_weights:
                weight = of_block  # the slot's weight of the model's router
        for j, adapter in enumerate(units):
            row, k = torch.where(chosen == j)
            out = out.index_add(0, row, adapter.unit(x[row]) * weight[row, k, None])
        return out.reshape(hidden.shape)

    block.forward = forward


def adapter_tensors(model, family):
    """The tensors that train, under the names that files have: transformers 5 calls Mixtral's block mlp."""
    block = ".block_sparse_moe." if family == "mixtral" else ".mlp."
    return {name.replace(".mlp.", block): p for name, p in model.named_parameters() if p.requires_grad}


def losses_of(model, case):
    total, n = 0, 0
    blocks = [layer.mlp for layer in model.model.layers if hasattr(layer.mlp, "seen")]
    for block in blocks:
        block.seen = [], []
    for row in ROWS:
        logits = model(torch.tensor([row])).logits[0, :-1]
        labels = torch.tensor(row[1:])
        keep = torch.arange(1, len(row)) >= FIRST_LABEL
        total = total + F.cross_entropy(logits[keep], labels[keep], reduction="sum")
        n += int(keep.sum())
    if case["type"] != "perft-r":
        return [total / n]
    of_router, of_adapters = (tuple(torch.cat(block.seen[i]) for block in blocks) for i in (0, 1))
    return [total / n, load_balancing_loss_func(of_router, EXPERTS, TOP_K),
            load_balancing_loss_func(of_adapters, case["adapters"], case["top_k"])]


def make_base(out, of, keys):
    config = getattr(transformers, of + "Config")(
        vocab_size=VOCAB, hidden_size=HIDDEN, num_attention_heads=4, num_key_value_heads=2, pad_token_id=None, bos_token_id=1,
        eos_token_id=2, max_position_embeddings=32, tie_word_embeddings=False, **keys)
    torch.manual_seed(1)
    model = getattr(transformers, of + "ForCausalLM")(config).float()
    for name, parameter in model.named_parameters():
        scale = 1.5 if name.endswith("mlp.gate.weight") else 0.3
        parameter.data = torch.randn_like(parameter) * scale if parameter.dim() > 1 else 1 + 0.1 * torch.randn_like(parameter)
    model.save_pretrained(out / "base")
    (out / "base/generation_config.json").unlink(missing_ok=True)


def make_case(out, family, name, case):
    of = getattr(transformers, FAMILIES[family][0] + "ForCausalLM")
    model = of.from_pretrained(out / "base", dtype=torch.float64, attn_implementation="eager",
                               experts_implementation="eager")
    model.requires_grad_(False)
    torch.manual_seed(SEED.get(f"{family}/{name}", zlib.crc32(f"{family}/{name}".encode())))
    normed = family == "mixtral" or name == "r-normed" or getattr(model.config, "norm_topk_prob", False)
    for layer in model.model.layers:
        if hasattr(layer.mlp, "gate"):  # not of a dense layer
            attach(layer.mlp, case, normed, bool(case.get("compat")) and family == "olmoe")
    model.double()
    tensors = adapter_tensors(model, family)
    for parameter_name, parameter in tensors.items():
        parameter.data = (torch.randn_like(parameter) * (1.0 if "gate" in parameter_name else 0.3)).float().double()
    dir = out / name
    dir.mkdir()
    before = {n: p.detach().float().clone() for n, p in tensors.items()}
    save_file(before, dir / "adapter_model.safetensors", metadata={"format": "pt"})
    (dir / "deleatur_adapter.json").write_text(json.dumps(case) + "\n")
    expected = {f"logits.{i}": model(torch.tensor([row])).logits[0, -2].detach().float() for i, row in enumerate(ROWS)}
    optimizer = torch.optim.AdamW(tensors.values(), lr=LR, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: (UPDATES - update) / UPDATES)
    weights = [1, AUX["router"], AUX["adapter"]] if "balance" in name else [1]
    losses = []
    for update in range(UPDATES):
        optimizer.zero_grad()
        parts = losses_of(model, case)
        sum(weight * part for weight, part in zip(weights, parts)).backward()
        losses.append([part.item() for part in parts[:len(weights)]])
        if update == 0:
            for n, p in tensors.items():
                gradient = p.grad if p.grad is not None else torch.zeros_like(p)
                expected["gradient." + n] = gradient.float().clone()
        optimizer.step()
        schedule.step()
    for kind, values in zip(("loss", "balance", "adapter_balance"), zip(*losses)):
        expected[kind] = torch.tensor(values).float()
    expected |= {"after." + n: p.detach().float().clone() for n, p in tensors.items()}
    save_file(expected, dir / "expected.safetensors", metadata={"format": "pt"})
    print(family, name, len(before), "tensors, losses", losses[0], "to", losses[-1])


def main():
    root = pathlib.Path(sys.argv[1]) / "perft"
    shutil.rmtree(root, ignore_errors=True)
    for family, (of, keys, cases) in FAMILIES.items():
        out = root / family
        out.mkdir(parents=True)
        make_base(out, of, keys)
        for name, case in cases.items():
            make_case(out, family, name, case)


main()
