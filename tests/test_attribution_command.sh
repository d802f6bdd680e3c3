#!/usr/bin/env bash
# usage: test_attribution_command.sh DELEATUR SOURCE_DIR
#
# The screen of the embedded model: its tables say that they are estimates, hold every cell, and average to what their
# summary says; with little noise they agree with the exact cells; what attribution patching cannot estimate is refused.
set -u
deleatur=$1 source=$2
model=$source/data/models/demo facts=$source/data/facts/demo_facts.json
[ -e "$model/model.safetensors" ] || { echo "skipped: the embedded model is not in $model"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAILED: $*"; exit 1; }
screen() { "$deleatur" trace "$model" --facts "$facts" --quiet --samples 3 --threads 2 --attribution "$@"; }

screen --limit 3 --window 1,3 --attribution-check 2 --noise-sigma 1e-4 --out "$dir/a" >"$dir/said" || fail "the screen itself"
screen --limit 3 --window 1,3 --attribution-check 2 --noise-sigma 1e-4 --out "$dir/b" >/dev/null || fail "the screen a second time"
for file in attribution.tsv attribution_summary.tsv attribution_agreement.tsv; do
    cmp "$dir/a/$file" "$dir/b/$file" || fail "$file: the same command gave other bytes"
    head -1 "$dir/a/$file" | grep -q '^# first-order estimate, not exact' || fail "$file does not say what it holds"
done
grep -q 'first-order estimate, not exact' "$dir/said" || fail "the report does not say what it tells"
[ ! -e "$dir/a.part" ] || fail "the directory it was written in is still there"
[ -s "$dir/a/manifest.json" ] || fail "no manifest"

# Every fact has all kinds, tokens and layers: 3 facts, and as many lines a kind.
awk -F '\t' 'NR > 2 { facts[$1]; lines[$2]++; if ($3 > 0) moved += ($6 != 0) }
     END { exit !(length(facts) == 3 && length(lines) == 3 && lines["hidden"] == lines["mlp"] &&
                  lines["mlp"] == lines["attn"] && moved > 0) }' "$dir/a/attribution.tsv" || fail "attribution.tsv lacks cells"

# Means over facts of the last token's cells, of single layers and of windows of three, are the summary's.
for chart in mlp_w1 mlp_w3; do
    reach=$(((${chart#mlp_w} - 1) / 2))
    awk -F '\t' -v reach=$reach -v chart=$chart '
        FNR <= 2 { next }
        FILENAME ~ /attribution.tsv$/ { if ($2 == "mlp") { last[$1] = $3 > last[$1] ? $3 : last[$1]; x[$1, $3, $5] = $7 } next }
        $1 == chart && $2 == "logp" && $4 == "last" {
            sum = 0
            for (fact in last) for (l = $3 - reach; l <= $3 + reach; l++) sum += x[fact, last[fact], l] / 3
            d = sum - $6; size = sum < 0 ? -sum : sum
            if (d > 1e-9 + 1e-4 * size || -d > 1e-9 + 1e-4 * size) bad++
            n++
        }
        END { exit !(n > 0 && !bad) }' "$dir/a/attribution.tsv" "$dir/a/attribution_summary.tsv" ||
        fail "attribution_summary.tsv is not the mean of attribution.tsv's cells ($chart)"
done

# With little noise the estimate is the exact effect: two facts, five charts, two metrics; single layers at least.
awk -F '\t' 'NR > 2 { n++; if ($2 !~ /_w3$/ && !($5 > 0.99 && $8 > 0.95 && $8 < 1.05)) bad++ }
     END { exit !(n == 20 && !bad) }' "$dir/a/attribution_agreement.tsv" || fail "the screen and the exact cells differ"

screen --limit 2 --kinds mlp --out "$dir/c" >/dev/null || fail "one kind"
[ ! -e "$dir/c/attribution_agreement.tsv" ] || fail "an agreement with nothing"
cut -f 2 "$dir/c/attribution.tsv" | grep -q hidden && fail "a kind that was not asked for"
screen --limit 2 --attribution-check 1 --json --out "$dir/d" | grep -q '"pearson"' || fail "--json"

cat >"$dir/wrong.json" <<'JSON'
[{"known_id": 5, "subject": "Arlo", "attribute": "not what it says", "prompt": "Arlo went to the"}]
JSON
screen --facts "$dir/wrong.json" --attribution-check 1 --out "$dir/e" >"$dir/said" || fail "an unknown fact is no error"
grep -q 'attribution patching: 0 of 1' "$dir/said" && grep -q 'left out 5: the model says' "$dir/said" || fail "$(cat "$dir/said")"
mkdir "$dir/g.part" && echo "a trace" >"$dir/g.part/deleatur.unfinished"
said=$(screen --limit 1 --out "$dir/g" 2>&1) && fail "an interrupted trace was thrown away"
grep -q 'unfinished' <<<"$said" && [ -e "$dir/g.part/deleatur.unfinished" ] || fail "an interrupted trace: $said"

expect() { # STATUS PATTERN OPTIONS...
    local status=$1 pattern=$2 said
    shift 2
    said=$("$deleatur" trace "$model" --facts "$facts" --quiet --out "$dir/f" "$@" 2>&1)
    [ $? -eq "$status" ] && grep -q -- "$pattern" <<<"$said" || fail "$* said: $said"
    [ ! -e "$dir/f" ] && [ ! -e "$dir/f.part" ] || fail "$* left something behind"
}
expect 2 'needs --attribution' --attribution-check 2
expect 2 'not "head"' --attribution --kinds mlp,head
expect 2 'Gaussian noise' --attribution --direction noise
expect 2 'Gaussian noise' --attribution --noise u0.3
expect 2 'excludes --sever' --attribution --sever mlp
expect 2 'at least 1' --attribution --samples 0
echo "all as it should be"
