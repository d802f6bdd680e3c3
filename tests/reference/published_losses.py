"""Losses of published unlearning programs as these compute them, written out in PyTorch with their own batching: the
reference of `--variant open-unlearning` (undial, rmu, pdu), `--variant wmdp` (rmu), `--variant tofu` (kl) and `--retain-kl`.

    python published_losses.py ../../data > ../fixtures/published_losses.tsv        losses of ten updates (committed)
    python published_losses.py ../../data --deleatur PROGRAM                        a table: how far the program differs

Programs: locuslab/open-unlearning (src/trainer), centerforaisafety/wmdp (rmu/unlearn.py), locuslab/tofu (dataloader.py).

  undial   open-unlearning   mean over all positions but the last of the padded batch; the mask's label -100 indexes V - 100
  rmu      open-unlearning   states at the labels' own positions; sums [b] / lengths [b, 1] broadcast to [b, b], their mean
  rmu      wmdp              states at every position, padding included (on the left)
  pdu      open-unlearning   (max - mean)^2 of the logits at the labels' own positions, a token mean
  kl       tofu              KL a mean over all positions of rows padded to 500
  KL       open-unlearning   KL(before || now) a mean over all positions of the padded batch ("batchmean" of [b t, V])

open-unlearning pads on the right, and its attention mask is `ids != pad`: where the pad token is the end-of-text token, the
row's own end of text is masked too.  Both kinds of pad token are measured.  Every update has all rows (four forget, four
retain); AdamW with a constant rate, gradients clipped to norm 1, as deleatur runs it.  rows "even": all of one length, so that
nothing is padded; "uneven": 6 to 13 tokens and an end of text.
"""
import argparse
import json
import math
import pathlib
import subprocess
import tempfile

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer

from selective_amnesia_loop import Xoshiro

LR, UPDATES, SEED, LAYER = 3e-4, 10, 1, 2
EOS, TOFU_LENGTH = 0, 500
FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures" / "published_rows"


def read_rows(path, tokenizer, eos=True):
    """[(ids, first label)] of a file."""
    rows = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        prompt = tokenizer.encode(row["input"], add_special_tokens=False).ids
        output = tokenizer.encode(" " + row["output"], add_special_tokens=False).ids
        rows.append((prompt + output + [EOS] * eos, len(prompt)))
    return rows


def padded(rows, left=False, length=0, pad_is_eos=False):
    """ids, attention mask, labels, each [b, t]."""
    length = max(length, max(len(ids) for ids, _ in rows))
    ids, seen, labels = [], [], []
    for row, first in rows:
        rest = length - len(row)
        own = [[EOS] * rest, [0] * rest, [-100] * rest]
        row = [row, [int(t != EOS or not pad_is_eos) for t in row], [-100] * first + row[first:]]
        for into, pad, value in zip((ids, seen, labels), own, row):
            into.append(pad + value if left else value + pad)
    return torch.tensor(ids), torch.tensor(seen), torch.tensor(labels)


class States:
    """The output of a decoder layer."""

    def __init__(self, model):
        model.model.layers[LAYER].register_forward_hook(self.keep)

    def keep(self, _module, _inputs, output):
        self.h = output[0] if isinstance(output, tuple) else output


def kl_all_positions(model, before, rows, **how):
    ids, seen, _ = padded(rows, **how)
    with torch.no_grad():
        old = F.log_softmax(before(ids, attention_mask=seen).logits, -1)
    new = F.log_softmax(model(ids, attention_mask=seen).logits, -1)
    return F.kl_div(new.flatten(0, 1), old.flatten(0, 1), reduction="batchmean", log_target=True)


def cross_entropy(model, rows, **how):
    ids, seen, labels = padded(rows, **how)
    return model(ids, attention_mask=seen, labels=labels).loss


def undial(model, before, forget, retain, how, _states, beta=10):
    ids, seen, labels = padded(forget, **how)
    with torch.no_grad():
        target = before(ids, attention_mask=seen).logits[:, :-1].clone()
    mask = torch.zeros_like(target)
    rows, columns = torch.arange(len(ids)).view(-1, 1, 1), torch.arange(ids.shape[1] - 1).view(1, -1, 1)
    mask[rows, columns, labels[:, 1:, None]] = 1  # -100 counts from the end
    z = model(ids, attention_mask=seen).logits[:, :-1]
    return F.cross_entropy(z.flatten(0, 1), F.softmax(target - beta * mask, -1).flatten(0, 1)), torch.tensor(math.nan), 0


def activation_loss(a, b, mask):
    """open-unlearning's, its broadcast included."""
    sums = ((a - b) ** 2 * mask.unsqueeze(-1)).mean(2).sum(1)
    return (sums / mask.sum(-1, keepdim=True)).mean()


def rmu(c, alpha, at_labels):
    def loss(model, before, forget, retain, how, states):
        sides = []
        for k, rows in enumerate((forget, retain)):
            ids, seen, labels = padded(rows, **how)
            model.model(ids, attention_mask=seen)
            h = states[0].h
            if k == 0:
                to = (states[2] / states[2].norm() * c).expand_as(h)
            else:
                with torch.no_grad():
                    before.model(ids, attention_mask=seen)
                to = states[1].h
            sides.append(activation_loss(h, to, (labels != -100).float()) if at_labels else F.mse_loss(h, to))
        return *sides, alpha
    return loss


class Pdu:
    def __init__(self):
        self.weight = 100.0

    def __call__(self, model, before, forget, retain, how, _states):
        ids, seen, labels = padded(forget, **how)
        z = model(ids, attention_mask=seen).logits.flatten(0, 1)
        mask = (labels != -100).flatten().float()
        flat = (((z.max(-1)[0] - z.mean(-1)) ** 2) * mask).sum() / mask.sum()
        kept, used = cross_entropy(model, retain, **how), self.weight
        self.weight = max(0, used + 5 * (kept.item() - 0.3))
        return flat, kept, used


def grad_diff_kl(model, before, forget, retain, how, _states):
    return -cross_entropy(model, forget, **how), kl_all_positions(model, before, retain, **how), 1


# name, the loss, deleatur's options, batching
LAYERS = "--layers 0-5 --parts mlp"
AT_LAYER = f"--at-layer {LAYER} --layers 0-{LAYER} --parts mlp"
OWN, SHARED = {}, {"pad_is_eos": True}
CASES = {
    "undial": (lambda: undial, f"--objective undial --variant open-unlearning {LAYERS}", [OWN, SHARED]),
    "rmu": (lambda: rmu(2, 1, True), f"--objective rmu --variant open-unlearning {AT_LAYER}", [OWN, SHARED]),
    "rmu-wmdp": (lambda: rmu(20, 100, False), f"--objective rmu --variant wmdp --no-eos {AT_LAYER}", [{"left": True}]),
    "pdu": (Pdu, f"--objective pdu --variant open-unlearning --dual-warmup 0 {LAYERS}", [OWN, SHARED]),
    "kl": (lambda: grad_diff_kl, f"--objective kl --variant tofu {LAYERS}", [{"length": TOFU_LENGTH, "pad_is_eos": True}]),
    "retain-kl": (lambda: grad_diff_kl, f"--objective grad-diff --retain-kl 2 {LAYERS}", [OWN, SHARED]),
}
# The same losses against other options of deleatur: what its own choice differs by
OTHERS = {
    "undial": [f"--objective undial {LAYERS}", f"--objective undial --train-on-prompt 1 {LAYERS}"],
    "rmu": [f"--objective rmu --steering-coeff 2 --alpha 1 {AT_LAYER}"],
    "rmu-wmdp": [f"--objective rmu --no-eos {AT_LAYER}", f"--objective rmu --train-on-prompt 1 --no-eos {AT_LAYER}"],
    "pdu": [f"--objective pdu --dual-warmup 0 {LAYERS}"],
    "kl": [f"--objective kl {LAYERS}"],
    "retain-kl": [f"--objective grad-diff --retain-kl 1 {LAYERS}"],
}


def steering(width):
    generator = Xoshiro(SEED ^ 0x726D75)
    return torch.tensor([(generator.next() >> 11) * 2.0 ** -53 for _ in range(width)], dtype=torch.float32)


def load(data):
    return transformers.AutoModelForCausalLM.from_pretrained(data / "models/demo", dtype=torch.float32,
                                                             attn_implementation="eager")


def trains(name, top):
    parts = name.split(".")
    return parts[1] == "layers" and int(parts[2]) <= top and ".mlp." in name


def train(data, loss, forget, retain, how, at_layer):
    """Losses of each update, and the tensors that moved: (before, after) by name."""
    model, before = load(data), load(data)
    states = (States(model), States(before), steering(model.config.hidden_size))
    moving = {name: p for name, p in model.named_parameters() if trains(name, LAYER if at_layer else 5)}
    model.requires_grad_(False)
    for p in moving.values():
        p.requires_grad_(True)
    start = {name: p.detach().clone() for name, p in moving.items()}
    optimizer = torch.optim.AdamW(moving.values(), lr=LR, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    seen = []
    for _ in range(UPDATES):
        lost, kept, weight = loss(model, before, forget, retain, how, states)
        optimizer.zero_grad()
        (lost + (weight * kept if weight else 0)).backward()
        torch.nn.utils.clip_grad_norm_(moving.values(), 1.0)
        optimizer.step()
        seen.append((lost.item(), kept.item(), weight))
    return seen, {name: (start[name], p.detach()) for name, p in moving.items()}


def difference(program, data, options, rows, moved):
    """|ours - theirs| / |theirs - start| over the tensors that train."""
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([program, "unlearn", data / "models/demo", "--forget", FIXTURES / f"{rows}_forget.jsonl", "--retain",
                        FIXTURES / f"{rows}_retain.jsonl", "--batch", "8", "--epochs", str(UPDATES), "--lr", str(LR),
                        "--schedule", "constant", "--collapse", "0", "--seed", str(SEED), "--quiet", "--out", f"{out}/new",
                        *options.split()], check=True, stdout=subprocess.DEVNULL)
        ours = load_file(f"{out}/new/model.safetensors")
    apart = sum(((ours[name].float() - after) ** 2).sum().item() for name, (_, after) in moved.items())
    path = sum(((after - start) ** 2).sum().item() for start, after in moved.values())
    return math.sqrt(apart / path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=pathlib.Path, help="the project's data folder")
    parser.add_argument("--deleatur", help="the program: print how far it differs, not the fixture")
    parser.add_argument("--only", nargs="*", default=list(CASES), help="cases, by name")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    tokenizer = Tokenizer.from_file(str(arguments.data / "models/demo/tokenizer.json"))
    print(f"# published_losses.py, torch {torch.__version__}, transformers {transformers.__version__}")
    print("# difference of the weights after ten updates, relative to the movement" if arguments.deleatur else
          "# losses of ten updates, in deleatur's sign: the forget loss of retain-kl is the NLL")
    print("case\trows\tpad\toptions\tdifference" if arguments.deleatur else "case\trows\tupdate\tforget\tretain\talpha\toptions")
    for name in arguments.only:
        make, options, batchings = CASES[name]
        for rows in ("even", "uneven"):
            sides = [read_rows(FIXTURES / f"{rows}_{side}.jsonl", tokenizer, eos=name != "rmu-wmdp")
                     for side in ("forget", "retain")]
            for how in batchings:
                seen, moved = train(arguments.data, make(), *sides, how, name.startswith("rmu"))
                pad = "end of text" if how.get("pad_is_eos") else "its own"
                if arguments.deleatur:
                    for own in [options] + OTHERS[name]:
                        print(name, rows, pad, own.split(" --layers")[0],
                              "%.2g" % difference(arguments.deleatur, arguments.data, own, rows, moved), sep="\t", flush=True)
                elif how in (OWN, {"left": True}) and (rows == "even" or name in ("rmu", "pdu")):
                    for update, (lost, kept, weight) in enumerate(seen, 1):
                        lost = -lost if name == "retain-kl" else lost
                        print(name, rows, update, "%.9g" % lost, "%.9g" % kept, "%.9g" % weight, options, sep="\t")


if __name__ == "__main__":
    main()
