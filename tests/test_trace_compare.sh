#!/usr/bin/env bash
# usage: test_trace_compare.sh DELEATUR SOURCE_DIR
#
# deleatur trace --compare: a result differs from itself by nothing; before and after are the means of each result's own
# summary, the difference is theirs; what cannot be compared is refused with a sentence, and leaves nothing behind.
set -u
deleatur=$1 source=$2
model=$source/data/models/demo facts=$source/data/facts/demo_facts.json
[ -e "$model/model.safetensors" ] || { echo "skipped: the embedded model is not in $model"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAILED: $*"; exit 1; }
trace() { "$deleatur" trace "$model" --quiet --samples 2 --threads 2 --pictures 0 --facts "$facts" "$@" >/dev/null; }
compare() { "$deleatur" trace --compare "$@"; }

trace --limit 5 --window 1 --out "$dir/a" || fail "the trace"
trace --limit 5 --window 1 --seed 2 --out "$dir/b" || fail "the trace with other noise"
trace --limit 3 --window 1 --kinds mlp --out "$dir/c" || fail "the trace of three facts"
trace --limit 1 --window 2 --kinds mlp --out "$dir/w" || fail "the trace with another window"
trace --limit 1 --kinds mlp --direction noise --window 1 --out "$dir/n" || fail "the trace the other way"
trace --limit 1 --kinds embed --out "$dir/e" || fail "the trace of embeddings"

compare "$dir/a" "$dir/a" --out "$dir/same" >"$dir/said" || fail "a result with itself"
awk -F'\t' '!/^#/ && $1 != "chart" && $5 > 0 { n++; if ($8 != 0 || $9 + 0 != 0 || $10 + 0 != 0 || $11 + 0 != 0 || $6 != $7) bad++
        if (($5 < 5) != ($10 == "") || ($5 < 5) != ($11 == "")) bad++ }
    END { exit !(n > 100 && !bad) }' "$dir/same/compare.tsv" || fail "a result differs from itself"
awk -F'\t' '!/^#/ && $1 != "id" { n++; if ($3 != $4 || $5 != $6 || $7 != $9 || $8 != $10) bad++ } END { exit !(n == 15 && !bad) }' \
    "$dir/same/compare_facts.tsv" || fail "a result's facts differ from themselves"
grep -q '^5 facts in both' "$dir/said" || fail "it does not say how many facts are in both"
[ "$(grep -c 'last subject token$' "$dir/said")" -eq 4 ] || fail "not a head line and three maps"
[ -s "$dir/same/manifest.json" ] && [ -s "$dir/same/plots/compare_mlp.tsv" ] || fail "manifest.json or a table is missing"

compare "$dir/a" "$dir/b" --out "$dir/ab" --fact 3 >"$dir/said" || fail "two results"
grep -q 'of fact 3 before' "$dir/said" || fail "--fact 3 is not shown"
for side in a:6 b:7; do
    awk -F'\t' -v at="${side#*:}" '/^#/ || $1 == "chart" { next }
        FNR == NR { mean[$1 FS $2 FS $4 FS $3] = $9; n[$1 FS $2 FS $4 FS $3] = $5; next }
        $4 != "all" && $5 > 0 { key = $1 FS $2 FS $3 FS $4; d = $at - mean[key]; seen++
            if (d > 2e-5 || d < -2e-5 || $5 != n[key]) { print; bad++ } }
        END { exit !(seen > 100 && !bad) }' "$dir/${side%:*}/summary.tsv" "$dir/ab/compare.tsv" ||
        fail "${side%:*}'s means are not those of its summary.tsv"
done
awk -F'\t' '!/^#/ && $1 != "chart" && $5 > 0 { d = $8 - ($7 - $6); n++; if (d > 2e-5 || d < -2e-5 || ($5 >= 5 && ($10 > $8 || $11 < $8))) bad++
        if ($4 != "all") { sum += $6; layers++ } else { e = $6 - sum / layers; if (e > 1e-5 || e < -1e-5) bad++; sum = layers = 0 } }
    END { exit !(n > 100 && !bad) }' "$dir/ab/compare.tsv" || fail "differences are not differences, or means not means"

# the pictures of maps: before is the left half, after the right one, as compare.tsv has them
for half in 0:6 1:7; do
    awk -F'\t' -v half="${half%:*}" -v at="${half#*:}" '/^#/ { next }
        FNR == NR { if ($1 == "mlp" && $2 == "p" && $4 != "all") is[$3 FS $4] = $at; next }
        int($3 / 8) == half { sub(/[*]$/, "", $2); d = $4 - is[$2 FS ($3 - 8 * half)]; n++; if ($4 != "nan" && (d > 1e-5 || d < -1e-5)) bad++ }
        END { exit !(n == 48 && !bad) }' "$dir/ab/compare.tsv" "$dir/ab/plots/compare_average_mlp.tsv" || fail "half $half of the pair of maps"
done
for table in "$dir"/ab/plots/compare_{average,3}_{hidden,mlp,attn}.tsv; do
    [ -s "$table" ] || fail "$table is missing"
    ! command -v gnuplot >/dev/null || grep -q '</svg>' "${table%.tsv}.svg" || fail "${table%.tsv}.svg is missing or not whole"
done

compare "$dir/a" "$dir/c" --json >"$dir/said" || fail "--json"
grep -q '"facts":	3' "$dir/said" && grep -q '"before":	5' "$dir/said" && ! grep -q hidden "$dir/said" ||
    fail "three facts and the mlp are in both: $(head -5 "$dir/said")"

expect() { # STATUS PATTERN ARGUMENTS...
    local status=$1 pattern=$2 said
    shift 2
    said=$("$deleatur" trace "$@" 2>&1)
    [ $? -eq "$status" ] && grep -q -- "$pattern" <<<"$said" || fail "$* said: $said"
    [ ! -e "$dir/out" ] && [ ! -e "$dir/out.part" ] || fail "$* left something behind"
}
expect 2 'AFTER is missing: deleatur trace --compare BEFORE AFTER' --compare "$dir/a"
expect 2 'one argument too many' --compare "$dir/a" "$dir/b" "$dir/c"
expect 2 'no option --facts' --compare "$dir/a" "$dir/b" --facts "$facts"
expect 2 'takes the id of a fact' --compare "$dir/a" "$dir/b" --fact Arlo --out "$dir/out"
expect 1 'fact 4711 is not in both' --compare "$dir/a" "$dir/b" --fact 4711 --out "$dir/out"
expect 1 'trace.json' --compare "$dir/a" "$dir/absent" --out "$dir/out"
expect 1 'the same options' --compare "$dir/a" "$dir/w" --out "$dir/out"
refused() { # PATTERN OPTIONS OF THE FIRST -- OPTIONS OF THE SECOND
    local pattern=$1 first=()
    shift
    while [ "$1" != -- ]; do first+=("$1"); shift; done
    shift
    rm -rf "$dir/x" "$dir/y"
    trace --limit 1 --kinds mlp "${first[@]}" --out "$dir/x" && trace --limit 1 --kinds mlp "$@" --out "$dir/y" || fail "traces for $pattern"
    expect 1 "different experiments: $pattern" --compare "$dir/x" "$dir/y" --out "$dir/out"
}
refused 'zero before, mean after.*same --corrupt' --corrupt zero -- --corrupt mean
refused 'noise before, tokens after.*same --corrupt' -- --corrupt tokens
refused "the code's windows before, the paper's after.*same --edges" --window 2 -- --window 2 --edges paper
refused 'Gaussian noise before, uniform noise after.*same --noise' -- --noise us3
refused 'noise added to the embeddings before, instead of them after.*same --replace' -- --replace
trace --limit 1 --kinds mlp --window 1 --edges paper --noise s2 --noise-seed shared --out "$dir/weak" || fail "weaker noise"
compare "$dir/a" "$dir/weak" >"$dir/said" || fail "noise of another strength is refused"
grep -q '^warning: the noise levels differ: sigma .* before' "$dir/said" || fail "no warning of weaker noise"
grep -q "^warning: the noise was drawn for each fact before, shared by all facts after" "$dir/said" || fail "no warning of shared noise"
compare "$dir/a" "$dir/weak" --json | grep -q 'noise levels differ' || fail "--json does not warn"
expect 1 'same --direction' --compare "$dir/a" "$dir/n" --out "$dir/out"
expect 1 'no patched activation in common' --compare "$dir/a" "$dir/e" --out "$dir/out"
expect 1 'exists' --compare "$dir/a" "$dir/b" --out "$dir/ab"
echo "all as it should be"
