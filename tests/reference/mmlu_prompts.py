"""Prompts and continuations of lm_eval's mmlu and mmlu_continuation tasks on the small CSV files in
tests/fixtures/score/mmlu (written here: quoted line breaks, a bare CR, doubled quotes, white space around a question,
the word None, Unicode), for tests/test_mmlu.c.

    python mmlu_prompts.py tests/fixtures/score         lm_eval 0.4.13
"""
import csv
import json
import os
import sys
import tempfile

import lm_eval
import yaml
from lm_eval.tasks import TaskManager

DEV = [("What is 2 + 2?", "3", "4", "5", "22", "B"),
       ("  Which is \"quoted\", and why?\n", "None", "a, b", "c\nd", "", "A"),
       ("Statement 1 | \u00c5ngstr\u00f6m.\nStatement 2 | \u4e2d\u6587.", "True, True", "False, False", "True, False", "False, True", "D")]
VAL = [("\u00a0The line\nbreaks here\r\nand a CR\rthere  ", "  padded  ", "None", "na\u00efve \"caf\u00e9\"", "D.", "C"),
       ("Question: really?\tYes", "yes", "no", "perhaps", "[1, 2]", "D")]


def write(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def main(out):
    rows = []
    for subject in ("college_biology", "virology"):
        write(f"{out}/mmlu/dev/{subject}_dev.csv", DEV)
        write(f"{out}/mmlu/val/{subject}_val.csv", VAL)
    work = tempfile.mkdtemp()
    files = {}
    for split, data in (("dev", DEV), ("val", VAL)):
        files[split] = f"{work}/{split}.jsonl"
        with open(files[split], "w") as file:
            for r in data:
                file.write(json.dumps({"question": r[0], "choices": r[1:5], "answer": "ABCD".index(r[5])}) + "\n")
    folder = os.path.join(os.path.dirname(lm_eval.__file__), "tasks", "mmlu")
    for style, sub in (("harness", "default"), ("continuation", "continuation")):
        base = yaml.safe_load(open(f"{folder}/{sub}/_{sub}_template_yaml"))
        for subject in ("college_biology", "virology"):
            own = yaml.safe_load(open(f"{folder}/{sub}/mmlu_{subject}.yaml"))
            task = {**base, **{k: v for k, v in own.items() if k not in ("include", "dataset_name", "tag")}}
            task.update(task=f"local_{style}_{subject}", dataset_path="json", test_split="val", fewshot_split="dev",
                        dataset_kwargs={"data_files": files})
            yaml.safe_dump(task, open(f"{work}/{style}_{subject}.yaml", "w"))
    manager = TaskManager(include_path=work)
    for style in ("harness", "continuation"):
        for subject in ("college_biology", "virology"):
            name = f"local_{style}_{subject}"
            task = manager.load_task_or_group([name])[name] if hasattr(manager, "load_task_or_group") else None
            for shots in (0, 3):
                for index, doc in enumerate(task.test_docs()):
                    context = task.fewshot_context(doc, shots)
                    requests = task.construct_requests(doc, context)
                    rows.append({"subject": subject, "style": style, "shots": shots, "index": index, "context": context,
                                 "continuations": [r.args[1] for r in requests]})
                    assert all(r.args[0] == context for r in requests)
    with open(f"{out}/mmlu_prompts.jsonl", "w") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
