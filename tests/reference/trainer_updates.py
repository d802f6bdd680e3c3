"""Ten updates by transformers' Trainer on a tiny Llama: warm-up, decay of some parameters, clipping, three schedules.

    python trainer_updates.py tests/fixtures/tiny-llama-tied tests/fixtures/trainer_updates.json

All rows are one batch, so that shuffling changes nothing.  After each update: its learning rate and the norm of the
gradient before clipping, as the Trainer logs them; at the end every 7th value of each tensor, in float64 sums for length.
"""
import json
import sys
import tempfile

import torch
import transformers
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

UPDATES, WARMUP, LR, DECAY, CLIP = 10, 4, 1e-2, 0.2, 1.0
ROWS = [[11, 3, 42, 17, 60, 8, 29], [5, 9, 33, 2, 14], [7, 50, 21, 44, 13, 6], [1, 58, 36, 25, 40, 12, 19]]
FIRST = 2  # labels from here on


def collate(rows):
    longest = max(len(r["ids"]) for r in rows)
    pad = lambda x, value: x + [value] * (longest - len(x))
    return {"input_ids": torch.tensor([pad(r["ids"], 0) for r in rows]),
            "attention_mask": torch.tensor([pad([1] * len(r["ids"]), 0) for r in rows]),
            "labels": torch.tensor([pad([-100] * FIRST + r["ids"][FIRST:], -100) for r in rows])}


def run(path, schedule):
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")
    with tempfile.TemporaryDirectory() as directory:
        args = TrainingArguments(output_dir=directory, per_device_train_batch_size=len(ROWS), num_train_epochs=UPDATES,
                                 learning_rate=LR, weight_decay=DECAY, warmup_steps=WARMUP, lr_scheduler_type=schedule,
                                 max_grad_norm=CLIP, optim="adamw_torch", logging_steps=1, save_strategy="no",
                                 report_to=[], use_cpu=True, remove_unused_columns=False, disable_tqdm=True)
        trainer = Trainer(model=model, args=args, train_dataset=[{"ids": r} for r in ROWS], data_collator=collate)
        used = []

        class Watch(transformers.TrainerCallback):
            """The rate that an update uses; what the log names is the next one's."""
            def on_step_begin(self, args, state, control, **more):
                used.append([group["lr"] for group in trainer.optimizer.param_groups])

        trainer.add_callback(Watch())
        trainer.train()
    kept = {id(p) for group in trainer.optimizer.param_groups if group["weight_decay"] == 0 for p in group["params"]}
    log = [entry for entry in trainer.state.log_history if "grad_norm" in entry]
    return {"schedule": schedule, "lr": [x[0] for x in used], "gradient": [float(e["grad_norm"]) for e in log],
            "not_decayed": [n for n, p in model.named_parameters() if id(p) in kept],
            "after": {n: [float("%.9g" % x) for x in p.detach().flatten()[::7].tolist()][:40]
                      for n, p in model.named_parameters()}}


path, out = sys.argv[1:]
schedules = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
result = {"torch": torch.__version__, "transformers": transformers.__version__, "updates": UPDATES, "warmup": WARMUP,
          "lr": LR, "weight_decay": DECAY, "clip": CLIP, "first": FIRST, "rows": ROWS,
          "runs": [{**run(path, theirs), "name": ours} for ours, theirs in schedules.items()]}
with open(out, "w") as file:
    json.dump(result, file)
    file.write("\n")
