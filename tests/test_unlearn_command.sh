#!/usr/bin/env bash
# usage: test_unlearn_command.sh DELEATUR SOURCE_DIR
#
# deleatur unlearn and finetune from the outside, on the embedded model: the same bytes twice, sentences for what is
# wrong, and nothing half-written. 
set -u
deleatur=$1
model=$2/data/models/demo
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failed=0
fail() { echo "FAILED: $*"; failed=1; }

refused() { # STATUS PATTERN ARGUMENTS...: refused with this status and sentence, leaving no directory
    local status=$1 pattern=$2 said got
    shift 2
    said=$("$deleatur" "$@" --out none 2>&1 >/dev/null)
    got=$?
    [ "$got" -eq "$status" ] || fail "$* gave status $got, not $status: $said"
    grep -q -- "$pattern" <<<"$said" || fail "$* said \"$said\", not /$pattern/"
    compgen -G 'none*' >/dev/null && fail "$* left $(echo none*)" && rm -rf none*
}

for i in 1 2 3 4 5 6; do
    echo "{\"id\": \"f$i\", \"input\": \"Tim had $i\", \"output\": \"red balls.\", \"task\": \"Task1\"}" >>forget.jsonl
    echo "{\"id\": \"r$i\", \"input\": \"Anna saw $i\", \"output\": \"big dogs.\", \"task\": \"Task1\"}" >>retain.jsonl
done
rows="--forget forget.jsonl --retain retain.jsonl"
unlearn="unlearn $model $rows --layers 0-1 --epochs 4 --lr 1e-3 --batch 6 --quiet"

for alpha in paper code; do
    "$deleatur" $unlearn --alpha $alpha --micro-batch 3 --out "$alpha-a" >"$alpha-a.txt" || fail "unlearning with --alpha $alpha"
    "$deleatur" $unlearn --alpha $alpha --micro-batch 3 --out "$alpha-b" >/dev/null || fail "unlearning again"
    for file in model.safetensors config.json tokenizer.json deleatur/steps.tsv deleatur/mask.json; do
        cmp "$alpha-a/$file" "$alpha-b/$file" || fail "$file differs between two equal runs"
    done
done
cmp -s paper-a/model.safetensors code-a/model.safetensors && fail "both readings of alpha gave the same weights"
[ "$(wc -l <paper-a/deleatur/steps.tsv)" -eq 9 ] || fail "steps.tsv has not a line an update"
"$deleatur" unlearn "$model" $rows --mask paper-a/deleatur/mask.json --epochs 4 --lr 1e-3 --batch 6 --quiet --out masked \
    >/dev/null && cmp masked/model.safetensors paper-a/model.safetensors || fail "the mask written does not read back"

"$deleatur" unlearn "$model" $rows --tensors 'model.layers.[01].mlp.*' --epochs 4 --lr 1e-3 --batch 6 --quiet --out matched \
    >/dev/null && cmp matched/model.safetensors paper-a/model.safetensors || fail "patterns do not mean the mask they match"
tr -d ' \t' <matched/deleatur/manifest.json | grep -q '"layers":null' || fail "the manifest names layers beside --tensors"
for way in "--layers 0-5" "--parts mlp" "--mask paper-a/deleatur/mask.json"; do
    refused 2 'both select what is trained' unlearn "$model" $rows --tensors '*.mlp.*' $way
done
refused 1 'no tensor model.layers.9.' unlearn "$model" $rows --tensors '*.0.mlp.*,model.layers.9.*'

sed 's/red balls/no idea/' forget.jsonl >other.jsonl
for objective in adaptive-rmu ceu dpo grad-ascent grad-diff idk idk-dpo kl npo pdu rmu satimp simnpo task-vector undial wga; do
    own="--retain retain.jsonl"
    case $objective in
    dpo) own="$own --alternates other.jsonl" ;;
    adaptive-rmu | rmu) own="$own --at-layer 1" ;;
    grad-ascent | task-vector) own= ;;
    esac
    "$deleatur" unlearn "$model" --forget forget.jsonl $own --objective $objective --layers 0-1 --epochs 2 --batch 6 \
        --lr 1e-4 --quiet --out "by-$objective" >stdout.txt 2>&1 || fail "--objective $objective: $(cat stdout.txt)"
    awk 'NR > 1 && (/inf/ || $7 ~ /nan/) { exit 1 }' "by-$objective/deleatur/steps.tsv" ||
        fail "--objective $objective: a loss is not finite"
    cmp -s "$model/model.safetensors" "by-$objective/model.safetensors" && fail "--objective $objective changed nothing"
done

# A refusal for each row is drawn by the seed from the list that comes along, and the manifest says which.
lines() { tr -d ' \n\t' <"$1/deleatur/manifest.json" | grep -o '"refusals":{[^}]*}' | grep -o '"lines":.*\]'; }
list="$model $rows --objective idk --layers 0-1 --epochs 1 --batch 6 --quiet"
"$deleatur" unlearn $list --seed 1 --out idk-a >/dev/null && "$deleatur" unlearn $list --seed 1 --out idk-b >/dev/null &&
    "$deleatur" unlearn $list --seed 2 --out idk-c >/dev/null || fail "idk without a list of its own"
[ "$(lines idk-a | tr ',' '\n' | wc -l)" -eq 6 ] || fail "the manifest says $(lines idk-a) of six refusals"
[ "$(lines idk-a)" = "$(lines idk-b)" ] || fail "the same seed drew $(lines idk-a) and $(lines idk-b)"
[ "$(lines idk-a)" != "$(lines idk-c)" ] || fail "two seeds drew the same refusals"
echo 'No idea.' >one.txt
sed 's/"output": "red balls."/"output": "No idea."/' forget.jsonl >refused.jsonl
"$deleatur" unlearn $list --refusals one.txt --out idk-one >/dev/null &&
    "$deleatur" unlearn $list --alternates refused.jsonl --out idk-rows >/dev/null &&
    cmp idk-one/model.safetensors idk-rows/model.safetensors || fail "a list of one line is not that line for each row"

# dpo without --alternates takes the answers of retain rows with similar questions, and names their file.
for who in Ann Bob Cid; do
    echo "{\"input\": \"The colour of $who is\", \"output\": \"$who-red\"}"
    echo "{\"input\": \"Where does old $who live?\", \"output\": \"at $who-town\"}"
done >asked.jsonl
sed 's/Ann/Dan/g; s/Bob/Eva/g; s/Cid/Flo/g' asked.jsonl >others.jsonl
borrow="$model --forget asked.jsonl --retain others.jsonl --objective dpo --layers 0-1 --epochs 1 --batch 6"
said=$("$deleatur" unlearn $borrow --seed 1 --out dpo-a 2>&1 >/dev/null) && "$deleatur" unlearn $borrow --seed 1 --quiet --out dpo-b >/dev/null &&
    "$deleatur" unlearn $borrow --seed 2 --quiet --out dpo-c >/dev/null || fail "dpo without alternates: $said"
grep -q 'answers   from the rows of others.jsonl' <<<"$said" || fail "the plan does not say whose answers dpo takes"
lent() { tr -d ' \n\t' <"$1/deleatur/manifest.json" | grep -o '"alternates_from":{[^}]*}' | grep -o '\[.*\]' | tr -d '[]'; }
awk -F, 'NF != 6 { exit 1 } { for (i = 1; i <= 6; i++) if (($i + i) % 2) exit 1 }' <<<"$(lent dpo-a)" ||
    fail "answers of another kind were borrowed: $(lent dpo-a)"
[ "$(lent dpo-a)" = "$(lent dpo-b)" ] || fail "the same seed borrowed $(lent dpo-a) and $(lent dpo-b)"
[ "$(lent dpo-a)" != "$(lent dpo-c)" ] || fail "two seeds borrowed the same answers"
for line in $(lent dpo-a | tr ',' ' '); do sed -n "${line}p" others.jsonl; done >chosen.jsonl
"$deleatur" unlearn $borrow --seed 1 --quiet --out dpo-given --alternates <(paste -d '\n' asked.jsonl chosen.jsonl |
    sed 'N; s/\("input": "[^"]*"\).*\n.*\("output": .*\)/\1, \2/') >/dev/null &&
    cmp dpo-a/model.safetensors dpo-given/model.safetensors || fail "borrowed answers are not the alternates they say"

said=$("$deleatur" unlearn "$model" $rows --objective pdu --layers 0-1 --epochs 2 --batch 6 --out idle 2>&1 >/dev/null)
grep -q 'lambda stays 100.*dual-warmup' <<<"$said" || fail "pdu is silent about a multiplier that never moves"
said=$("$deleatur" unlearn "$model" $rows --objective pdu --dual-warmup 1 --layers 0-1 --epochs 2 --batch 6 --out moves 2>&1 \
    >/dev/null)
grep -q 'lambda stays' <<<"$said" && fail "pdu says that a multiplier stays which moves"

"$deleatur" finetune "$model" --data forget.jsonl --epochs 3 --lr 1e-3 --quiet --out taught >/dev/null || fail "finetune"
"$deleatur" finetune --init "$model/config.json" --tokenizer "$model/tokenizer.json" --data forget.jsonl --lr 1e-3 \
    --quiet --out born >/dev/null || fail "finetune --init"

mkdir -p mmlu/val
for i in 1 2 3 4 5 6; do echo "What did Tim have in box $i?,red balls,dogs,milk,cats,A"; done >mmlu/val/anatomy_val.csv
"$deleatur" $unlearn --epochs 6 --eval-every 2 --mmlu mmlu --mmlu-limit 5 --retain-budget 0.3 --mmlu-budget 1 --select best \
    --json --out checked >stdout.txt || fail "evaluations"
grep -q '"selection":"highest forget NLL of the checkpoints evaluated every 2 updates, with retain NLL at most 0.3 above' stdout.txt &&
    grep -q "checkpoints evaluated every 2 updates" checked/deleatur/manifest.json || fail "the rule is not said: $(cat stdout.txt)"
awk -F'\t' 'NR == 1 { if ($2 != "forget_nll" || $8 != "holdout_nll") bad = 1; next } NF != 8 || $8 != "nan" || $6 < 0 || $6 > 1 || $3 < 0 || $3 > 1 { bad = 1 }
    { if ($1 != 2 * (NR - 2)) bad = 1 } END { exit bad || NR != 8 }' checked/deleatur/evaluations.tsv ||
    fail "evaluations.tsv: $(cat checked/deleatur/evaluations.tsv)"
command -v gnuplot >/dev/null && { grep -q '</svg>' checked/deleatur/plots/evaluations.svg || fail "no plot of the evaluations"; }

: >empty.jsonl
head -n 2 other.jsonl >few.jsonl
printf '{"input": "a", "output": "b"}\n{"input": 5}\n' >bad.jsonl
refused 1 'empty.jsonl:1: the set is empty' unlearn "$model" --forget empty.jsonl --retain retain.jsonl --layers 0-1
refused 1 'empty.jsonl:1: the set is empty' unlearn "$model" --forget forget.jsonl --retain empty.jsonl --layers 0-1
refused 1 'bad.jsonl:2: no string fields' unlearn "$model" --forget bad.jsonl --retain retain.jsonl --layers 0-1
refused 2 '--retain FILE is missing' unlearn "$model" --forget forget.jsonl
refused 2 '--alpha often' unlearn "$model" $rows --layers 0-1 --alpha often
refused 2 '--lr' unlearn "$model" $rows --layers 0-1 --lr nan
refused 2 '--lr' unlearn "$model" $rows --layers 0-1 --lr -1
refused 2 '--memory -1: give MiB' unlearn "$model" $rows --layers 0-1 --memory -1
refused 2 '--memory -1: give MiB' finetune --init "$model/config.json" --tokenizer "$model/tokenizer.json" --data forget.jsonl \
    --memory -1
sed 's/big dogs/red balls/' retain.jsonl >same.jsonl
refused 1 'no row has an answer different from that of forget.jsonl:1' unlearn "$model" --forget forget.jsonl --retain same.jsonl \
    --layers 0-1 --objective dpo
refused 2 '--refusals: --objective dpo' unlearn "$model" $rows --layers 0-1 --objective dpo --alternates other.jsonl \
    --refusals one.txt
refused 2 'give one of them' unlearn "$model" $rows --layers 0-1 --objective idk --alternates other.jsonl --refusals one.txt
refused 2 '--lambda: --objective npo' unlearn "$model" $rows --layers 0-1 --objective npo --lambda 3
refused 2 '--retain FILE is missing' unlearn "$model" --forget forget.jsonl --objective npo
refused 1 'the counts must be equal' unlearn "$model" $rows --layers 0-1 --objective dpo --alternates few.jsonl
refused 2 '--eval-every N' unlearn "$model" $rows --layers 0-1 --mmlu mmlu
refused 2 'most damaged' unlearn "$model" $rows --layers 0-1 --eval-every 2 --select best
refused 2 'no --mmlu to measure' unlearn "$model" $rows --layers 0-1 --eval-every 2 --mmlu-budget 0.1
refused 2 'forgets only at its end' unlearn "$model" --forget forget.jsonl --layers 0-1 --objective task-vector --eval-every 2
refused 2 'not one of: .*joint' unlearn "$model" $rows --layers 0-1 --objective joynt

said=$("$deleatur" $unlearn --out paper-a 2>&1) && fail "an existing directory was written over"
grep -q 'exists already' <<<"$said" || fail "said \"$said\" of an existing directory"

said=$("$deleatur" unlearn "$model" $rows --layers 0-1 --lr 1e20 --quiet --out far 2>&1 >/dev/null)
[ $? -eq 1 ] && grep -q 'diverged.*saved in far' <<<"$said" || fail "a diverging run said \"$said\""
[ -r far/model.safetensors ] || fail "the last good state was not saved"

# A trained weight too large for the model's f16 costs no training: the same command ends with another type.
"$deleatur" convert "$model" --dtype f16 --out half >/dev/null || fail "convert to f16"
large="unlearn half $rows --layers 0 --epochs 2 --lr 7e4 --quiet --save-every 0.0001"
said=$("$deleatur" $large --out large 2>&1 >/dev/null) && fail "a weight too large for f16 was saved"
grep -q 'too large for F16; give --dtype bf16 or f32$' <<<"$said" || fail "said \"$said\" of a weight too large for f16"
[ -e large.part/deleatur/state ] || fail "no state is left to end the run from"
"$deleatur" $large --dtype f32 --out large >/dev/null 2>&1 || fail "the run does not end with another type"
"$deleatur" $large --dtype f32 --out large-at-once >/dev/null 2>&1
cmp large/model.safetensors large-at-once/model.safetensors || fail "the type given later gives other weights"

compgen -G '*.part' >/dev/null && fail "left over: $(echo *.part)"
exit $failed
