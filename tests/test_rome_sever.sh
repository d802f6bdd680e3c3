#!/usr/bin/env bash
# usage: test_rome_sever.sh DELEATUR SOURCE_DIR
#
# --compat rome --sever starts severed cells from a second draw of the noise: the cached computation and full runs agree,
# whole cells are those of the shared noise, severed ones are not; --until is refused beside it.
set -u -o pipefail
deleatur=$1 source=$2
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
failed=0
fail() { echo "FAILED: $*"; failed=1; }
trace() {
    "$deleatur" trace "$source/data/models/demo" --facts "$source/data/facts/demo_facts.json" --limit 1 --samples 3 \
        --kinds hidden --sever mlp,attn --pictures 0 --quiet "$@"
}
trace --compat rome --reference-check 60 --out "$dir/rome" >"$dir/said" 2>&1 || fail "the trace: $(cat "$dir/said")"
gap=$(sed -n 's/.*p differs by at most \([0-9.e-]*\).*/\1/p' "$dir/said" | head -1)
awk -v g="$gap" 'BEGIN { exit !(g != "" && g + 0 < 1e-4) }' || fail "the cached computation differs by \"$gap\" from full runs"
trace --noise-seed shared --out "$dir/ours" >/dev/null 2>&1 || fail "the trace with one draw"
effects() { awk -F'\t' -v chart="$2" '!/^#/ && $2 == chart { print $3, $4, $6 }' "$dir/$1/effects.tsv"; }
[ -n "$(effects rome hidden)" ] && [ "$(effects rome hidden)" = "$(effects ours hidden)" ] || fail "whole cells changed"
for path in mlp attn; do
    [ "$(effects rome hidden_no_$path)" != "$(effects ours hidden_no_$path)" ] || fail "no second draw with $path severed"
done
said=$(trace --compat rome --until 0.1 --out "$dir/none" 2>&1) && fail "--until beside it"
grep -q 'draws its own after the last' <<<"$said" || fail "--until said: $said"
exit $failed
