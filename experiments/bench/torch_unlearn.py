"""Selective Amnesia's published training loop in PyTorch, for its speed only: a mixed batch of 12 rows from all LUME
tasks, left-padded to the longest, forget and retain rows in two forwards, layers 0-5's MLPs trained, AdamW.

    python torch_unlearn.py MODEL_DIR LUME_DIR [steps]

Prints real (unpadded) tokens a second.  Beside it: `deleatur unlearn` on the same rows prints its own rate."""
import json, random, sys, time, torch
from transformers import AutoModelForCausalLM, AutoTokenizer

model_dir, lume, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 3
torch.set_num_threads(2)
tok = AutoTokenizer.from_pretrained(model_dir)
model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
for name, p in model.named_parameters():
    p.requires_grad = ".mlp." in name and int(name.split(".")[2]) < 6
opt = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1.5e-5, weight_decay=0)
rows = [(json.loads(l), sign) for f, sign in (("forget", -1), ("retain", 1)) for l in open(f"{lume}/{f}.jsonl")]
random.Random(1).shuffle(rows)
pad = tok.pad_token_id or 0

def loss_of(batch):
    seqs = [(tok(r["input"]).input_ids, tok(" " + r["output"]).input_ids) for r, _ in batch]
    width = max(len(a) + len(b) for a, b in seqs)
    ids = torch.tensor([[pad] * (width - len(a) - len(b)) + a + b for a, b in seqs])
    mask = torch.tensor([[0] * (width - len(a) - len(b)) + [1] * (len(a) + len(b)) for a, b in seqs])
    labels = torch.tensor([[-100] * (width - len(b)) + b for a, b in seqs])
    return model(input_ids=ids, attention_mask=mask, labels=labels).loss, int(mask.sum()), ids.numel()

real = computed = 0
for step in range(steps + 1):
    if step == 1: real, computed, began = 0, 0, time.time()  # the first is warm-up
    batch = rows[12 * step:12 * step + 12]
    total = 0
    for sign, weight in ((-1, -1.0), (1, 1.2)):
        part = [b for b in batch if b[1] == sign]
        if not part: continue
        loss, n, m = loss_of(part)
        total = total + weight * loss
        real += n; computed += m
    total.backward(); opt.step(); opt.zero_grad()
took = time.time() - began
print(f"{real / took:.1f} real tokens/s over {steps} updates ({100 * (1 - real / computed):.0f} % of the computed positions are padding)")
