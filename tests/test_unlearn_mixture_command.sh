#!/usr/bin/env bash
# usage: test_unlearn_mixture_command.sh DELEATUR SOURCE_DIR
#
# deleatur unlearn, finetune and attack on a mixture of experts that a few rows are taught to: experts chosen by
# affinity are what changes, terms on routers and routing drift are reported, a killed run ends with the same bytes, the
# replay of the own routes changes no answer, and options about mixtures are refused for a dense model.
# label: short
set -u
deleatur=$1 dense=$2/data/models/demo
[ -e "$dense/model.safetensors" ] || { echo "skipped: the embedded model is not in $dense"; exit 77; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fail() { echo "FAILED: $*"; exit 1; }
export OMP_NUM_THREADS=1

refused() { # PATTERN ARGUMENTS...: refused as a wrong command line, leaving no directory
    local pattern=$1 said got
    shift
    said=$("$deleatur" "$@" --out none 2>&1 >/dev/null)
    got=$?
    [ "$got" -eq 2 ] || fail "$* gave status $got, not 2: $said"
    grep -q -- "$pattern" <<<"$said" || fail "$* said \"$said\", not /$pattern/"
    compgen -G 'none*' >/dev/null && fail "$* left $(echo none*)"
}

for i in 1 2 3 4 5 6; do
    echo "{\"id\": \"f$i\", \"input\": \"Tim had $i\", \"output\": \"red balls and a cat.\"}" >>forget.jsonl
    echo "{\"id\": \"r$i\", \"input\": \"Anna saw $i\", \"output\": \"big dogs in the house.\"}" >>retain.jsonl
done
cat forget.jsonl retain.jsonl >both.jsonl
vocab=$(grep -o '"vocab_size":[^,]*' "$dense/config.json" | grep -o '[0-9]*')
cat >mixture.json <<END
{"model_type": "olmoe", "architectures": ["OlmoeForCausalLM"], "hidden_size": 32, "intermediate_size": 32,
 "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "num_experts": 4, "num_experts_per_tok": 2,
 "vocab_size": $vocab, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000, "hidden_act": "silu",
 "norm_topk_prob": false, "router_aux_loss_coef": 0.05, "tie_word_embeddings": true, "bos_token_id": null,
 "eos_token_id": 0, "pad_token_id": null}
END
"$deleatur" finetune --init mixture.json --tokenizer "$dense/tokenizer.json" --init-std 0.1 --data both.jsonl --epochs 30 \
    --lr 1e-2 --batch 6 --router-aux 0.02 --router-z 0.001 --quiet --out taught >said.txt || fail "teaching a mixture"
head -n 1 taught/deleatur/steps.tsv | grep -q '	gradient	balance	router_z$' || fail "steps.tsv: $(head -n 1 taught/deleatur/steps.tsv)"
awk -F'\t' 'NR > 1 && !($9 > 1.9 && $9 < 4) {bad = 1} END {exit bad}' taught/deleatur/steps.tsv || fail "a balance beyond its range"
awk -F'\t' '/^loss/ {split($2, x, " "); exit !(x[3] < 0.2)}' said.txt || fail "the rows were not learnt: $(cat said.txt)"

# ---- SEUF --------------------------------------------------------------------------------------------------------------
rows="--forget forget.jsonl --retain retain.jsonl"
seuf="unlearn taught $rows --objective grad-diff --experts auto --parts router --anchor 1 --router-aux model --epochs 6
      --lr 5e-3 --batch 6 --collapse 0"
"$deleatur" $seuf --eval-every 4 --out seuf >said.txt 2>plan.txt || fail "SEUF: $(cat plan.txt)"
head -n 1 seuf/deleatur/affinity.tsv | grep -q '^layer	expert	affinity	chosen$' || fail "affinity.tsv"
[ "$(wc -l <seuf/deleatur/affinity.tsv)" -eq 13 ] || fail "affinity.tsv has not a line an expert"
read -r layer expert affinity chosen < <(sed -n 2p seuf/deleatur/affinity.tsv)
[ "$chosen" = 1 ] || fail "the first expert is not the chosen one"
awk -F'\t' 'NR > 2 && ($3 > last || $4) {bad = 1} NR > 1 {last = $3; sum += $3} END {exit bad || sum < 2.999 || sum > 3.001}' \
    seuf/deleatur/affinity.tsv || fail "affinities are not in order, or do not add up to 1 a layer"
grep -q "experts   $layer:$expert (affinity" plan.txt || fail "the plan does not name the expert: $(cat plan.txt)"
names=$(grep -o 'model\.layers[^"]*' seuf/deleatur/mask.json | sort | tr '\n' ' ')
want=$(printf 'model.layers.%s.mlp.%s.weight\n' "$layer" gate "$layer" "experts.$expert.gate_proj" "$layer" \
    "experts.$expert.up_proj" "$layer" "experts.$expert.down_proj" | sort | tr '\n' ' ')
[ "$names" = "$want" ] || fail "mask.json has $names, not $want"
"$deleatur" diff taught seuf --csv >diff.csv || fail "diff"
moved=$(awk -F, 'NR > 1 && $2 != "bit-equal" {print $1}' diff.csv | sort | tr '\n' ' ')
[ "$moved" = "$want" ] || fail "$moved changed, not $want alone"
grep -q '	gradient	balance	anchor$' seuf/deleatur/steps.tsv || fail "steps.tsv: $(head -n 1 seuf/deleatur/steps.tsv)"
head -n 1 seuf/deleatur/evaluations.tsv | grep -q '	forget_routes	retain_routes$' || fail "evaluations.tsv"
sed -n 2p seuf/deleatur/evaluations.tsv | grep -q '	1	1$' || fail "routes before training are not those before training"
grep -q '^forget routes	1.000 to' said.txt && grep -q '^retain routes	1.000 to' said.txt || fail "no drift: $(cat said.txt)"
for word in unchanged_routes balance anchor affinity; do
    grep -q "\"$word\"" seuf/deleatur/manifest.json || fail "the manifest has no $word"
done
tr -d ' \t\n' <seuf/deleatur/manifest.json | grep -q '"unchanged_routes":{"forget":{"mean":[0-9.]*,"layers":\[[0-9.]*,[0-9.]*,[0-9.]*\]},"retain"' ||
    fail "the drift is not given by layer"

# the same by name, and by a file
"$deleatur" ${seuf/--experts auto/--experts $layer:$expert} --quiet --out named >/dev/null && "$deleatur" $seuf --quiet --out again \
    >/dev/null 2>&1 && cmp named/model.safetensors again/model.safetensors || fail "an expert by name is not that by affinity"
[ -e named/deleatur/affinity.tsv ] && fail "affinity.tsv without --experts auto"
echo "{\"experts\": [\"$layer:$expert\"], \"parts\": [\"router\"]}" >mask.json
plain="--objective grad-diff --epochs 2 --lr 5e-3 --batch 6 --quiet"
"$deleatur" unlearn taught $rows $plain --mask mask.json --out a >/dev/null && "$deleatur" unlearn taught $rows $plain --experts \
    $layer:$expert --parts router --out b >/dev/null && cmp a/model.safetensors b/model.safetensors || fail "a mask of experts"

# ---- killed, and the same bytes ----------------------------------------------------------------------------------------
all="unlearn taught $rows --objective grad-diff --experts auto:2 --parts router --anchor 0.5 --router-aux 0.01 --router-z 0.01
     --router-projection 8 --retain-reweight --batch-tokens 20 --epochs 40 --lr 1e-3 --batch 6 --collapse 0 --eval-every 5
     --save-every 0.01 --quiet"
"$deleatur" $all --out whole >/dev/null || fail "all options"
"$deleatur" $all --out broken >/dev/null 2>&1 &
pid=$!
for _ in $(seq 400); do [ -e broken.part/deleatur/state ] && break; sleep 0.005; done
kill -9 $pid 2>/dev/null && wait $pid 2>/dev/null
[ -e broken.part/deleatur/state ] || fail "nothing to resume from"
"$deleatur" $all --out broken >/dev/null || fail "resuming"
for file in model.safetensors deleatur/steps.tsv deleatur/evaluations.tsv deleatur/affinity.tsv; do
    cmp whole/$file broken/$file || fail "another $file after a kill"
done
tr -d ' \t\n' <whole/deleatur/manifest.json | grep -q '"router_projection":{"directions":8,"least_share":0.[0-9]*' ||
    fail "the projection's directions are not reported"

# ---- replay ------------------------------------------------------------------------------------------------------------
"$deleatur" attack taught --before taught --forget forget.jsonl --attacks replay --out own --quiet >/dev/null || fail "replay"
awk -F'\t' '$1 == "replay" && ($6 != $8) {bad = 1} END {exit bad}' own/attack.tsv || fail "the own routes change an answer"
"$deleatur" attack seuf --before taught --forget forget.jsonl --attacks replay --out replayed --quiet >/dev/null || fail "replay"
[ "$(awk -F'\t' '$1 == "replay" {print $2}' replayed/attack.tsv | sort -u | tr '\n' ';')" = "original routes;unlearned routes;" ] ||
    fail "attack.tsv: $(cat replayed/attack.tsv)"

# ---- what is refused ---------------------------------------------------------------------------------------------------
of="unlearn $dense $rows --layers 0-1"
refused '--experts is about mixtures of experts, and this model of family olmo is dense' unlearn "$dense" $rows --experts 0:1
refused '--router-aux is about mixtures' $of --router-aux 0.01
refused '--router-z is about mixtures' $of --router-z 0.01
refused '--router-projection is about mixtures' $of --router-projection 3
refused '--router-aux is about mixtures' finetune "$dense" --data forget.jsonl --router-aux model
refused 'replay" is about mixtures' attack "$dense" --before "$dense" --forget forget.jsonl --attacks replay
refused 'give it with --before' attack taught --forget forget.jsonl --attacks replay
of="unlearn taught $rows"
refused 'no layer 3, the last one is 2' $of --experts 3:0
refused 'no expert 4, the last one is 3' $of --experts 0:4
refused 'should read like auto, auto:3' $of --experts auto:0
refused 'auto:13: the model has 12 experts' $of --experts auto:13
refused 'part mlp is all of them' $of --experts 0:1 --parts mlp
refused '--experts and --layers both select' $of --experts 0:1 --layers 0
refused '--experts and --mask both select' $of --experts 0:1 --mask mask.json
refused 'anchor is about the experts of --experts' $of --anchor 1
refused 'retain-reweight is about the experts of --experts' $of --retain-reweight
refused 'no router is trained' $of --experts 0:1 --router-projection 3
refused 'with --lora there are none' $of --experts 0:1 --parts router --router-projection 3 --lora 2
refused 'could not move at all' $of --experts 0:1 --parts router --router-projection 32
refused 'give a number of at least 0, or model' $of --router-aux much
refused 'router-aux-over is about --router-aux' $of --router-aux-over layers
refused 'about the retain set' unlearn taught --forget forget.jsonl --objective grad-ascent --experts 0:1 --retain-reweight
refused 'learns them first' unlearn taught --forget forget.jsonl --objective task-vector --experts 0:1 --anchor 1
echo "all as it should be"
