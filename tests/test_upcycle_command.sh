#!/usr/bin/env bash
# label: short
# deleatur upcycle from the outside: the mixture says what the dense model says, and a failure is one sentence and no directory.
# usage: test_upcycle_command.sh DELEATUR SOURCE_DIR
set -u
deleatur=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
claim() { # claim WHAT COMMAND...: the command succeeds
    local what=$1
    shift
    if "$@" >out 2>err; then echo "ok    $what"; else echo "FAIL  $what"; cat out err; failed=1; fi
}
refused() { # refused WHAT STATUS WORDS ARGUMENTS...: fails with this status, one line on stderr that has the words, no directory
    local what=$1 status=$2 words=$3
    shift 3
    "$deleatur" upcycle "$@" --out none >out 2>err
    local got=$?
    if [ $got -eq "$status" ] && [ "$(wc -l <err)" -eq 1 ] && grep -q -- "$words" err && ! compgen -G 'none*' >/dev/null
    then echo "ok    $what"; else echo "FAIL  $what (status $got)"; cat err; failed=1; fi
}

cp -r "$2/tests/fixtures/tiny-llama-tied" dense && chmod -R u+w dense
model=dense
cat >dense/tokenizer.json <<'END'
{"added_tokens": [{"id": 0, "content": "<unk>", "special": true}], "pre_tokenizer": null, "normalizer": null, "decoder": null,
 "model": {"type": "BPE", "unk_token": "<unk>", "vocab": {"<unk>": 0, "a": 1, "b": 2, "c": 3, "ab": 4}, "merges": ["a b"]}}
END
echo '{"chat_template": "{{ messages[0].content }}"}' >dense/tokenizer_config.json

claim "a dense model becomes a mixture" "$deleatur" upcycle "$model" --experts 4 --top-k 2 --out moe --seed 1
claim "whose family is mixtral" grep -q '"model_type":.*"mixtral"' moe/config.json
claim "with the experts that were asked for" grep -q '"num_local_experts":.*4' moe/config.json
claim "and a manifest with the options" sh -c "tr -d ' \t\n' <moe/deleatur/manifest.json | grep -q '\"experts\":4.*\"seed\":1'"
claim "its tokenizer came along" cmp moe/tokenizer.json dense/tokenizer.json
claim "and its chat template" cmp moe/tokenizer_config.json dense/tokenizer_config.json
"$deleatur" generate "$model" --prompt "abc" --max-new 8 >dense.txt 2>err || { cat err; failed=1; }
"$deleatur" generate moe --prompt "abc" --max-new 8 >moe.txt 2>err || { cat err; failed=1; }
claim "it generates what the dense model does" sh -c "[ -s dense.txt ] && cmp dense.txt moe.txt"
claim "the same command gives the same weights" sh -c \
    "'$deleatur' upcycle '$model' --experts 4 --top-k 2 --out again --seed 1 && cmp moe/model.safetensors again/model.safetensors"
claim "another seed gives other routers" sh -c \
    "'$deleatur' upcycle '$model' --experts 4 --top-k 2 --out other --seed 2 && ! cmp -s moe/model.safetensors other/model.safetensors"
claim "shards hold the same" sh -c "'$deleatur' upcycle '$model' --experts 4 --top-k 2 --out shards --seed 1 --shard-size 20KB &&
    '$deleatur' diff moe shards | grep -q 'tensors bit-equal'"
"$deleatur" upcycle "$model" --experts 4 --top-k 2 --out said --json >said.json 2>err || { cat err; failed=1; }
claim "upcycle --json is one object" sh -c "tr -d ' \t\n' <said.json |
    grep -Eqx '\{\"out\":\"said\",\"family\":\"mixtral\",\"experts\":4,\"top_k\":2,\"noise\":0,\"parameters\":[0-9]+,\"parameters_active\":[0-9]+,\"parameters_dense\":[0-9]+\}'"
"$deleatur" convert moe --out moe.gguf --type f16 --no-tokenizer --quiet >gguf.txt 2>err || { cat err; failed=1; }
claim "in a GGUF of a mixture the types add up to its tensors" awk \
    '{split($0, a, /tensors: |;/); for (i = 1; i < NF; i++) if ($i == "in") n = $(i + 1);
      split(a[2], t, ", "); for (i in t) s += t[i]} END {exit !(n > 0 && n == s)}' gguf.txt
base=$2/tests/fixtures/tiny-llama-untied adapter=$2/tests/fixtures/peft/patterns
how=(--experts 3 --top-k 2 --noise 0.1)
claim "an adapter is merged into the dense model" "$deleatur" upcycle "$base" "${how[@]}" --adapter "$adapter=0.5" --out with
claim "whose manifest names its file" grep -q 'patterns/adapter_model.safetensors' with/deleatur/manifest.json
"$deleatur" convert "$base" --adapter "$adapter" --adapter-scale 0.5 --out merged >out 2>err || { cat err; failed=1; }
claim "which gives the bytes of the merged model upcycled" sh -c \
    "'$deleatur' upcycle merged ${how[*]} --out of_merged && cmp with/model.safetensors of_merged/model.safetensors"
claim "and not those of the model without it" sh -c \
    "'$deleatur' upcycle '$base' ${how[*]} --out without && ! cmp -s with/model.safetensors without/model.safetensors"
"$deleatur" upcycle "$model" --out moe >out 2>exists
claim "a directory that exists is left alone" sh -c "[ $? -eq 1 ] && [ \$(wc -l <exists) -eq 1 ] && grep -q 'moe exists already' exists"
refused "no number of experts" 2 "--experts 0" "$model" --experts 0
refused "more experts a token than there are" 2 "--top-k 5" "$model" --experts 4 --top-k 5
refused "a type that weights are not saved in" 2 "f64" "$model" --dtype f64
refused "a mixture" 1 "mixture of experts already" moe
refused "a block that no mixture has" 1 "can be upcycled" "$2/tests/fixtures/tiny-olmo-tied"
refused "biases" 1 "biases" "$2/tests/fixtures/tiny-llama-bias"
refused "adapters of experts, which a dense model has none of" 1 "is for mixtures of experts" "$base" --adapter "$2/tests/fixtures/perft/olmoe/d"
refused "no model" 1 "no such file" nowhere
exit $failed
