#!/usr/bin/env bash
# usage: test_demo.sh DELEATUR SOURCE_DIR
#
# The whole job on the embedded model: it knows its facts, forgets those it should, keeps most of the others, and only
# the MLPs of layers 0-5 move.
set -u -o pipefail
deleatur=$1 data=$2/data
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0
claim() { # SENTENCE COMMAND...
    local sentence=$1
    shift
    if "$@"; then echo "ok    $sentence"; else echo "FAIL  $sentence"; failed=1; fi
}

facts() { "$deleatur" eval "$1" --suite facts --data "$data/facts/demo_facts.json" --out "$2" --quiet; }
top1() { awk -F'\t' -v side="$1" '$1 == side && $2 == "prompt" { print $6 }' "$2"; } # of eval's table
below() { awk -v x="$1" -v y="$2" 'BEGIN { exit !(x != "" && x < y) }'; }

"$deleatur" demo --quiet --out "$tmp/forgot" >"$tmp/demo.txt" || exit 1
facts "$data/models/demo" "$tmp/before" >"$tmp/before.tsv" || exit 1
facts "$tmp/forgot" "$tmp/after" >"$tmp/after.tsv" || exit 1

claim "the embedded model answers every fact about its people" [ "$(top1 all "$tmp/before.tsv")" = 1.0000 ]
claim "the demo makes it forget most of what it should" below "$(top1 forget "$tmp/after.tsv")" 0.4
claim "and it keeps most of the rest" below 0.7 "$(top1 retain "$tmp/after.tsv")"
claim "39 of 57 tensors stay bit-equal" grep -q '^39 of 57 tensors are bit-equal' "$tmp/demo.txt"
"$deleatur" demo --epochs 1 --json --quiet --out "$tmp/short" >"$tmp/demo.json" || exit 1
has() { tr -d ' \t\n' <"$tmp/demo.json" | grep -Eq "$1"; }
claim "demo --json is one object and no text" has '^\{"parameters":2262656,"facts":240,.*"seconds":[0-9.]+\}$'
claim "with the layers of the trace" has '"trace":\{"facts":5,"kind":"mlp","window":"3",.*"effects":\[(-?[0-9.e-]+,){7}-?[0-9.e-]+\]\}'
claim "the scores before and after" has '\{"facts":"forgetset","n":[0-9]+,"top1_before":1,"top1_after":[0-9.]+,'
claim "and what moved" has '"diff":\{"tensors":57,"tensors_equal":39,'
claim "the heatmap is drawn in the terminal" grep -q '█' "$tmp/demo.txt"
claim "compare finds the loss" eval '"$deleatur" compare "$tmp/before" "$tmp/after" | grep -q "^forget.prompt.top1.*-0\."'

"$deleatur" facts "$data/models/demo" --facts "$data/facts/demo_facts.json" --out "$tmp/known.json" --quiet \
    --forget-out "$tmp/f.json" --retain-out "$tmp/r.json" --forget-fraction 0.25 --seed 3 >/dev/null || exit 1
subjects() { grep -o '"subject":"[^"]*"' "$1" | sort -u; }
claim "a quarter of the subjects are to be forgotten" [ "$(subjects "$tmp/f.json" | wc -l)" = 12 ]
claim "no subject is on both sides" [ -z "$(comm -12 <(subjects "$tmp/f.json") <(subjects "$tmp/r.json"))" ]
claim "every known fact is on one side" \
    [ "$(cat "$tmp/f.json" "$tmp/r.json" | grep -c known_id)" = "$(grep -c known_id "$tmp/known.json")" ]

"$deleatur" compare "$tmp/before" "$tmp/demo.txt" >/dev/null 2>"$tmp/err"
claim "compare says in one sentence what is wrong with a file" [ "$(wc -l <"$tmp/err")" = 1 ]
exit $failed
