"""lm-evaluation-harness's own log-likelihoods on MMLU, from local CSV files, for comparison with `deleatur eval --suite mmlu`.

    python lm_eval_mmlu.py MODEL_DIR MMLU_DIR OUT.jsonl [--split val] [--style mmlu|mmlu_continuation] [--shots 0] [--subjects a,b]

The harness's task files are used as they are; only where the rows come from is replaced (no network).  Output lines:
subject, index, loglikelihoods.  Versions: requirements.txt."""
import argparse, csv, glob, json, os, tempfile, lm_eval, yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

a = argparse.ArgumentParser()
a.add_argument("model"); a.add_argument("data"); a.add_argument("out")
a.add_argument("--split", default="val"); a.add_argument("--style", default="mmlu")
a.add_argument("--shots", type=int, default=0); a.add_argument("--subjects", default="")
a.add_argument("--batch", type=int, default=8)
a = a.parse_args()
csv.field_size_limit(10**9)

folder = os.path.join(os.path.dirname(lm_eval.__file__), "tasks", "mmlu", "default" if a.style == "mmlu" else "continuation")
template = next(glob.iglob(os.path.join(folder, "_*template_yaml")))
base = yaml.safe_load(open(template))
work = tempfile.mkdtemp()
tasks = []
for path in sorted(glob.glob(os.path.join(folder, "mmlu_*.yaml"))):
    own = yaml.safe_load(open(path))
    subject = own["dataset_name"]
    if a.subjects and subject not in a.subjects.split(","): continue
    files = {}
    for split in ("dev", a.split):
        rows = list(csv.reader(open(os.path.join(a.data, split, f"{subject}_{split}.csv"), newline="")))
        files[split] = os.path.join(work, f"{subject}_{split}.jsonl")
        with open(files[split], "w") as f:
            for r in rows:
                f.write(json.dumps({"question": r[0], "choices": r[1:5], "answer": "ABCD".index(r[5])}) + "\n")
    task = {**base, **{k: v for k, v in own.items() if k not in ("include", "dataset_name", "tag")}}
    task.update(task=f"local_{a.style}_{subject}", dataset_path="json", test_split=a.split, fewshot_split="dev",
                dataset_kwargs={"data_files": {"dev": files["dev"], a.split: files[a.split]}})
    task.pop("dataset_name", None)
    yaml.safe_dump(task, open(os.path.join(work, f"{subject}.yaml"), "w"))
    tasks.append((subject, task["task"]))

lm = HFLM(pretrained=a.model, dtype="float32", device="cpu", batch_size=a.batch)
result = lm_eval.simple_evaluate(model=lm, tasks=[t for _, t in tasks], num_fewshot=a.shots, bootstrap_iters=0,
                                 task_manager=TaskManager(include_path=work), log_samples=True)
with open(a.out, "w") as f:
    for subject, task in tasks:
        for s in sorted(result["samples"][task], key=lambda s: s["doc_id"]):
            f.write(json.dumps({"subject": subject, "index": s["doc_id"], "answer": s["target"],
                                "loglikelihoods": [float(r[0] if not isinstance(r[0], (list, tuple)) else r[0][0]) for r in s["filtered_resps"]]}) + "\n")
