"""Ten steps of torch's AdamW with clipping and a falling learning rate -> tests/fixtures/adamw.json

Run by hand: python make_adamw_fixture.py > ../fixtures/adamw.json      (torch 2.15; the fixture is committed)
"""
import json
import torch

torch.manual_seed(0)
sizes, steps = [7, 12], 10
params = [torch.nn.Parameter(torch.randn(n) * 0.1) for n in sizes]
start = [p.detach().tolist() for p in params]
rule = dict(lr=3e-3, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.01)
optimizer = torch.optim.AdamW(params, foreach=False, fused=False, **rule)
grads, norms, lrs, after = [], [], [], []
for step in range(steps):
    for group in optimizer.param_groups:
        group["lr"] = rule["lr"] * (steps - step) / steps
    g = [torch.randn(n) * (0.1 if step % 2 else 0.6) for n in sizes]  # every other step is clipped
    grads.append([x.tolist() for x in g])
    for p, x in zip(params, g):
        p.grad = x.clone()
    norms.append(torch.nn.utils.clip_grad_norm_(params, 1.0).item())
    optimizer.step()
    lrs.append(optimizer.param_groups[0]["lr"])
    after.append([p.detach().tolist() for p in params])
print(json.dumps({"torch": torch.__version__, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.01,
                  "clip": 1.0, "start": start, "lr": lrs, "grads": grads, "norms": norms, "after": after}))
