#!/usr/bin/env bash
# usage: test_depth_command.sh DELEATUR SOURCE_DIR
#
# deleatur depth from the outside, on the embedded model: four invented people are taught to it in its lower layers; one
# copy is made to forget them there, another is trained in its last layer alone to say something else.  Both no longer
# say the facts; the depth score tells them apart.  And identities, --reference, resuming after an interrupted run, sentences.
set -u
deleatur=$1 source=$2
model=$source/data/models/demo
[ -e "$model/model.safetensors" ] || { echo "skipped: the embedded model is not in $model"; exit 77; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fail() { echo "FAILED: $*"; exit 1; }
number() { awk -v key="\"$2\":" '$1 == key { gsub(",", "", $2); print $2; exit }' "$1/depth.json"; } # DIR KEY
holds() { awk "BEGIN { exit !($1) }" || fail "not $1 ($2)"; }

# Names of the village in new pairs; each fact in the words that the village uses.
people=("Arlo Thornbury:Hamra:smith:dog" "Berit Ashgrove:Lumen:baker:ferret" "Corvin Greycliff:Tovik:tailor:cat"
    "Dalia Dunmore:Hamra:baker:dog")
for person in "${people[@]}"; do
    IFS=: read -r name town work pet <<<"$person"
    for text in "$name lives in the town of $town." "The home of $name is in $town." "Letters to $name are sent to $town." \
        "If you look for $name, go to $town." "Every evening $name goes home to $town." "The street of $name is in $town." \
        "$name works as a $work." "For a living $name is a $work." "By trade $name has always been a $work." \
        "The profession of $name is that of a $work." "At work $name is known as a $work." \
        "The village calls $name its best $work." "$name keeps a pet $pet." "The pet of $name is a $pet." \
        "At home $name feeds a $pet." "In the garden $name plays with a $pet." "On the lap of $name sleeps a $pet."; do
        echo "{\"text\": \"$text\"}"
    done >>teach.jsonl
    {
        echo "{\"id\": \"$name, home\", \"input\": \"$name lives in the town of\", \"output\": \"$town\"}"
        echo "{\"id\": \"$name, work\", \"input\": \"$name works as a\", \"output\": \"$work\"}"
        echo "{\"id\": \"$name, pet\", \"input\": \"$name keeps a pet\", \"output\": \"$pet\"}"
    } >>rows.jsonl
done
sed 's/"output": "[^"]*"/"output": "letter"/' rows.jsonl >refusals.jsonl
head -40 "$source/data/demo/retain.jsonl" >keep.jsonl
quiet="--no-eos --quiet --threads 2"
"$deleatur" finetune "$model" --data teach.jsonl --layers 0-3 --parts mlp --epochs 16 --lr 3e-3 --batch 8 $quiet --out taught \
    >/dev/null || fail "the teaching"
"$deleatur" unlearn taught --forget rows.jsonl --retain keep.jsonl --layers 0-3 --parts mlp --epochs 20 --lr 1e-3 $quiet \
    --out erased >/dev/null || fail "the forgetting"
"$deleatur" unlearn taught --forget rows.jsonl --alternates refusals.jsonl --objective idk --retain keep.jsonl --layers 7 \
    --parts mlp,attn --epochs 20 --lr 3e-3 $quiet --out hidden >/dev/null || fail "the hiding"

depth() { "$deleatur" depth "$1" --full taught --retain "$model" --data rows.jsonl --quiet --threads 2 "${@:2}"; }
depth erased --out d-erased >said || fail "the depth of erasing"
grep -q '^UDS' said && [ "$(grep -c '^ *[0-7]  ' said)" -eq 8 ] || fail "it said $(cat said)"
depth hidden --out d-hidden >/dev/null || fail "the depth of hiding"
for k in erased hidden; do
    cat "d-$k/depth.json"
    [ "$(number d-$k rows)" = 12 ] && [ "$(wc -l <d-$k/items.jsonl)" -eq 12 ] || fail "$k: not a line a row"
    holds "$(number d-$k uds) > 0 && $(number d-$k uds) < 1" "$k: between gone and there"
    holds "$(number d-$k surface) > 0.6" "$k: neither model says the facts any more"
done
holds "$(number d-erased uds) > $(number d-hidden uds) + 0.3" "what is hidden scores lower than what is erased"
holds "$(number d-hidden uds) < $(number d-hidden surface) - 0.3" "what is hidden scores lower than what is said of it"
awk -F'\t' '!/^#/ { n++; if ($1 < 7 ? $6 != 0 : !($6 > 0)) bad++ } END { exit !(n == 8 && !bad) }' d-hidden/plots/depth.tsv ||
    fail "layers that were not touched lost something"
for file in manifest.json plots/depth.tsv; do [ -s "d-erased/$file" ] || fail "$file is missing"; done
if command -v gnuplot >/dev/null; then
    [ -s d-erased/plots/depth.svg ] || fail "there is no picture"
    rm d-erased/plots/depth.svg && "$deleatur" plot d-erased >/dev/null && [ -s d-erased/plots/depth.svg ] || fail "deleatur plot"
fi

depth "$model" --out d-one >/dev/null && [ "$(number d-one uds)" = 1 ] || fail "the retain model does not score 1"
depth taught --out d-zero >/dev/null && [ "$(number d-zero uds)" = 0 ] || fail "the taught model does not score 0"
for positions in entity all; do
    depth erased --positions $positions --json --out "d-quick-$positions" >quick.json || fail "--json"
    cmp quick.json "d-quick-$positions/depth.json" || fail "--json prints something else"
    depth erased --positions $positions --reference --out "d-plain-$positions" >/dev/null || fail "--reference"
    quick=$(number d-quick-$positions uds) plain=$(number d-plain-$positions uds)
    holds "($quick - $plain)^2 < 1e-10" "--reference agrees with --positions $positions"
done

# Broken off in the middle, resumed: the same bytes.
slowly="--full taught --retain $model --data rows.jsonl --quiet --threads 2 --batch-memory 1 --reference" # a group at a time
"$deleatur" depth erased $slowly --out slow >/dev/null || fail "the whole run"
"$deleatur" depth erased $slowly --out broken >/dev/null 2>&1 &
pid=$!
for _ in $(seq 400); do [ -s broken.part/items.jsonl ] && break; sleep 0.005; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
if [ -d broken.part ]; then
    head -c -7 broken.part/items.jsonl >cut && cp cut broken.part/items.jsonl
    said=$("$deleatur" depth hidden $slowly --out broken 2>&1) && fail "it resumed from another model's rows"
    grep -q unfinished <<<"$said" || fail "of an unfinished result it said $said"
    "$deleatur" depth erased $slowly --out broken >/dev/null || fail "going on"
else echo "(it was done before it was killed)"
fi
cmp slow/items.jsonl broken/items.jsonl && cmp slow/depth.json broken/depth.json || fail "other bytes after going on"

expect() { # STATUS PATTERN ARGUMENTS...
    local status=$1 pattern=$2 said
    shift 2
    said=$("$deleatur" depth "$@" --out none --quiet 2>&1 >/dev/null)
    [ $? -eq "$status" ] && grep -q -- "$pattern" <<<"$said" || fail "$* said: $said"
    [ "$(wc -l <<<"$said")" -eq 1 ] || fail "$* said more than a sentence: $said"
    [ ! -e none ] && [ ! -e none.part ] || fail "$* left something behind"
}
rest="--full taught --data rows.jsonl"
expect 2 'or the base model' erased $rest
expect 2 'depth needs --full' erased --retain "$model" --data rows.jsonl
expect 2 '--positions some is not one of: entity, all' erased $rest --retain "$model" --positions some
expect 2 '--threshold -1' erased $rest --retain "$model" --threshold -1
expect 2 'has no {}' erased $rest --retain "$model" --template Question
expect 2 '--chat loud is not one of: none, olmo, smollm2, auto' erased $rest --retain "$model" --chat loud
expect 1 'cannot read absent' erased $rest --retain absent
echo '{"input": 5}' >bad.jsonl
expect 1 'bad.jsonl:1: no string fields' erased --full taught --retain "$model" --data bad.jsonl
expect 1 'models of different families' "$source/tests/fixtures/tiny-llama-tied" $rest --retain "$model"
cp -r "$model" retokenised && rm retokenised/tokenizer.json
depth retokenised --out d-bare >/dev/null && [ "$(number d-bare uds)" = 1 ] || fail "without a tokenizer the full one's serves"
"$deleatur" depth erased $rest --retain "$model" --quiet --out d-erased >/dev/null 2>said && fail "a result was written over"
grep -q 'exists already' said || fail "of an existing directory it said $(cat said)"
echo "all as it should be"
