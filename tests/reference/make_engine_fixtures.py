"""Fixtures of the engine's parity tests, from transformers and torch (versions: requirements.txt).

    python make_engine_fixtures.py OUT [--gguf SmolLM2-135M-Instruct.Q4_1.gguf]

Writes OUT/tiny-<name>/ (a random model as a Hugging Face directory) with logits.json beside it, and with --gguf
OUT/smollm2_logits.json (with --demo MODEL OUT/demo_golden.json, likewise with continuations): for 20 prompts the ids, every 997th logit of the last row, the greatest logits, and the
log-sum-exp.  Run by hand; what it writes is committed.

The families with biases, tiny-llama-bias and tiny-qwen2, also have OUT/tiny-<name>/gradient/: a directory of the same form
whose tensors are the gradients of logits.json's "loss", the mean cross-entropy of ids 1, 2, ... after those before them.
With --only NAME one of the tiny models is made (with other random numbers than among all).  With --gguf-twin MODEL, OUT is
a file: tiny-qwen2 as a GGUF of F32 tensors without a tokenizer, by the gguf package and llama.cpp's names."""
import argparse, json, os, shutil, torch
from transformers import (AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, OlmoConfig, OlmoForCausalLM, Qwen2Config,
                          Qwen2ForCausalLM)

torch.manual_seed(0)
PROMPTS = ["The capital of France is", "Water boils at", "Once upon a time there was a", "1 + 1 =", "def add(a, b):\n    return",
           "The Eiffel Tower is in", "The opposite of hot is", "Albert Einstein was a", "The largest planet is", "Hello",
           "The chemical symbol for gold is", "In 1969, Neil Armstrong", "The author of Hamlet is", "Der Himmel ist",
           "To be or not to be,", "The quick brown fox jumps over the lazy dog. " * 6, "A B C D E F", "  indented\n\ttext",
           "Les enfants jouent dans le", "Paris, London, Berlin and"]

def save(model, path):
    model.save_pretrained(path)
    if os.path.exists(os.path.join(path, "generation_config.json")):
        os.remove(os.path.join(path, "generation_config.json"))

def gradient(path, ids):
    """The mean cross-entropy of ids 1, 2, ...; each tensor's gradient, as the model of a directory of its own."""
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float64, attn_implementation="eager")
    loss = torch.nn.functional.cross_entropy(model(ids[None]).logits[0, :-1], ids[1:])
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.grad)
    save(model.to(torch.float32), os.path.join(path, "gradient"))
    return loss.item()

def tiny(out, name, model, with_gradient=False):
    with torch.no_grad():
        for n, p in model.named_parameters():
            p.normal_(1.0 if p.dim() == 1 and not n.endswith("bias") else 0.0, 0.2)
    path = os.path.join(out, "tiny-" + name)
    save(model, path)
    ids = torch.randint(0, model.config.vocab_size, (17,))
    with torch.no_grad():
        logits = model(ids[None]).logits[0]
    result = {"ids": ids.tolist(), "logits": [[float(f"{x:.7g}") for x in row] for row in logits.tolist()]}
    if with_gradient:
        result["loss"] = gradient(path, ids)
    with open(os.path.join(path, "logits.json"), "w") as f:
        json.dump(result, f)

GGUF_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
              "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
              "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
              "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}

def gguf_twin(path, file):
    """Qwen2 alone: llama.cpp's Llama has its query and key rows in another order."""
    import gguf
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    c = model.config
    assert c.model_type == "qwen2"
    w = gguf.GGUFWriter(file, c.model_type)
    w.add_block_count(c.num_hidden_layers)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_vocab_size(c.vocab_size)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_tokenizer_model("none")
    for name, p in model.named_parameters():
        stem, kind = name.rsplit(".", 1)
        prefix = ""
        if stem.startswith("model.layers."):
            _, _, layer, stem = stem.split(".", 3)
            prefix = f"blk.{layer}."
        w.add_tensor(f"{prefix}{GGUF_NAMES[stem]}.{kind}", p.detach().numpy())
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()

def smollm2(out, gguf):
    d, f = os.path.split(gguf)
    model = AutoModelForCausalLM.from_pretrained(d, gguf_file=f, dtype=torch.float32)
    from transformers import AutoTokenizer
    from tokenizers import pre_tokenizers as pt
    tok = AutoTokenizer.from_pretrained(d, gguf_file=f)
    tok.backend_tokenizer.pre_tokenizer = pt.Sequence([pt.Digits(individual_digits=True), pt.ByteLevel(add_prefix_space=False, use_regex=True)])
    cases = []
    for prompt in PROMPTS:
        ids = tok.backend_tokenizer.encode(prompt, add_special_tokens=False).ids
        with torch.no_grad():
            row = model(torch.tensor([ids])).logits[0, -1]
        cases.append({"prompt": prompt, "ids": ids, "every_997th": row[::997].tolist(),
                      "top_ids": row.topk(5).indices.tolist(), "top": row.topk(5).values.tolist(),
                      "log_sum_exp": torch.logsumexp(row.double(), 0).item()})
    with open(os.path.join(out, "smollm2_logits.json"), "w") as f:
        json.dump(cases, f, indent=0)

DEMO_PROMPTS = ["Arlo Greycliff lives in the town of", "Question: What is the work of Gorm Ashgrove? Answer:",
                "Every evening Jorun Pemberley goes home to", "A baker makes", "The neighbours of", "Hello, 12 na\u00efve"]

def demo(out, path):
    """The embedded model: mean NLL of the prompt, greatest logits of its last row, twelve greedy tokens."""
    from transformers import AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    tok = AutoTokenizer.from_pretrained(path)
    cases = []
    for prompt in DEMO_PROMPTS:
        ids = tok(prompt).input_ids
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].double()
            nll = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:])).item()
            greedy = list(ids)
            for _ in range(12):
                greedy.append(model(torch.tensor([greedy])).logits[0, -1].argmax().item())
                if greedy[-1] == model.config.eos_token_id:
                    break
        top = logits[-1].topk(5)
        new = [i for i in greedy[len(ids):] if i != model.config.eos_token_id]
        cases.append({"prompt": prompt, "ids": ids, "mean_nll": nll, "greedy_new_ids": new,
                      "top5": [[i, x] for i, x in zip(top.indices.tolist(), top.values.tolist())]})
    with open(os.path.join(out, "demo_golden.json"), "w") as f:
        json.dump({"cases": cases}, f, indent=0)

if __name__ == "__main__":
    a = argparse.ArgumentParser()
    a.add_argument("out"); a.add_argument("--gguf"); a.add_argument("--demo"); a.add_argument("--only-demo", action="store_true")
    a.add_argument("--only"); a.add_argument("--gguf-twin", metavar="MODEL")
    a = a.parse_args()
    if a.gguf_twin:
        gguf_twin(a.gguf_twin, a.out)
        raise SystemExit
    if a.demo:
        demo(a.out, a.demo)
    if a.only_demo:
        raise SystemExit
    llama = dict(vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=64)
    small = {**llama, "hidden_size": 16, "intermediate_size": 24, "num_key_value_heads": 2}
    for name, make, more in [
            ("llama-tied", lambda: LlamaForCausalLM(LlamaConfig(**llama, num_key_value_heads=2, tie_word_embeddings=True, rms_norm_eps=1e-5)), {}),
            ("llama-untied", lambda: LlamaForCausalLM(LlamaConfig(**llama, num_key_value_heads=4, tie_word_embeddings=False)), {}),
            ("olmo-tied", lambda: OlmoForCausalLM(OlmoConfig(**llama, num_key_value_heads=4, tie_word_embeddings=True, pad_token_id=1, eos_token_id=2)), {}),
            ("olmo-clip", lambda: OlmoForCausalLM(OlmoConfig(**llama, num_key_value_heads=4, clip_qkv=1.0, tie_word_embeddings=False, pad_token_id=1, eos_token_id=2)), {}),
            ("llama-bias", lambda: LlamaForCausalLM(LlamaConfig(**small, attention_bias=True, tie_word_embeddings=False, rms_norm_eps=1e-5)), {"with_gradient": True}),
            ("qwen2", lambda: Qwen2ForCausalLM(Qwen2Config(**small, tie_word_embeddings=True, rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 1e6}, eos_token_id=2)), {"with_gradient": True})]:
        if not a.only or a.only == name:
            tiny(a.out, name, make(), **more)
    if a.gguf:
        smollm2(a.out, a.gguf)
