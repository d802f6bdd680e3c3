#!/usr/bin/env bash
# usage: test_unlearn_report.sh DELEATUR SOURCE_DIR
#
# deleatur unlearn says what became of both sets whatever the objective's own loss is, warns where nothing was forgotten
# (and what it suggests does forget), and has no result where --select best finds no state within the budgets.
set -u
deleatur=$1 model=$2/data/models/demo retain=$2/data/demo/retain.jsonl
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failed=0
fail() { echo "FAILED: $*"; failed=1; }
unlearn() { "$deleatur" unlearn "$model" --forget forget.jsonl --retain "$retain" --threads 2 "$@"; }

head -n 6 "$2/data/demo/forget.jsonl" >forget.jsonl

# number FILE NAME COLUMN: the 1st or 3rd word after NAME, as in "forget NLL<TAB>0.109 to 0.158"
number() { awk -F'\t' -v name="$2" -v k="$3" '$1 == name { split($2, w, " "); print w[k] }' "$1"; }

unlearn --out little >little.txt 2>stdout.txt || fail "six rows: $(cat stdout.txt)"
grep -q 'hardly changed in 5 updates (1 per epoch)' stdout.txt || fail "nothing was forgotten, and it said: $(cat stdout.txt)"
grep -q '"warning"' little/deleatur/manifest.json || fail "the manifest has no warning"
for name in 'forget NLL' 'forget exact' 'retain NLL' 'retain exact'; do
    [ -n "$(number little.txt "$name" 1)" ] && [ -n "$(number little.txt "$name" 3)" ] || fail "no $name before and after"
done

# What it suggests, one after the other, forgets; and then there is no warning.
epochs=$(grep -o -- '--epochs [0-9]*' stdout.txt | head -n 1) lr=$(grep -o -- '--lr [0-9.e-]*' stdout.txt | head -n 1)
batch=$(grep -o -- '--batch [0-9]*' stdout.txt | head -n 1)
unlearn $epochs $lr $batch --out much >much.txt 2>stdout.txt || fail "with $epochs $lr $batch: $(cat stdout.txt)"
grep -q 'hardly changed' stdout.txt && fail "warned though it forgot: $(cat stdout.txt)"
awk "BEGIN { exit !($(number much.txt 'forget NLL' 3) > 2 && $(number much.txt 'forget exact' 3) < 0.5) }" ||
    fail "$epochs $lr $batch did not forget: $(cat much.txt)"

echo '{"input": "The capital of France is", "output": "Paris and nothing else"}' >unknown.jsonl
said=$("$deleatur" unlearn "$model" --forget unknown.jsonl --retain "$retain" --epochs 1 --out unknown 2>&1 >/dev/null)
grep -q 'did not know the forget set before' <<<"$said" || fail "rows that were never known: $said"

# The numbers are those that evaluation during training gives, and the same under every objective's own loss.
unlearn --eval-every 5 --quiet --out checked >checked.txt || fail "with --eval-every"
for name in 'forget NLL' 'forget exact' 'retain NLL' 'retain exact'; do
    [ "$(number little.txt "$name" 1) $(number little.txt "$name" 3)" = "$(number checked.txt "$name" 1) $(number checked.txt "$name" 3)" ] ||
        fail "$name: $(number little.txt "$name" 3) without evaluations, $(number checked.txt "$name" 3) with them"
done
for objective in 'rmu --at-layer 5 --layers 3-5' 'task-vector'; do
    own="--retain $retain"
    [ "$objective" = task-vector ] && own=
    "$deleatur" unlearn "$model" --forget forget.jsonl $own --objective $objective --json --quiet --out "by-${objective%% *}" >stdout.txt ||
        fail "--objective $objective"
    grep -q '"before":{"forget_nll":0.1094' stdout.txt || fail "--objective $objective: no forget NLL before: $(cat stdout.txt)"
done

# A holdout set that the model knows as well as the forget set ends training before the first update: no picture of no
# losses, and no warning that nothing moved.
said=$(unlearn --eval-every 5 --holdout forget.jsonl --out ended 2>&1 >ended.txt) || fail "with --holdout: $said"
grep -q '^stopped.*forget NLL reached holdout NLL' ended.txt || fail "not stopped by the holdout set: $(cat ended.txt)"
grep -q 'warning\|gnuplot' <<<"$said" && fail "a run that ended as asked was warned about: $said"

# none OUT PATTERN OPTIONS...: exit 1, a sentence, no result; the table of evaluations is kept
none() {
    local out=$1 pattern=$2 said got
    shift 2
    said=$(unlearn --eval-every 2 --select best --quiet "$@" --out "$out" 2>&1 >/dev/null)
    got=$?
    [ $got -eq 1 ] || fail "$* gave status $got: $said"
    grep -q -- "$pattern" <<<"$said" || fail "$* said \"$said\", not /$pattern/"
    [ ! -e "$out" ] && [ ! -e "$out.part" ] || fail "$* left $(echo "$out"*)"
    [ "$(head -c 17 "$out.evaluations.tsv")" = "$(printf 'update\tforget_nll')" ] || fail "$*: no table of evaluations"
}
none a 'update 2, is beyond --retain-budget 0.0001 by 0.0[0-9]* nats' --retain-budget 0.0001 --lr 1e-3
none a 'update 2, is beyond --retain-budget 0.0001 by' --retain-budget 0.0001 --lr 1e-3 # the table is replaced
mkdir -p mmlu/val
for i in 1 2 3 4 5; do echo "Gorm Ashgrove lives in the town of,Lumen,Tovik,Drovik,Brask,B"; done >mmlu/val/anatomy_val.csv
none c 'beyond --mmlu-budget 0 by 1 (MMLU 0.000, allowed 1.000)' --mmlu mmlu --mmlu-budget 0 --lr 5e-3 --epochs 4
none d 'none has a higher forget NLL' --retain-budget 9 --lr 1e-30 # nothing moves
echo mine >e.evaluations.tsv
said=$(unlearn --eval-every 2 --select best --quiet --retain-budget 0.0001 --lr 1e-3 --out e 2>&1) && fail "no state, and a result"
[ "$(cat e.evaluations.tsv)" = mine ] && ! grep -q 'e.evaluations.tsv' <<<"$said" || fail "another's e.evaluations.tsv was written over"

unlearn --eval-every 2 --select best --retain-budget 0.05 --lr 1e-3 --quiet --out kept >kept.txt || fail "a budget that can be met"
[ -e kept/model.safetensors ] || fail "no result within the budget"
exit $failed
