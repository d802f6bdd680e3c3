#!/usr/bin/env bash
# Makes the embedded model again: the people, the tokenizer, the training.
#
#   data/make_demo.sh OUT_DIR        OUT_DIR/{demo,facts,models} then hold what data/{demo,facts,models} hold here
#
# About three minutes on two free cores.  The generator gives the same bytes everywhere; the weights are the same on the
# same machine with the same number of threads, and elsewhere equal up to rounding.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ $# -eq 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }
out=$1
cmake -S "$root" -B "$root/build/release" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF >/dev/null
cmake --build "$root/build/release" --target deleatur make_demo
"$root/build/release/make_demo" "$out" 1
"$root/build/release/deleatur" finetune --init "$out/models/demo/config.json" \
    --tokenizer "$out/models/demo/tokenizer.json" --data "$out/demo/train.jsonl" --out "$out/trained" \
    --epochs 14 --lr 2e-3 --warmup 50 --no-warmup-from-zero --batch 16 --dtype bf16 --seed 1 --threads 2
cp "$out"/trained/{config.json,model.safetensors,tokenizer.json} "$out/models/demo/"
