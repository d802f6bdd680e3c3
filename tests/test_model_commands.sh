#!/usr/bin/env bash
# info, convert, parity and diff tell the truth about a model, and fail with one sentence and nothing half-written.
# usage: test_model_commands.sh DELEATUR SOURCE_DIR
set -u
deleatur=$1
model=$2/data/models/demo
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
claim() { # claim WHAT COMMAND...: the command succeeds
    local what=$1
    shift
    if "$@" >out 2>err; then echo "ok    $what"; else echo "FAIL  $what"; cat out err; failed=1; fi
}
refused() { # refused WHAT STATUS WORDS COMMAND...: fails with this status and one line on stderr that has the words
    local what=$1 status=$2 words=$3
    shift 3
    "$@" >out 2>err
    local got=$?
    if [ $got -eq "$status" ] && [ "$(wc -l <err)" -eq 1 ] && grep -q -- "$words" err; then echo "ok    $what"
    else echo "FAIL  $what (status $got)"; cat err; failed=1; fi
}

claim "info counts the parameters" sh -c "'$deleatur' info '$model' | grep -q '2262656 in 57 tensors'"
claim "info --json says the same" sh -c "'$deleatur' info '$model' --json | grep -q '\"parameters\":.2262656'"
mkdir weightless && cp "$model/config.json" weightless
claim "info counts the parameters of a directory that has no weights yet" \
    sh -c "'$deleatur' info weightless | grep -q '2262656 in 57 tensors' && '$deleatur' info weightless | grep -q '^weights     none yet; memory is foretold for 57 bf16'"
claim "info says what weights there are" sh -c "'$deleatur' info '$model' | grep -q '^weights     57 bf16; 4.5 MB in 1 file'"
sed '/rope_theta/d' "$model/config.json" >weightless/config.json
claim "info says what a config does not" sh -c "'$deleatur' info weightless --json | tr -d '\n' | grep -q '\"defaulted\":.\[.*rope_theta'"
sed 's/"rope_theta": *[0-9.e+]*/"rope_parameters": {"rope_type": "default", "rope_theta": 5000}/' "$model/config.json" >weightless/config.json
claim "a rotary base in rope_parameters is no default" \
    sh -c "grep -q rope_parameters weightless/config.json && ! '$deleatur' info weightless --json | tr -d '\n' | grep -q '\"defaulted\":.\[[^]]*rope_theta'"
for case in olmo3-yarn neox-parallel gemma3; do
    cp "$2/tests/fixtures/families/$case/config.json" weightless
    claim "and neither is one of $case" \
        sh -c "'$deleatur' info weightless --json | tr -d '\n' | grep '\"defaulted\"' | grep -v '\"defaulted\":.\[[^]]*rot' | grep -qv '\"defaulted\":.\[[^]]*rope'"
done
refused "no other command takes a directory without weights" 1 "neither model.safetensors" "$deleatur" diff weightless "$model"
claim "convert makes a directory" "$deleatur" convert "$model" --dtype f32 --out f32
claim "what was converted is bit-equal" sh -c "'$deleatur' diff '$model' f32 | grep -q '^57 of 57 tensors bit-equal'"
claim "the tokenizer came along" test -s f32/tokenizer.json
claim "and a manifest" test -s f32/deleatur/manifest.json
claim "a directory without a tokenizer" "$deleatur" convert "$model" --no-tokenizer --out bare
claim "has the weights, byte for byte, and no tokenizer" \
    sh -c "cmp bare/model.safetensors '$model/model.safetensors' && [ ! -e bare/tokenizer.json ]"
claim "convert again" "$deleatur" convert f32 --out again
claim "the same weights are the same bytes" cmp f32/model.safetensors again/model.safetensors
claim "the same config is the same bytes" cmp f32/config.json again/config.json
claim "half the bytes in bf16" "$deleatur" convert "$model" --out bf16 --dtype bf16
claim "its dtype is said" grep -q bfloat16 bf16/config.json
refused "an output directory that exists is left alone" 1 "f32" "$deleatur" convert "$model" --out f32
refused "an unknown dtype" 2 "f64" "$deleatur" convert "$model" --out other --dtype f64
refused "no --out" 2 "--out" "$deleatur" convert "$model"
refused "no model" 1 "no such file" "$deleatur" info nowhere
claim "convert makes a GGUF" "$deleatur" convert "$model" --out m.gguf --no-tokenizer
claim "whose weights are bit-equal" sh -c "'$deleatur' diff '$model' m.gguf | grep -q '^57 of 57 tensors bit-equal'"
claim "and a directory made of it has the same bytes" "$deleatur" convert m.gguf --dtype f32 --out from_gguf
claim "as one made without the detour" cmp f32/model.safetensors from_gguf/model.safetensors
claim "a GGUF in four bits says what fell back" sh -c \
    "'$deleatur' convert '$model' --out q.gguf --type q4_k --no-tokenizer 2>&1 | grep -q 'do not fill blocks of q4_K'"
claim "and has a manifest beside it" grep -q '"q4_k"' q.gguf.manifest.json
claim "convert --json is one object: a directory" sh -c "'$deleatur' convert '$model' --out json --dtype bf16 --json | tr -d ' \t\n' |
    grep -qx '{\"out\":\"json\",\"parameters\":2262656,\"tensors\":57,\"tokenizer\":true,\"dtype\":\"bf16\"}'"
claim "convert --json is one object: a GGUF" sh -c "'$deleatur' convert '$model' --out json.gguf --type q4_k --no-tokenizer --json | tr -d ' \t\n' |
    grep -q '^{\"out\":\"json.gguf\",\"parameters\":2262656,\"tensors\":57,\"tokenizer\":false,\"types\":{\"q5_0\":48,\"q8_0\":1,\"q4_K\":8},\"bytes\":'$(wc -c <q.gguf)',\"fallback\":.*}$'"
adds_up() { # the types of "... in N tensors: A f32, B f16; ..." are N in all
    awk '{for (i = 1; i <= NF; i++) {if ($i == "in") n = $(i + 1); if ($i == "tensors:") {for (k = i + 1; k < NF; k += 2) {s += $k; if ($(k + 1) ~ /;$/) break}}}}
         END {exit !(n > 0 && n == s)}' "$1"
}
cp -r "$2/tests/fixtures/tiny-llama-untied" scaled && chmod -R u+w scaled # its rotation has divisors, a tensor of GGUF alone
sed -i 's/"rope_type": "default"/"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32/' scaled/config.json
for from in "$2/tests/fixtures/tiny-llama-untied" scaled; do
    case=$(basename "$from")
    "$deleatur" convert "$from" --out "$case.gguf" --type q8_0 --no-tokenizer --quiet >"$case.txt" 2>err || { cat err; failed=1; }
    claim "the tensors of the types add up: $case" adds_up "$case.txt"
done
refused "a GGUF that exists is left alone" 1 "exists" "$deleatur" convert "$model" --out q.gguf --type q4_0 --no-tokenizer
refused "an unknown type" 2 "q3_k" "$deleatur" convert "$model" --out other.gguf --type q3_k
refused "a GGUF's type is no directory's dtype" 2 "--type" "$deleatur" convert "$model" --out other --type q8_0
# Merges of one pair a token, as a trainer lists them: SentencePiece, which merges by score, would also make abc of a + bc.
cp -r "$2/tests/fixtures/tiny-llama-tied" trained && chmod -R u+w trained
cat >trained/tokenizer.json <<'END'
{"added_tokens": [{"id": 0, "content": "<unk>", "special": true}], "pre_tokenizer": null,
 "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
 "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
             {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
 "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
           "vocab": {"<unk>": 0, "▁": 1, "a": 2, "b": 3, "c": 4, "ab": 5, "bc": 6, "abc": 7, "▁a": 8},
           "merges": ["a b", "b c", "ab c", "▁ a"]}}
END
refused "a tokenizer that no GGUF can express" 1 "--no-tokenizer" "$deleatur" convert trained --out other.gguf
claim "leaves no GGUF" sh -c "! ls other* 2>/dev/null"
# A byte-level vocabulary that lacks most bytes, as SmolLM2's lacks some.
cat >trained/tokenizer.json <<'END'
{"added_tokens": [], "normalizer": null, "post_processor": null,
 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
 "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
 "model": {"type": "BPE", "unk_token": null, "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}, "merges": ["a b", "ab c"]}}
END
claim "a byte-level vocabulary that lacks some bytes is one in a GGUF" "$deleatur" convert trained --out bytes.gguf
# the last weight in the file is the last layer's down_proj: one byte of it changes
printf '\101' | dd of=again/model.safetensors bs=1 seek=$(($(stat -c %s again/model.safetensors) - 1)) conv=notrunc 2>/dev/null
claim "one changed byte is one changed tensor" sh -c "'$deleatur' diff f32 again | grep -q '^56 of 57 tensors bit-equal'"
claim "and one changed entry, by name" sh -c "'$deleatur' diff f32 again | grep 'layers.7.mlp.down_proj.weight' | grep -qw '65536' && '$deleatur' diff f32 again --csv | grep -q ',1,65536'"
claim "diff --json says the same" sh -c "'$deleatur' diff f32 again --json | grep -q '\"n_equal\":.56'"
# ---- parity: states that transformers stored (reference/parity_states.py) ---------------------------------------------
tiny=$2/tests/fixtures/tiny-llama-untied
states=$2/tests/fixtures/states/llama-untied.npz
claim "a model has the states of transformers" \
    sh -c "'$deleatur' parity '$tiny' --against '$states' | grep -q '^no drift beyond 0.0001: .* same in 12 of 12 rows'"
claim "parity --json says so" sh -c "'$deleatur' parity '$tiny' --against '$states' --json | grep -q '\"drift\":.null'"
claim "bf16 drifts from it, by less than 5 %" sh -c \
    "'$deleatur' convert '$tiny' --dtype bf16 --out tiny16 && ! '$deleatur' parity tiny16 --against '$states' --quiet && '$deleatur' parity tiny16 --against '$states' --tolerance 0.05"
cp -r "$tiny" headless && chmod -R u+w headless
printf '\101' | dd of=headless/model.safetensors bs=1 seek=$(($(stat -c %s headless/model.safetensors) - 1)) conv=notrunc 2>/dev/null
refused "a changed head drifts at the logits alone" 1 "first the logits, row 0 (id 3), relative difference" \
    "$deleatur" parity headless --against "$states"
claim "and only there" test "$(awk -F'\t' 'NR > 1 && $5 > 0 {print $2}' out)" = logits
refused "parity without states" 2 "--against" "$deleatur" parity "$tiny"
refused "states of another model" 1 '"resid" of .*shape (4, 12, 16)' "$deleatur" parity "$2/tests/fixtures/tiny-qwen2" --against "$states"
# ---- diff over other files of the same weights ------------------------------------------------------------------------
claim "shards are made" "$deleatur" convert f32 --shard-size 1MB --out shards
claim "and are as many as it takes" test "$(ls shards/*.safetensors | wc -l)" -gt 8
claim "diff reads shards beside one file" sh -c "'$deleatur' diff f32 shards | grep -q '^57 of 57 tensors bit-equal'"
claim "other shards beside those" sh -c \
    "'$deleatur' convert shards --shard-size 3MB --out fewer && '$deleatur' diff shards fewer | grep -q '^57 of 57 tensors bit-equal'"
claim "and a GGUF beside shards" sh -c "'$deleatur' diff m.gguf shards | grep -q '^57 of 57 tensors bit-equal'"
claim "a wider number type is the same weights" sh -c "'$deleatur' diff '$model' f32 | grep -q '^57 of 57 tensors bit-equal'"
# bf16 keeps 8 bits: a rounded weight is at most 2^-8 of itself away
claim "a narrower one differs by its rounding" sh -c "'$deleatur' diff '$tiny' tiny16 --csv | awk -F, 'NR > 1 && !(\$3 > 0 && \$3 <= 0.003907) { exit 1 }'"
claim "a model with a weight that is no number" "$deleatur" convert again --dtype bf16 --out again16
printf '\300\177' | dd of=again16/model.safetensors bs=1 seek=$(($(stat -c %s again16/model.safetensors) - 2)) conv=notrunc 2>/dev/null
refused "a weight that is no number" 1 "down_proj.weight holds a weight that is not finite" "$deleatur" diff again16 again16
head -c 5000000 f32/model.safetensors >again/model.safetensors
refused "a cut file" 1 "cut short" "$deleatur" convert again --out never
claim "leaves nothing half-written" sh -c "! ls -d never* 2>/dev/null"
exit $failed
