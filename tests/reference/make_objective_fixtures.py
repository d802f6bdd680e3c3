"""Losses of all objectives and their gradients, each formula written out in PyTorch -> tests/fixtures/objectives.json

Run by hand: python make_objective_fixtures.py > ../fixtures/objectives.json      (the fixtures are committed)
             python make_objective_fixtures.py --olmo ../fixtures/tiny-olmo-tied > ../fixtures/objectives_olmo.json

The first has bare rows of logits.  One batch: four sequences of labelled rows, two to forget (the second with more rows than the first), each followed by
another answer to it, and two to keep.  Objectives that know no other answers see the batch without them.  float64.

The second has the same formulas above a tiny OLMo whose MLPs of layers 0 and 1 train: before, as it is in its directory; now,
those matrices times 1.25.  Of each gradient by autograd: its length, and every 17th number.
"""
import json
import sys
import torch
import torch.nn.functional as F

torch.manual_seed(3)
torch.set_default_dtype(torch.float64)
V = 11
# (side, is it another answer, rows); side 0: forget, 1: retain
LAYOUT = [(1, False, 3), (1, False, 2), (0, False, 2), (0, True, 3), (0, False, 4), (0, True, 1)]


def f32(x):  # numbers that a float holds
    return x.float().double()


def short(x, digits=9):  # 9 digits are a float
    return [float("%.*g" % (digits, v)) for v in x.detach().flatten()]


def batch(alternates):
    rows = [s for s in LAYOUT if alternates or not s[1]]
    n = sum(s[2] for s in rows)
    return rows, f32(torch.randn(n, V) * 2), f32(torch.randn(n, V) * 2), torch.randint(V, (n,))


def nll_rows(z, y):
    return -F.log_softmax(z, -1)[torch.arange(len(y)), y]


def log_sigmoid(x):
    return F.logsigmoid(x)


class Batch:
    def __init__(self, alternates):
        self.rows, self.z, self.before, self.y = batch(alternates)
        self.z.requires_grad_(True)
        self.at, k = [], 0
        for side, better, n in self.rows:
            self.at.append((side, better, slice(k, k + n)))
            k += n
        self.forget = torch.cat([torch.arange(s.start, s.stop) for side, better, s in self.at if side == 0])
        self.retain = torch.cat([torch.arange(s.start, s.stop) for side, better, s in self.at if side == 1])

    def sums(self, z, better):  # NLL of each sequence to forget, or of each other answer
        return torch.stack([nll_rows(z[s], self.y[s]).sum() for side, b, s in self.at if side == 0 and b == better])

    def lengths(self):
        return torch.tensor([float(s.stop - s.start) for side, b, s in self.at if side == 0 and not b])

    def ce(self, which):
        return F.cross_entropy(self.z[which], self.y[which])

    def kl_retain(self):
        return F.kl_div(F.log_softmax(self.z[self.retain], -1), F.log_softmax(self.before[self.retain], -1),
                        log_target=True, reduction="none").sum(-1).mean()


# each returns (what the command shows as the forget loss, its sign in the sum, the retain loss)
def ce(b, s): return b.ce(b.forget), 1, b.ce(b.retain)
def grad_ascent(b, s): return b.ce(b.forget), -1, b.ce(b.retain)
def grad_diff(b, s): return b.ce(b.forget), -1, b.kl_retain() if s.get("retain-kl") else b.ce(b.retain)
def kl(b, s): return b.ce(b.forget), -1, b.kl_retain()


def npo(b, s):
    rise = b.sums(b.z, False) - b.sums(b.before, False)
    return -(2 / s["beta"]) * log_sigmoid(s["beta"] * rise).mean(), 1, b.ce(b.retain)


def simnpo(b, s):
    return (-(2 / s["beta"]) * log_sigmoid(s["beta"] * (b.sums(b.z, False) / b.lengths() - s["delta"])).mean(), 1,
            b.ce(b.retain))


def dpo(b, s):
    w = -(b.sums(b.z, True) - b.sums(b.before, True))   # log p of the other answer, less what it was
    l = -(b.sums(b.z, False) - b.sums(b.before, False))
    return -(2 / s["beta"]) * log_sigmoid(s["beta"] * (w - l)).mean(), 1, b.ce(b.retain)


def undial(b, s):
    q = F.softmax(b.before - s["beta"] * F.one_hot(b.y, V), -1)[b.forget]
    return -(q * F.log_softmax(b.z[b.forget], -1)).sum(-1).mean(), 1, b.ce(b.retain)


def wga(b, s):
    nll = nll_rows(b.z[b.forget], b.y[b.forget])
    return ((-nll).exp().detach() ** s["beta"] * nll).mean(), -1, b.ce(b.retain)


def satimp(b, s):
    nll = nll_rows(b.z[b.forget], b.y[b.forget])
    p = (-nll).exp().detach()
    return (p ** s["beta"] * (1 - p) ** s["importance"] * nll).mean(), -1, b.ce(b.retain)


def ceu(b, s):
    z, y = b.z[b.forget], b.y[b.forget]
    q = F.softmax(z.masked_fill(F.one_hot(y, V).bool(), float("-inf")), -1).detach()
    return F.cross_entropy(z, q), 1, b.ce(b.retain)


def pdu(b, s):
    z = b.z[b.forget]
    return (z.max(-1).values - z.mean(-1)).square().mean(), 1, b.ce(b.retain)


STEER = f32(torch.rand(V) * 3)


def rmu(b, s):  # rows are states here
    return (F.mse_loss(b.z[b.forget], STEER.expand(len(b.forget), V)), 1,
            F.mse_loss(b.z[b.retain], b.before[b.retain]))


def adaptive_rmu(b, s):  # the vector's length counts in mean lengths of the states before
    u = STEER / STEER.norm()
    b.steer = f32(s["steering-coeff"] * b.before[b.forget].norm(dim=-1).mean() * u)
    return (F.mse_loss(b.z[b.forget], b.steer.expand(len(b.forget), V)), 1,
            F.mse_loss(b.z[b.retain], b.before[b.retain]))


CASES = [("ce", ce, {}), ("joint", grad_ascent, {}), ("idk", ce, {}), ("task-vector", ce, {}),
         ("grad-ascent", grad_ascent, {}), ("grad-diff", grad_diff, {}), ("grad-diff", grad_diff, {"retain-kl": 1}),
         ("kl", kl, {}), ("npo", npo, {"beta": 0.1}), ("npo", npo, {"beta": 2}),
         ("simnpo", simnpo, {"beta": 4.5, "delta": 0}), ("simnpo", simnpo, {"beta": 0.7, "delta": 1.5}),
         ("dpo", dpo, {"beta": 0.1}), ("dpo", dpo, {"beta": 1}), ("undial", undial, {"beta": 10}),
         ("undial", undial, {"beta": 3}), ("wga", wga, {"beta": 1}), ("wga", wga, {"beta": 0.25}),
         ("satimp", satimp, {"beta": 5, "importance": 1}), ("satimp", satimp, {"beta": 0.5, "importance": 2}),
         ("ceu", ceu, {}), ("pdu", pdu, {}), ("rmu", rmu, {}),
         ("adaptive-rmu", adaptive_rmu, {"steering-coeff": 3}), ("idk-dpo", dpo, {"beta": 0.1}), ("idk-dpo", dpo, {"beta": 0.5})]


def bare():
    out = []
    for name, formula, settings in CASES:
        b = Batch(name in ("dpo", "idk-dpo"))
        b.steer = STEER
        forget, sign, retain = formula(b, settings)
        (forget + retain).backward()  # the two touch different rows
        out.append({"name": name, "settings": settings, "sign": sign, "forget": forget.item(), "retain": retain.item(),
                    "sequences": [{"side": s, "chosen": t, "rows": n} for s, t, n in b.rows], "target": b.y.tolist(),
                    "x": short(b.z), "before": short(b.before), "gradient": short(b.z.grad),
                    "steering-coeff": short(b.steer)})
    return {"torch": torch.__version__, "width": V, "cases": out}


# ---- through a model ----

FIRST, AT_LAYER, MOVED = 3, 1, 1.25
SEQUENCES = [(1, False, 7), (1, False, 5), (0, False, 8), (0, True, 7), (0, False, 6), (0, True, 8)]  # ids


class ModelBatch(Batch):
    """The rows that predict labels of SEQUENCES: logits, or states after AT_LAYER."""

    def __init__(self, now, before, ids, name, settings):
        self.at, z, old, y = [], [], [], []
        skip = settings.get("skip", 0)
        for (side, better, _), row in zip(SEQUENCES, ids):
            if better and name not in ("dpo", "idk-dpo", "idk"):
                continue
            if name == "idk" and side == 0 and not better:  # the other answer is in the row's place
                continue
            first = FIRST + (skip if side == 0 else 0)
            for model, to in ((now, z), (before, old)):
                seen = model(torch.tensor([row[:-1]]), output_hidden_states=True)
                rows = seen.hidden_states[AT_LAYER + 1] if name.endswith("rmu") else seen.logits
                to.append(rows[0, first - 1:])
            k = len(torch.cat(y)) if y else 0
            y.append(torch.tensor(row[first:]))
            self.at.append((side, better and name != "idk", slice(k, k + len(y[-1]))))
        self.z, self.before, self.y = torch.cat(z), torch.cat(old).detach(), torch.cat(y)
        self.forget = torch.cat([torch.arange(s.start, s.stop) for side, _, s in self.at if side == 0])
        self.retain = torch.cat([torch.arange(s.start, s.stop) for side, _, s in self.at if side == 1])


def through_olmo(path):
    global V, STEER
    from transformers import AutoModelForCausalLM

    def load():
        return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float64, attn_implementation="eager").eval()

    now, before = load(), load()
    trained = {n: p for n, p in now.named_parameters() if ".mlp." in n and ".layers.2." not in n}
    with torch.no_grad():
        for p in trained.values():
            p.mul_(MOVED)
    V = now.config.vocab_size
    torch.manual_seed(4)
    ids = [torch.randint(V, (n,)).tolist() for _, _, n in SEQUENCES]
    for k, (side, better, _) in enumerate(SEQUENCES):
        if better:
            ids[k][:FIRST] = ids[k - 1][:FIRST]  # another answer to the same prompt
    steer = f32(torch.rand(now.config.hidden_size))
    out = []
    for name, formula, settings in CASES:
        if name == "ceu":
            settings = {"skip": 1}
        V, STEER = (now.config.hidden_size, steer) if name.endswith("rmu") else (now.config.vocab_size, steer)
        b = ModelBatch(now, before, ids, name, settings)
        b.steer = STEER
        forget, sign, retain = formula(b, settings)
        now.zero_grad()
        (sign * forget + retain).backward()
        out.append({"name": name, "settings": settings, "forget": forget.item(), "retain": retain.item(),
                    "steering-coeff": short(b.steer) if name.endswith("rmu") else [],
                    "gradient": {n: {"length": p.grad.norm().item(), "every_17th": short(p.grad.flatten()[::17], 7)}
                                 for n, p in trained.items()}})
    return {"torch": torch.__version__, "first": FIRST, "at_layer": AT_LAYER, "moved": MOVED,
            "sequences": [{"side": s, "chosen": t, "ids": row} for (s, t, _), row in zip(SEQUENCES, ids)], "cases": out}


print(json.dumps(through_olmo(sys.argv[2]) if sys.argv[1:2] == ["--olmo"] else bare()))
