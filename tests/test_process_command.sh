#!/usr/bin/env bash
# usage: test_process_command.sh DELEATUR SOURCE_DIR
#
# The command among other processes and among files that are not its own: two of it with one --out, what it must not write
# over, what a model's directory must not lead to, closed descriptors, full pipes, limits.
set -u
deleatur=$1 source=$2
model=$source/data/models/demo
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fail() { echo "FAILED: $*"; exit 1; }
# refused PATTERN COMMAND...: exit 1, one sentence that matches; refused_usage: exit 2
refused() { refused_with 1 "$@"; }
refused_usage() { refused_with 2 "$@"; }
refused_with() {
    local wanted=$1 pattern=$2 status
    shift 2
    said=$(timeout 60 "$deleatur" "$@" 2>&1 >/dev/null)
    status=$?
    [ $status -eq "$wanted" ] && [[ $said =~ $pattern ]] || fail "status $status, not refused with \"$pattern\": $* : $said"
}
grep '"split":"forget"' "$source/data/facts/demo_facts.json" | sed 's/,$//' >forget.jsonl
head -n 3 forget.jsonl >three.jsonl

# ---- two processes with one --out ------------------------------------------------------------------------------------
for i in $(seq 3000); do
    echo "{\"question\": \"Who has $i?\", \"choices\": [\"Arlo\", \"Bo and Mara\"], \"answer\": $((i % 2))}"
done >numbers.jsonl
two=(eval "$model" --suite choices --data numbers.jsonl --out y --quiet)
"$deleatur" "${two[@]}" >/dev/null & first=$!
for _ in $(seq 2000); do [ -s y.part/items.jsonl ] && break; sleep 0.005; done
refused 'another deleatur is writing to y.part' "${two[@]}"
refused 'another deleatur is writing to y.part' rows three.jsonl --out y
wait $first || fail "the first of two"
[ "$(wc -l <y/items.jsonl)" -eq 3000 ] || fail "items of two processes"
[ ! -e y/deleatur.unfinished ] && [ ! -e y.part ] || fail "left over in the result: $(ls -A y)"
refused 'y exists already' "${two[@]}"
taught=(finetune "$model" --data forget.jsonl --epochs 40 --out z --quiet)
"$deleatur" "${taught[@]}" >/dev/null 2>&1 & first=$!
for _ in $(seq 2000); do [ -s z.part/deleatur/steps.tsv ] && break; sleep 0.005; done
refused 'another deleatur is writing to z.part' "${taught[@]}"
kill $first 2>/dev/null
wait $first 2>/dev/null

# ---- what is not ours ------------------------------------------------------------------------------------------------
mkdir work.part && echo mydata >work.part/thesis.txt
echo precious >precious
ln -s precious known.json.part
refused 'work.part exists and is not an unfinished result' convert "$model" --out work
refused 'known.json.part exists and is not an unfinished result' facts "$model" --facts "$source/data/facts/demo_facts.json" --out known.json --quiet
refused 'known.json.part exists' rows three.jsonl --out known.json
[ "$(cat work.part/thesis.txt precious)" = $'mydata\nprecious' ] && [ -L known.json.part ] || fail "what is not ours was touched"
for option in out forget-out retain-out; do
    outs="--out a.json --forget-out b.json --retain-out c.json"
    outs=$(sed "s/--$option [a-c]/--$option precious/; s/precious.json/precious/" <<<"$outs")
    refused 'precious exists already' facts "$model" --facts "$source/data/facts/demo_facts.json" $outs --quiet
done
refused 'precious exists already' rows three.jsonl --out precious
refused 'precious exists already' facts "$model" --qa "$source/data/demo/forget.jsonl" --out a.json --forget-out precious
for other in same.json ./same.json ../"${dir##*/}"/same.json; do # one file for two outputs
    refused_usage 'is given for two outputs' facts "$model" --facts "$source/data/facts/demo_facts.json" --out same.json \
        --forget-out "$other" --quiet
    refused_usage 'is given for two outputs' facts "$model" --qa "$source/data/demo/forget.jsonl" --out a.json \
        --forget-out same.json --retain-out "$other"
done
[ ! -e same.json ] || fail "a file of a refused command"
mkdir others && echo mine >others/report.html
echo "{\"stages\": [{\"name\": \"r\", \"run\": \"info\", \"model\": \"$model\"}]}" >one.json
refused 'others holds files and is no study of deleatur' run one.json --out others
[ "$(ls -A others)" = report.html ] && [ "$(cat others/report.html)" = mine ] || fail "run wrote over what is not its own"
mkdir empty && "$deleatur" run one.json --out empty >/dev/null 2>&1 || fail "run into an empty directory"
"$deleatur" run one.json --out empty >/dev/null 2>&1 || fail "run once more into its own directory"
mv precious precious.gguf
refused 'precious.gguf exists already' convert "$model" --out precious.gguf
echo mine >m.gguf.manifest.json
refused 'm.gguf.manifest.json exists already' convert "$model" --out m.gguf
mkdir -p items && cp y/items.jsonl y/eval.json items/
refused 'precious.gguf exists already' compare y items --flips precious.gguf
[ "$(cat precious.gguf m.gguf.manifest.json)" = $'precious\nmine' ] && [ ! -e a.json ] && [ ! -e b.json ] || fail "overwritten"

# ---- recipes write into their stages -----------------------------------------------------------------------------------
echo precious >precious.txt
echo '{"forget-out": "precious.txt"}' >options.json
stage() { echo "{\"stages\": [{\"name\": \"r\", \"run\": \"$1\", \"arguments\": [\"$2\"], \"options\": {$3}}]}" >recipe.json; }
for text in '@r/../../../escaped.jsonl' '@r/..' '@r/a/../../b' '@r/' '@r//x' '@r/./x' "$dir/escaped" 'escaped' '../escaped'; do
    stage rows three.jsonl "\"out\": \"$text\""
    refused 'it has an option "out"' run recipe.json --out study
    stage facts "$model" "\"facts\": \"three.jsonl\", \"forget-out\": \"$text\""
    refused 'it has an option "forget-out"' run recipe.json --out study
done
stage facts "$model" '"facts": "three.jsonl", "retain-out": "precious.txt"'
refused 'it has an option "retain-out"' run recipe.json --out study
stage compare y '"flips": "precious.txt"'
refused 'it has an option "flips"' run recipe.json --out study
stage facts "$model" '"facts": "three.jsonl", "config": "options.json"'
refused 'options.json says "forget-out"' run recipe.json --out study
stage plot y ''
refused 'plot draws into the directory' run recipe.json --out study
[ "$(cat precious.txt)" = precious ] && [ ! -e escaped ] && [ ! -e escaped.jsonl ] || fail "a recipe wrote outside"
stage rows three.jsonl '"out": "@r/mine.jsonl"'
rm -rf study
"$deleatur" run recipe.json --out study --quiet >/dev/null 2>&1 || fail "a recipe that writes its own file"
cmp -s study/r/mine.jsonl three.jsonl || [ "$(wc -l <study/r/mine.jsonl)" -eq 3 ] || fail "its own file"
mkdir -p strange/r && touch strange/.lock && echo mine >strange/r/thesis
refused 'exists already|does not say how it was made' run recipe.json --out strange --changed --quiet
[ -e strange/r/thesis ] || fail "--changed removed what no record calls the study's"

# ---- what a model's directory leads to -----------------------------------------------------------------------------------
echo '{"secret": 1}' >secret.txt
for name in generation_config.json tokenizer.json config.json model.safetensors merges.txt chat_template.jinja; do
    rm -rf m && cp -r "$model" m && rm -f "m/$name" && ln -s ../secret.txt "m/$name"
    refused "m/$name is a link to a file outside the model" convert m --out ev
    rm "m/$name" && ln -s /dev/zero "m/$name"
    refused "m/$name is a link" info m
    rm "m/$name" && mkfifo "m/$name"
    refused "m/$name is a pipe" convert m --out ev
    rm "m/$name" && mkdir "m/$name"
    refused "m/$name is a directory" info m
done
[ ! -e ev ] && [ ! -e ev.part ] || fail "something of a refused model is left"
rm -rf m && cp -r "$model" m && truncate -s 2G m/vocab.json
refused 'm/vocab.json has 2048 MiB' info m
# Hugging Face's cache as it is, and through a link of the user's
hub=hub/models--a--b
mkdir -p $hub/blobs $hub/snapshots/1
for file in "$model"/*; do
    hash=$(basename "$file" | md5sum | cut -c1-32)
    cp "$file" "$hub/blobs/$hash" && ln -s "../../blobs/$hash" "$hub/snapshots/1/$(basename "$file")"
done
ln -s $hub/snapshots/1 cached
for path in $hub/snapshots/1 cached; do
    rm -rf copy
    "$deleatur" convert $path --out copy >/dev/null || fail "a model in the cache: $path"
    cmp copy/tokenizer.json "$model/tokenizer.json" && [ ! -L copy/tokenizer.json ] || fail "the cached tokenizer"
done
# files that a user names may be links and pipes
ln -s three.jsonl link.jsonl
"$deleatur" rows link.jsonl --out l.jsonl >/dev/null || fail "a link that the user named"
"$deleatur" rows <(cat three.jsonl) --out p.jsonl >/dev/null || fail "a process substitution"
"$deleatur" rows /dev/stdin --out s.jsonl <three.jsonl >/dev/null && cmp l.jsonl p.jsonl && cmp p.jsonl s.jsonl || fail "rows of pipes"
refused '/dev/zero is a device' rows /dev/zero --out none.jsonl

# ---- descriptors, pipes, limits ------------------------------------------------------------------------------------------
"$deleatur" eval "$model" --suite choices --data numbers.jsonl --limit 30 --out whole >/dev/null 2>&1 || fail "whole"
"$deleatur" eval "$model" --suite choices --data numbers.jsonl --limit 30 --out closed >/dev/null 2>&- || fail "stderr closed"
(exec 0<&- 2>&-; "$deleatur" eval "$model" --suite choices --data numbers.jsonl --limit 30 --out closed2 >/dev/null) || fail "0 and 2 closed"
for file in eval.json items.jsonl; do
    cmp whole/$file closed/$file && cmp whole/$file closed2/$file || fail "other bytes with descriptors closed: $file"
done
"$deleatur" rows three.jsonl --out r1.jsonl >&- 2>/dev/null && fail "a result printed into a closed descriptor is a success"
cmp r1.jsonl l.jsonl || fail "stdout closed"
"$deleatur" rows three.jsonl --out r2.jsonl 2>&1 >/dev/full | grep -q 'could not be printed: No space left' || fail "stdout full"
# a reader that leaves takes no result along and is no news
{ "$deleatur" finetune "$model" --data forget.jsonl --epochs 2 --out piped 2>&1; echo $? >status; } | head -c 1 >/dev/null
[ -e piped/model.safetensors ] || fail "a result is lost because nobody read what was printed"
said=$( { "$deleatur" info "$model" | true; } 2>&1 )
[ -z "$said" ] || fail "a pipe that was closed: $said"
said=$( ulimit -f 16; "$deleatur" convert "$model" --out limited 2>&1 >/dev/null)
status=$?
[ $status -eq 1 ] && grep -q 'File too large' <<<"$said" && [ ! -e limited ] && [ ! -e limited.part ] || fail "ulimit -f: $status $said"

# ---- waiting threads -----------------------------------------------------------------------------------------------------
# The program sets passive waiting for itself, and never over a setting of the user's.
shown() { env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT OMP_DISPLAY_ENV=verbose "$@" "$deleatur" info "$model" 2>&1 | grep "$key" | tail -n 1; }
key=OMP_WAIT_POLICY
[[ $(shown) == *PASSIVE* ]] || fail "threads spin by default: $(shown)"
[[ $(shown OMP_WAIT_POLICY=active) == *ACTIVE* ]] || fail "the user's OMP_WAIT_POLICY is lost"
key=GOMP_SPINCOUNT
[[ $(shown GOMP_SPINCOUNT=1234) == *1234* ]] || fail "the user's GOMP_SPINCOUNT is lost"
echo "all as it should be"
