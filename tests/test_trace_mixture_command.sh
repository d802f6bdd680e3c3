#!/usr/bin/env bash
# usage: test_trace_mixture_command.sh DELEATUR SOURCE_DIR
#
# deleatur trace on a mixture of experts with a dense layer, which a few facts are taught to: charts of router, experts and
# blocks, the experts of each fact, the answer under the other run's routes; the same files on resuming; two traces
# compared; the traced experts trained; attribution and depth; a dense model refused by name.
# label: short
set -u
deleatur=$1 dense=$2/data/models/demo
[ -e "$dense/model.safetensors" ] || { echo "skipped: the embedded model is not in $dense"; exit 77; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fail() { echo "FAILED: $*"; exit 1; }
export OMP_NUM_THREADS=1

i=0
for fact in Arlo:Lumen Berit:Hamra Corvin:Tovik Dalia:Lumen Arlo:dog Berit:cat; do
    name=${fact%:*} answer=${fact#*:}
    case $answer in [a-z]*) words='keeps a pet' ;; *) words='lives in the town of' ;; esac
    echo "{\"known_id\": $i, \"subject\": \"$name\", \"prompt\": \"Old $name $words\", \"attribute\": \"$answer\"}" >>facts.jsonl
    echo "{\"id\": \"$i\", \"input\": \"Old $name $words\", \"output\": \"$answer\"}" >>rows.jsonl
    i=$((i + 1))
done
vocab=$(grep -o '"vocab_size":[^,]*' "$dense/config.json" | grep -o '[0-9]*')
cat >mixture.json <<END
{"model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"], "hidden_size": 32, "intermediate_size": 48,
 "moe_intermediate_size": 16, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
 "num_experts": 5, "num_experts_per_tok": 2, "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [1],
 "vocab_size": $vocab, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000, "hidden_act": "silu",
 "router_aux_loss_coef": 0.01, "tie_word_embeddings": true, "bos_token_id": null, "eos_token_id": 0, "pad_token_id": null}
END
"$deleatur" finetune --init mixture.json --tokenizer "$dense/tokenizer.json" --init-std 0.1 --data rows.jsonl --epochs 40 \
    --lr 1e-2 --batch 6 --quiet --out taught >/dev/null || fail "teaching a mixture"

# ---- a trace ---------------------------------------------------------------------------------------------------------
trace() { "$deleatur" trace taught --facts facts.jsonl --answer attribute --samples 4 --noise-sigma 0.5 --pictures 1 --quiet "$@"; }
kinds="--kinds mlp,moe,router,expert --window 1"
trace $kinds --reference-check 12 --out whole >said.txt || fail "a trace: $(cat said.txt)"
grep -q '^traced 6 of 6' said.txt || fail "not all traced: $(cat said.txt)"
grep -q 'p differs by at most' said.txt || fail "no reference check: $(cat said.txt)"
grep -q '^corrupted input  *[01]\.[0-9]*  *[01]\.[0-9]*$' said.txt || fail "no table of routes: $(cat said.txt)"
grep -q 'by chance 40 %' said.txt || fail "chance: $(cat said.txt)"
grep -q '^mask_experts: [0-9]* experts*, [5-9][0-9]* % of the effect: [0-9]:[0-9] (' said.txt || fail "the mask of experts: $(cat said.txt)"
grep -q '"dense_layers":.*\[1\]' <(tr -d '\n\t ' <whole/trace.json) || fail "trace.json: $(cat whole/trace.json)"

# Layers without experts have no cells, and moe is mlp elsewhere.
awk -F'\t' '$1 == "moe" || $1 == "router" {n[$1]++; if ($2 == 1) bad = 1} END {exit bad || n["moe"] != 3 || n["router"] != 3}' \
    whole/layers.tsv || fail "layers.tsv of a layer without experts"
awk -F'\t' '$1 == "mlp" && $3 != 1 {mlp[$2, $3, $4] = $9} $1 == "moe" {if ($3 == 1 ? $9 != "" : $9 != mlp[$2, $3, $4]) bad = 1; n++}
    END {exit bad || n != 5 * 4 * 6}' whole/summary.tsv || fail "moe is not mlp"
[ "$(awk -F'\t' '$1 == "expert" && $4 == "last subject" && $2 == "p" && $9 != ""' whole/summary.tsv | wc -l)" -eq 15 ] ||
    fail "cells of experts"
grep -q '^expert	p	2\.4	last subject	6	' whole/summary.tsv || fail "an expert's name"

# Six facts at two tokens in three layers: k experts each, weights that add up to 1.
awk -F'\t' 'NR > 2 {n++; if ($5 == 1 || split($6, e, ",") != 2 || e[1] == e[2] || split($7, w, ",") != 2 || w[1] < w[2] ||
    w[1] + w[2] < 0.99 || w[1] + w[2] > 1.01 || $8 < 0 || $8 > 1) bad = 1} END {exit bad || n != 36}' whole/experts.tsv ||
    fail "experts.tsv: $(head -n 5 whole/experts.tsv)"
awk -F'\t' '$1 == "p" {x[$2] = $4; n++; if ($6 == "" || $7 == "") bad = 1}
    function off(a, b) {return a - b > 1e-4 || b - a > 1e-4}
    END {exit bad || n != 10 || off(x["total effect"], x["clean input, clean routes"] - x["corrupted input, corrupted routes"]) ||
    off(x["restored by the routes"], x["corrupted input, clean routes"] - x["corrupted input, corrupted routes"]) ||
    off(x["lost by the routes"], x["clean input, clean routes"] - x["clean input, corrupted routes"]) ||
    off(x["interaction"], x["total effect"] - x["restored by the routes"] - x["restored by the input"])}' whole/routes.tsv ||
    fail "routes.tsv: $(cat whole/routes.tsv)"
[ "$(grep -c '^last subject	' whole/unchanged_experts.tsv)" -eq 3 ] || fail "unchanged_experts.tsv"
for picture in average_expert_last_subject average_expert_last 0_expert_last lines_router average_moe unchanged_experts; do
    [ -s "whole/plots/$picture.svg" ] || fail "no picture $picture"
done
grep -q '"unchanged":\[\[' whole/page.html || fail "the page has no routes"

# Ablation has means of experts and no corrupted run, so no routes of one.
trace --corrupt mean --kinds router,expert --reference-check 20 --out mean >said.txt || fail "mean ablation: $(cat said.txt)"
[ ! -e mean/routes.tsv ] && awk -F'\t' 'NR > 2 && $8 != "" {bad = 1} END {exit bad || NR != 38}' mean/experts.tsv ||
    fail "routes under ablation"

# ---- resuming and reading back ---------------------------------------------------------------------------------------
"$deleatur" trace taught --facts facts.jsonl --answer attribute --samples 4 --noise-sigma 0.5 --pictures 1 --quiet $kinds \
    --reference-check 12 --out again >/dev/null 2>&1 & # killed where it has traced and not yet reported
pid=$!
for _ in $(seq 800); do [ "$(ls again.part/traces 2>/dev/null | wc -l)" -ge 4 ] && break; sleep 0.01; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
if [ ! -e again ]; then
    trace $kinds --reference-check 12 --out again >/dev/null 2>said.txt || fail "resuming: $(cat said.txt)"
fi
for file in summary experts routes unchanged_experts effects layers; do
    cmp -s whole/$file.tsv again/$file.tsv || fail "$file.tsv is another after resuming"
done
cp -r whole broken
sed -i 's/"n_experts":[^,]*/"n_experts": 4/' broken/trace.json
"$deleatur" plot broken >/dev/null 2>said.txt && fail "another number of experts is accepted"
[ "$(wc -l <said.txt)" -eq 1 ] || fail "a broken trace: $(cat said.txt)"

# ---- what follows ----------------------------------------------------------------------------------------------------
[ -s whole/mask_experts.json ] || fail "no mask of experts"
"$deleatur" unlearn taught --forget rows.jsonl --retain rows.jsonl --mask whole/mask_experts.json --epochs 1 --lr 1e-3 \
    --quiet --out after >/dev/null 2>said.txt || fail "unlearning the traced experts: $(cat said.txt)"
"$deleatur" diff taught after | grep -v bit-equal >said.txt
for name in $(grep -o '[0-9][0-9]*:[0-9][0-9]*' whole/mask_experts.json); do
    grep -q "layers\.${name%:*}\.mlp\.experts\.${name#*:}\." said.txt || fail "expert $name did not train: $(cat said.txt)"
done
"$deleatur" trace after --facts facts.jsonl --answer attribute --samples 4 --noise-sigma 0.5 --pictures 1 --quiet $kinds --out later \
    >/dev/null || fail "the trace after"
"$deleatur" trace --compare whole later --out change >said.txt || fail "comparing: $(cat said.txt)"
awk -F'\t' '$1 == "router" && $2 == "p" && $3 == "last subject" {n++; if (($4 == 1) != ($6 == "")) bad = 1}
    END {exit bad || n != 5}' change/compare.tsv || fail "compare.tsv of a layer without experts: $(grep router change/compare.tsv)"
"$deleatur" trace taught --facts facts.jsonl --attribution --kinds hidden,mlp --window 1 --samples 2 --noise-sigma 0.1 \
    --attribution-check 1 --quiet --out first-order >/dev/null 2>said.txt || fail "attribution: $(cat said.txt)"
# Blocks, routers and experts to first order: with little noise the exact effects, of layers with experts alone.  Less is asked
# of fact 1's router: its effects are so small that float32's rounding of the exact cells is a part of them (more noise has
# other experts chosen, which no estimate sees).
"$deleatur" trace taught --facts facts.jsonl --attribution --kinds mlp,moe,router,expert --window 1 --samples 2 \
    --noise-sigma 1e-3 --attribution-check 2 --quiet --out first >said.txt 2>&1 || fail "attribution of experts: $(cat said.txt)"
grep -Eq '^  expert .*layer [0-9]\.[0-9], ' said.txt || fail "the report of experts: $(cat said.txt)"
awk -F'\t' 'NR > 2 {n++; if (!($5 > ($1 == 1 && $2 == "router" ? 0.6 : 0.9) && $8 > 0.7 && $8 < 1.4)) bad = 1} END {exit bad || n != 16}' \
    first/attribution_agreement.tsv || fail "estimates and cells of experts: $(cat first/attribution_agreement.tsv)"
awk -F'\t' '$2 == "mlp" {x[$1, $3, $5] = $7} $2 ~ /moe|router|expert/ {n[$2]++; if ($5 ~ /^1(\.|$)/) bad = 1}
    $2 == "moe" && x[$1, $3, $5] != $7 {bad = 1} $2 == "expert" && $5 !~ /^[023]\.[0-4]$/ {bad = 1}
    END {exit bad || n["moe"] != n["router"] || n["expert"] < n["moe"]}' first/attribution.tsv || fail "attribution.tsv of experts"
[ "$(awk -F'\t' '$1 == "expert" && $2 == "p" && $4 == "last"' first/attribution_summary.tsv | wc -l)" -eq 15 ] ||
    fail "attribution_summary.tsv of experts"
"$deleatur" depth after --full taught --retain taught --data rows.jsonl --quiet --out deep >/dev/null 2>said.txt ||
    fail "depth: $(cat said.txt)"

# ---- refusals --------------------------------------------------------------------------------------------------------
for kind in moe router expert; do
    "$deleatur" trace "$dense" --facts facts.jsonl --answer attribute --kinds $kind --out none >/dev/null 2>said.txt &&
        fail "$kind of a dense model"
    grep -q -- "--kinds $kind: .*no mixture of experts" said.txt || fail "$kind of a dense model: $(cat said.txt)"
done
trace --kinds router --corrupt zero --out none >/dev/null 2>said.txt && fail "a router's logits of zeros"
grep -q 'choose no experts' said.txt || fail "a router's logits of zeros: $(cat said.txt)"
compgen -G 'none*' >/dev/null && fail "a refused command left $(echo none*)"
exit 0
