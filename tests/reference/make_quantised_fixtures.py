#!/usr/bin/env python3
"""Writes tests/fixtures/quantised.bin: float32 rows, and the blocks that ggml's reference quantisers make of them.

    pip install gguf==0.19.0 numpy==2.4.6 xllamacpp==2026.10.11549
    python tests/reference/make_quantised_fixtures.py tests/fixtures/quantised.bin

ggml's functions (quantize_row_*_ref) are called as they are in the xllamacpp package's library.  Of Q8_0, Q5_0 and
Q4_0, gguf-py's own quantisers must give the same bytes; of Q4_K it has none.

    u32 items, the items as float32; then per type: u32 ggml type, u32 bytes, the blocks; little-endian.

The rows: normal weights of several sizes, outliers, all equal, all zero, one-sided, tiny, and exact ties.
"""
import ctypes
import glob
import os
import struct
import sys

import numpy as np
import xllamacpp
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import quantize

NAMES = {T.Q8_0: "quantize_row_q8_0_ref", T.Q5_0: "quantize_row_q5_0_ref", T.Q4_0: "quantize_row_q4_0_ref",
         T.Q4_K: "quantize_row_q4_K_ref"}


def rows():
    rng = np.random.default_rng(41)
    out = [rng.normal(size=256) * scale for scale in (1e-4, 0.02, 0.02, 0.02, 0.3, 5, 200)]
    outliers = rng.normal(size=256) * 0.02
    outliers[::37] *= 30
    mixed = rng.normal(size=256) * np.repeat([0, 1e-6, 1e-3, 1, 1e-3, 50, 0.1, 0.1], 32)
    out += [outliers, mixed, np.zeros(256), np.full(256, 0.7), np.full(256, -0.7), np.abs(rng.normal(size=256)),
            -np.abs(rng.normal(size=256)), rng.normal(size=256) + 3, np.arange(-128, 128) / 16.0,
            rng.integers(-8, 9, 256) * 0.5, rng.integers(0, 16, 256) * 0.25, rng.laplace(size=256) * 0.05]
    return np.concatenate(out).astype("<f4") + np.float32(0)  # no -0: gguf-py keeps its sign in an all-zero block


def ggml():
    lib = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(xllamacpp.__file__), "*.so"))[0])
    for name in NAMES.values():
        getattr(lib, name).argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        getattr(lib, name).restype = None
    return lib


def main(path):
    x, lib = rows(), ggml()
    with open(path, "wb") as out:
        out.write(struct.pack("<I", x.size) + x.tobytes())
        for kind, name in NAMES.items():
            items, size = GGML_QUANT_SIZES[kind]
            blocks = np.zeros(x.size // items * size, np.uint8)
            getattr(lib, name)(x.ctypes.data, blocks.ctypes.data, x.size)
            if kind != T.Q4_K:
                assert np.array_equal(quantize(x.reshape(-1, 256), kind).reshape(-1), blocks), kind
            out.write(struct.pack("<2I", int(kind), blocks.size) + blocks.tobytes())


main(sys.argv[1])
