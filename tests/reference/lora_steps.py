"""Five updates of LoRA by PEFT, on the embedded model: loss and norm of the adapters' gradient before each, the reference of
`deleatur finetune --lora`.

Run by hand: python lora_steps.py ../../data ../fixtures/lora_rows.jsonl > ../fixtures/lora_steps.tsv  (it is committed)

All rows are one batch; cross-entropy is a token mean over the outputs; AdamW with decay, gradient clipped to norm 1, the
learning rate falls linearly to 0.  A begins as deleatur draws it (unlearn/lora.h), tensor by tensor; B at zero.
"""
import pathlib
import sys

import peft
import torch
import torch.nn.functional as F
import transformers
from tokenizers import Tokenizer

from selective_amnesia_loop import Xoshiro, padded, read_rows

RANK, ALPHA, LAYERS, SEED, UPDATES, LR, DECAY = 4, 12, (2, 3, 6), 5, 5, 1e-2, 0.1
ORDER = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
         "mlp.down_proj"]


def uniform(generator, rows, cols):
    return torch.tensor([[2 * (generator.next() >> 11) / (1 << 53) - 1 for _ in range(cols)] for _ in range(rows)],
                        dtype=torch.float64)


def main():
    data, rows_path = (pathlib.Path(p) for p in sys.argv[1:])
    tokenizer = Tokenizer.from_file(str(data / "models/demo/tokenizer.json"))
    rows = read_rows(rows_path, tokenizer, "data")
    base = transformers.AutoModelForCausalLM.from_pretrained(data / "models/demo", dtype=torch.float32,
                                                             attn_implementation="eager")
    names = [f"model.layers.{layer}.{part}" for layer in LAYERS for part in ORDER]
    model = peft.get_peft_model(base, peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=names, lora_dropout=0.0,
                                                      bias="none", task_type="CAUSAL_LM"))
    generator = Xoshiro(SEED ^ 0x6C6F7261)
    with torch.no_grad():
        for name in names:
            a = model.get_submodule(f"base_model.model.{name}").lora_A["default"].weight
            a.copy_((uniform(generator, *a.shape) / a.shape[1] ** 0.5).float())
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LR, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: (UPDATES - update) / UPDATES)
    ids, seen, is_label = padded(rows, max(len(row[1]) for row in rows))
    target = ids[:, 1:].masked_fill(is_label[:, 1:] == 0, -100)
    print(f"# lora_steps.py, torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}")
    print("update\tloss\tgradient")
    for update in range(1, UPDATES + 1):
        logits = model(input_ids=ids, attention_mask=seen).logits[:, :-1]
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
        print(update, "%.9g" % loss.item(), "%.9g" % norm.item(), sep="\t")
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


main()
