#!/usr/bin/env python3
"""compare_outputs.py A B : every result of outputs.sh, byte for byte.

Left out (and only these):
  *.stderr, *.times          progress and times
  JSON (manifest.json, trace.json, eval.json, results_lm_eval.json ...): the keys named in LEFT_OUT, at any depth
  *.pdf                      the lines with CreationDate, ModDate and /ID
  *.svg, *.html   the path of page.c in a comment,           the time of day and the version of the program, by the patterns in TIMES
  *.npz                      the archive's times; the members' bytes are compared
  *.stdout, *.tsv            '# ' comment lines that hold a command line, time or version (TIMES)
Where bytes differ: for safetensors and GGUF per tensor (name, dtype, greatest relative difference); for text, the
greatest relative difference of the numbers if only numbers differ, else the first line that differs. Exit status 1.
"""
import json, os, re, sys, zipfile
import numpy as np

LEFT_OUT = {"when", "versions", "began", "ended", "seconds", "trace_seconds", "cpu", "date", "total_evaluation_time_seconds",
            "git_hash", "peak_memory", "seconds_per_update", "tokens_per_second", "start_time", "end_time", "version"}
TIMES = [(re.compile(rb"trace/(report/)?page\.c"), b"page.c"), (re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), b"TIME"), (re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?"), b"TIME"),
         (re.compile(rb"deleatur [0-9]+\.[0-9]+\.[0-9]+[-+.\w]*"), b"deleatur VERSION"),
         (re.compile(rb'"?(seconds|trace_seconds)"?[:\t ]+[0-9.e+-]+'), b"SECONDS"),
         (re.compile(rb"CreationDate[^\n]*|ModDate[^\n]*|/ID ?\[[^\n]*"), b"DATE"),
         (re.compile(rb"\b[0-9.]+ (s|ms|min)\b"), b"N s")]


def prune(x):
    if isinstance(x, dict):
        return {k: prune(v) for k, v in x.items() if k not in LEFT_OUT}
    return [prune(v) for v in x] if isinstance(x, list) else x


def canonical(path):
    data = open(path, "rb").read()
    if path.endswith(".json"):
        try:
            return json.dumps(prune(json.loads(data)), indent=1).encode()
        except ValueError:
            return data
    if path.endswith(".npz"):
        with zipfile.ZipFile(path) as z:
            return b"".join(n.encode() + b"\0" + z.read(n) for n in z.namelist())
    if path.endswith((".safetensors", ".gguf", ".png", ".rc")):
        return data
    for pattern, word in TIMES:
        data = pattern.sub(word, data)
    return data


def tensors(path):
    if path.endswith(".gguf"):
        import gguf
        r = gguf.GGUFReader(path)
        return {t.name: (t.tensor_type.name, gguf.quants.dequantize(t.data, t.tensor_type)) for t in r.tensors}
    raw = open(path, "rb").read()
    n = int.from_bytes(raw[:8], "little")
    out = {}
    for k, v in json.loads(raw[8:8 + n]).items():
        if k == "__metadata__": continue
        a, b = v["data_offsets"]
        d = raw[8 + n + a:8 + n + b]
        if v["dtype"] == "BF16": x = (np.frombuffer(d, "<u2").astype("<u4") << 16).view("<f4")
        else: x = np.frombuffer(d, {"F32": "<f4", "F16": "<f2"}[v["dtype"]]).astype("f4")
        out[k] = (v["dtype"], x)
    return out


NUMBER = re.compile(rb"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?")


def describe(a, b):
    if a.endswith((".safetensors", ".gguf")):
        x, y = tensors(a), tensors(b)
        if x.keys() != y.keys():
            return f"tensors only in A {sorted(x.keys() - y.keys())[:4]}, only in B {sorted(y.keys() - x.keys())[:4]}"
        off = [(k, x[k][0], y[k][0], x[k][1].size == y[k][1].size) for k in x if x[k][0] != y[k][0] or x[k][1].shape != y[k][1].shape]
        worst = (0.0, "")
        n = 0
        for k in x:
            if x[k][1].shape != y[k][1].shape: continue
            p, q = x[k][1].astype("f8"), y[k][1].astype("f8")
            if not np.array_equal(p, q):
                n += 1
                worst = max(worst, (float(np.abs(p - q).max() / (np.abs(p).max() or 1)), k))
        return f"types or shapes differ: {off[:4]}; values of {n}/{len(x)} tensors differ, greatest difference relative to the tensor's greatest value {worst[0]:.3g} ({worst[1]})"
    p, q = canonical(a), canonical(b)
    if a.endswith((".png", ".npz")):
        if a.endswith(".npz"):
            u, v = np.load(a, allow_pickle=False), np.load(b, allow_pickle=False)
            d = 0.0
            for k in u.files:
                if k in v.files and u[k].dtype.kind == "f" and u[k].shape == v[k].shape:
                    d = max(d, float(np.nanmax(np.abs(u[k].astype("f8") - v[k].astype("f8")), initial=0)))
            return f"greatest absolute difference {d:.3g}"
        return "pictures differ"
    if NUMBER.sub(b"#", p) == NUMBER.sub(b"#", q):
        d = w = 0.0
        for m, n in zip(NUMBER.findall(p), NUMBER.findall(q)):
            if m != n:
                f, g = float(m), float(n)
                d, w = max(d, abs(f - g)), max(w, abs(f - g) / max(abs(f), abs(g), 1e-30))
        return f"only numbers differ: at most {d:.3g} absolute, {w:.3g} relative"
    for i, (s, t) in enumerate(zip(p.splitlines(), q.splitlines())):
        if s != t: return f"line {i + 1}: {s[:150]!r} | {t[:150]!r}"
    return "one is longer than the other"


def files(root):
    return {os.path.relpath(os.path.join(d, f), root) for d, _, fs in os.walk(root) for f in fs
            if not f.endswith((".stderr", ".times"))}


def main(a, b):
    fa, fb = files(a), files(b)
    same, bad = 0, []
    for f in sorted(fa | fb):
        if f not in fa or f not in fb:
            bad.append((f, f"only in {'A' if f in fa else 'B'}")); continue
        p, q = os.path.join(a, f), os.path.join(b, f)
        if os.path.getsize(p) == os.path.getsize(q) and f.endswith((".safetensors", ".gguf")) or not f.endswith((".safetensors", ".gguf")):
            if canonical(p) == canonical(q):
                same += 1; continue
        bad.append((f, describe(p, q)))
    for f, why in bad: print(f"{f}\t{why}")
    print(f"{same} files the same, {len(bad)} differ")
    return 1 if bad else 0


sys.exit(main(*sys.argv[1:3]))
