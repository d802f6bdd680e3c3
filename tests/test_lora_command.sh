#!/usr/bin/env bash
# usage: test_lora_command.sh DELEATUR SOURCE_DIR
#
# deleatur finetune --lora does what PEFT does: loss and norm of the adapters' gradient before each of five updates on the
# embedded model are those of reference/lora_steps.py (fixtures/lora_steps.tsv), each within 1e-4 of its value.  Adapters
# that are kept are PEFT's files; unlearning takes adapters too.
set -u -o pipefail
deleatur=$1 data=$2/data fixtures=$2/tests/fixtures
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
failed=0
fail() { echo "FAILED: $*"; failed=1; }

teach="finetune $data/models/demo --data $fixtures/lora_rows.jsonl --layers 2,3,6 --parts attn,mlp --batch 7 --epochs 5
    --lr 1e-2 --weight-decay 0.1 --no-eos --seed 5 --collapse 0 --quiet"
"$deleatur" $teach --lora 4 --lora-alpha 12 --lora-keep --out taught >/dev/null || fail "finetune --lora"
paste -d' ' <(awk '!/^#/ && $1 != "update"' "$fixtures/lora_steps.tsv") \
    <(awk -F'\t' 'NR > 1 { print $1, $7, $8 }' taught/deleatur/steps.tsv) | awk '
    function gap(a, b) { return (a > b ? a - b : b - a) / b }
    NF != 6 || $1 != $4 || !($2 > 0) || !($3 > 0) { bad = 1 }
    { if (gap($5, $2) > most) most = gap($5, $2); if (gap($6, $3) > most) most = gap($6, $3) }
    END { if (NR != 5 || bad || most > 1e-4) exit 1; printf "five updates agree with PEFT to %.2g\n", most }' ||
    fail "another loss or gradient than PEFT's: $(cat taught/deleatur/steps.tsv)"

adapter=taught/deleatur/adapter
grep -q '"r":.*4,' $adapter/adapter_config.json && grep -q '"lora_alpha":.*12,' $adapter/adapter_config.json ||
    fail "adapter_config.json: $(cat $adapter/adapter_config.json)"
names=$(head -c 20000 $adapter/adapter_model.safetensors |
    grep -ao 'base_model\.model\.model\.layers\.[236]\.[a-z_.]*lora_[AB]\.weight' | sort -u | wc -l)
[ "$names" -eq 42 ] || fail "adapter_model.safetensors names $names tensors, not 2 of 7 matrices of 3 layers"
moved=$("$deleatur" diff "$data/models/demo" taught 2>/dev/null | grep -c -e 'attn  *12 of  *32 tensors moved' \
    -e 'mlp  *9 of  *24 tensors moved')
[ "$moved" -eq 2 ] || fail "other tensors changed than the 21 with adapters"

rows="--forget $data/demo/forget.jsonl --retain $data/demo/retain.jsonl --limit 6 --layers 0-1"
rows="$rows --epochs 2 --lr 3e-3 --quiet"
for objective in joint npo idk-dpo; do
    "$deleatur" unlearn "$data/models/demo" $rows --objective $objective --lora 2 --out "by-$objective" >/dev/null ||
        fail "unlearn --lora with $objective"
    [ -e "by-$objective/deleatur/adapter" ] && fail "adapters were kept that nobody asked for"
    awk -F'\t' 'NR == 2 { first = $7 } END { exit !(NR > 2 && $7 != first && $7 > 0) }' "by-$objective/deleatur/steps.tsv" ||
        fail "$objective with adapters moved nothing"
done

refused() { # STATUS PATTERN ARGUMENTS...
    local status=$1 pattern=$2 said got
    shift 2
    said=$("$deleatur" "$@" --out none 2>&1 >/dev/null)
    got=$?
    [ "$got" -eq "$status" ] || fail "$* gave status $got, not $status: $said"
    grep -q -- "$pattern" <<<"$said" || fail "$* said \"$said\", not /$pattern/"
    [ -e none ] || [ -e none.part ] && fail "$* left something"
}

# Qwen2's attention has biases: adapters are in its matrices, the biases keep their bytes.
cat >qwen2.json <<'END'
{"model_type": "qwen2", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
 "num_key_value_heads": 2, "vocab_size": 1293, "max_position_embeddings": 1024, "rms_norm_eps": 1e-6, "eos_token_id": 0,
 "tie_word_embeddings": true}
END
"$deleatur" finetune --init qwen2.json --tokenizer "$data/models/demo/tokenizer.json" --data "$fixtures/lora_rows.jsonl" \
    --epochs 1 --lr 1e-2 --quiet --out qwen2 >/dev/null || fail "finetune --init with a Qwen2 config"
"$deleatur" unlearn qwen2 $rows --parts attn,mlp --lora 2 --out adapted >/dev/null 2>&1 || fail "adapters of a model with biases"
"$deleatur" diff qwen2 adapted >moved.txt 2>/dev/null
[ "$(grep -c '_proj.bias.*bit-equal' moved.txt)" -eq 6 ] && [ "$(grep -c '_proj.weight.*bit-equal' moved.txt)" -eq 0 ] ||
    fail "not the matrices alone moved: $(cat moved.txt)"
echo '{"tensors": ["*_proj.bias"]}' >biases.json
refused 2 'biases alone' unlearn qwen2 ${rows/--layers 0-1/} --lora 2 --mask biases.json
refused 2 "q_proj.bias is no linear layer" unlearn qwen2 ${rows/--layers 0-1/} --lora 2 --tensors '*.0.self_attn.*'
refused 2 'embed_tokens.weight is no linear layer' finetune "$data/models/demo" --data "$fixtures/lora_rows.jsonl" --lora 4
refused 2 '--lora-alpha needs --lora' $teach --lora-alpha 3
refused 2 '--lora-keep needs --lora' $teach --lora-keep
refused 2 '--lora -1' $teach --lora -1
exit $failed
