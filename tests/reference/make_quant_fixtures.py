#!/usr/bin/env python3
"""Writes tests/fixtures/quant_blocks.bin: random blocks of every GGUF type, and what gguf-py makes of them.

    pip install gguf==0.19.0 numpy==2.4.6
    python tests/reference/make_quant_fixtures.py tests/fixtures/quant_blocks.bin

Per type: u32 ggml type, u32 blocks, u32 items, u32 bytes, the blocks' bytes, the items as float32; little-endian.
The bits are random but for the half-precision scales, which are finite; one in four of them is subnormal.
"""
import struct
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

# where the float16 fields are in a block
HALVES = {T.F16: [0], T.BF16: [], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
          T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}


def main(path):
    rng = np.random.default_rng(20)
    with open(path, "wb") as out:
        for kind, halves in HALVES.items():
            items, size = GGML_QUANT_SIZES[kind]
            n = 4 if items > 1 else 64
            blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
            for b in range(n):
                for at in halves:
                    scale = rng.normal() * (2e-5 if b % 4 == 3 else 0.1)
                    blocks[b, at:at + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
                if kind == T.BF16:
                    blocks[b, 1] &= 0xBF  # no infinities
            values = dequantize(blocks, kind).astype("<f4").reshape(-1)
            assert values.size == n * items and np.isfinite(values).all()
            out.write(struct.pack("<4I", int(kind), n, values.size, blocks.size))
            out.write(blocks.tobytes())
            out.write(values.tobytes())


main(sys.argv[1])
