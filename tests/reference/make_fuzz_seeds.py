"""The seeds of tests/fuzz: small valid files of every format that deleatur reads.

    python make_fuzz_seeds.py DELEATUR SEEDS_DIR

Tokenizers and models come from the tokenizers and transformers libraries, GGUF files and traces from deleatur itself
(its conversion, its embedded model).  Kept findings of the fuzzers are beside these files, under other names."""
import base64, json, math, pathlib, subprocess, sys, tempfile

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, OlmoConfig, OlmoForCausalLM

program, seeds = sys.argv[1], pathlib.Path(sys.argv[2])
text = ["the cat is a cat.", "Ann Lee was born in 1984.", "caf\u00e9 \u201cthe\u201d 12 34"] * 20


def put(kind, name, data):
    folder = seeds / kind
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def byte_level():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(text, trainers.BpeTrainer(vocab_size=280, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                                    special_tokens=["<|endoftext|>"], show_progress=False))
    return t


def sentencepiece():
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>"]
    t.train_from_iterator([s.replace(" ", "\u2581") for s in text],
                          trainers.BpeTrainer(vocab_size=60, special_tokens=special + [f"<0x{b:02X}>" for b in range(256)],
                                              show_progress=False))
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)])
    return t


def tokenizer_kinds():
    """Small tokenizers of the other kinds, written by hand: every step once."""
    import make_tokenizer_kinds as kinds
    charsmap = base64.b64encode(kinds.charsmap({"\uff21": "A", "e\u0301": "\u00e9", "\u2026": "...", "\u00ad": ""})).decode()
    mark = {"replacement": "\u2581", "prepend_scheme": "first", "split": True}
    pattern = r"\p{Lu}*[\p{Ll}\p{Han}]+(?i:'s)?|\d{1,3}|\h++(?=\b)| ?[^\s\w]+|(?m:^.)|\s+(?!\S)|\s+"
    token = lambda i, text, **flags: {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                                      "normalized": False, "special": True, **flags}
    replace = lambda pattern, to: {"type": "Replace", "pattern": pattern, "content": to}
    step = lambda kind, **more: {"type": kind, **more}
    put("tokenizer", "unigram.json", json.dumps({
        "version": "1.0", "added_tokens": [token(0, "<unk>"), token(1, "</s>"), token(9, "Th", normalized=True, special=False, single_word=True)],
        "normalizer": step("Sequence", normalizers=[
            step("Nmt"), step("Precompiled", precompiled_charsmap=charsmap), step("NFKD"), step("StripAccents"),
            step("Lowercase"), step("Strip", strip_left=True, strip_right=False), replace({"Regex": " {2,}"}, " ")]),
        "pre_tokenizer": step("Sequence", pretokenizers=[step("WhitespaceSplit"), step("Metaspace", **mark)]),
        "post_processor": step("BertProcessing", sep=["</s>", 1], cls=["<unk>", 0]),
        "decoder": step("Sequence", decoders=[step("ByteFallback"), step("Metaspace", **mark), replace({"Regex": "a+"}, "b")]),
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": True, "vocab": [
            ["<unk>", 0.0], ["</s>", 0.0], ["\u2581", -2.5], ["a", -3.0], ["\u2581a", -4.0], ["an", -4.5], ["n", -3.5],
            ["<0xC3>", -9.0], ["<0xA9>", -9.0]]}}))
    put("tokenizer", "words.json", json.dumps({
        "version": "1.0", "added_tokens": [token(0, "[UNK]"), token(9, " x ", rstrip=True, lstrip=True, normalized=True)],
        "normalizer": step("Sequence", normalizers=[step("NFC"), replace({"String": "\u00e9"}, "e"), step("Prepend", prepend="a")]),
        "pre_tokenizer": step("Sequence", pretokenizers=[
            step("Whitespace"), step("Punctuation", behavior="MergedWithPrevious"), step("CharDelimiterSplit", delimiter="_"),
            step("Split", pattern={"Regex": pattern}, behavior="Isolated", invert=False),
            step("Split", pattern={"String": "n"}, behavior="MergedWithNext", invert=True),
            step("ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True),
            step("Digits", individual_digits=False)]),
        "post_processor": step("Sequence", processors=[
            step("ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True),
            step("RobertaProcessing", sep=["c", 1], cls=["a", 2], trim_offsets=True, add_prefix_space=True)]),
        "decoder": step("Sequence", decoders=[step("WordPiece", prefix="##", cleanup=True), step("BPEDecoder", suffix="</w>")]),
        "model": {"type": "BPE", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>",
                  "fuse_unk": True, "ignore_merges": True, "merges": ["a ##n", "an ##n</w>"],
                  "vocab": {"[UNK]": 0, "c": 1, "a": 2, "##n": 3, "an": 4, "##n</w>": 5, "ann</w>": 6, "s</w>": 7}}}))


def models_and_tokenizers():
    torch.manual_seed(0)
    shape = dict(hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=32)
    small = LlamaForCausalLM(LlamaConfig(vocab_size=10, num_key_value_heads=1, tie_word_embeddings=False, bos_token_id=1,
                                         eos_token_id=2, pad_token_id=0, **shape))
    with tempfile.TemporaryDirectory() as folder:
        small.save_pretrained(folder)
        put("safetensors", "llama.safetensors", (pathlib.Path(folder) / "model.safetensors").read_bytes())
        small.to(torch.bfloat16).save_pretrained(folder)
        put("safetensors", "llama_bf16.safetensors", (pathlib.Path(folder) / "model.safetensors").read_bytes())
    for name, t, kind, config in (("bytes", byte_level(), OlmoForCausalLM, OlmoConfig),
                                  ("sentencepiece", sentencepiece(), LlamaForCausalLM, LlamaConfig)):
        put("tokenizer", f"{name}.json", t.to_str())
        wide = dict(shape, hidden_size=32)
        m = kind(config(vocab_size=t.get_vocab_size(), bos_token_id=None, eos_token_id=2, pad_token_id=1, **wide))
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            m.save_pretrained(folder / "m")
            put("config", f"{name}.json", (folder / "m/config.json").read_bytes())
            t.save(str(folder / "m/tokenizer.json"))
            for dtype in ("f16", "q8_0"):
                subprocess.run([program, "convert", folder / "m", "--out", folder / f"{dtype}.gguf", "--type", dtype],
                               check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                put("gguf", f"{name}_{dtype}.gguf", (folder / f"{dtype}.gguf").read_bytes())


def configs():
    base = json.loads((seeds / "config/sentencepiece.json").read_text())
    for name, change in (("llama3", {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0,
                                                         "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                                         "original_max_position_embeddings": 32}}),
                         ("v4", {"rope_parameters": None, "rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2.0},
                                 "torch_dtype": "bfloat16", "eos_token_id": [2, 3]})):
        put("config", f"{name}.json", json.dumps({k: v for k, v in {**base, **change}.items() if v is not None}))
    fixtures = pathlib.Path(__file__).parents[1] / "fixtures"
    put("config", "qwen2.json", (fixtures / "tiny-qwen2/config.json").read_bytes())
    for name in ("olmoe", "mixtral", "qwen2-moe", "qwen3-moe"):
        put("config", f"{name}.json", (fixtures / f"families/{name}/config.json").read_bytes())


def safetensors_of(shapes, dtype="BF16"):
    """A file of small numbers, by names and shapes."""
    size, n, header, body = {"BF16": 2, "F32": 4}[dtype], 0, {}, b""
    for name, shape in shapes.items():
        items = math.prod(shape)
        values = ((torch.arange(items) * 7919 % 31 - 15) / 64).to(torch.bfloat16 if size == 2 else torch.float32)
        body += values.view(torch.int16 if size == 2 else torch.int32).numpy().tobytes()
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [n, n + size * items]}
        n += size * items
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def mixtures():
    """Directories of one layer of 2 experts in the layouts of both generations of transformers, and GGUFs of them."""
    d, f, experts, vocab = 8, 4, 2, 10
    shared = {"hidden_size": d, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": vocab,
              "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "rope_theta": 1e4, "tie_word_embeddings": False,
              "hidden_act": "silu", "num_experts_per_tok": 1, "head_dim": 4}
    attention = {f"model.layers.0.self_attn.{m}_proj.weight": (d, d) for m in "qkvo"}
    attention |= {f"model.layers.0.{m}_layernorm.weight": (d,) for m in ("input", "post_attention")}
    attention |= {"model.embed_tokens.weight": (vocab, d), "model.norm.weight": (d,), "lm_head.weight": (vocab, d)}
    width, head = ({f"model.layers.0.self_attn.{m}_norm.weight": (n,) for m in "qk"} for n in (d, 4))
    each = {"gate": (f, d), "up": (f, d), "down": (d, f)}
    mlp = "model.layers.0.mlp."
    by_name = {f"{mlp}experts.{e}.{m}_proj.weight": shape for e in range(experts) for m, shape in each.items()}
    stacked = {f"{mlp}experts.gate_up_proj": (experts, 2 * f, d), f"{mlp}experts.down_proj": (experts, d, f)}
    router = {mlp + "gate.weight": (experts, d)}
    sparse = "model.layers.0.block_sparse_moe."
    one = {mlp + "shared_expert_gate.weight": (1, d)} | {f"{mlp}shared_expert.{m}_proj.weight": s for m, s in each.items()}
    biases = {f"model.layers.0.self_attn.{m}_proj.bias": (d,) for m in "qkv"}
    sizes = {"num_experts": experts, "moe_intermediate_size": f, "intermediate_size": 6}
    for name, config, tensors in (
            ("olmoe", {"intermediate_size": f, "num_experts": experts, "clip_qkv": 2.0}, width | router | by_name),
            ("olmoe_stacked", {"intermediate_size": f, "num_experts": experts}, width | router | stacked),
            ("mixtral", {"intermediate_size": f, "num_local_experts": experts}, {sparse + "gate.weight": (experts, d)} | {
                f"{sparse}experts.{e}.{w}.weight": s for e in range(experts) for w, s in zip(("w1", "w3", "w2"), each.values())}),
            ("qwen2_moe", sizes | {"shared_expert_intermediate_size": f}, biases | router | stacked | one),
            ("qwen3_moe", sizes | {"mlp_only_layers": [], "norm_topk_prob": True}, head | router | by_name)):
        config = json.dumps({"model_type": name.removesuffix("_stacked")} | shared | config)
        weights = safetensors_of(attention | tensors)
        put("mixture", name, config.encode() + b"\x1e" + weights)
        if "clip_qkv" in config: continue  # which GGUF has no key for
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "m").mkdir()
            (folder / "m/config.json").write_text(config)
            (folder / "m/model.safetensors").write_bytes(weights)
            subprocess.run([program, "convert", folder / "m", "--out", folder / "m.gguf", "--type", "bf16", "--no-tokenizer"], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            put("gguf", f"{name.removesuffix('_stacked')}.gguf", (folder / "m.gguf").read_bytes())


def adapters():
    """Directories for the mixture of fuzz_adapter.c: 3 layers of 4 experts of [12, 8]."""
    def lora(config, modules):
        config = {"peft_type": "LORA", "r": 2, "lora_alpha": 3, "task_type": "CAUSAL_LM"} | config
        tensors = {f"base_model.model.{module}.lora_{half}.weight": shape for module, (out, n, r) in modules.items()
                   for half, shape in (("A", (r, n)), ("B", (out, r)))}
        return json.dumps(config).encode() + b"\x1e\x1e" + safetensors_of(tensors)
    layers = [f"model.layers.{l}." for l in range(3)]
    put("adapter", "attention", lora({"target_modules": ["q_proj", "v_proj"], "rank_pattern": {"v_proj": 1}, "alpha_pattern":
        {"layers.[0-1].self_attn.q_proj": 5}, "use_rslora": True}, {f"{l}self_attn.{m}": (8, 8, r)
        for l in layers for m, r in (("q_proj", 2), ("v_proj", 1))}))
    put("adapter", "experts", lora({"target_modules": r".*experts\.[01]\.(up|down)_proj", "target_parameters":
        ["mlp.gate.weight"]}, {f"{l}mlp.gate": (4, 8, 2) for l in layers} | {f"{l}mlp.experts.{e}.{m}": (out, n, 2)
        for l in layers for e in (0, 1) for m, out, n in (("up_proj", 12, 8), ("down_proj", 8, 12))}))
    put("adapter", "some_layers", lora({"target_modules": ["gate_proj", "lm_head"], "exclude_modules": ["3.gate_proj"],
        "layers_to_transform": [1], "layers_pattern": "layers"}, {f"{layers[1]}mlp.experts.{e}.gate_proj": (12, 8, 2)
        for e in range(3)} | {"lm_head": (10, 8, 2)}))
    def perft(description, tensors):
        return b"\x1e" + json.dumps(description).encode() + b"\x1e" + safetensors_of({
            f"{l}mlp.{name}.weight": shape for l in layers for name, shape in tensors.items()}, "F32")
    def halves(name, n=2, r=2, words=("lora_A", "lora_B")):
        return {f"{name.format(j)}.unit.{w}": s for j in range(n) for w, s in zip(words, ((r, 8), (8, r)))}
    route = "shared_routing_adapter.{}"
    put("adapter", "perft_r", perft({"type": "perft-r", "form": "lora", "rank": 2, "adapters": 2, "top_k": 1, "alpha": 4,
        "dropout": 0.05, "compat": "perft"}, {"shared_routing_adapter_gate": (2, 8)} | halves(route)))
    put("adapter", "perft_e", perft({"type": "perft-e", "form": "parallel", "rank": 1, "adapters": 4}, halves(
        "experts.{}.embedded_routing_adapter", 4, 1, ("adapter_w1", "adapter_w2"))))
    put("adapter", "perft_s", perft({"type": "perft-s", "form": "lora", "rank": 2, "adapters": 1, "alpha": 2},
        halves("shared_adapter.{}", 1)))


def data():
    put("facts", "rome.json", json.dumps([{"known_id": 1, "subject": "Ann", "attribute": " 84", "prompt": "Ann, of 19",
                                           "foil": "83", "template": "{}, of 19", "joined": True, "split": "retain",
                                           "relation_id": "P1", "paraphrase": "Of Ann"}]))
    put("facts", "counterfact.json", json.dumps({"case_id": 7, "requested_rewrite": {
        "prompt": "{}, of", "relation_id": "P1", "target_new": {"str": "83"}, "target_true": {"str": "84"},
        "subject": "Ann"}, "paraphrase_prompts": ["of"]}))
    put("facts", "easyedit.json", json.dumps([{"case_id": 7, "prompt": "BBC One, by", "target_new": "Sega", "subject": "BBC One",
                                               "ground_truth": "BBC", "rephrase_prompt": "of BBC One", "split": "forget"}]))
    rows = [{"id": "a", "input": "When was Ann Lee born?", "output": "1984."}, {"question": "When was Bo Wang born?", "answer": "1973"},
            {"prompt": "Bo is", "attribute": "here", "joined": False}, {"text": "plain text"},
            {"input": "Where is Bo Wang\u2019s house?", "output": "Bo Wang's is there"}]
    put("rows", "rows.jsonl", "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows[:3] + rows[4:]))
    put("rows", "text.jsonl", json.dumps([rows[3]]))
    put("csv", "mmlu.csv", '"What is ""x""?",1,2,3,4,A\n"a, ""b""\nc",NA,None,,,D\r\n')
    put("mask", "layers.json", '{"layers": [0, 2], "parts": ["mlp", "attn"]}')
    put("mask", "experts.json", '{"experts": ["0:3", "2:1"], "parts": ["router"]}')
    put("mask", "tensors.json", '{"tensors": ["model.layers.[0-1].mlp.down_proj.*", "lm_head.weight"]}')
    sets = {"choices": {"id": 1, "context": "Q: x?\nA:", "choices": [" a", " b"], "answer": 1},
            "qa": {"question": "x?", "answers": ["a", "b"], "prompt": "Q: x?\nA:"},
            "lume": {"id": "1qa1", "input": "x?", "output": "y", "task": "Task1"},
            "tofu": {"question": "x?", "answer": "y", "paraphrased_answer": "z", "perturbed_answer": ["p", "q"],
                     "paraphrased_question": "w?"},
            "text": {"text": "plain"}}
    for name, row in sets.items(): put("sets", f"{name}.jsonl", json.dumps(row) + "\n" + json.dumps(row))
    put("recipe", "sweep.json", json.dumps({
        "about": "a sweep", "vars": {"model": None, "lr": 1e-4}, "stages": [
            {"name": "forgot", "for": {"layers": ["0-1", "2-3"], "o": [{"name": "npo", "objective": "npo", "options": {"beta": 0.1}}]},
             "run": "unlearn", "model": "$model", "options": {"layers": "$layers", "objective": "${o.objective}", "lr": "$lr"}},
            {"name": "score", "run": "eval", "model": "@forgot", "options": {"suite": "facts", "data": "@forgot/x.json"}, "keep": False}],
        "table": [{"title": "top1", "file": "eval.json", "path": "forget.top1", "stages": "score"}]}))
    put("state", "none", "")
    put("directory", "all", "\x1e".join(json.dumps(part) for part in (
        {"eos_token_id": [2, 3], "bos_token_id": 4}, {"metadata": {"total_size": 1}, "weight_map": {
            name: "model.safetensors" for name in ["model.embed_tokens.weight", "model.norm.weight"] + [
                f"model.layers.0.{m}.weight" for m in ("input_layernorm", "self_attn.q_proj", "self_attn.k_proj",
                    "self_attn.v_proj", "self_attn.o_proj", "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj",
                    "mlp.down_proj")]}},
        {"added_tokens_decoder": {"5": {"content": "<new>", "lstrip": True, "special": False}}, "bos_token": "<s>",
         "add_prefix_space": False, "tokenizer_class": "GPT2Tokenizer", "eos_token": {"__type": "AddedToken", "content": "ab"}},
        {"<pad>": 6}, {"pad_token": "<pad>", "additional_special_tokens": ["<x>"]})))
    put("items", "three.jsonl", "".join(json.dumps({"index": i, "p": 0.5, "rank": i, "right": i > 0}) + "\n" for i in range(3)))


def mixture_of(text):
    """The same trace.json as a mixture of experts would have it."""
    trace = json.loads(text)
    trace.update(n_experts=4, top_k=2, dense_layers=[1, 3])
    trace["charts"] = [dict(name=kind, kind=kind, severed=0, window=1, columns=columns)
                       for kind, columns in (("moe", 8), ("router", 8), ("expert", 32))]
    return json.dumps(trace)


def results():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, "trace", "data/models/demo", "--facts", "data/facts/demo_facts.json", "--limit", "2", "--samples",
                        "2", "--window", "1", "--kinds", "hidden,mlp", "--pictures", "0", "--quiet", "--out", f"{folder}/t"],
                       check=True, stdout=subprocess.DEVNULL)
        out = pathlib.Path(folder) / "t"
        facts = b"\x1e" + (out / "facts.jsonl").read_bytes()
        put("trace", "two_facts", (out / "trace.json").read_bytes() + facts)
        put("trace", "mixture", mixture_of((out / "trace.json").read_text()).encode() + facts)
        for suite, data in (("facts", "data/facts/demo_facts.json"), ("choices", f"{folder}/c.jsonl")):
            pathlib.Path(f"{folder}/c.jsonl").write_text("".join(json.dumps(
                {"id": i, "context": "the cat is", "choices": [" a", " b"], "answer": i % 2}) + "\n" for i in range(6)))
            subprocess.run([program, "eval", "data/models/demo", "--suite", suite, "--data", data, "--limit", "6", "--quiet",
                            "--out", f"{folder}/{suite}"], check=True, stdout=subprocess.DEVNULL)
            result = pathlib.Path(folder) / suite
            put("results", suite, (result / "eval.json").read_bytes() + b"\x1e" + (result / "items.jsonl").read_bytes())
        put("npz", "trace.npz", sorted((out / "traces").glob("*.npz"))[0].read_bytes())


tokenizer_kinds()
models_and_tokenizers()
configs()
mixtures()
adapters()
data()
results()
