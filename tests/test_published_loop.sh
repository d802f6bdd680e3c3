#!/usr/bin/env bash
# usage: test_published_loop.sh DELEATUR SOURCE_DIR
#
# deleatur unlearn --alpha code follows the published training loop: forget loss, retain loss and alpha of the first 20
# updates on the embedded model are those of its transcription in PyTorch (reference/selective_amnesia_loop.py, whose
# results are fixtures/selective_amnesia_loop.tsv), each within 1e-3.
set -u -o pipefail
deleatur=$1 data=$2/data golden=$2/tests/fixtures/selective_amnesia_loop.tsv
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

# Rows "update forget retain alpha" of one run
column() { awk -F'\t' -v run="$1" '$1 == run { print $5, $6, $7, $8 }' "$golden"; }

runs=$(awk -F'\t' '!/^#/ && $1 != "run" { print $1 }' "$golden" | uniq)
for run in $runs; do
    read -r micro batch lr < <(awk -F'\t' -v run="$run" '$1 == run { print $2, $3, $4; exit }' "$golden")
    "$deleatur" unlearn "$data/models/demo" --forget "$data/demo/forget.jsonl" --retain "$data/demo/retain.jsonl" \
        --alpha code --micro-batch "$micro" --batch "$batch" --lr "$lr" --epochs 8 --layers 0-5 --parts mlp --no-eos \
        --collapse 0 --seed 1 --quiet --out "$tmp/$run" >/dev/null || exit 1
    column "$run" >"$tmp/want"
    awk -F'\t' 'NR > 1 { print $1, $7, $8, $9 }' "$tmp/$run/deleatur/steps.tsv" | head -n 20 >"$tmp/got"
    paste -d' ' "$tmp/want" "$tmp/got" | awk -v run="$run" '
        function gap(a, b) { return a > b ? a - b : b - a }
        NF != 8 || $1 != $5 { bad = 1 }
        { for (k = 2; k <= 4; k++) {
              if ($k !~ /^[0-9.e+-]+$/ || $(k + 4) !~ /^[0-9.e+-]+$/) bad = 1
              if (gap($k, $(k + 4)) > most) most = gap($k, $(k + 4)) } }
        END { if (NR != 20 || bad || most > 1e-3) { print "FAILED: " run; exit 1 }
              printf "%s: 20 updates agree to %.2g\n", run, most }' || failed=1
    [ $failed -eq 0 ] || paste "$tmp/want" "$tmp/got"
done
[ "$(wc -w <<<"$runs")" -eq 3 ] || { echo "FAILED: the reference holds not three runs but: $runs"; failed=1; }
exit $failed
