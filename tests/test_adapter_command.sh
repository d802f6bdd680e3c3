#!/usr/bin/env bash
# usage: test_adapter_command.sh DELEATUR SOURCE_DIR
#
# The life of a stored adapter: made by finetune --lora-keep, loaded by every command that loads a model, scaled, merged by
# convert, removed; and what is refused.
set -u
deleatur=$1 source=$2
export OPENBLAS_NUM_THREADS=1 OPENBLAS_CORETYPE=Haswell OMP_NUM_THREADS=1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
demo=$source/data/models/demo
failed=0
fail() { echo "FAILED: $*"; failed=1; }
run() { "$deleatur" "$@" >"$dir/out" 2>"$dir/err" || { cat "$dir/err"; fail "deleatur $*"; }; }
refused() { # TEXT COMMAND...
    local text=$1
    shift
    if "$deleatur" "$@" >"$dir/out" 2>"$dir/err"; then fail "not refused: $*"; fi
    grep -qF -- "$text" "$dir/err" || { cat "$dir/err"; fail "does not say \"$text\": $*"; }
    [ "$(wc -l <"$dir/err")" -eq 1 ] || fail "more than one line: $*"
}

# every command that loads a model has the two options
for command in trace finetune unlearn eval depth attack facts generate parity diff convert info; do
    "$deleatur" $command --help | grep -q -- '--adapter ' || fail "$command has no --adapter"
    "$deleatur" $command --help | grep -q -- '--adapter-scale ' || fail "$command has no --adapter-scale"
done

run finetune "$demo" --data "$source/tests/fixtures/lora_rows.jsonl" --lora 4 --lora-alpha 12 --lora-keep --layers 2,3,6 \
    --parts attn,mlp --epochs 3 --lr 1e-2 --out "$dir/taught" --quiet
adapter=$dir/taught/deleatur/adapter
grep -q '"base_sha256"' "$adapter/deleatur_adapter.json" || fail "no hash of the base"

# merged, it is what training gave; with scale 0 it is the base, byte for byte; and so is what is left without it
run convert "$demo" --adapter "$adapter" --out "$dir/merged"
cmp -s "$dir/merged/model.safetensors" "$dir/taught/model.safetensors" || fail "the merged checkpoint is not the trained one"
run convert "$demo" --out "$dir/base"
run convert "$demo" --adapter "$adapter" --adapter-scale 0 --out "$dir/zero"
cmp -s "$dir/zero/model.safetensors" "$dir/base/model.safetensors" || fail "scale 0 is not the base"
cmp -s "$dir/merged/model.safetensors" "$dir/base/model.safetensors" && fail "the adapter changes nothing"
run convert "$demo" --adapter "$adapter=0.5" --adapter-scale 2 --out "$dir/halved"
cmp -s "$dir/halved/model.safetensors" "$dir/merged/model.safetensors" || fail "half a weight times 2 is not the adapter"
mkdir "$dir/way=a,lr=1e-3" && cp "$adapter"/* "$dir/way=a,lr=1e-3" # as a study names the result of a stage with axes
run convert "$demo" --adapter "$dir/way=a,lr=1e-3" --out "$dir/named"
cmp -s "$dir/named/model.safetensors" "$dir/merged/model.safetensors" || fail "a directory with commas and = is not the adapter"
run convert "$demo" --adapter "$dir/way=a,lr=1e-3=0.5" --adapter-scale 2 --out "$dir/named_half"
cmp -s "$dir/named_half/model.safetensors" "$dir/merged/model.safetensors" || fail "nor with a weight"
grep -q adapter_model.safetensors "$dir/merged/deleatur/manifest.json" || fail "the manifest does not have the adapter's file"

# a GGUF of it, and what the commands compute with it, are those of the merged checkpoint
run convert "$demo" --adapter "$adapter" --out "$dir/a.gguf" --type f32
run convert "$demo" --adapter "$adapter" --out "$dir/wide" --dtype f32
run convert "$dir/wide" --out "$dir/b.gguf" --type f32
run diff "$dir/a.gguf" "$dir/b.gguf" --json
grep -Eq '"n_equal":[[:space:]]*57' "$dir/out" || fail "the GGUFs differ"
said() { run generate "$@" --max-new 12; tail -n 1 "$dir/out"; }
prompt=$(head -n 1 "$source/tests/fixtures/lora_rows.jsonl" | sed 's/.*"input": *"\([^"]*\)".*/\1/')
[ "$(said "$demo" --adapter "$adapter" --prompt "$prompt")" = "$(said "$dir/merged" --prompt "$prompt")" ] || fail "generate differs"
run diff "$dir/wide" "$demo" --adapter "$adapter" --json
grep -Eq '"n_equal":[[:space:]]*57' "$dir/out" || fail "diff: the adapted model is not the merged one"
run diff "$demo" "$demo" --adapter "$adapter"
grep -q 'layers.2.mlp.up_proj' "$dir/out" || fail "diff does not show what the adapter changes"

# another base is refused by its hash, scale 0 or not; a hash that is not there is a remark
run finetune "$demo" --data "$source/tests/fixtures/lora_rows.jsonl" --layers 1 --parts mlp --limit 2 --lr 1e-3 --out "$dir/other" --quiet
refused "was made for another base model" generate "$dir/other" --adapter "$adapter" --prompt x
refused "was made for another base model" generate "$dir/other" --adapter "$adapter" --adapter-scale 0 --prompt x
cp -r "$adapter" "$dir/bare"
rm "$dir/bare/deleatur_adapter.json"
run generate "$dir/other" --adapter "$dir/bare" --prompt x --max-new 1
grep -q "records no hash of its base model" "$dir/err" || fail "no remark"
refused "there is no --adapter to scale" generate "$demo" --adapter-scale 0.5 --prompt x
refused "no such directory" eval "$demo" --suite qa --data "$source/tests/fixtures/lora_rows.jsonl" --out "$dir/e" --adapter "$dir/gone"
refused "merge it with deleatur convert first" finetune "$demo" --data "$source/tests/fixtures/lora_rows.jsonl" --out "$dir/x" --lora 2 --lora-keep --adapter "$adapter"

# training on top of it begins from the merged model
run finetune "$demo" --data "$source/tests/fixtures/lora_rows.jsonl" --adapter "$adapter" --layers 1 --parts mlp --lr 1e-4 --limit 2 --out "$dir/more" --quiet
run diff "$dir/merged" "$dir/more" --json
grep -Eq '"n_equal":[[:space:]]*54' "$dir/out" || fail "training above an adapter changed other tensors than layer 1's MLP"
exit $failed
