"""Nudging in Python, after the authors' code (github.com/fywalter/nudging, 37bc022, utils.py, and the notebook 2ffbf1f),
with transformers in place of an API: what `deleatur nudge` is compared with (compare_nudging.py).

    python nudging_transcription.py --base MODEL --nudger MODEL --data questions.jsonl --out answers.jsonl

MODEL is a directory or a GGUF.  transformers 5.23.0, torch 2.15.0.

A completion's tokens are computed when they are looked at.  The released code asks for all 16 each time and looks at few
of them; what it would have asked for is counted as `fetched`.  Three things differ from it by necessity, and deleatur does
the same: tokens are counted with the base's tokenizer (the authors use gpt-3.5's, which has to be downloaded), the
nudger's prompt is its own chat template's, and a model's text is what vLLM's detokenizer gives: a character appears with
its last byte, and special tokens have no text.
"""
import argparse
import json
import os
import time

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

SYSTEM = {"reasoning": "Answer the question by walking through the reasoning steps.",
          "open": "You are a helpful assistant."}
PREFIX = {"reasoning": "Question: ", "open": "Instruction: "}


# ---- models ----------------------------------------------------------------------------------------------------------

class Model:
    """A causal language model that tells the greedy next token of a sequence of ids, and its probability."""

    def __init__(self, path):
        place = {}
        if path.endswith(".gguf"):
            place = {"gguf_file": os.path.basename(path)}
            path = os.path.dirname(path) or "."
        self.tokenizer = AutoTokenizer.from_pretrained(path, **place)
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **place).eval()
        # transformers' tokenizer of a GGUF whose pre-tokenizer is "smollm" lacks the split of digits
        if place and self.tokenizer.convert_ids_to_tokens(self.tokenizer("a  12")["input_ids"])[-1] == "Ġ12":
            self.tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
        ends = self.model.generation_config.eos_token_id
        if ends is None:
            ends = self.model.config.eos_token_id
        self.ends = set(ends if isinstance(ends, list) else [ends])
        self.ids, self.cache, self.known, self.passes = [], DynamicCache(), {}, 0  # without a config: all positions are kept, also of windows

    @torch.no_grad()
    def next(self, ids):
        """(id, probability) of the most likely token after ids; the KV cache is kept as far as the ids agree."""
        key = tuple(ids)
        if key not in self.known:
            same = 0
            while same < min(len(self.ids), len(ids) - 1) and self.ids[same] == ids[same]:
                same += 1
            if same < len(self.ids):
                self.cache.crop(same - len(self.ids))  # a negative number is how many are removed
            out = self.model(torch.tensor([ids[same:]]), past_key_values=self.cache, use_cache=True)
            p = torch.softmax(out.logits[0, -1].double(), -1)
            best = int(p.argmax())
            self.ids, self.known[key] = list(ids), (best, float(p[best]))
            self.passes += 1
        return self.known[key]

    def encode(self, text, chat):
        return self.tokenizer(text, add_special_tokens=not chat)["input_ids"]

    def count(self, text):
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def shared(a, b):
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


class Completion:
    """At most n tokens after a prompt, as a server returns them: their texts, the top-1 probability at each, and
    whether the model ended its text."""

    def __init__(self, model, prompt, chat, n):
        self.model, self.n = model, n
        self.given = model.encode(prompt, chat)
        self.before = model.tokenizer.decode(self.given, skip_special_tokens=True)
        self.ids, self.p, self.texts, self.stopped = [], [], [], False

    def has(self, i):
        """Whether there is a token i."""
        while len(self.ids) <= i and not self.stopped and len(self.ids) < self.n:
            token, p = self.model.next(self.given + self.ids)
            self.ids.append(token)
            self.p.append(p)
            self.stopped = token in self.model.ends
            so_far = "".join(self.texts)
            if self.stopped:
                self.texts.append("")
                continue
            text = self.model.tokenizer.decode(self.given + self.ids, skip_special_tokens=True)
            text = text[shared(self.before, text):]
            complete = text.startswith(so_far) and not text.endswith("\ufffd")
            self.texts.append(text[len(so_far):] if complete else "")
        return i < len(self.ids)

    def all(self):
        self.has(self.n - 1)
        return self

    def text(self, first=0):
        return "".join(self.all().texts[first:])


# ---- rules -----------------------------------------------------------------------------------------------------------

def repeated_suffix_length(s):
    """The length of a suffix of 30 characters or more that stands directly before itself too, by a binary search over
    lengths as in the released code (it finds a length, not always the largest); 0: none."""
    left, right, found = 0, len(s), 0
    while left <= right:
        middle = (left + right) // 2
        if middle >= 30 and s[:-middle].endswith(s[-middle:]):
            found, left = middle, middle + 1
        else:
            right = middle - 1
    return found


def without_repetition(s):
    """-> (the text that is left, where it begins in s)"""
    begin = len(s) - len(s.lstrip())
    s = s.strip()
    while n := repeated_suffix_length(s):
        s = s[:-n]
    return s, begin


def occurs_already(new, earlier):
    return len(new.split(" ")) > 5 and new in earlier


# ---- nudging by text -------------------------------------------------------------------------------------------------

class Nudging:
    def __init__(self, base, nudger, gamma=0.3, window=16, max_new=512, max_rounds=150):
        self.base, self.nudger = base, nudger
        self.gamma, self.window, self.max_new, self.max_rounds = gamma, window, max_new, max_rounds

    def complete_base(self, text):
        self.fetched += self.window
        return Completion(self.base, self.prompt[0] + text, self.chat[0], self.window)

    def base_phase(self, output, first):
        """What the base writes after `output`, whose first token is in the completion `first`."""
        budget = self.max_new - self.base.count(output)
        written, chunk, at = first.texts[0], first, 1
        fetched_again = False
        while self.base.count(written) < budget:
            if chunk is None:
                chunk, at, fetched_again = self.complete_base(output + written), 0, True
            if chunk.text(at) in written:
                break
            low = at
            while chunk.has(low) and not chunk.p[low] < self.gamma:
                low += 1
            accepted = "".join(chunk.texts[at:low])
            if occurs_already(accepted, output + written):
                break
            written += accepted
            if chunk.has(low) or (fetched_again and chunk.stopped):
                break
            chunk = None
        return written

    def answer(self, base_prompt, nudger_prompt, base_chat=False, nudger_chat=False):
        self.prompt, self.chat, self.fetched = (base_prompt, nudger_prompt), (base_chat, nudger_chat), 0
        output, spans, why, rounds = "", [], None, 0
        last, repeated = "", 0
        while self.base.count(output) < self.max_new and rounds < self.max_rounds:
            rounds += 1
            nudge = Completion(self.nudger, nudger_prompt + output, nudger_chat, self.window).all()
            text = nudge.text()
            if nudge.stopped:
                spans.append(("nudger", text))
                output += text
                why = "ended"
                break
            words = text.lstrip(" ").split(" ")
            blanks = " " * (len(text) - len(text.lstrip(" ")))
            k, completion, taken = (0 if len(words) > 1 else 1), None, False
            while not taken and k < len(words) - 1:
                k += 1
                if not words[k]:
                    continue
                completion = self.complete_base(output + blanks + " ".join(words[:k]))
                completion.has(0)
                taken = (" " + words[k]).startswith(completion.texts[0]) or not completion.p[0] < self.gamma
            nudging = blanks + " ".join(words[:k])
            if nudging == last:
                repeated += 1
                if repeated >= 3:
                    why = "repeated"
                    break
            else:
                last, repeated = nudging, 0
            spans.append(("nudger", nudging))
            output += nudging
            if not taken or not completion.text():
                continue
            written = self.base_phase(output, completion)
            spans.append(("base", written))
            output += written
        if why is None:
            why = "rounds" if rounds >= self.max_rounds else "length"
        text, begin = without_repetition(output)
        return {"text": text, "stop": why, "rounds": rounds, "fetched": self.fetched,
                "spans": clipped(spans, begin, len(text))}

    # ---- by ids, for models of one vocabulary ------------------------------------------------------------------------

    def answer_by_ids(self, base_prompt, nudger_prompt, base_chat=False, nudger_chat=False):
        """The notebook's loop.  It appends the whole draft where the nudger ends its text or the answer is full."""
        base = self.base.encode(base_prompt, base_chat)
        nudger = self.nudger.encode(nudger_prompt, nudger_chat)
        first, why, rounds, runs = len(base), "length", 0, []
        before = self.base.tokenizer.decode(base, skip_special_tokens=True)

        def put(ids, by):
            base.extend(ids)
            nudger.extend(ids)
            runs.append((by, len(ids)))

        while len(base) - first < self.max_new:
            rounds += 1
            draft, ended = [], False
            while len(draft) < self.window and not ended:
                if len(base) - first + len(draft) >= self.max_new:
                    ended = True
                    break
                token, _ = self.nudger.next(nudger + draft)
                draft.append(token)
                ended = token in self.nudger.ends
            if ended:
                put(draft, "nudger")
                if draft[-1] in self.nudger.ends:
                    why = "ended"
                break
            at, following = len(draft), None
            for j in range(1, len(draft)):
                if self.nudger.tokenizer.convert_ids_to_tokens(draft[j])[0] in "▁Ġ":
                    token, p = self.base.next(base + draft[:j])
                    if p > self.gamma:
                        at, following = j, token
                        break
            put(draft[:at], "nudger")
            if following is not None:
                put([following], "base")
            while len(base) - first < self.max_new and base[-1] not in self.base.ends:
                token, p = self.base.next(base)
                if not p > self.gamma:
                    break
                put([token], "base")
            if base[-1] in self.base.ends:
                why = "ended"
                break
        text = self.base.tokenizer.decode(base, skip_special_tokens=True)
        return {"text": text[shared(before, text):], "stop": why, "rounds": rounds, "runs": runs}


def clipped(spans, begin, n):
    """The spans' parts within a text of n characters that begins at `begin` of them all."""
    out, at = [], 0
    for by, text in spans:
        part = text[max(0, begin - at):max(0, begin + n - at)]
        at += len(text)
        if part:
            out.append([by, part])
    return out


# ---- prompts ---------------------------------------------------------------------------------------------------------

def plain_prompt(system, question):
    return f"{system}\n{question}\n"


def chat_prompt(model, system, question):
    return model.tokenizer.apply_chat_template([{"role": "system", "content": system}, {"role": "user", "content": question}],
                                               tokenize=False, add_generation_prompt=True)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--base", required=True)
    a.add_argument("--nudger", required=True)
    a.add_argument("--data", required=True)
    a.add_argument("--out", required=True)
    a.add_argument("--plain", action="store_true", help="the nudger's prompt without its chat template")
    a.add_argument("--tokens", action="store_true", help="by ids, for models of one vocabulary")
    a.add_argument("--task", default="reasoning", choices=list(SYSTEM))
    a.add_argument("--gamma", type=float)
    a.add_argument("--max-new", type=int, default=512)
    a.add_argument("--limit", type=int, default=0)
    o = a.parse_args()
    torch.set_num_threads(1)
    base = Model(o.base)
    nudger = Model(o.nudger) if o.nudger != o.base else base
    nudging = Nudging(base, nudger, o.gamma if o.gamma is not None else 0.4 if o.tokens else 0.3, max_new=o.max_new)
    rows = [json.loads(line) for line in open(o.data, encoding="utf-8") if line.strip()]
    with open(o.out, "w", encoding="utf-8") as out:
        for row in rows[:o.limit or len(rows)]:
            question = row.get("context", "") + PREFIX[o.task] + row["question"]
            prompts = (plain_prompt(SYSTEM[o.task], question),
                       plain_prompt(SYSTEM[o.task], question) if o.plain else chat_prompt(nudger, SYSTEM[o.task], question))
            base.known.clear()
            nudger.known.clear()
            begun, passes = time.time(), base.passes
            answer = nudging.answer_by_ids if o.tokens else nudging.answer
            result = answer(*prompts, nudger_chat=not o.plain)
            result.update(question=row["question"], passes=base.passes - passes, seconds=time.time() - begun)
            out.write(json.dumps(result, ensure_ascii=False) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
