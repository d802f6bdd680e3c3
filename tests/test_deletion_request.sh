#!/usr/bin/env bash
# usage: test_deletion_request.sh DELEATUR SOURCE_DIR
#
# The recipe for a deletion request, on one person of the embedded model's village: the person's rows are forgotten and the
# others' kept, attacked, measured in depth, and one page says so.
set -u
deleatur=$1 data=$2/data
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failed=0
fail() { echo "FAILED: $*"; failed=1; }
export DELEATUR_SHARE=$2

person=$(sed -n 's/.*"subject":"\([^"]*\)".*"split":"retain".*/\1/p' "$data/facts/demo_facts.json" | sort -u | sed -n 3p)
# A model that never saw the person: random weights, shown a few rows of the others.
grep -v "$person" "$data/demo/retain.jsonl" | head -n 60 >others.jsonl
"$deleatur" finetune --init "$data/models/demo/config.json" --tokenizer "$data/models/demo/tokenizer.json" --data others.jsonl \
    --epochs 1 --lr 1e-3 --quiet --out never >/dev/null || fail "a model that never saw the rows"

"$deleatur" run deletion_request --out request --set "person=$person" --set never=never >stdout.txt 2>&1 ||
    fail "the recipe for $person: $(tail -n 5 stdout.txt)"
rows=request/request/rows.jsonl
[ "$(wc -l <$rows)" -eq 10 ] && [ "$(grep -c "$person" $rows)" -eq 10 ] || fail "$person has not ten rows: $(wc -l <$rows)"
grep -q "$person" request/others/rows.jsonl && fail "rows of $person are in the retain set"
[ "$(wc -l <request/others/rows.jsonl)" -eq 390 ] || fail "not all others are in the retain set"

# column TITLE: of the report's table
column() { awk -F'\t' -v title="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == title) k = i; next } { print $k }' request/report/table.tsv; }
holds() { awk "BEGIN { exit !($1) }" || fail "$2: $1"; }
holds "$(column 'forget set: exact match before') == 1" "the person was known"
holds "$(column 'forget set: exact match after') <= 0.2" "the person was forgotten"
holds "$(column 'retain set: exact match after') >= 0.9" "the others were kept"
holds "$(column 'retain set: NLL after') - $(column 'retain set: NLL before') <= 0.1" "within the budget"
[ -s request/attacked/attack.tsv ] && [ -s request/depth/depth.json ] || fail "not attacked, or no depth: $(ls request request/depth)"
for word in Attacks 'NLL after' "$person" manifest; do grep -q -i -- "$word" request/report.html || fail "the page has no \"$word\""; done

# A budget that nothing meets is no success of the request.
"$deleatur" run deletion_request --out strict --set "person=$person" --set retain_budget=0.00001 --set epochs=4 >stdout.txt 2>&1 &&
    fail "a budget that nothing meets, and status 0"
grep -q 'beyond --retain-budget' stdout.txt || fail "why the request failed is not said: $(tail -n 3 stdout.txt)"
[ -e strict/unlearned/model.safetensors ] && fail "the untouched model stands as the result"
exit $failed
