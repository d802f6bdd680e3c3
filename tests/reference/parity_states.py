"""The states of a model in transformers, for `deleatur parity MODEL --against OUT.npz` (docs/parity.md):

    python parity_states.py MODEL OUT.npz "A text"          or token ids: 5,17,3

MODEL is a Hugging Face directory, or a GGUF that transformers reads.  All in float32, with eager attention.

  tokens  [n]                    resid    [layers + 1, n, d]   what enters each layer; last, what leaves the last one: before
  logits  [n, vocab]                                           the final norm, which hidden_states[-1] of transformers is after
  experts [layers, n, k]         attn_out, mlp_out [layers, n, d]   what the two sublayers add to the stream: after the norm
  (-1: a layer without experts)                                     after a sublayer, where the family has one"""
import os, sys, numpy, torch
from transformers import AutoModelForCausalLM, AutoTokenizer

path, out, text = sys.argv[1:4]
source = {"gguf_file": os.path.basename(path)} if path.endswith(".gguf") else {}
where = os.path.dirname(path) if source else path
model = AutoModelForCausalLM.from_pretrained(where, **source, dtype=torch.float32, attn_implementation="eager").eval()
ids = ([int(i) for i in text.split(",")] if set(text) <= set("0123456789,")
       else AutoTokenizer.from_pretrained(where, **source)(text).input_ids)
layers = next(m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == model.config.num_hidden_layers)
seen = {"resid": [], "attn_out": [], "mlp_out": [], "experts": []}

def keep(name, of=0):  # a module's output, or the part of it that is asked for
    return lambda module, args, output: seen[name].append((output[of] if isinstance(output, tuple) else output).clone())

for layer in layers:
    part = dict(layer.named_children())
    post = "post_feedforward_layernorm" in part  # norms after both sublayers
    layer.register_forward_pre_hook(lambda module, args, more: seen["resid"].append((*args, *more.values())[0].clone()),
                                    with_kwargs=True)
    attention = next(part[name] for name in ("self_attn", "attn", "attention") if name in part)
    (part["post_attention_layernorm"] if post else attention).register_forward_hook(keep("attn_out"))
    part["post_feedforward_layernorm" if post else "mlp"].register_forward_hook(keep("mlp_out"))
    if hasattr(part["mlp"], "gate"):  # a router; its last output are the experts
        part["mlp"].gate.register_forward_hook(keep("experts", -1))
    elif hasattr(model.config, "num_experts_per_tok"):  # a dense layer among sparse ones
        part["mlp"].register_forward_hook(lambda module, args, output: seen["experts"].append(
            torch.full((len(ids), model.config.num_experts_per_tok), -1)))
layers[-1].register_forward_hook(keep("resid"))
with torch.no_grad():
    logits = model(torch.tensor([ids]), use_cache=False).logits
arrays = {name: torch.stack([x.reshape(len(ids), -1) for x in states]).numpy() for name, states in seen.items() if states}
added = arrays["resid"][:-1] + arrays["attn_out"] + arrays["mlp_out"]
assert abs(added - arrays["resid"][1:]).max() <= 1e-5 * abs(added).max(), "the stream is not the sum of what joins it"
numpy.savez_compressed(out, tokens=numpy.array(ids, dtype=numpy.int64), logits=logits[0].numpy(), **arrays)
