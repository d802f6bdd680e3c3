"""Experts in blocks of a GGUF: does deleatur read what the gguf package reads, and write what it reads?

    python tests/reference/compare_mixture_ggufs.py BUILD

BUILD holds `deleatur` and `tests/engine_probe`.  For each mixture a random checkpoint whose rows fill blocks of 256.

  TYPE      written by `deleatur convert --type TYPE`, and read back by `deleatur convert --dtype f32`: the values are those
            that the gguf package dequantises, the logits transformers' from them (1e-4), llama.cpp's most likely token
            the same (it quantises activations: its logits are some 1e-2 away)
  package   a file that the gguf package writes as llama.cpp's converter does, matrices quantised by it to Q8_0, the gate of
            the shared expert [1, d] as newer converters leave it: deleatur's logits are transformers' (1e-4)

Exit status 1 on a difference.
"""
import os
import subprocess
import sys
import tempfile

import gguf
import numpy as np
import torch
import transformers
from compare_families import Case, Failure, llama_cpp, relative, tensors_of
from make_family_checkpoints import tokenizer_json, write_json

BASE = dict(vocab_size=267, hidden_size=256, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128,
            bos_token_id=None, eos_token_id=2, pad_token_id=3, num_experts_per_tok=2)
QWEN = dict(num_experts=6, num_key_value_heads=2, intermediate_size=512, moe_intermediate_size=256)
MIXTURES = {
    "olmoe": ("OlmoeConfig", dict(num_experts=6, num_key_value_heads=4, intermediate_size=256)),
    "mixtral": ("MixtralConfig", dict(num_local_experts=6, num_key_value_heads=2, intermediate_size=256)),
    "qwen2_moe": ("Qwen2MoeConfig", dict(**QWEN, shared_expert_intermediate_size=512)),
    "qwen3_moe": ("Qwen3MoeConfig", dict(**QWEN, norm_topk_prob=True, head_dim=64)),
}
TYPES = ("q8_0", "q5_0", "q4_0", "q4_k")
TOKENS = np.random.RandomState(5).randint(0, 260, 24).tolist()


def make(path, family):
    """Weights small enough that the logits of 2 layers stay apart after rounding to 4 bits; routers wide."""
    kind, keys = MIXTURES[family]
    model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind)(**{**BASE, **keys}))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            norm = p.dim() == 1 and not name.endswith("bias")
            p.copy_(1 + 0.3 * noise if norm else (0.5 if name.endswith("mlp.gate.weight") else 0.06) * noise)
    model.save_pretrained(path)
    write_json(os.path.join(path, "tokenizer.json"), tokenizer_json(267))


def deleatur(build, *arguments):
    run = subprocess.run([os.path.join(build, "deleatur"), *arguments, "--quiet"], capture_output=True, text=True)
    if run.returncode:
        raise Failure(run.stderr.strip()[:300])


def as_llama_cpp_has_it(path, family):
    """The tensors of a directory, under llama.cpp's names and in its order."""
    case = Case.__new__(Case)
    case.family, case.path = family, path
    return case.expected_gguf(transformers.AutoConfig.from_pretrained(path))


def our_logits(build, path, scratch):
    out = os.path.join(scratch, "out.npz")
    line = "\t".join([path, ",".join(map(str, TOKENS)), out, ""])
    run = subprocess.run([os.path.join(build, "tests", "engine_probe")], input=line + "\n", capture_output=True, text=True)
    if not run.stdout.startswith("ok"):
        raise Failure(run.stdout + run.stderr)
    return np.load(out)["logits"]


def their_logits(path, change=None):
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float64, attn_implementation="eager",
                                                              experts_implementation="eager").eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if change:
                change(name, p)
        return model(torch.tensor([TOKENS])).logits[0].numpy()


def ours_of(build, path, family, kind, scratch):
    file, back = os.path.join(scratch, f"{kind}.gguf"), os.path.join(scratch, f"{kind}-back")
    deleatur(build, "convert", path, "--out", file, "--type", kind)
    deleatur(build, "convert", file, "--out", back, "--dtype", "f32")
    want, got = as_llama_cpp_has_it(back, family), {t.name: t for t in gguf.GGUFReader(file).tensors}
    if set(want) != set(got):
        raise Failure(f"names differ: {sorted(set(want) ^ set(got))[:6]}")
    for name, t in got.items():
        if not np.array_equal(gguf.quants.dequantize(t.data, t.tensor_type).reshape(want[name].shape), want[name]):
            raise Failure(f"{name} has other values than the gguf package reads")
        if "_exps" in name and t.tensor_type.name != kind.upper():
            raise Failure(f"{name} is stored as {t.tensor_type.name}")
    theirs = their_logits(back)
    last, _ = llama_cpp(file, TOKENS, 1)
    if last.argmax() != theirs[-1].argmax():
        raise Failure("llama.cpp's most likely token is another")
    return relative(our_logits(build, file, scratch), theirs), relative(last, theirs[-1])


def written_by_the_package(path, family, file):
    """Returns the tensors as they are in the file, dequantised."""
    config, arch = transformers.AutoConfig.from_pretrained(path), Case.ARCH[family]
    w = gguf.GGUFWriter(file, gguf.MODEL_ARCH_NAMES[getattr(gguf.MODEL_ARCH, arch)])
    w.add_block_count(config.num_hidden_layers)
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_rope_freq_base(config.rope_parameters["rope_theta"])
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_expert_count(getattr(config, "num_local_experts", None) or config.num_experts)
    w.add_expert_used_count(config.num_experts_per_tok)
    if getattr(config, "head_dim", None):
        w.add_key_length(config.head_dim)
        w.add_value_length(config.head_dim)
    if hasattr(config, "moe_intermediate_size"):
        w.add_expert_feed_forward_length(config.moe_intermediate_size)
    if hasattr(config, "shared_expert_intermediate_size"):
        w.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)
    w.add_vocab_size(config.vocab_size)
    w.add_tokenizer_model("none")
    values = as_llama_cpp_has_it(path, family)
    for name, x in values.items():
        plain = x.ndim == 1 or "ffn_gate_inp" in name
        if name.endswith("ffn_gate_inp_shexp.weight"):
            x = x[None]
        kind = gguf.GGMLQuantizationType.F32 if plain else gguf.GGMLQuantizationType.Q8_0
        data = x if plain else gguf.quants.quantize(x, kind)
        w.add_tensor(name, data, raw_dtype=kind)
        values[name] = x if plain else gguf.quants.dequantize(data, kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return values


def packages(build, path, family, scratch):
    """The weights of the file, back in a directory by deleatur, are the package's; so are the logits."""
    file, back = os.path.join(scratch, "package.gguf"), os.path.join(scratch, "package-back")
    values = written_by_the_package(path, family, file)
    deleatur(build, "convert", file, "--out", back, "--dtype", "f32")
    for name, x in as_llama_cpp_has_it(back, family).items():
        if not np.array_equal(x, values[name].reshape(x.shape)):
            raise Failure(f"{name} is not what the package wrote")
    if set(tensors_of(back)) != set(tensors_of(path)):
        raise Failure("other names")
    theirs = their_logits(back)
    last, _ = llama_cpp(file, TOKENS, 1)
    return relative(our_logits(build, file, scratch), theirs), relative(last, theirs[-1])


def main():
    build, failed = sys.argv[1], False
    for family in MIXTURES:
        with tempfile.TemporaryDirectory(prefix="experts-") as scratch:
            path = os.path.join(scratch, family)
            make(path, family)
            for kind in TYPES + ("package",):
                try:
                    ours, llama = (packages(build, path, family, scratch) if kind == "package"
                                   else ours_of(build, path, family, kind, scratch))
                    wrong = not ours <= 1e-4
                    print(f"{family:10} {kind:8} {ours:.1e} from transformers, llama.cpp {llama:.1e}{' FAILED' * wrong}", flush=True)
                except Failure as failure:
                    wrong = True
                    print(f"{family:10} {kind:8} FAILED {failure}", flush=True)
                failed |= wrong
    return failed


if __name__ == "__main__":
    sys.exit(main())
