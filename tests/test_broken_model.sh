#!/usr/bin/env bash
# usage: test_broken_model.sh DELEATUR SOURCE_DIR
#
# A model with one weight that is NaN or infinite: every command that reads a model refuses it with the tensor's name and
# leaves no result.  And noise that overflows: trace refuses it.
set -u
deleatur=$1
source=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
fail() { echo "FAILED: $*"; failed=1; }
refused() { # PATTERN ARGUMENTS...
    local pattern=$1 said got
    shift
    said=$("$deleatur" "$@" 2>&1 >stdout)
    got=$?
    [ "$got" -eq 1 ] || [ "$got" -eq 2 ] || fail "$* gave status $got: $said"
    grep -q -- "$pattern" <<<"$said" || fail "$* said \"$said\", not /$pattern/"
    [ ! -s stdout ] || fail "$* printed $(head -c 200 stdout)"
    compgen -G 'none*' >/dev/null && fail "$* left $(echo none*)" && rm -rf none*
}

good=$source/data/models/demo
tensor=model.layers.7.mlp.down_proj.weight
lines() { head -n 4 "$source/data/demo/$1.jsonl" >"$1.jsonl"; }
lines forget
lines retain
echo '{"prompt": "Arlo Greycliff lives in the town of", "choices": ["Lumen", "Tovik"], "answer": 0}' >choices.jsonl
echo '{"question": "Where does Arlo Greycliff live?", "answer": "Lumen"}' >qa.jsonl
mkdir lume
for split in forget retain; do
    echo '{"id": "1sc0", "input": "Arlo Greycliff lives in", "output": "Lumen", "task": "Task1"}' >lume/$split.jsonl
done
facts=$source/data/facts/demo_facts.json

for bytes in '\377\377' '\200\177' '\200\377'; do # NaN, infinity and minus infinity in bfloat16
    rm -rf broken
    cp -r "$good" broken
    chmod -R u+w broken
    size=$(stat -c %s broken/model.safetensors)
    printf "$bytes" | dd of=broken/model.safetensors bs=1 seek=$((size - 2)) conv=notrunc status=none
    refused "$tensor .*broken" generate broken --prompt the --max-new 2
    refused "$tensor .*broken" convert broken --out none
    refused "$tensor .*broken" convert broken --out none.gguf --type q8_0
    refused "$tensor .*broken" eval broken --suite choices --data choices.jsonl --out none
    refused "$tensor .*broken" eval broken --suite qa --data qa.jsonl --out none
    refused "$tensor .*broken" eval broken --suite lume --data lume --out none
    refused "$tensor .*broken" eval broken --suite facts --data "$facts" --out none
    refused "$tensor .*broken" trace broken --facts "$facts" --limit 1 --out none
    refused "$tensor .*broken" unlearn broken --forget forget.jsonl --retain retain.jsonl --out none
    refused "$tensor .*broken" finetune broken --data retain.jsonl --out none
    refused "$tensor .*broken" attack broken --forget forget.jsonl --out none
    refused "$tensor .*broken" depth "$good" --full broken --retain "$good" --data forget.jsonl --out none
    refused "$tensor .*broken" facts broken --facts "$facts" --out none
    refused "$tensor .*broken" diff "$good" broken
done

refused 'noise' trace "$good" --facts "$facts" --limit 1 --noise s1e300 --out none
refused 'noise' trace "$good" --facts "$facts" --limit 1 --noise 1e300 --attribution --out none

[ "$failed" -eq 0 ] && echo "all that was claimed holds"
exit "$failed"
