#!/usr/bin/env bash
# usage: test_threads.sh DELEATUR SOURCE_DIR
#
# One, two and three threads give the same bytes in training and scoring; traces, and results with another --batch-tokens or
# --batch-memory, agree to rounding: the weights to 1e-4 of what training changed, a trace's effects to 1e-5.
set -u
deleatur=$1 model=$2/data/models/demo facts=$2/data/facts/demo_facts.json
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failed=0
fail() { echo "FAILED: $*"; failed=1; }
head -n 20 "$2/data/demo/forget.jsonl" >forget.jsonl
head -n 20 "$2/data/demo/retain.jsonl" >retain.jsonl
unlearn() { "$deleatur" unlearn "$model" --forget forget.jsonl --retain retain.jsonl --epochs 2 --lr 5e-4 --dtype f32 --quiet "$@" >/dev/null || fail "unlearn $*"; }
trace() { "$deleatur" trace "$model" --facts "$facts" --limit 2 --samples 3 --pictures 0 --quiet "$@" >/dev/null || fail "trace $*"; }

for n in 1 2 3; do
    unlearn --threads $n --out trained$n
    trace --threads $n --out traced$n
    "$deleatur" eval "$model" --suite facts --data "$facts" --limit 60 --threads $n --quiet --out scored$n >/dev/null || fail "eval"
    for file in trained/model.safetensors trained/deleatur/steps.tsv scored/items.jsonl; do
        cmp "${file/\//1/}" "${file/\//$n/}" || fail "$n threads give another $file"
    done
done

unlearn --batch-tokens 40 --out small
# change MODEL MODEL: the norm of the difference of all weights
change() { "$deleatur" diff "$1" "$2" --json | tr -d ' \t' | awk -F'[:,]' '$1 == "\"norm\"" { sum += $2 * $2 } END { print sqrt(sum) }'; }
moved=$(change "$model" trained1) apart=$(change trained1 small)
awk "BEGIN { exit !($moved > 0.01 && $apart > 0 && $apart <= 1e-4 * $moved) }" || fail "--batch-tokens 40 changes the weights by $apart where training changed $moved"

trace --threads 1 --batch-memory 2 --out tight
for other in traced2 traced3 tight; do paste traced1/layers.tsv $other/layers.tsv | awk -F'\t' '
    { n = NF / 2; for (i = 1; i <= n; i++) if ($i ~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/) { d = $i - $(i + n); if (d < 0) d = -d; if (d > 1e-5) bad++; seen++ } }
    END { exit bad || seen < 50 }' || fail "$other has other effects"; done
exit $failed
