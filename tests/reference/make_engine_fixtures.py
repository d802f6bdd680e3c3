"""Fixtures of the engine's parity tests, from transformers and torch (versions: requirements.txt).

    python make_engine_fixtures.py OUT [--gguf SmolLM2-135M-Instruct.Q4_1.gguf]

Writes OUT/tiny-<name>/ (a random model as a Hugging Face directory) with logits.json beside it, and with --gguf
OUT/smollm2_logits.json (with --demo MODEL OUT/demo_golden.json, likewise with continuations): for 20 prompts the ids, every 997th logit of the last row, the greatest logits, and the
log-sum-exp.  Run by hand; what it writes is committed."""
import argparse, json, os, torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, OlmoConfig, OlmoForCausalLM

torch.manual_seed(0)
PROMPTS = ["The capital of France is", "Water boils at", "Once upon a time there was a", "1 + 1 =", "def add(a, b):\n    return",
           "The Eiffel Tower is in", "The opposite of hot is", "Albert Einstein was a", "The largest planet is", "Hello",
           "The chemical symbol for gold is", "In 1969, Neil Armstrong", "The author of Hamlet is", "Der Himmel ist",
           "To be or not to be,", "The quick brown fox jumps over the lazy dog. " * 6, "A B C D E F", "  indented\n\ttext",
           "Les enfants jouent dans le", "Paris, London, Berlin and"]

def tiny(out, name, model):
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(1.0 if p.dim() == 1 else 0.0, 0.2)
    path = os.path.join(out, "tiny-" + name)
    model.save_pretrained(path)
    if os.path.exists(os.path.join(path, "generation_config.json")):
        os.remove(os.path.join(path, "generation_config.json"))
    ids = torch.randint(0, model.config.vocab_size, (17,))
    with torch.no_grad():
        logits = model(ids[None]).logits[0]
    with open(os.path.join(path, "logits.json"), "w") as f:
        json.dump({"ids": ids.tolist(), "logits": [[float(f"{x:.7g}") for x in row] for row in logits.tolist()]}, f)

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
    a = a.parse_args()
    if a.demo:
        demo(a.out, a.demo)
    if a.only_demo:
        raise SystemExit
    llama = dict(vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=64)
    tiny(a.out, "llama-tied", LlamaForCausalLM(LlamaConfig(**llama, num_key_value_heads=2, tie_word_embeddings=True, rms_norm_eps=1e-5)))
    tiny(a.out, "llama-untied", LlamaForCausalLM(LlamaConfig(**llama, num_key_value_heads=4, tie_word_embeddings=False)))
    tiny(a.out, "olmo-tied", OlmoForCausalLM(OlmoConfig(**llama, num_key_value_heads=4, tie_word_embeddings=True, pad_token_id=1, eos_token_id=2)))
    tiny(a.out, "olmo-clip", OlmoForCausalLM(OlmoConfig(**llama, num_key_value_heads=4, clip_qkv=1.0, tie_word_embeddings=False, pad_token_id=1, eos_token_id=2)))
    if a.gguf:
        smollm2(a.out, a.gguf)
