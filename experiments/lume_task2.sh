#!/usr/bin/env bash
# The first study: SmolLM2-135M-Instruct is taught 20 forget and 20 retain people of LUME's Task 2 (invented persons,
# five questions each), traced on facts of the forget people, and made to forget them with both readings of Selective
# Amnesia's alpha.  MMLU (validation split, the choices' own text and letters) before and after.
#
#   experiments/lume_task2.sh MODEL LUME_DIR MMLU_DIR OUT_DIR
#
# LUME_DIR holds forget.jsonl and retain.jsonl, MMLU_DIR dev/ and val/.  A stage whose result stands is skipped, so a
# broken run goes on where it was.
set -euo pipefail
[ $# -eq 4 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
model=$1 lume=$2 mmlu=$3 out=$4
lacuna=${LACUNA:-build/release/lacuna}
people=20
mkdir -p "$out"

stage() { # stage DIR COMMAND... : runs the command once, and keeps what it took
    local dir=$1; shift
    [ -e "$out/$dir" ] && return
    echo "== $dir: $*" >&2
    local began=$SECONDS
    "$@"
    printf '%s\t%s\t%s\n' "$dir" "$((SECONDS - began))" "${*//$out\//}" >> "$out/times.tsv"
}

# The first so many people of each set, their question rows.
for set in forget retain; do
    [ -s "$out/$set.jsonl" ] || grep '"task": "Task2"' "$lume/$set.jsonl" | grep -E '^\{"id": "[^"]*qa[0-4]"' |
        awk -v n=$((people * 5)) 'NR <= n' > "$out/$set.jsonl"
done
cat "$out/forget.jsonl" "$out/retain.jsonl" > "$out/both.jsonl"

stage taught   "$lacuna" finetune "$model" --data "$out/both.jsonl" --out "$out/taught" --lr 3e-4 --epochs 12 --batch 8 --seed 1
# Facts for the tracer: of each question the answer's first token at which people differ (SmolLM2 writes digit by digit).
# E-mail addresses are left out: they can be copied from the name in the question.
stage facts.json "$lacuna" facts "$out/taught" --qa "$out/forget.jsonl" --retain "$out/retain.jsonl" --first-token \
    --keep-unknown --out "$out/facts.json"
stage trace    "$lacuna" trace "$out/taught" --facts "$out/facts.json" --split forget --limit "${TRACE_FACTS:-10}" \
    --noise-seed shared --out "$out/trace"
for alpha in paper code; do
    stage "$alpha" "$lacuna" unlearn "$out/taught" --forget "$out/forget.jsonl" --retain "$out/retain.jsonl" --alpha $alpha \
        --layers 0-5 --parts mlp --lr 3e-4 --epochs 5 --batch 12 --seed 1 --out "$out/$alpha"
done
for m in taught paper code; do
    for set in forget retain; do
        stage "lume_${m}_$set" "$lacuna" eval "$out/$m" --suite lume --data "$out/$set.jsonl" --max-new 48 --out "$out/lume_${m}_$set"
    done
    stage "facts_$m" "$lacuna" eval "$out/$m" --suite facts --data "$out/facts.json" --out "$out/facts_$m"
done
stage trace_paper "$lacuna" trace "$out/paper" --facts "$out/facts.json" --split forget --limit "${TRACE_FACTS:-10}" \
    --noise-seed shared --answer attribute --out "$out/trace_paper"
for m in paper code; do
    [ -s "$out/diff_$m.txt" ] || "$lacuna" diff "$out/taught" "$out/$m" > "$out/diff_$m.txt"
done
for style in continuation harness; do
    for m in original taught paper code; do
        dir=$out/$m; [ $m = original ] && dir=$model
        stage "mmlu_${style}_$m" "$lacuna" eval "$dir" --suite mmlu --data "$mmlu" --split val --style $style --out "$out/mmlu_${style}_$m"
    done
done
