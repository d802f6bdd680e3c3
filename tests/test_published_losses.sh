#!/usr/bin/env bash
# usage: test_published_losses.sh DELEATUR SOURCE_DIR
#
# Variants named after published programs have the losses of these programs: forget loss, retain loss and weight of ten
# updates on the embedded model are those of their transcriptions in PyTorch (reference/published_losses.py, whose results
# are fixtures/published_losses.tsv), each within 1e-3 of its size, in one forward pass and in several.  The same updates
# without the variant are not.
set -u -o pipefail
deleatur=$1 data=$2/data fixtures=$2/tests/fixtures
golden=$fixtures/published_losses.tsv
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

train() { # ROWS OUT OPTIONS...: forget loss, retain loss and weight of each update
    "$deleatur" unlearn "$data/models/demo" --forget "$fixtures/published_rows/$1_forget.jsonl" \
        --retain "$fixtures/published_rows/$1_retain.jsonl" --batch 8 --epochs 10 --lr 3e-4 --schedule constant --collapse 0 \
        --seed 1 --quiet --out "$tmp/$2" "${@:3}" >/dev/null || exit 1
    awk -F'\t' 'NR > 1 { print $1, $7, $8, $9 }' "$tmp/$2/deleatur/steps.tsv"
}

# Largest relative difference of two tables, retain loss and weight left out where the program has none
apart() {
    paste -d' ' "$1" "$2" | awk '
        function gap(a, b) { return (a > b ? a - b : b - a) / (a > 1e-2 || a < -1e-2 ? (a > 0 ? a : -a) : 1e-2) }
        NF != 8 || $1 != $5 { bad = 1 }
        { for (k = 2; k <= 4; k++) {
              if ($k == "nan" || ($3 == "nan" && k > 2)) continue
              if ($k !~ /^[0-9.e+-]+$/ || $(k + 4) !~ /^[0-9.e+-]+$/) bad = 1
              if (gap($k, $(k + 4)) > most) most = gap($k, $(k + 4)) } }
        END { print NR != 10 || bad ? "broken" : most }'
}

n=0
while read -r name rows; do
    n=$((n + 1))
    awk -F'\t' -v name="$name" -v rows="$rows" '$1 == name && $2 == rows { print $3, $4, $5, $6 }' "$golden" >"$tmp/want"
    options=$(awk -F'\t' -v name="$name" '$1 == name { print $7; exit }' "$golden")
    train "$rows" "$name-$rows" $options >"$tmp/got" || failed=1
    most=$(apart "$tmp/want" "$tmp/got")
    echo "$name, $rows rows: $most"
    awk -v x="$most" 'BEGIN { exit !(x ~ /^[0-9.e+-]+$/ && x < 1e-3) }' ||
        { echo "FAILED: $name on $rows rows"; paste "$tmp/want" "$tmp/got"; failed=1; }
    train "$rows" "$name-$rows-cut" $options --batch-tokens 16 >"$tmp/got" || failed=1
    awk -v x="$(apart "$tmp/want" "$tmp/got")" 'BEGIN { exit !(x ~ /^[0-9.e+-]+$/ && x < 1e-3) }' ||
        { echo "FAILED: $name on $rows rows differs in smaller forward passes"; failed=1; }
    plain=$(sed -E 's/--variant [a-z-]+//; s/--retain-kl 2/--retain-kl 1/' <<<"$options")
    train "$rows" "$name-$rows-plain" $plain >"$tmp/got" || failed=1
    awk -v x="$(apart "$tmp/want" "$tmp/got")" 'BEGIN { exit !(x > 1e-3) }' ||
        { echo "FAILED: $name on $rows rows is the same without the variant"; failed=1; }
done < <(awk -F'\t' '!/^#/ && $1 != "case" { print $1, $2 }' "$golden" | uniq)
[ $n -eq 7 ] || { echo "FAILED: the reference holds not seven runs but $n"; failed=1; }

said=$("$deleatur" unlearn "$data/models/demo" --forget "$fixtures/published_rows/even_forget.jsonl" --retain \
    "$fixtures/published_rows/even_retain.jsonl" --objective npo --retain-kl 3 --out "$tmp/none" 2>&1) && failed=1
grep -q -- '--retain-kl 3: give 0, 1 or 2' <<<"$said" || { echo "FAILED: --retain-kl 3 said: $said"; failed=1; }
exit $failed
