#!/usr/bin/env python3
"""Writes the rows of parquet files as JSON, a line a row, for deleatur to read.

    python3 parquet_rows.py IN.parquet... OUT.jsonl     needs pyarrow

SemEval-2025 task 4's splits and most sets of Hugging Face's hub come as parquet.  This script and those that fetch are
the only places where Python helps: deleatur itself has none.
"""
import json
import sys

import pyarrow.parquet


def main():
    if len(sys.argv) < 3 or sys.argv[-1].endswith(".parquet"):
        sys.exit(__doc__)
    with open(sys.argv[-1], "x", encoding="utf-8") as out:
        for path in sys.argv[1:-1]:
            for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
                for row in batch.to_pylist():
                    out.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
