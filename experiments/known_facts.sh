#!/usr/bin/env bash
# Where does a model keep facts?  ROME's known_1000 reduced to what the model knows, shuffled by a seed, and traced: with
# noise at window 10 (the published figure, with intervals and controls), with windows 1, 3, 5 and 10 side by side, and
# with another fact's subject in the place of noise (and there with severed paths too: one run in the place of ten draws
# makes it cheap).
#
#   experiments/known_facts.sh MODEL KNOWN_1000.json OUT_DIR
#
# A stage whose result stands is skipped, and a broken trace goes on where it was: run it again until it is through.
# Knobs: LACUNA, SEED (1), FACTS (100) at window 10, FEWER (40) for the windows and the token replacement, SAMPLES (5) and
# FEWER_SAMPLES (3) of the noise there: it is the facts, not the draws, that the intervals' width comes from.
set -euo pipefail
[ $# -eq 3 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2; }
model=$1 facts=$2 out=$3
lacuna=${LACUNA:-build/release/lacuna} seed=${SEED:-1} n=${FACTS:-100} fewer=${FEWER:-40} samples=${SAMPLES:-5} fewer_samples=${FEWER_SAMPLES:-3}
mkdir -p "$out"

stage() { # stage RESULT COMMAND... : runs the command once, and keeps what it took
    local result=$1; shift
    [ -e "$out/$result" ] && return
    echo "== $result: $*" >&2
    local began=$SECONDS
    "$@"
    printf '%s\t%s\t%s\n' "$result" "$((SECONDS - began))" "${*//$out\//}" >> "$out/times.tsv"
}

# --shuffle draws the facts to be traced: the first so many of the order are the sample.
stage known.json "$lacuna" facts "$model" --facts "$facts" --share 0 --out "$out/known.json"
trace=("$lacuna" trace "$model" --facts "$out/known.json" --shuffle "$seed" --pictures 10)
stage tokens  "${trace[@]}" --limit "$fewer" --corrupt tokens --window 1,3,5,10 --sever mlp,attn --out "$out/tokens"
stage noise   "${trace[@]}" --limit "$n" --samples "$samples" --out "$out/noise"
stage windows "${trace[@]}" --limit "$fewer" --kinds mlp,attn --window 1,3,5 --samples "$fewer_samples" --out "$out/windows"
