#!/usr/bin/env bash
# usage: test_trace_tables.sh DELEATUR SOURCE_DIR
#
# What a trace's tables say of each other: means are means of the facts' own lines, peaks are counted once, differences
# are differences, controls are drawn, and layers.tsv's words fit its column.
set -u
deleatur=$1 source=$2
model=$source/data/models/demo facts=$source/data/facts/demo_facts.json
[ -e "$model/model.safetensors" ] || { echo "skipped: the embedded model is not in $model"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

"$deleatur" trace "$model" --quiet --samples 5 --threads 2 --facts "$facts" --limit 8 --pictures 0 --window 1 \
    --out "$dir/a" >"$dir/said" || fail "the trace"
a=$dir/a
for file in summary controls effects peaks differences layers; do
    awk -F'\t' '/^#/ { next } !columns { columns = NF } NF != columns { exit 1 } END { if (NR < 3) exit 1 }' "$a/$file.tsv" ||
        fail "$file.tsv is short, or its lines have different numbers of columns"
done

# summary's effect is the mean of effects' lines, and both count the same facts
awk -F'\t' '/^#/ || $1 == "id" || $1 == "chart" { next }
    FNR == NR { key = $2 FS $3 FS $4; n[key]++; sum[key] += $6; next }
    $2 == "p" && $5 > 0 { key = $1 FS $4 FS $3; d = $9 - sum[key] / n[key]; seen++
        if (n[key] != $5 || d > 1e-5 || d < -1e-5) { print key, $9, sum[key] / n[key], n[key]; bad++ } }
    END { exit !(seen > 100 && !bad) }' "$a/effects.tsv" "$a/summary.tsv" || fail "summary.tsv is not the mean of effects.tsv"

# a fact's interval over its draws holds its mean; normalised, logp and rank have summary's mean, or the fact's own low
awk -F'\t' '/^#/ || $1 == "id" { next } { n++; if ($12 > $6 + 1e-4 || $13 < $6 - 1e-4 || ($7 > 0.01 && $13 - $12 < $7)) { print; bad++ } }
    END { exit !(n > 100 && !bad) }' "$a/effects.tsv" || fail "an interval over draws does not hold its mean"
for column in logp:15 rank:16; do
    awk -F'\t' -v metric="${column%:*}" -v at="${column#*:}" '/^#/ || $1 == "id" || $1 == "chart" { next }
        FNR == NR { key = $2 FS $3 FS $4; n[key]++; sum[key] += $at; next }
        $2 == metric && $5 > 0 { key = $1 FS $4 FS $3; mean = sum[key] / n[key]; d = $9 - mean; seen++
            if (d > 1e-3 + 1e-3 * (mean < 0 ? -mean : mean) || -d > 1e-3 + 1e-3 * (mean < 0 ? -mean : mean)) { print key, $9, mean; bad++ } }
        END { exit !(seen > 100 && !bad) }' "$a/effects.tsv" "$a/summary.tsv" || fail "summary.tsv is not the mean of effects.tsv in ${column%:*}"
done
{ sed -n 's/.*"id":\([0-9]*\),.*"clean":\([0-9.e-]*\).*"corrupted":\([0-9.e-]*\).*/\1 \2 \3/p' "$a/facts.jsonl"; echo; cat "$a/effects.tsv"; } |
    awk 'NF == 0 { FS = "\t"; table = 1; next } !table { total[$1] = $2 > $3 ? $2 - $3 : $3 - $2; next }
        /^#/ || $1 == "id" { next } { n++; d = $14 * total[$1] - $6; if (d > 1e-3 || d < -1e-3) { print; bad++ } }
        END { exit !(n > 100 && !bad) }' || fail "normalised is not the part of the fact's total effect"

# a difference between charts is that of their means; a layer's to the best is below 0
awk -F'\t' '/^#/ { next }
    FNR == NR { if ($2 == "p" && $4 == "last subject") mean[$1 FS $3] = $9; next }
    $2 == "p" { d = $8 - (mean[$3 FS $4] - mean[$5 FS $6]); n[$1]++
        if (d > 1e-5 || d < -1e-5 || ($1 == "layers" && $8 > 0) || $10 > $8 || $11 < $8) { print; bad++ } }
    END { exit !(n["charts"] == 3 * 8 && n["layers"] == 3 * 7 && !bad) }' "$a/summary.tsv" "$a/differences.tsv" ||
    fail "differences.tsv differs from summary.tsv"

# with several widths: hidden less each window, a kind less itself in another width, two kinds in the same width alone
"$deleatur" trace "$model" --quiet --samples 2 --threads 2 --facts "$facts" --limit 4 --pictures 0 --window 1,3 \
    --tokens last-subject --out "$dir/w" >/dev/null || fail "the trace in two widths"
pairs=$(awk -F'\t' '$1 == "charts" && $2 == "p" && $4 == 2 { printf "%s-%s ", $3, $5 }' "$dir/w/differences.tsv")
[ "$pairs" = "hidden-mlp_w1 hidden-mlp_w3 hidden-attn_w1 hidden-attn_w3 mlp_w1-mlp_w3 mlp_w1-attn_w1 mlp_w3-attn_w3 attn_w1-attn_w3 " ] ||
    fail "the charts compared are $pairs"

# each fact peaks once, at the layer where its own line in effects.tsv is largest
for chart in hidden mlp attn; do
    [ "$(awk -F'\t' -v c=$chart '$2 == c' "$a/peaks.tsv" | wc -l)" -eq 8 ] || fail "not a peak a fact in $chart"
    awk -F'\t' '!/^#/ { sum += $2 } END { exit sum != 8 }' "$a/plots/peaks_$chart.tsv" || fail "peaks_$chart.tsv: not 8 facts"
    grep -q '^random token (control)$' "$a/plots/lines_$chart.tsv" || fail "lines_$chart.tsv has no control"
done
awk -F'\t' '/^#/ || $1 == "id" { next }
    FNR == NR { if ($3 == "last subject") own[$1 FS $2 FS $4] = $6; next }
    { for (l = 0; l < 8; l++) if (own[$1 FS $2 FS l] > own[$1 FS $2 FS $3]) bad++
      if ($4 != own[$1 FS $2 FS $3] || $7 < $4) bad++; seen++ }
    END { exit !(seen == 24 && !bad) }' "$a/effects.tsv" "$a/peaks.tsv" || fail "peaks.tsv is not where effects.tsv is largest"

# the words, the column and what was printed
grep -q '^# mlp: .*the best' "$a/layers.tsv" || fail "layers.tsv does not say which layers differ significantly"
words=$(sed -n 's/^# mlp: //p' "$a/layers.tsv")
grep -q "^mask: .*; $words" "$dir/said" || fail "the mask's line does not say: $words"
best=$(awk -F'\t' '$1 == "mlp" && $5 == 1 { print $2 ":" $14 }' "$a/layers.tsv")
grep -q "${best%:1}" <<<"$words" || fail "the best layer is $best, the words are: $words"
# one fact alone is shown with its own tokens, several with their mean
"$deleatur" trace "$model" --quiet --samples 1 --threads 2 --facts "$facts" --limit 1 --kinds hidden --pictures 0 --out "$dir/one" \
    >"$dir/said" || fail "the trace of one fact"
grep -q ' <- last subject token$' "$dir/said" && ! grep -q 'mean effect' "$dir/said" || fail "one fact's own map: $(cat "$dir/said")"

echo "all as it should be"
