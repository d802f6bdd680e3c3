#!/usr/bin/env python3
"""Writes texts of six domains as JSON lines, for the routing study: what any Debian machine can fetch, and MMLU.

    apt-get download debian-handbook libpython3.11-stdlib manpages-de manpages-fr
    python3 fetch_domains.py PACKAGE_DIR MMLU_DIR OUT_DIR [--train BYTES] [--heldout BYTES] [--seed N]

    prose      debian-handbook        chapters of The Debian Administrator's Handbook (GPL-2+ or CC-BY-SA-3.0)
    python     libpython3.*-stdlib    modules of Python's library (PSF-2)
    german     manpages-de            manual pages in German (GPL-3+ and the pages' own licences)
    french     manpages-fr            manual pages in French (the same)
    law        MMLU_DIR               questions with the right answer: professional and international law, jurisprudence (MIT)
    medicine   MMLU_DIR               the same: professional medicine, clinical knowledge and six more

        -> OUT_DIR/train/DOMAIN.jsonl, OUT_DIR/heldout/DOMAIN.jsonl    {"text", "domain", "document"}
           OUT_DIR/train-1.jsonl to train-4.jsonl                      all training rows, shuffled, in four parts: a
                                                                       checkpoint after each shows how routing settles
           OUT_DIR/sources.json                                        packages with their SHA-256, what was taken of each

PACKAGE_DIR holds the .deb files, MMLU_DIR the CSV files that fetch_mmlu.py writes.  A document is a page, a module or a
question.  Documents, not their pieces, are divided into the two sides: no document is on both.  A document is cut at line
ends into pieces of at most 1500 bytes, of which at most two, spread over it, are taken, so that a side has many documents.
Of a held-out piece the first 600 bytes are kept: intervals over documents need many, and a forward pass costs its tokens.
--train and --heldout are the bytes of a domain on each side, at least (of whole pieces); a domain with less is an error.  The same packages, options and seed give the same bytes.

This script is the only place where Python helps, and only to fetch: deleatur itself has none.
"""
import argparse
import csv
import gzip
import hashlib
import html.parser
import io
import json
import pathlib
import random
import re
import subprocess
import sys
import tarfile

PIECE, PIECES = 1500, 2  # bytes, of a document
PARTS = 4
SHORT = 600  # bytes that are kept of a held-out piece

LAW = ["professional_law", "international_law", "jurisprudence"]
MEDICINE = ["professional_medicine", "clinical_knowledge", "college_medicine", "anatomy", "medical_genetics", "virology",
            "nutrition", "human_aging"]


# ---- the packages ----------------------------------------------------------------------------------------------------

def package(directory, pattern):
    found = sorted(directory.glob(f"{pattern}_*.deb"))
    if len(found) != 1:
        sys.exit(f"{directory}: {len(found)} files {pattern}_*.deb where one is expected; run apt-get download there")
    return found[0]


def members(deb):
    """The regular files of a package: name, bytes."""
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for entry in sorted((e for e in tar.getmembers() if e.isfile()), key=lambda e: e.name):
            yield entry.name, tar.extractfile(entry).read()


class Paragraphs(html.parser.HTMLParser):
    """The paragraphs of a page of the handbook, <div class="para">, one a line; neither headings nor listings."""

    def __init__(self):
        super().__init__()
        self.lines, self.line, self.divs, self.listing = [], [], [], 0

    def close_line(self):
        text = re.sub(r"\s+", " ", "".join(self.line)).strip()
        if len(text) > 80:
            self.lines.append(text)
        self.line = []

    def handle_starttag(self, tag, attrs):
        if tag == "div":
            self.close_line()
            self.divs.append(dict(attrs).get("class") == "para")
        self.listing += tag == "pre"

    def handle_endtag(self, tag):
        if tag == "div" and self.divs:
            self.close_line()
            self.divs.pop()
        self.listing -= tag == "pre"

    def handle_data(self, data):
        if self.divs and self.divs[-1] and not self.listing:
            self.line.append(data)


def handbook(deb):
    for name, data in members(deb):
        if "/html/en-US/" in name and name.endswith(".html"):
            page = Paragraphs()
            page.feed(data.decode("utf-8"))
            yield pathlib.Path(name).stem, "\n".join(page.lines)


def python(deb):
    for name, data in members(deb):
        if name.endswith(".py") and "/test" not in name and "/encodings/" not in name:
            yield name.split("/lib/")[-1], data.decode("utf-8", "replace")


ROFF = [(re.compile(r"\\f(\[[^]]*\]|\(..|.)"), ""), (re.compile(r"\\s[-+]?\d"), ""), (re.compile(r"\\\(aq"), "'"),
        (re.compile(r"\\\(dq"), '"'), (re.compile(r"\\\(bu"), "*"), (re.compile(r"\\\(em"), "—"), (re.compile(r"\\\(en"), "–"),
        (re.compile(r"\\\(ha"), "^"), (re.compile(r"\\\(ti"), "~"), (re.compile(r"\\\(..|\\\[[^]]*\]|\\\*\(..|\\\*."), ""),
        (re.compile(r"\\[,/&|^%:]"), ""), (re.compile(r"\\e"), "\\\\"), (re.compile(r"\\-"), "-"), (re.compile(r"\\(.)"), r"\1")]
SHOWN = re.compile(r"\.\s*(SH|SS|B|I|BR|RB|BI|IB|IR|RI|SM|SB|IP|TP)\b ?(.*)")


def manual_page(source):
    """The text of a manual page's source: paragraphs on one line, without macros."""
    lines, text = [], []

    def close():
        if text:
            lines.append(" ".join(text))
        text.clear()

    for line in source.split("\n"):
        if re.match(r'\.SH "?(ÜBERSETZUNG|TRADUCTION)', line):  # the same on all pages
            break
        line = re.sub(r'\\["#].*', "", line)  # comments
        shown = SHOWN.match(line)
        if line.startswith((".", "'")):
            if not shown:
                close()  # a paragraph, a table, a condition: its line is no text
                continue
            if shown[1] in ("SH", "SS", "IP", "TP"):
                close()
            line = shown[2].replace('"', "") if shown[1] in ("SH", "SS", "B", "I", "SM", "SB") else \
                "".join(a or b for a, b in re.findall(r'"([^"]*)"|(\S+)', shown[2]))
        for form, by in ROFF:
            line = form.sub(by, line)
        line = line.strip()
        if line:
            text.append(line)
        if shown and shown[1] in ("SH", "SS"):
            close()
    close()
    return "\n".join(lines)


def manual_pages(deb):
    seen = set()
    for name, data in members(deb):
        if "/man/" in name and name.endswith(".gz"):
            source = gzip.decompress(data).decode("utf-8", "replace")
            text = manual_page(source)
            mdoc = re.search(r"^\.Dd", source, re.M)  # BSD's macros, which manual_page does not know
            if not mdoc and text not in seen:
                seen.add(text)
                yield pathlib.Path(name).stem, text


def questions(directory, subjects):
    for subject in subjects:
        for split in ("test", "val"):
            with open(directory / split / f"{subject}_{split}.csv", encoding="utf-8", newline="") as f:
                for i, row in enumerate(csv.reader(f)):
                    right = row[1 + "ABCD".index(row[5])]
                    yield f"{subject}/{split}/{i}", f"Question: {row[0].strip()}\nAnswer: {right.strip()}"


# ---- rows ------------------------------------------------------------------------------------------------------------

def pieces(text):
    """A document's pieces, cut at line ends (a longer line at a blank), and at most PIECES of them, spread over it."""
    out, piece = [], ""
    for line in text.split("\n"):
        while len(line.encode()) > PIECE:
            cut = line.rfind(" ", 0, PIECE // 2)
            cut = cut if cut > 0 else PIECE // 4
            out += [piece] if piece.strip() else []
            out.append(line[:cut])
            piece, line = "", line[cut:].lstrip()
        if piece and len((piece + line).encode()) >= PIECE:
            out.append(piece)
            piece = ""
        piece += line + "\n"
    out = [p.strip() for p in [*out, piece] if len(p.strip()) >= 60]
    return out if len(out) <= PIECES else [out[i * len(out) // PIECES] for i in range(PIECES)]


def take(documents, domain, need):
    """The pieces of documents from the end of the list until there are `need` bytes."""
    rows, size = [], 0
    while size < need:
        if not documents:
            sys.exit(f"{domain}: too little text for --train and --heldout; give fewer bytes")
        name, text = documents.pop()
        for piece in pieces(text):
            if size < need:
                rows.append({"text": piece, "domain": domain, "document": name})
                size += len(piece.encode())
    return rows


def shortened(text):
    """The first SHORT bytes, up to a blank or a line end."""
    head = text.encode()[:SHORT].decode("utf-8", "ignore")
    return text if head == text else head[:max(head.rfind(" "), head.rfind("\n"))].rstrip()


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("packages", type=pathlib.Path)
    parser.add_argument("mmlu", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--train", type=int, default=50000, help="bytes a domain (default 50000)")
    parser.add_argument("--heldout", type=int, default=30000, help="bytes a domain (default 30000)")
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    if o.out.exists():
        sys.exit(f"{o.out} exists; give a new directory")
    debs = {"prose": package(o.packages, "debian-handbook"), "python": package(o.packages, "libpython3.*-stdlib"),
            "german": package(o.packages, "manpages-de"), "french": package(o.packages, "manpages-fr")}
    domains = {"prose": handbook(debs["prose"]), "python": python(debs["python"]),
               "german": manual_pages(debs["german"]), "french": manual_pages(debs["french"]),
               "law": questions(o.mmlu, LAW), "medicine": questions(o.mmlu, MEDICINE)}
    train, sources = [], {"seed": o.seed, "domains": {}}
    for domain, found in domains.items():
        documents = [(name, text) for name, text in found if pieces(text)]
        random.Random(f"{o.seed} {domain}").shuffle(documents)
        note = {"documents": len(documents)}
        for side, need in (("heldout", o.heldout), ("train", o.train)):
            rows = take(documents, domain, need)
            if side == "heldout":
                rows = [row | {"text": shortened(row["text"])} for row in rows]
            write(o.out / side / f"{domain}.jsonl", rows)
            note[side] = {"rows": len(rows), "documents": len({r["document"] for r in rows}),
                          "bytes": sum(len(r["text"].encode()) for r in rows)}
            train += rows if side == "train" else []
        if domain in debs:
            note["package"] = debs[domain].name
            note["sha256"] = hashlib.sha256(debs[domain].read_bytes()).hexdigest()
        sources["domains"][domain] = note
        print(f"{domain}: {note['train']['rows']} rows of {note['train']['documents']} documents to train on, "
              f"{note['heldout']['rows']} of {note['heldout']['documents']} held out", file=sys.stderr)
    random.Random(o.seed).shuffle(train)
    for part in range(PARTS):
        write(o.out / f"train-{part + 1}.jsonl", train[len(train) * part // PARTS:len(train) * (part + 1) // PARTS])
    (o.out / "sources.json").write_text(json.dumps(sources, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
