"""Does deleatur compute what transformers computes, family by family?  And does what it writes load elsewhere?

    python tests/reference/make_family_checkpoints.py CK
    python tests/reference/compare_families.py BUILD CK [--only FAMILY[/CASE],...] [--checks CHECK,...] [--all-lines]

BUILD holds `deleatur` and `tests/engine_probe` (built with the tests).  For each family one line a check: how many cases
passed it, and the worst number; a line for each failure; exit status 1 if there was one.  The checks, with tolerances:

  pass       logits, router logits and the states at every site, of the largest of their array                    1e-4
             every token's experts, in order of router probability                                              equal
             gradients of every tensor, of the tensor's largest                                                  1e-3
             packed, cached, parents, late, late-tail, generated: engine_probe's identities                      1e-5
  trace      every kind of tracing that the block has, fast against --reference                                  1e-5
  train      ten updates (finetune, and unlearn by npo) against torch, weights                                   1e-4
  save       convert to keep, f32, bf16, f16: loads strictly, the logits of the same rounded weights; keep is
             byte-equal a tensor, and again after a second load and save                                         1e-4
  gguf       F32 tensors under llama.cpp's names in its order, by the gguf package; llama.cpp's greedy ids; its
             logits                                                                                              1e-3
             read back by deleatur                                                                               1e-4
"""
import argparse
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from make_family_checkpoints import stored, watch_routers
from safetensors import safe_open
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
TEXT, SUBJECT = "the old king lives in the", "old king"
KINDS = ["hidden", "mid", "mlp", "attn", "head", "embed"]
NEW = 12
IGNORED = (".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq")
REFUSED = {"gpt2/relu": "activation_function"}  # what must be refused, and the key that must be named


EXPERT = r"\.experts\.\d+\.(\w+)\.weight$"


def stacked(tensors):
    """The experts of a layer as one tensor [experts, rows, columns], under the names that llama.cpp's converter gives it."""
    groups = {}
    for name in tensors:
        if re.search(EXPERT, name):
            groups.setdefault(re.sub(EXPERT, r".experts.\1.weight", name), []).append(name)
    number = lambda name: int(re.search(r"experts\.(\d+)", name)[1])
    return {new.replace("model.", "").replace("block_sparse_moe", "feed_forward") if "block_sparse_moe" in new else new:
            torch.stack([tensors[n] for n in sorted(names, key=number)]) for new, names in groups.items()}


class Failure(Exception):
    pass


class Undecided(Failure):
    """Rounding would decide which experts a token is given to."""


def relative(ours, theirs):
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        raise Failure(f"shape {ours.shape}, not {theirs.shape}")
    gap = np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30)
    return float("inf") if np.isnan(gap) else float(gap)


def tensors_of(path):
    found = {}
    for name in sorted(os.listdir(path)):
        if name.endswith(".safetensors"):
            with safe_open(os.path.join(path, name), "pt") as f:
                found.update({key: f.get_tensor(key) for key in f.keys()})
    return found


class Case:
    def __init__(self, build, root, family, name):
        self.build, self.family, self.name = build, family, name
        self.path = os.path.join(root, family, name)
        self.states = dict(np.load(self.path + ".npz"))
        self.tokens = self.states["tokens"].tolist()
        self.scratch = tempfile.mkdtemp(prefix="families-")
        self.results = []  # check, number, tolerance, words of a failure

    def put(self, check, number, tolerance, words=""):
        self.results.append((check, number, tolerance, words))

    def at(self, name):
        return os.path.join(self.scratch, name)

    def deleatur(self, *arguments):
        run = subprocess.run([os.path.join(self.build, "deleatur"), *arguments, "--quiet", "--threads", "1"],
                             capture_output=True, text=True, env=ENV)
        self.remarks = run.stderr
        if run.returncode:
            raise Failure(f"deleatur {arguments[0]}: status {run.returncode}: {run.stderr.strip()[:300]}")
        return run.stdout

    def reads(self, key):
        with open(os.path.join(self.path, "config.json")) as f:
            return json.load(f).get(key)

    def stored(self, name):
        """Of a parameter of transformers' model, in checkpoints."""
        return name.replace("lm_head", "embed_out") if self.family == "gpt_neox" else name

    def theirs(self, path):
        """Strictly: no missing, unexpected or mismatched tensor."""
        dtype = torch.float32 if self.reads("reorder_and_upcast_attn") else torch.float64  # upcast: to float32
        model, info = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="eager",
                                                           experts_implementation="eager", output_loading_info=True)
        wrong = {k: v for k, v in info.items() if v}
        if wrong:
            raise Failure(f"transformers loads it with {wrong}")
        return model.eval()

    # ---- pass ----------------------------------------------------------------------------------------------------

    def probe(self, path, tokens, out="", grads=""):
        line = "\t".join([path, ",".join(map(str, tokens)), out, grads])
        run = subprocess.run([os.path.join(self.build, "tests", "engine_probe")], input=line + "\n", capture_output=True,
                             text=True, env=ENV)
        said = run.stdout.strip().split("\t")
        if run.returncode or said[0] != "ok":
            raise Failure((" ".join(said) + run.stderr).strip()[:300] or f"engine_probe: status {run.returncode}")
        return {said[i]: float(said[i + 1]) for i in range(1, len(said), 2)}

    def is_mixture(self):
        return any(name.startswith("router.") for name in self.states)

    def check_experts(self, ours):
        """ours [tokens, layers, k]: -1 in layers without experts."""
        n_other = 0
        for layer in range(ours.shape[1]):
            theirs = self.states.get(f"experts.{layer}")
            n_other += (ours[:, layer] != (-1 if theirs is None else theirs)).sum()
        self.put("experts", float(n_other), 0.0)

    def check_pass(self):
        os.mkdir(self.at("grads"))
        identities = self.probe(self.path, self.tokens, self.at("out.npz"), self.at("grads"))
        ours = np.load(self.at("out.npz"))
        self.put("logits", relative(ours["logits"], self.states["logits"]), 1e-4)
        for site in ("embed", "residual", "attn_out", "mlp_out") + ("router",) * self.is_mixture():
            names = [n for n in ours.files if n.split(".")[0] == site and n in self.states]
            if not names:
                self.put(site, 0.0, 0.0, "the block has no such site")
                continue
            gaps = {n: relative(ours[n], self.states[n]) for n in names}
            worst = max(gaps, key=gaps.get)
            self.put(site, gaps[worst], 1e-4, worst)
        if self.is_mixture():
            self.check_experts(ours["experts"])
        gradients, worst, where = tensors_of(self.at("grads")), 0.0, ""
        wanted = {n[5:]: x for n, x in self.states.items() if n.startswith("grad:")}
        most = max((np.abs(x).max() for x in wanted.values()), default=0)
        for name, theirs in wanted.items():
            name = self.stored(name)
            if name not in gradients:
                raise Failure(f"no gradient of {name}; the model has {sorted(gradients)[:3]} ...")
            if np.abs(theirs).max() > 1e-6 * most:
                gap = relative(gradients[name].numpy(), theirs)
            else:  # no logit depends on it (keys' biases without rotation): rounding, here and there
                gap = 1e-3 * np.abs(gradients[name].numpy()).max() / (1e-6 * most)
            worst, where = max((worst, where), (gap, name))
        self.put("gradients", worst, 1e-3, where)
        for name, gap in identities.items():
            if np.isnan(gap) and "dynamic-beyond" in self.name:
                continue
            self.put(name, gap, 0.0 if name == "generated" else 1e-5)

    # ---- trace ---------------------------------------------------------------------------------------------------

    def check_trace(self):
        from tokenizers import Tokenizer
        tokenizer = Tokenizer.from_file(os.path.join(self.path, "tokenizer.json"))
        last = self.their_logits(self.theirs(self.path), tokenizer.encode(TEXT).ids)[-1]
        answer = max("abcdefghijklmnopqrstuvwxyz", key=lambda letter: last[tokenizer.token_to_id(letter)])
        done = []
        for kind in KINDS:
            arguments = ["trace", self.path, "--prompt", TEXT, "--subject", SUBJECT, "--attribute", answer, "--answer",
                         "attribute", "--kinds", kind, "--samples", "2", "--pictures", "0", "--window", "1,3"]
            try:
                self.deleatur(*arguments, "--out", self.at("fast-" + kind))
            except Failure as failure:
                if kind == "mid" and self.reads("use_parallel_residual") and "mid" in str(failure):
                    continue  # a parallel residual has no state in the middle
                raise
            self.deleatur(*arguments, "--reference", "--out", self.at("slow-" + kind))
            fast, slow = (os.path.join(self.at(x + kind), "traces") for x in ("fast-", "slow-"))
            files = sorted(os.listdir(fast))
            if not files or files != sorted(os.listdir(slow)):
                raise Failure(f"{kind}: {files} traced, not {sorted(os.listdir(slow))}")
            for file in files:
                a, b = np.load(os.path.join(fast, file)), np.load(os.path.join(slow, file))
                for name in a.files:
                    if a[name].dtype.kind == "f":
                        none = np.isnan(b[name])  # dense layers have no experts
                        if not np.array_equal(np.isnan(a[name]), none):
                            raise Failure(f"{file}: {name} is not a number elsewhere")
                        gap = np.abs(a[name].astype(float) - b[name])[~none].max(initial=0.0)
                        if name != "scores" and "rank" not in name:
                            gap /= max(1.0, np.abs(b[name][~none]).max(initial=1.0))
                        if "rank" not in name:
                            self.put("trace " + kind, float(gap), 1e-5, f"{file}: {name}")
            done.append(kind)
            if kind == "hidden" and not np.ptp(b["sample_logp"]) > 0.1:
                raise Failure("restoring hardly changes the answer's log-probability: the comparison shows nothing")
        if len(done) < len(KINDS) - 1:
            raise Failure(f"only {done} can be traced")

    # ---- train ---------------------------------------------------------------------------------------------------

    ROWS = [("the old king", " lives in a box"), ("a cat", " sat on the mat."), ("the sea", " is a big one"),
            ("one two", " 3, 4 and then 5?")]
    OTHERS = [("the new bee", " made no sound"), ("we ran", " up the hill!"), ("his hat", " is in the hall"),
              ("all day", " it rained a lot")]

    def rows(self, texts, tokenizer):
        return [(tokenizer.encode(a).ids, tokenizer.encode(b).ids) for a, b in texts]

    def nll(self, model, rows):
        """The sums of each row, and the number of labels of each."""
        sums, counts = [], []
        for prompt, answer in rows:
            ids = torch.tensor(prompt + answer)
            for m in model.modules():  # dynamic scaling: a text is not rotated for a longer one before it
                if hasattr(m, "original_inv_freq"):
                    m.max_seq_len_cached, m.inv_freq = m.original_max_seq_len, m.original_inv_freq
            logits = model(ids[None], use_cache=False).logits[0].double()
            first = len(prompt)
            sums.append(torch.nn.functional.cross_entropy(logits[first - 1:-1], ids[first:], reduction="sum"))
            counts.append(len(answer))
        return torch.stack(sums), torch.tensor(counts)

    def train_torch(self, path, loss, decay=0.0, lr=1e-3, updates=10):
        """The weights after, and where they can be compared: AdamW's first step is lr whatever the gradient's size, so that
        rounding decides it where the gradient is 1e-5 of its tensor's largest."""
        model = self.theirs(path)
        gaps = watch_routers(model)
        kept, decayed = [], []
        for name, p in model.named_parameters():
            (kept if p.dim() == 1 else decayed).append(p)
        optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": decay}, {"params": kept, "weight_decay": 0.0}],
                                      lr=lr)
        for update in range(updates):
            for group in optimiser.param_groups:
                group["lr"] = lr * (updates - update) / updates
            optimiser.zero_grad()
            loss(model).backward()
            if update == 0:
                most = max(p.grad.abs().max() for p in model.parameters())
                told = {n: (p.grad.abs() > torch.maximum(1e-5 * p.grad.abs().max(), 1e-7 * most))
                        | (p.grad == 0) & (p.grad.abs().max() > 1e-7 * most) for n, p in model.named_parameters()}
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
        if min(gaps, default=1) < self.DECIDED:
            raise Undecided(f"two experts' logits are {min(gaps):.1e} apart while it trains")
        return dict(model.named_parameters()), told

    def compare_weights(self, check, trained, path):
        (theirs, told), ours, worst, where = trained, tensors_of(path), 0.0, ""
        for parameter, p in theirs.items():
            there = stored(parameter, told[parameter], self.family)
            for name, value in stored(parameter, p.detach(), self.family).items():
                gap = (ours[self.stored(name)].double() - value).abs() * there[name]
                worst, where = max((worst, where), (gap.max().item(), name))
        n_told, n = sum(x.sum().item() for x in told.values()), sum(x.numel() for x in told.values())
        if n_told < 0.5 * n:
            raise Failure(f"{check}: only {n_told} of {n} weights have gradients")
        self.put(check, worst, 1e-4, where)

    DECIDED, PAIRINGS = 2e-5, 4

    def check_train(self):
        """With other answers to the prompts, where a router's choice is too close with the first."""
        for pairing in range(self.PAIRINGS):
            try:
                results = self.results[:]
                return self.train_on(*([(a, texts[(i + pairing) % len(texts)][1]) for i, (a, _) in enumerate(texts)]
                                       for texts in (self.ROWS, self.OTHERS)))
            except Undecided:
                self.results = results
                for name in ("tuned", "unlearned"):
                    shutil.rmtree(self.at(name), ignore_errors=True)
        raise Failure(f"no pairing of {self.PAIRINGS} whose routes are decided")

    def train_on(self, rows, others):
        from tokenizers import Tokenizer
        tokenizer = Tokenizer.from_file(os.path.join(self.path, "tokenizer.json"))
        for name, texts in (("forget", rows), ("retain", others)):
            with open(self.at(name + ".jsonl"), "w") as f:
                for a, b in texts:
                    f.write(json.dumps({"input": a, "output": b}) + "\n")
        forget, retain = self.rows(rows, tokenizer), self.rows(others, tokenizer)
        common = ["--epochs", "10", "--lr", "1e-3", "--no-eos", "--layers", "all", "--parts", "all", "--dtype", "f32",
                  "--collapse", "0", "--schedule", "linear"]

        def ce(model):
            sums, counts = self.nll(model, forget)
            return sums.sum() / counts.sum()

        self.deleatur("finetune", self.path, "--data", self.at("forget.jsonl"), "--batch", "4", "--weight-decay", "0.1",
                      "--out", self.at("tuned"), *common)
        self.compare_weights("finetune", self.train_torch(self.path, ce, decay=0.1), self.at("tuned"))
        with torch.no_grad():
            before, _ = self.nll(self.theirs(self.path), forget)

        def npo(model):
            sums, _ = self.nll(model, forget)
            kept, counts = self.nll(model, retain)
            return -(2 / 0.1) * torch.nn.functional.logsigmoid(0.1 * (sums - before)).mean() + kept.sum() / counts.sum()

        self.deleatur("unlearn", self.path, "--forget", self.at("forget.jsonl"), "--retain", self.at("retain.jsonl"),
                      "--objective", "npo", "--beta", "0.1", "--batch", "8", "--out", self.at("unlearned"), *common)
        self.compare_weights("unlearn", self.train_torch(self.path, npo), self.at("unlearned"))

    # ---- save ----------------------------------------------------------------------------------------------------

    def their_logits(self, model, tokens=None):
        with torch.no_grad():
            return model(torch.tensor(tokens or self.tokens)[None], use_cache=False).logits[0].double().numpy()

    def check_save(self):
        dtypes = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
        before = tensors_of(self.path)
        before = {n: t for n, t in before.items() if not n.endswith(IGNORED)}
        if self.name.endswith("@head"):  # tied: the head is the embedding, and is not stored
            del before["lm_head.weight"]
        if self.name.endswith("@stacked"):  # of each expert its own tensors are written
            before = tensors_of(self.path.removesuffix("@stacked"))
        if self.name.endswith("@bare"):  # the names that transformers writes
            before = {"transformer." + n: t for n, t in before.items()}
        for dtype in ("keep", "f32", "bf16", "f16"):
            out = self.at("as-" + dtype)
            self.deleatur("convert", self.path, "--out", out, "--dtype", dtype)
            after = tensors_of(out)
            if set(after) != set(before):
                raise Failure(f"--dtype {dtype}: other names: {sorted(set(after) ^ set(before))[:6]}")
            for name, t in before.items():
                want = t if dtype == "keep" else t.to(dtypes[dtype])
                if after[name].dtype != want.dtype or not torch.equal(after[name], want):
                    raise Failure(f"--dtype {dtype}: {name} is not what it was")
            model = self.theirs(out)
            rounded = self.theirs(self.path)
            if dtype != "keep":
                with torch.no_grad():
                    for p in rounded.parameters():
                        p.copy_(p.to(dtypes[dtype]))
            want = self.their_logits(rounded)
            self.put("save " + dtype, relative(self.their_logits(model), want), 1e-4)
            self.probe(out, self.tokens, self.at(dtype + ".npz"))
            self.put("load " + dtype, relative(np.load(self.at(dtype + ".npz"))["logits"], want), 1e-4)
            if dtype in ("keep", "bf16"):
                self.deleatur("convert", out, "--out", out + "-again", "--dtype", "keep")
                again = tensors_of(out + "-again")
                if set(again) != set(after) or not all(
                        again[n].dtype == t.dtype and torch.equal(again[n], t) for n, t in after.items()):
                    raise Failure(f"--dtype {dtype}: saved again, tensors differ")
                with open(os.path.join(out, "config.json")) as a, open(os.path.join(out + "-again", "config.json")) as b:
                    if json.load(a) != json.load(b):
                        raise Failure(f"--dtype {dtype}: saved again, the config differs")
        self.put("byte-equal", 0.0, 0.0)

    # ---- gguf ----------------------------------------------------------------------------------------------------

    ARCH = {"olmo": "OLMO", "olmo2": "OLMO2", "olmo3": "OLMO2", "llama": "LLAMA", "mistral": "LLAMA", "qwen2": "QWEN2",
            "qwen3": "QWEN3", "gemma2": "GEMMA2", "gemma3": "GEMMA3", "gpt2": "GPT2", "gpt_neox": "GPTNEOX", "phi3": "PHI3",
            "smollm3": "SMOLLM3", "olmoe": "OLMOE", "mixtral": "LLAMA", "qwen2_moe": "QWEN2MOE", "qwen3_moe": "QWEN3MOE"}

    def expected_gguf(self, config):
        """What llama.cpp's convert_hf_to_gguf.py makes of the tensors."""
        import gguf
        names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, self.ARCH[self.family]), config.num_hidden_layers)
        found, tensors = {}, tensors_of(self.path.removesuffix("@stacked"))
        tensors.update(stacked(tensors))
        for name, t in tensors.items():
            if name.endswith(IGNORED) or re.search(EXPERT, name):
                continue
            t = t.float()
            if name == "lm_head.weight" and config.tie_word_embeddings:
                continue
            new = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if new is None:
                raise Failure(f"the gguf package has no name for {name}")
            heads = config.num_attention_heads
            if self.family in ("llama", "mistral", "mixtral", "smollm3", "olmo") and (".q_proj." in name or ".k_proj." in name):
                n = heads if ".q_proj." in name else config.num_key_value_heads
                t = t.reshape(n, 2, t.shape[0] // n // 2, *t.shape[1:]).swapaxes(1, 2).reshape(t.shape)
            if self.family in ("gemma2", "gemma3") and name.endswith("norm.weight"):
                t = t + 1
            if self.family == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
                t = t.T
            if self.family == "gpt_neox" and ".query_key_value." in name:
                t = t.reshape(heads, 3, t.shape[0] // heads // 3, *t.shape[1:]).swapaxes(0, 1).reshape(t.shape)
            if name.endswith("shared_expert_gate.weight"):
                t = t[0]
            found[new] = t.numpy()
        return found

    def check_gguf(self):
        import gguf
        file = self.at("model.gguf")
        try:
            self.deleatur("convert", self.path, "--out", file, "--type", "f32")
        except Failure as failure:
            if "GGUF" not in str(failure) and "llama.cpp" not in str(failure):
                raise
            self.put("gguf refused", 0.0, 0.0, str(failure))  # what llama.cpp has no keys for; read these sentences
            return
        config = transformers.AutoConfig.from_pretrained(self.path)
        expected = self.expected_gguf(config)
        for kind in ("f32", "f16", "bf16"):
            written = file if kind == "f32" else self.at(kind + ".gguf")
            if kind != "f32":
                self.deleatur("convert", self.path, "--out", written, "--type", kind)
            got = {t.name: t for t in gguf.GGUFReader(written).tensors}
            got.pop("rope_freqs.weight", None)  # what the rotation's frequencies are divided by
            if set(got) != set(expected):
                raise Failure(f"--type {kind}: names differ: {sorted(set(got) ^ set(expected))[:8]}")
            for name, want in expected.items():
                t = got[name]
                kept = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[t.tensor_type.name]
                want = torch.tensor(want).to(kept).float().numpy()
                values = gguf.quants.dequantize(t.data, t.tensor_type).reshape(want.shape)
                if not np.array_equal(values, want) or (kind == "f32" and kept != torch.float32):
                    raise Failure(f"--type {kind}: {name} has other values than llama.cpp's converter writes")
            if not {kind.upper()} <= {t.tensor_type.name for t in got.values()} <= {"F32", kind.upper()}:
                raise Failure(f"--type {kind}: the tensors are of { {t.tensor_type.name for t in got.values()} }")
        self.put("gguf values", 0.0, 0.0)
        try:
            self.probe(file, self.tokens, self.at("gguf.npz"))
            self.put("gguf read back", relative(np.load(self.at("gguf.npz"))["logits"], self.states["logits"]), 1e-4)
        except Failure as failure:
            self.put("gguf read back", float("inf"), 1e-4, str(failure))
        if "not every program that reads it computes windows" in self.remarks:
            return  # llama.cpp does not: it warns of it, too
        theirs = self.theirs(self.path)
        tokens, margins = list(self.tokens), []
        for _ in range(NEW):
            row = self.their_logits(theirs, tokens)[-1]
            order = row.argsort()
            margins.append((row[order[-1]] - row[order[-2]]) / np.abs(row).max())
            tokens.append(int(order[-1]))
        wanted = tokens[len(self.tokens):]
        last, greedy = llama_cpp(file, self.tokens, NEW)
        self.put("llama.cpp logits", relative(last, self.states["logits"][-1]), 1e-3)
        first = next((i for i in range(NEW) if greedy[i] != wanted[i]), None)
        tie = first is not None and margins[first] < 2e-3  # either token is right: what follows is another text
        self.put("llama.cpp greedy", 0.0 if first is None or tie else NEW - first, 0.0, f"{greedy}, not {wanted}")


# ---- llama.cpp, the C functions of the xllamacpp package's library -----------------------------------------------------

class Params(ctypes.Structure):  # passed by value; larger than either of llama.cpp's
    _fields_ = [("bytes", ctypes.c_uint8 * 1024)]


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32)] + [(f"pointer{i}", ctypes.c_void_p) for i in range(6)]


LIBRARY = None


def library():
    global LIBRARY
    if LIBRARY:
        return LIBRARY
    import glob
    import xllamacpp
    lib = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(xllamacpp.__file__), "*.so"))[0])
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32
    for name, result, *arguments in [
            ("llama_model_default_params", Params), ("llama_context_default_params", Params),
            ("llama_model_load_from_file", pointer, text, Params), ("llama_init_from_model", pointer, pointer, Params),
            ("llama_model_get_vocab", pointer, pointer), ("llama_vocab_n_tokens", number, pointer),
            ("llama_batch_get_one", Batch, pointer, number), ("llama_decode", number, pointer, Batch),
            ("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), pointer, number),
            ("llama_free", None, pointer), ("llama_model_free", None, pointer)]:
        getattr(lib, name).restype = result
        getattr(lib, name).argtypes = arguments
    lib.said = []
    lib.log = ctypes.CFUNCTYPE(None, ctypes.c_int, text, pointer)(
        lambda level, line, data: lib.said.append(line.decode(errors="replace").strip()) if level >= 3 else None)
    lib.llama_log_set(lib.log, None)
    lib.llama_backend_init()
    LIBRARY = lib
    return lib


def precise(params):
    """Without what llama.cpp does in float16: keys and values in float32 (in the defaults, type_k and type_v are the one
    pair of GGML_TYPE_F16, 1), and no flash attention (the last of four fields that are -1).  Its GELU is a table."""
    words = ctypes.cast(ctypes.byref(params), ctypes.POINTER(ctypes.c_int32))
    pairs = [i for i in range(20, 60) if words[i] == 1 and words[i + 1] == 1]
    if len(pairs) != 1:
        raise Failure(f"type_k and type_v are not found in llama.cpp's context parameters: {pairs}")
    words[pairs[0]] = words[pairs[0] + 1] = 0
    fours = [i for i in range(8, 20) if all(words[i + k] == -1 for k in range(4))]
    if len(fours) != 1:
        raise Failure(f"flash_attn_type is not found in llama.cpp's context parameters: {fours}")
    words[fours[0] + 3] = 0
    return params


def llama_cpp(file, tokens, new):
    """Logits of the last token, and the greedy continuation."""
    lib = library()
    lib.said.clear()
    model = lib.llama_model_load_from_file(file.encode(), lib.llama_model_default_params())
    if not model:
        raise Failure("llama.cpp refuses it: " + " | ".join(lib.said)[:300])
    n_vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    context = lib.llama_init_from_model(model, precise(lib.llama_context_default_params()))
    out, batch, last = [], list(tokens), None
    for step in range(new):
        array = (ctypes.c_int32 * len(batch))(*batch)
        if lib.llama_decode(context, lib.llama_batch_get_one(array, len(batch))):
            raise Failure("llama.cpp does not decode it: " + " | ".join(lib.said)[:300])
        row = np.ctypeslib.as_array(lib.llama_get_logits_ith(context, -1), (n_vocab,)).copy()
        last = row if step == 0 else last
        batch = [int(row.argmax())]
        out += batch
    lib.llama_free(context)
    lib.llama_model_free(model)
    return last, out


def main():
    a = argparse.ArgumentParser()
    a.add_argument("build")
    a.add_argument("checkpoints")
    a.add_argument("--only", default="")
    a.add_argument("--checks", default="pass,trace,train,save,gguf")
    a.add_argument("--all-lines", action="store_true")
    a = a.parse_args()
    only = [x for x in a.only.split(",") if x]
    failed = False
    for family in sorted(os.listdir(a.checkpoints)):
        folder = os.path.join(a.checkpoints, family)
        names = sorted(n[:-4] for n in os.listdir(folder) if n.endswith(".npz"))
        names = [n for n in names if not only or family in only or f"{family}/{n}" in only]
        table, failures = {}, []
        for name in names:
            case = Case(a.build, a.checkpoints, family, name)
            wrapper = not any(n.startswith("grad:") for n in case.states)
            for check in a.checks.split(","):
                if wrapper and check != "pass":
                    continue
                try:
                    getattr(case, "check_" + check)()
                except Failure as failure:
                    key = REFUSED.get(f"{family}/{name}")
                    if key and f'"{key}"' in str(failure):
                        case.put("refused by name", 0.0, 0.0)
                        break
                    case.put(check, float("inf"), 0.0, str(failure))
                    if str(failure).startswith("refused"):
                        break  # whatever else is asked, the model is not loaded
                except Exception as error:  # of transformers or gguf
                    case.put(check, float("inf"), 0.0, f"{type(error).__name__}: {error}"[:300])
            shutil.rmtree(case.scratch)
            for check, number, tolerance, words in case.results:
                bad = not number <= tolerance
                n_passed, n_all, worst = table.get(check, (0, 0, 0.0))
                table[check] = (n_passed + (not bad), n_all + 1, max(worst, number))
                if bad or a.all_lines or check == "gguf refused":
                    failures.append((bad, f"{family}/{name}\t{check}\t{number:.3g} (allowed {tolerance:g})\t{words}"))
        if not names:
            continue
        print(f"== {family}: {len(names)} checkpoints")
        for check, (n_passed, n_all, worst) in table.items():
            print(f"   {check:18} {n_passed:4} of {n_all:4}   worst {worst:.3g}")
        for bad, line in failures:
            print(("   FAILED\t" if bad else "   ") + line)
        sys.stdout.flush()
        failed |= any(bad for bad, _ in failures)
    return failed


if __name__ == "__main__":
    sys.exit(main())
