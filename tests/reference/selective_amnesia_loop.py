"""The training loop of "Selective Amnesia" (arXiv 2504.12996) as its published program runs, written out in PyTorch: the
reference of `deleatur unlearn --alpha code`.  Prints forget loss, retain loss and alpha of each update.

Run by hand: python selective_amnesia_loop.py ../../data > ../fixtures/selective_amnesia_loop.tsv   (it is committed)

The program builds on the Trainer of transformers and runs with version 4.45, not with later ones.  What the two together
do, in float32 in place of bfloat16 and without evaluation in between:

  rows      forget and retain rows in one pool, shuffled in every epoch, cut into micro-batches; the last is short
  loss      of a micro-batch: -CE(its forget rows) + alpha CE(its retain rows), each a token mean of its own over the labels
            (the output's tokens), absent where the micro-batch has no such row
  alpha     epoch 0: 1.2, and a baseline is collected: the sum of the retain losses over the number of retain *rows*.
            Later: 1.2, or where the loss exceeds the baseline by d: round(0.3 * 6^d + 0.8, 1) within 1.2 and 2.3
  epoch     the one that the Trainer has noted, which it does after an update: all micro-batches of an update have one
  update    after every `accumulate` micro-batches, counted on across epochs, so that those left over at an epoch's end go
            with the next one's first; each counts 1/accumulate.  (An epoch too short for one update ends with it.)
  in all    epochs * (micro-batches // accumulate) updates, then it stops, wherever in an epoch that is
  step      gradient clipped to norm 1; AdamW, betas .9 and .999, eps 1e-8, no decay; the learning rate falls linearly to 0

The order of rows is deleatur's, from its generator (src/base/random.h), so that both see the same rows.
"""
import argparse
import json
import math
import pathlib

import torch
import torch.nn.functional as F
import transformers
from tokenizers import Tokenizer

# name, rows a micro-batch, micro-batches an update, learning rate: as published; steeper, so that losses and alpha move;
# and with sizes that leave micro-batches over
RUNS = [("published", 12, 10, 1.5e-5), ("steep", 12, 10, 6e-4), ("left-over", 7, 10, 6e-4)]
EPOCHS, UPDATES, SEED, LAYERS = 8, 20, 1, range(6)
M64 = (1 << 64) - 1


class Xoshiro:
    """xoshiro256** seeded through splitmix64."""

    def __init__(self, seed):
        self.s = []
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) & M64
            z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & M64
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
            self.s.append(z ^ (z >> 31))

    def next(self):
        def rotl(x, k):
            return ((x << k) | (x >> (64 - k))) & M64
        s = self.s
        result, t = rotl(s[1] * 5 & M64, 7) * 9 & M64, s[1] << 17 & M64
        s[2] ^= s[0]; s[3] ^= s[1]; s[1] ^= s[2]; s[0] ^= s[3]; s[2] ^= t  # noqa: E702
        s[3] = rotl(s[3], 45)
        return result

    def below(self, n):
        while n > 1 and (x := self.next()) < (1 << 64) % n:
            pass
        return x % n if n > 1 else 0

    def shuffled(self, n):
        order = list(range(n))
        for i in range(n, 1, -1):
            j = self.below(i)
            order[i - 1], order[j] = order[j], order[i - 1]
        return order


def read_rows(path, tokenizer, side):
    rows = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        prompt = tokenizer.encode(row["input"], add_special_tokens=False).ids
        output = tokenizer.encode(" " + row["output"], add_special_tokens=False).ids
        rows.append((side, prompt + output, [0] * len(prompt) + [1] * len(output)))
    return rows


def padded(rows, longest):
    """ids, attention mask, mask of labels; padding on the left."""
    def pad(x): return [0] * (longest - len(x)) + x
    return [torch.tensor([pad(x) for x in part])
            for part in zip(*((ids, [1] * len(ids), mask) for _, ids, mask in rows))]


def cross_entropy(model, rows, longest):
    ids, seen, is_label = padded(rows, longest)
    logits = model(ids, attention_mask=seen).logits[:, :-1]
    target = ids[:, 1:].masked_fill(is_label[:, 1:] == 0, -100)
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1))


class Alpha:
    def __init__(self):
        self.total, self.rows = 0.0, 0

    def of(self, loss, n_rows, epoch):
        if epoch == 0:
            self.total += loss
            self.rows += n_rows
            return 1.2
        rise = loss - self.total / self.rows
        return min(max(round(0.3 * 6 ** rise + 0.8, 1), 1.2), 2.3) if rise > 0 else 1.2


def micro_batch(model, rows, alpha, epoch, share):
    """Adds its gradient; returns its losses and alpha, None where it has none."""
    sides = [[row for row in rows if row[0] == side] for side in ("forget", "retain")]
    longest = max(len(row[1]) for row in rows)
    loss, seen = 0.0, [None, None, None]
    if sides[0]:
        forget = cross_entropy(model, sides[0], longest)
        loss, seen[0] = loss - forget, forget.item()
    if sides[1]:
        retain = cross_entropy(model, sides[1], longest)
        seen[1], seen[2] = retain.item(), alpha.of(retain.item(), len(sides[1]), epoch)
        loss = loss + seen[2] * retain
    (loss * share).backward()
    return seen


def mean(values):
    values = [v for v in values if v is not None]
    return sum(values) / len(values) if values else math.nan


def train(model, rows, micro, accumulate, lr, updates):
    trained = [p for name, p in model.named_parameters()
               if name.split(".")[1] == "layers" and int(name.split(".")[2]) in LAYERS and ".mlp." in name]
    model.requires_grad_(False)
    for p in trained:
        p.requires_grad_(True)
    per_epoch = math.ceil(len(rows) / micro)
    in_all = EPOCHS * max(per_epoch // accumulate, 1)
    optimizer = torch.optim.AdamW(trained, lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: max(0, (in_all - update) / in_all))
    generator, alpha, noted_epoch, count, window, done = Xoshiro(SEED), Alpha(), 0.0, 0, [], 0
    for epoch in range(EPOCHS):
        order = generator.shuffled(len(rows))
        for step in range(per_epoch):
            batch = [rows[k] for k in order[step * micro:(step + 1) * micro]]
            window.append(micro_batch(model, batch, alpha, int(noted_epoch), 1 / accumulate))
            count += 1
            if count % accumulate and not (per_epoch <= accumulate and step + 1 == per_epoch):
                continue
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            noted_epoch = epoch + (step + 1) / per_epoch
            yield [mean(column) for column in zip(*window)]
            window, done = [], done + 1
            if done in (updates, in_all):
                return


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=pathlib.Path, help="the project's data folder")
    data = parser.parse_args().data
    torch.set_num_threads(2)
    tokenizer = Tokenizer.from_file(str(data / "models/demo/tokenizer.json"))
    rows = [row for side in ("forget", "retain") for row in read_rows(data / f"demo/{side}.jsonl", tokenizer, side)]
    print(f"# selective_amnesia_loop.py, torch {torch.__version__}, transformers {transformers.__version__}")
    print("run\tmicro\tbatch\tlr\tupdate\tforget\tretain\talpha")
    for name, micro, accumulate, lr in RUNS:
        model = transformers.AutoModelForCausalLM.from_pretrained(data / "models/demo", dtype=torch.float32,
                                                                  attn_implementation="eager")
        for update, numbers in enumerate(train(model, rows, micro, accumulate, lr, UPDATES), 1):
            print(name, micro, micro * accumulate, lr, update, *("%.9g" % x for x in numbers), sep="\t")


if __name__ == "__main__":
    main()
