#!/usr/bin/env bash
# usage: test_kill.sh DELEATUR SOURCE_DIR [SEED]
#
# Kill -9 at 20 random moments of a training run and of an evaluation, the same command begun again each time: both end
# with the bytes of a run that nobody disturbed.  Likewise, a few kills each, wherever training carries something else
# from update to update.  A state that is not whole is noticed, and another command does not touch it.
set -u
deleatur=$1 source=$2 seed=${3:-20}
model=$source/data/models/demo
[ -e "$model/model.safetensors" ] || { echo "skipped: the embedded model is not in $model"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fail() { echo "FAILED: $*"; exit 1; }
RANDOM=$seed
echo "seed $seed"

grep '"split":"forget"' "$source/data/facts/demo_facts.json" | sed 's/,$//' >forget.jsonl
grep '"split":"retain"' "$source/data/facts/demo_facts.json" | sed 's/,$//' >retain.jsonl
head -n 40 "$source/LICENSE" >some.txt
sed 's/"attribute":"[^"]*"/"attribute":"nothing"/' forget.jsonl >other.jsonl

# killed N FILES COMMAND...: N kills, each at a random moment in the first third of the time that the undisturbed run took;
# where it is through before all were made, it is started again.  FILES are compared with those of the undisturbed result.
killed() {
    local n=$1 files=$2 kills=0 stood=0 moments= pid ms file took
    shift 2
    rm -rf whole broken
    took=$(date +%s%3N)
    "$deleatur" "$@" --quiet --out whole >/dev/null || fail "$*"
    took=$(($(date +%s%3N) - took))
    while [ $kills -lt $n ] || [ ! -e broken ]; do
        [ $kills -lt $n ] && rm -rf broken
        "$deleatur" "$@" --quiet --out broken >/dev/null 2>stdout.txt &
        pid=$!
        if [ $kills -lt $n ]; then
            ms=$((RANDOM % (took / 3 + 1)))
            sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
            kill -9 $pid 2>/dev/null
            wait $pid 2>/dev/null
            [ -e broken ] || kills=$((kills + 1)) moments="$moments $ms"
            [ -e broken.part/deleatur/state ] || [ -s broken.part/items.jsonl ] && stood=$((stood + 1))
        else
            wait $pid || fail "$* after$moments ms: $(cat stdout.txt)"
        fi
    done
    for file in $files; do
        cmp "whole/$file" "broken/$file" || fail "$* killed after$moments ms: another $file"
    done
    [ $n -lt 20 ] || [ $stood -ge 3 ] || fail "$*: only $stood kills left anything to resume from"
    [ ! -e broken.part ] || fail "$*: broken.part is left"
    [ ! -e broken/deleatur/state ] || fail "$*: the state is in the result"
    echo "$SECONDS s: as undisturbed, killed after$moments of $took ms: $*"
}

# ---- training ----------------------------------------------------------------------------------------------------------
trained="model.safetensors config.json deleatur/steps.tsv deleatur/mask.json deleatur/plots/losses.tsv deleatur/plots/losses.svg"
train="--forget forget.jsonl --retain retain.jsonl --layers 0-1 --lr 3e-4 --batch 8 --threads 1 --save-every 0.01"
killed 20 "$trained" unlearn "$model" $train --epochs 16
killed 2 "$trained" unlearn "$model" $train --epochs 4 --alpha code --micro-batch 3
killed 2 "$trained" unlearn "$model" $train --epochs 4 --batch-tokens 30 --clip 0.1 --warmup 9 --schedule cosine \
    --loss-weights sequences
killed 3 "$trained deleatur/evaluations.tsv deleatur/plots/evaluations.svg" unlearn "$model" $train --epochs 6 --eval-every 3 \
    --retain-budget 0.1 --select best
killed 2 "$trained" unlearn "$model" $train --epochs 2 --chunks 3 --retain-ratio 3
killed 2 "$trained" unlearn "$model" $train --epochs 4 --pairing random
killed 2 "$trained" unlearn "$model" $train --epochs 4 --objective pdu --dual-warmup 1
killed 2 "$trained" unlearn "$model" $train --epochs 4 --objective dpo --alternates other.jsonl
killed 2 "$trained" unlearn "$model" $train --epochs 4 --objective rmu --at-layer 1
killed 2 "$trained" unlearn "$model" ${train/--retain retain.jsonl/} --epochs 8 --objective task-vector
killed 2 "$trained deleatur/adapter/adapter_model.safetensors" unlearn "$model" $train --epochs 4 --lora 2 --lora-keep
killed 2 "$trained" finetune "$model" --data forget.jsonl --text some.txt --context 48 --threads 1 --save-every 0.01

# ---- an evaluation -----------------------------------------------------------------------------------------------------
for i in $(seq 3000); do
    echo "{\"question\": \"Who has $i?\", \"choices\": [\"Arlo\", \"Bo and Mara\"], \"answer\": $((i % 2))}"
done >numbers.jsonl
killed 20 "items.jsonl eval.json" eval "$model" --suite choices --data numbers.jsonl --threads 1

# ---- a state that is not to be trusted -----------------------------------------------------------------------------------
rm -rf whole broken
command=(unlearn "$model" $train --epochs 8)
"$deleatur" "${command[@]}" --quiet --out whole >/dev/null || fail "eight epochs"
break_off() {
    rm -rf broken broken.part
    "$deleatur" "${command[@]}" --quiet --out broken >/dev/null 2>&1 &
    local pid=$!
    for _ in $(seq 2000); do [ -e broken.part/deleatur/state ] && break; sleep 0.005; done
    kill -9 $pid || fail "it was through before it had written a state"
    wait $pid 2>/dev/null
}
for damage in flipped cut; do
    break_off
    state=broken.part/deleatur/state
    if [ $damage = cut ]; then truncate -s -1 $state
    else
        at=$(($(wc -c <$state) / 2))
        byte=$(od -An -tu1 -j $at -N 1 $state)
        printf "\\x$(printf %02x $((byte ^ 1)))" | dd of=$state bs=1 seek=$at conv=notrunc 2>/dev/null
    fi
    said=$("$deleatur" "${command[@]}" --out broken 2>&1 >/dev/null) || fail "a state that is $damage: $said"
    grep -q 'damaged.*starting again' <<<"$said" || fail "a state that is $damage: $said"
    for file in $trained; do cmp "whole/$file" "broken/$file" || fail "another $file after a state that was $damage"; done
done
break_off
said=$("$deleatur" "${command[@]}" --lr 2e-4 --quiet --out broken 2>&1) && fail "another command took over"
grep -q 'unfinished result of another model, other data or other settings' <<<"$said" || fail "another command: $said"
said=$("$deleatur" "${command[@]}" --out broken 2>&1 >/dev/null) || fail "going on: $said"
grep -q 'resuming from' <<<"$said" || fail "it did not say that it went on: $said"
cmp whole/model.safetensors broken/model.safetensors || fail "other bytes after another command's refusal"
echo "all as it should be"
