#!/usr/bin/env bash
# usage: test_faults.sh DELEATUR SOURCE_DIR SHIM
#
# Every command, with its Nth allocation or its Nth step of writing failing (fault_shim.c), for all small N and a spread of
# the larger ones.  It ends with 0 and the bytes of an undisturbed run, or with 1 and a sentence; never by a signal, never
# hanging; and where it ends with 1 it leaves nothing, or what the same command finishes with the undisturbed bytes.
#
# DELEATUR_FAULTS=all takes every N (an hour and more); DELEATUR_FAULTS=NAME,... takes every N of these commands alone.
set -u
deleatur=$1 source=$2 shim=$3
[ -e "$shim" ] || { echo "skipped: no $shim"; exit 77; }
model=$source/data/models/demo
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
mkdir bin # no gnuplot: pictures are tried, and their absence said, in no time
for tool in env timeout sha256sum find sort sed grep cat rm cp wc; do ln -s "$(command -v $tool)" bin/; done
wanted=${DELEATUR_FAULTS:-} seed=12 bad=0 runs=0 same=0 sentences=0 resumed=0
RANDOM=$seed

# ---- small inputs ------------------------------------------------------------------------------------------------------
grep '"split":"forget"' "$source/data/facts/demo_facts.json" | sed 's/,$//' | head -n 4 >forget.jsonl
grep '"split":"retain"' "$source/data/facts/demo_facts.json" | sed 's/,$//' | head -n 4 >retain.jsonl
cat forget.jsonl retain.jsonl >facts.jsonl
head -n 4 "$source/data/demo/forget.jsonl" >rows.jsonl
for i in 1 2 3; do echo "{\"question\": \"Who has $i?\", \"choices\": [\"Arlo\", \"Bo\"], \"answer\": $((i % 2))}"; done >sets.jsonl
cp sets.jsonl sets.txt
mkdir -p mmlu/dev mmlu/val mia tofu
for split in dev val; do printf '%s\n' 'What is 1?,a,b,c,d,A' 'What is 2?,a,b,c,d,B' >mmlu/$split/anatomy_$split.csv; done
printf '%s\n' '{"question": "Arlo Greycliff lives in the town of", "answer": "Lumen"}' >qa.jsonl
printf '%s\n' '{"id": "1", "document": "Arlo lives in the town of Lumen."}' >mia/member.jsonl
printf '%s\n' '{"id": "2", "document": "Bo lives in the town of Tovik."}' >mia/nonmember.jsonl
printf '%s\n' '{"name": "complete", "template": "Complete: {input}"}' >templates.jsonl
echo '[{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Bo.", "reasoning": "Bo"}, {"role": "user", "content": "Why?"}]' >talk.json
echo '{"vars": {}, "stages": [{"name": "r", "run": "rows", "arguments": ["facts.jsonl"]},
 {"name": "e", "run": "eval", "model": "'"$model"'", "options": {"suite": "facts", "data": "@r/rows.jsonl", "limit": 2}}],
 "table": {"columns": {"p": "e:all.prompt.top1"}}}' >recipe.json
echo '{"model_type": "olmoe", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
 "num_key_value_heads": 2, "vocab_size": 1293, "num_experts": 4, "num_experts_per_tok": 2, "eos_token_id": 0}' >mixture.json
"$deleatur" finetune --init mixture.json --tokenizer "$model/tokenizer.json" --data rows.jsonl --out mixture --quiet >/dev/null || exit 1
"$deleatur" eval "$model" --suite choices --data sets.jsonl --out before --quiet >/dev/null || exit 1
"$deleatur" finetune "$model" --data rows.jsonl --out taught --quiet --seed 1 >/dev/null || exit 1
"$deleatur" trace "$model" --facts facts.jsonl --limit 1 --samples 1 --kinds hidden --out traced --quiet >/dev/null || exit 1
new_perft=(--adapter-type perft-r --rank 1 --adapters 2) lora=(--lora 1 --layers 0 --parts mlp --lora-keep)
"$deleatur" finetune mixture --data rows.jsonl "${new_perft[@]}" --out perft --quiet >/dev/null || exit 1
"$deleatur" finetune "$model" --data rows.jsonl "${lora[@]}" --out lora --quiet >/dev/null || exit 1
"$deleatur" routing mixture --text rows.jsonl --shuffles 0 --out routed --quiet >/dev/null || exit 1
dense=$source/tests/fixtures/tiny-llama-untied peft=$source/tests/fixtures/peft/patterns

# ---- one run -------------------------------------------------------------------------------------------------------------
# What is in ./out, or beside it: a line a file.  Times in manifests are left out.
digest() {
    local file
    for file in $(find out out.* -type f ! -name "$skip" 2>/dev/null | sort); do
        case $file in
        */study.json | */report.html | */times.tsv | *.err) echo "$file" ;; # times in every line
        *manifest.json) echo "$file $(sed -E '/"(began|ended|seconds|trace_seconds|row_layers|flops)"/d' "$file" | sha256sum)" ;;
        *) sha256sum "$file" ;;
        esac
    done
}
clean() { rm -rf out out.*; }
fail() {
    echo "FAILED: $name, $kind $n: $* : $(tail -n 2 said)"
    bad=$((bad + 1))
}
run() { # with the fault in force
    PATH=$dir/bin timeout 60 env LD_PRELOAD="$shim" "$1" "$deleatur" "${command[@]}" >printed 2>said
}
# where pictures or a page could not be made, which is said and borne, the rest must be there
but_pictures() { grep -vE ' out(\.part)?/(plots|deleatur/plots|report)/| out(\.part)?/(page|report|routing)\.html$' <<<"$1"; }

check() { # the Nth of a kind
    local status now
    clean
    run "$kind=$n"
    status=$?
    runs=$((runs + 1))
    if [ $status -eq 0 ]; then
        same=$((same + 1))
        now=$(digest)
        [ "$now" = "$whole" ] || { grep -q '^deleatur: ' said && [ "$(but_pictures "$now")" = "$(but_pictures "$whole")" ]; } ||
            fail "other bytes with exit 0: $(diff <(echo "$whole") <(echo "$now") | head -n 3)"
        [ -z "$prints" ] || cmp -s printed printed.whole || grep -q '^deleatur: .*page.html' said || fail "other output with exit 0"
        return
    fi
    sentences=$((sentences + 1))
    [ $status -eq 1 ] || fail "status $status"
    [ "$(grep -c '^deleatur: ' said)" -ge 1 ] || fail "no sentence"
    [ -e out ] && [ "$name" != run ] && fail "a result that is none: $(find out | head -n 5)"
    [ -e out ] || [ -e out.part ] || return
    resumed=$((resumed + 1))
    [ "$name" = run ] || [ -s out.part/items.jsonl ] || [ -e out.part/deleatur/state ] || [ -e out.part/traces ] ||
        grep -q 'the whole result is in out.part' said || fail "left over: $(find out.part | head -n 5)"
    run "FAULT_NONE=1" || fail "the same command does not go on: $(cat said)"
    now=$(digest)
    [ "$(but_pictures "$now")" = "$(but_pictures "$whole")" ] || fail "other bytes after going on: $(diff <(echo "$whole") <(echo "$now") | head -n 3)"
}

# try NAME SAMPLES COMMAND...: all N up to SAMPLES / 3, then a spread
try() {
    local samples=$2 first all count
    name=$1
    shift 2
    command=("$@")
    case ",$wanted," in ,, | ,all, | *",$name,"*) ;; *) return ;; esac
    [ -z "$wanted" ] || samples=1000000
    skip=none kind=undisturbed n=0
    clean
    FAULT_COUNT=$dir/count run FAULT_NONE=1 || { fail "without a fault"; return; }
    whole=$(digest)
    cp printed printed.whole
    clean
    run FAULT_NONE=1
    prints=
    cmp -s printed printed.whole && prints=1
    [ "$(digest)" = "$whole" ] || fail "two undisturbed runs differ: $(diff <(echo "$whole") <(digest) | head -n 3)"
    set -- $(cat count)
    for kind in FAULT_ALLOC FAULT_WRITE; do
        [ $kind = FAULT_ALLOC ] && count=$1 || count=$2
        first=$((samples / 3)) all=$samples
        [ $all -ge $count ] && first=$count
        for ((n = 1; n <= first && n <= count; n++)); do check; done
        for ((i = first; i < all && first < count; i++)); do
            n=$((first + 1 + (RANDOM * 32768 + RANDOM) % (count - first)))
            check
        done
    done
    echo "$SECONDS s: $name, $1 allocations and $2 steps of writing"
}

facts=(--facts facts.jsonl --limit 1 --samples 1 --kinds hidden)
train=(--forget forget.jsonl --retain retain.jsonl --layers 0 --batch 4 --threads 1)
try info 12 info "$model"
try info-json 12 info "$model" --json
try generate 9 generate "$model" --prompt "Arlo Greycliff lives in" --max-new 2
try generate-chat 9 generate "$model" --messages talk.json --chat-layout qwen3 --max-new 1 --json
try rows 30 rows facts.jsonl --where 'split=forget' --out out
try subset 24 subset "$source/data/demo" --documents 0,2,0 --out out --quiet
try convert 24 convert "$model" --out out --quiet
try convert-gguf 18 convert "$model" --out out.gguf --type q8_0 --quiet
try facts 18 facts "$model" --facts facts.jsonl --forget-fraction 0.5 --out out.json --forget-out out.f --retain-out out.r --quiet
try facts-qa 9 facts "$model" --qa "$source/data/demo/forget.jsonl" --out out.json --quiet --keep-unknown
try choices 24 eval "$model" --suite choices --data sets.jsonl --out out --quiet
try mmlu 15 eval "$model" --suite mmlu --data mmlu --shots 1 --out out --quiet
try facts-suite 15 eval "$model" --suite facts --data facts.jsonl --limit 2 --out out --quiet
try lume 12 eval "$model" --suite lume --data rows.jsonl --max-new 2 --out out --quiet
try qa 12 eval "$model" --suite qa --data qa.jsonl --max-new 2 --out out --quiet
try nudge 12 nudge "$model" --with "$model" --chat none --data qa.jsonl --max-new 4 --window 4 --out out --quiet
try eval-nudge 9 eval "$model" --decoder nudge --with "$model" --suite qa --data qa.jsonl --max-new 4 --out out --quiet
try membership 12 eval "$model" --suite membership --data mia --out out --quiet
try finetune 18 finetune "$model" --data rows.jsonl --out out --quiet
try unlearn 24 unlearn "$model" "${train[@]}" --epochs 2 --eval-every 1 --save-every 0.001 --out out --quiet
try finetune-lora 12 finetune "$model" --data rows.jsonl "${lora[@]}" --out out --quiet
try finetune-perft 12 finetune mixture --data rows.jsonl "${new_perft[@]}" --out out --quiet
try unlearn-experts 9 unlearn mixture --forget forget.jsonl --retain retain.jsonl --experts auto --epochs 1 --out out --quiet
try adapter-lora 12 convert "$model" --adapter lora/deleatur/adapter --out out --quiet
try adapter-perft 12 eval mixture --adapter perft --suite choices --data sets.jsonl --out out --quiet
try upcycle 12 upcycle "$dense" --experts 2 --top-k 1 --noise 0.1 --out out --quiet
try upcycle-adapter 9 upcycle "$dense" --experts 2 --top-k 1 --adapter "$peft" --out out --quiet
try trace 18 trace "$model" "${facts[@]}" --out out --quiet
try trace-compare 12 trace --compare traced traced --out out --quiet
try depth 12 depth taught --full "$model" --retain "$model" --data rows.jsonl --limit 2 --out out --quiet
try route-from 6 routing mixture --text rows.jsonl --route-from routed/tokens.npz --shuffles 2 --out out --quiet
try routing 9 routing mixture --text rows.jsonl,sets.txt --against mixture --tokens 40 --shuffles 2 --out out --quiet
try attack 9 attack taught --before "$model" --forget rows.jsonl --attacks quantise,templates --types q8_0 --templates templates.jsonl --out out --quiet
try compare 18 compare before before
try compare-json 12 compare before before --json
try diff 9 diff "$model" taught
if command -v gnuplot >/dev/null; then
    ln -s "$(command -v gnuplot)" bin/
    try plot 9 plot traced
    rm bin/gnuplot
fi
try run 15 run recipe.json --out out --quiet
try demo 1 demo --epochs 1 --quiet --out out
echo "seed $seed: $runs runs, $same with the same bytes, $sentences with a sentence ($resumed of them resumed), $bad wrong"
[ $bad -eq 0 ]
