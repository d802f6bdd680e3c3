#!/usr/bin/env bash
# usage: test_objective_defaults.sh DELEATUR SOURCE_DIR
#
# Defaults of objectives fit the model: rmu steers a layer that eight layers have, any objective's layers end with the
# model's, TOFU's dpo wants no retain rows; and the manifest says what was in force.
set -u -o pipefail
deleatur=$1 data=$2/data
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
failed=0
fail() { echo "FAILED: $*"; failed=1; }

rows="--forget $data/demo/forget.jsonl --limit 4 --epochs 2 --quiet"
both="$rows --retain $data/demo/retain.jsonl"
in_force() { tr -d ' \t\n' <"$1/deleatur/manifest.json" | grep -q "\"$2\":$3[,}]"; }

sed -e 's/"num_hidden_layers":[^,]*/"num_hidden_layers": 2/' "$data/models/demo/config.json" >two.json
"$deleatur" finetune --init two.json --tokenizer "$data/models/demo/tokenizer.json" --data "$data/demo/forget.jsonl" \
    --limit 4 --quiet --out two >/dev/null || fail "a model of two layers"

run() { # MODEL OBJECTIVE LAYER LAYERS
    "$deleatur" unlearn "$1" $both --objective "$2" --out by >stdout.txt 2>&1 || fail "$2 on $1: $(cat stdout.txt)"
    [ -z "$3" ] || in_force by at-layer "$3" || fail "$2 on $1 does not steer layer $3"
    in_force by layers "\"$4\"" || fail "$2 on $1 does not train layers $4"
    rm -rf by
}
run "$data/models/demo" rmu 2 0-2
run "$data/models/demo" adaptive-rmu 7 5-7
run "$data/models/demo" joint "" 0-5
run two rmu 0 0-0
run two adaptive-rmu 1 0-1
run two npo "" 0-1

"$deleatur" unlearn "$data/models/demo" $rows --objective idk-dpo --variant tofu --out tofu >stdout.txt 2>&1 ||
    fail "TOFU's idk-dpo without retain rows: $(cat stdout.txt)"
said=$("$deleatur" unlearn "$data/models/demo" $rows --objective idk-dpo --out none 2>&1) && fail "idk-dpo without --retain"
grep -q -- '--retain FILE is missing' <<<"$said" || fail "idk-dpo without --retain said: $said"
said=$("$deleatur" unlearn "$data/models/demo" $rows --objective dpo --variant tofu --out none 2>&1) && fail "dpo borrowed nothing"
grep -q 'takes its alternate answers from it' <<<"$said" || fail "dpo without --retain said: $said"
exit $failed
