#!/usr/bin/env bash
# usage: test_perft_command.sh DELEATUR SOURCE_DIR
#
# PERFT on a small random mixture with the embedded model's tokenizer: trained by finetune and unlearn, stored alone, counted
# by info, loaded and scaled, trained further, negated, resumed after kills; and what is refused.
set -u
deleatur=$1 source=$2
export OPENBLAS_NUM_THREADS=1 OPENBLAS_CORETYPE=Haswell OMP_NUM_THREADS=1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
rows=$source/tests/fixtures/lora_rows.jsonl
failed=0
fail() { echo "FAILED: $*"; failed=1; }
run() { "$deleatur" "$@" >out 2>err || { cat err; fail "deleatur $*"; }; }
refused() { # TEXT COMMAND...
    local text=$1
    shift
    if "$deleatur" "$@" >out 2>err; then fail "not refused: $*"; fi
    grep -qF -- "$text" err || { cat err; fail "does not say \"$text\": $*"; }
}

run finetune --init "$source/tests/fixtures/tiny-olmoe-config/config.json" --tokenizer "$source/data/models/demo/tokenizer.json" \
    --data "$rows" --out base --epochs 4 --lr 3e-3 --quiet
head -n 3 "$rows" >forget.jsonl
tail -n 4 "$rows" >retain.jsonl
sed 's/"input"/"question"/; s/"output"/"answer"/' "$rows" >qa.jsonl

# every variant and form is trained, stored alone, and lowers the loss; the base stays as it is
sum=$(sha256sum base/model.safetensors)
for kind in "perft-r lora" "perft-r parallel" "perft-e lora" "perft-e parallel" "perft-d lora" "perft-s parallel"; do
    set -- $kind
    run finetune base --data "$rows" --adapter-type "$1" --adapter-form "$2" --rank 4 --epochs 12 --lr 5e-3 --out "$1-$2" --json
    python=$(sed -n 's/.*"weights_trained":[[:space:]]*\([0-9]*\).*/\1/p' "$1-$2/deleatur/manifest.json")
    run info base --adapter "$1-$2"
    grep -q "$python weights" out || fail "$1 $2: info counts other weights than were trained ($python)"
    first=$(sed -n 2p "$1-$2/deleatur/steps.tsv" | cut -f7) last=$(tail -n 1 "$1-$2/deleatur/steps.tsv" | cut -f7)
    awk "BEGIN { exit !($last < $first) }" || fail "$1 $2: loss $first to $last"
    [ "$(cd "$1-$2" && echo *)" = "adapter_model.safetensors deleatur deleatur_adapter.json" ] || fail "$1: $(ls "$1-$2")"
done
[ "$sum" = "$(sha256sum base/model.safetensors)" ] || fail "the base changed"

# LoRA on experts is stored for PEFT; where dense MLPs stand beside them a line says that PEFT loses adapters there
sed 's/"olmoe"/"qwen3_moe"/; s/OlmoeForCausalLM/Qwen3MoeForCausalLM/; s/"intermediate_size": *\([0-9]*\)/"intermediate_size": \1, "moe_intermediate_size": \1, "mlp_only_layers": [0], "decoder_sparse_step": 1, "head_dim": 8/' \
    "$source/tests/fixtures/tiny-olmoe-config/config.json" >dense_and_sparse.json
run finetune --init dense_and_sparse.json --tokenizer "$source/data/models/demo/tokenizer.json" --data "$rows" --limit 2 --out mixed --quiet
run finetune mixed --data "$rows" --limit 2 --lora 2 --parts mlp --lora-keep --out mixed_lora --quiet
grep -q "PEFT drops adapters" err || fail "nothing is said of PEFT"
run finetune base --data "$rows" --limit 2 --lora 2 --parts mlp --lora-keep --out base_lora --quiet
grep -q "PEFT drops adapters" err && fail "PEFT reads the experts of OLMoE"

# counts from the config alone
run info base --adapter-type perft-r --rank 8 --adapters 2 --adapter-top-k 1 --json
grep -Eq '"weights":[[:space:]]*3264' out && grep -Eq '"activated":[[:space:]]*1728' out || fail "info --adapter-type"

mkdir weightless && cp base/config.json weightless/
run info weightless --lora 4 --tensors '*q_proj.weight,*v_proj.weight' --json
counted=$(tr -d '[:space:]' <out | sed -n 's/.*"type":"lora","weights":\([0-9]*\),"activated":\([0-9]*\).*/\1 \2/p')
run finetune base --data "$rows" --lora 4 --tensors '*q_proj.weight,*v_proj.weight' --epochs 1 --out qv --json
trained=$(tr -d '[:space:]' <qv/deleatur/manifest.json | sed -n 's/.*"adapter_weights":\([0-9]*\).*/\1/p')
[ "$counted" = "$trained $trained" ] || fail "info --lora counts $counted, finetune trains $trained"
refused "--tensors is missing" info base --lora 4
refused "is no linear layer" info base --lora 4 --tensors 'model.embed_tokens.weight'
refused "two kinds of adapters" info base --lora 4 --tensors '*q_proj.weight' --adapter-type perft-s

# loaded by eval: it answers the rows better than the base; with scale 0 as the base, item by item
run eval base --suite qa --data qa.jsonl --out e0
run eval base --suite qa --data qa.jsonl --adapter perft-e-lora --out e1
run eval base --suite qa --data qa.jsonl --adapter perft-e-lora --adapter-scale 0 --out e2
run eval base --suite qa --data qa.jsonl --adapter perft-e-lora=0.5 --adapter-scale 2 --out e3
cmp -s e0/items.jsonl e2/items.jsonl || fail "scale 0 is not the base"
cmp -s e0/items.jsonl e1/items.jsonl && fail "the adapter changes nothing"
cmp -s e1/items.jsonl e3/items.jsonl || fail "half a weight times 2 is not the adapter"
grep -q perft-e-lora/adapter_model.safetensors e1/manifest.json || fail "the manifest does not have the adapter"
run generate base --adapter perft-r-lora --prompt "Gorm" --max-new 2
run facts base --adapter perft-r-lora --qa "$rows" --keep-unknown --out f.json
# trained further, from the stored state
run finetune base --data "$rows" --adapter perft-r-lora --epochs 2 --lr 1e-3 --out further --json
again=$(sed -n 2p further/deleatur/steps.tsv | cut -f7) last=$(tail -n 1 perft-r-lora/deleatur/steps.tsv | cut -f7)
awk "BEGIN { exit !($again < $last + 0.05) }" || fail "training further begins at $again, it ended at $last"
cmp -s further/adapter_model.safetensors perft-r-lora/adapter_model.safetensors && fail "nothing trained further"

# unlearning by an adapter alone, a reference model and negation among it
for objective in joint npo "task-vector"; do
    retain="--retain retain.jsonl"
    [ $objective = task-vector ] && retain=
    run unlearn base --forget forget.jsonl $retain --objective $objective --adapter-type perft-e --rank 2 --epochs 2 \
        --lr 1e-3 --out "u-$objective" --json
done
run eval base --suite qa --data qa.jsonl --adapter u-joint --out e4

# the balancing loss of the adapters' router; the router's own stands beside it
run finetune base --data "$rows" --adapter-type perft-r --rank 2 --adapter-aux 0.5 --epochs 2 --lr 1e-3 --out balanced --json
head -n 1 balanced/deleatur/steps.tsv | grep -q "gradient	adapter_balance$" || fail "no column of the adapters' balance"
tr -d '[:space:]' <balanced/deleatur/manifest.json | grep -q '"adapter_balance":{"weight":0.5,' || fail "--adapter-aux in the manifest"
run unlearn base --forget forget.jsonl --retain retain.jsonl --adapter-type perft-r --rank 2 --adapter-aux model --router-aux 0.2 \
    --router-aux-over layers --epochs 1 --lr 1e-3 --out balanced-u --json
tr -d '[:space:]' <balanced-u/deleatur/manifest.json | grep -Eq '"balance":\{"weight":0.2,.*"adapter_balance":\{"weight":0.0(1|099)' ||
    fail "--adapter-aux model in the manifest"

# as released: dropout, a gate that its balancing loss alone trains, and the router's beside it
run finetune base --data "$rows" --adapter-type perft-r --compat perft --rank 2 --epochs 3 --lr 1e-3 --out released --json
grep -q '"compat":[[:space:]]*"perft"' released/deleatur_adapter.json || fail "compat is not stored"
grep -Eq '"dropout":[[:space:]]*0.05' released/deleatur_adapter.json || fail "dropout is not 0.05"
head -n 1 released/deleatur/steps.tsv | grep -q "gradient	balance	adapter_balance$" || fail "as released there are two balancing losses"
run finetune base --data "$rows" --adapter released --adapter-aux 0 --router-aux 0 --epochs 1 --out unbalanced --json
head -n 1 unbalanced/deleatur/steps.tsv | grep -q "gradient$" || fail "--adapter-aux 0 and --router-aux 0"

# killed and begun again, with dropout: the same bytes
train="finetune base --data $rows --adapter-type perft-r --adapter-dropout 0.2 --rank 2 --epochs 60 --batch 2 --lr 1e-3 --threads 1 --save-every 0.001 --quiet"
"$deleatur" $train --out whole >out 2>err || fail "$train"
for i in 1 2 3 4; do
    "$deleatur" $train --out broken >out 2>err &
    sleep 0.1$i
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
done
[ -e broken ] || run $train --out broken
cmp whole/adapter_model.safetensors broken/adapter_model.safetensors || fail "killed and begun again: other bytes"
cmp whole/deleatur/steps.tsv broken/deleatur/steps.tsv || fail "killed and begun again: other steps"

# refusals
refused "cannot be merged into weights" convert base --adapter perft-e-lora --out x
refused "a GGUF has no place for them" convert base --adapter perft-e-lora --out x.gguf
refused "change no weight" diff base base --adapter perft-e-lora
refused "has adapters of perft-e already" generate base --adapter perft-e-lora,perft-r-lora --prompt x
refused "has adapters of perft-e already" finetune base --data "$rows" --adapter perft-e-lora --adapter-type perft-s --out x
refused "have scale and weight 1" finetune base --data "$rows" --adapter perft-e-lora --adapter-scale 0.5 --out x
refused "is for mixtures of experts" finetune "$source/data/models/demo" --data "$rows" --adapter-type perft-s --out x
refused "give a number of at least 0, or model" finetune base --data "$rows" --adapter-type perft-r --adapter-aux x --out x
refused "is about the router that adapters of perft-r have" finetune base --data "$rows" --adapter-type perft-e --adapter-aux 1 --out x
refused "is about the router that adapters of perft-r have" finetune base --data "$rows" --adapter-aux 1 --out x
refused "--adapter-aux" finetune "$source/data/models/demo" --data "$rows" --adapter-aux 1 --out x
refused "--router-aux-over is about" finetune base --data "$rows" --router-aux-over layers --out x
refused "give --adapter-type" finetune base --data "$rows" --rank 3 --out x
refused "--adapters is for perft-r and perft-d" finetune base --data "$rows" --adapter-type perft-e --adapters 7 --out x
refused "--adapter-top-k is for adapters with a router" finetune base --data "$rows" --adapter-type perft-d --adapter-top-k 2 --out x
refused "--adapter-alpha is for --adapter-form lora" finetune base --data "$rows" --adapter-type perft-s --adapter-form parallel --adapter-alpha 3 --out x
refused "--lora: with --adapter-type" finetune base --data "$rows" --adapter-type perft-s --lora 3 --out x
refused "--layers: with --adapter-type" unlearn base --forget forget.jsonl --retain retain.jsonl --adapter-type perft-s --layers 1 --out x
refused "there is no MODEL" finetune --init "$source/tests/fixtures/tiny-olmoe-config/config.json" \
    --tokenizer "$source/data/models/demo/tokenizer.json" --data "$rows" --adapter-type perft-s --out x
run finetune base --data "$rows" --epochs 1 --lr 1e-3 --out other --quiet
refused "was made for another base model" generate other --adapter perft-s-parallel --prompt x
exit $failed
