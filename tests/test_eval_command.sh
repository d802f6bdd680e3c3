#!/usr/bin/env bash
# usage: test_eval_command.sh DELEATUR SOURCE_DIR
#
# Each suite leaves its scores and a line an item; a run killed at any moment goes on to the same bytes; what cannot be
# scored is refused with its line; compare tells what turned.
set -u
deleatur=$1 source=$2
model=$source/data/models/demo sets=$source/tests/fixtures/score/sets
[ -e "$model/model.safetensors" ] || { echo "skipped: the embedded model is not in $model"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAILED: $*"; exit 1; }
score() { "$deleatur" eval "$model" --quiet --threads 1 "$@"; }

# ---- choices ---------------------------------------------------------------------------------------------------------
mkdir "$dir/sets"
cp "$sets/village.jsonl" "$dir/sets"
for i in $(seq 400); do echo "{\"id\": $i, \"question\": \"Who has $i?\", \"choices\": [\"Arlo\", \"Bo and Mara\"], \"answer\": $((i % 2))}"; done \
    >"$dir/sets/numbers.jsonl"
score --suite choices --data "$dir/sets" --out "$dir/whole" >"$dir/table" || fail "choices"
grep -q $'^village\t4\t' "$dir/table" || fail "no row of a set in the table: $(cat "$dir/table")"
[ "$(wc -l <"$dir/whole/items.jsonl")" -eq 404 ] || fail "not a line an item"
grep -q '"acc_norm_stderr"' "$dir/whole/eval.json" || fail "no standard error"

# Broken off anywhere (here: in the middle of a line), the same command ends with the same bytes.
resumed() { # SUITE DATA OPTIONS...: as the whole result in $dir/whole
    local suite=$1 data=$2 said
    shift 2
    "$deleatur" eval "$model" --quiet --threads 1 --suite "$suite" --data "$data" "$@" --out "$dir/broken" >/dev/null 2>&1 &
    local pid=$!
    while kill -0 $pid 2>/dev/null; do # until there are two lines, of which the cut leaves one
        [ "$(grep -c '' "$dir/broken.part/items.jsonl" 2>/dev/null)" -ge 2 ] 2>/dev/null && break
        sleep 0.005
    done
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    if [ -e "$dir/broken" ]; then # it was faster than the killer: no file may grow beyond half of the items
        rm -r "$dir/broken"
        local kib=$(($(stat -c %s "$dir/whole/items.jsonl") / 2048))
        [ $kib -ge 2 ] || { echo "($suite: finished before it was killed)"; return; }
        (ulimit -f $kib; score --suite "$suite" --data "$data" "$@" --out "$dir/broken" >/dev/null 2>&1) &&
            fail "$suite: no file was too large"
    fi
    head -c -7 "$dir/broken.part/items.jsonl" >"$dir/cut" && cp "$dir/cut" "$dir/broken.part/items.jsonl"
    said=$(score --suite "$suite" --data "$data" "$@" --limit 2 --out "$dir/broken" 2>&1) && fail "$suite: another command took over"
    grep -q unfinished <<<"$said" || fail "an unfinished result: $said"
    score --suite "$suite" --data "$data" "$@" --out "$dir/broken" >/dev/null || fail "$suite: going on"
    cmp "$dir/whole/items.jsonl" "$dir/broken/items.jsonl" || fail "$suite: other items after going on"
    cmp "$dir/whole/eval.json" "$dir/broken/eval.json" || fail "$suite: other scores after going on"
    rm -r "$dir/broken"
}
resumed choices "$dir/sets"
mv "$dir/whole" "$dir/choices"

expect() { # STATUS PATTERN OPTIONS...
    local status=$1 pattern=$2 said
    shift 2
    said=$(score --out "$dir/never" "$@" 2>&1)
    [ $? -eq "$status" ] && grep -q -- "$pattern" <<<"$said" || fail "$* said: $said"
    [ ! -e "$dir/never" ] && [ ! -e "$dir/never.part" ] || fail "$* left something behind"
}
bad() { printf '%s\n' '{"question": "?", "choices": ["a", "b"], "answer": 0}' "$1" >"$dir/bad.jsonl"; }
bad '{"question": "?", "choices": ["a", "b"], "answer": 2}'
expect 1 'bad.jsonl:2:.*from 0 to 1' --suite choices --data "$dir/bad.jsonl"
bad '{"question": "?", "choices": ["a", ""], "answer": 1}'
expect 1 'none of them empty' --suite choices --data "$dir/bad.jsonl"
bad '{"contexts": ["x"], "choices": ["a", "b"], "answer": 1}'
expect 1 '1 contexts for 2 choices' --suite choices --data "$dir/bad.jsonl"
bad '{"choices": ["a", "b"], "answer": 1}'
expect 1 'there is no "question"' --suite choices --data "$dir/bad.jsonl"
expect 2 '--suite arc is not one of: mmlu, choices, qa' --suite arc --data "$dir/bad.jsonl"
expect 2 'does not use it; it has --generate, --chat, --max-new' --suite choices --data "$dir/sets" \
    --style harness
expect 2 '--shots: --suite lume does not use it; it has --ids, --chat' --suite lume --data "$dir/sets" --shots 0
expect 2 '--chat: --suite mmlu does not use it' --suite mmlu --data "$dir/sets" --chat olmo
expect 2 '--min-k: --suite tofu' --suite tofu --data "$dir/sets" --min-k .3
expect 2 '--gradnorm: --suite facts' --suite facts --data "$dir/sets" --gradnorm
for option in split subjects ids template mmlu-result reference retrained compat; do
    expect 2 "--$option: --suite choices does not use it" --suite choices --data "$dir/sets" --$option 1
done
expect 2 'with --generate alone' --suite choices --data "$dir/sets" --max-new 1
expect 1 'no-such' --suite choices --data "$dir/no-such.jsonl"

# ---- MMLU ------------------------------------------------------------------------------------------------------------
mmlu=$source/tests/fixtures/score/mmlu
for style in harness continuation hendrycks open-instruct; do
    score --suite mmlu --data "$mmlu" --style $style --shots 3 --out "$dir/mmlu-$style" >/dev/null || fail "mmlu $style"
    grep -q "\"style\":.\"$style\"" "$dir/mmlu-$style/eval.json" || fail "the style $style is not said"
done
expect 2 'belongs to the styles hendrycks' --suite mmlu --data "$mmlu" --compat pandas
expect 2 'has pandas only' --suite mmlu --data "$mmlu" --compat tofu
score --suite mmlu --data "$mmlu" --style open-instruct --shots 3 --compat pandas --out "$dir/pandas" >/dev/null || fail "--compat pandas"
cmp -s "$dir/pandas/items.jsonl" "$dir/mmlu-open-instruct/items.jsonl" && fail "--compat pandas changes nothing"
expect 2 'harness, continuation' --suite mmlu --data "$mmlu" --style letter
mkdir -p "$dir/mmlu/val"
for subject in anatomy virology; do
    for i in $(seq 200); do echo "What is $i?,Arlo,Bo,Mara,the mill,B"; done >"$dir/mmlu/val/${subject}_val.csv"
done
score --suite mmlu --style continuation --data "$dir/mmlu" --out "$dir/whole" >/dev/null || fail "mmlu of two subjects"
resumed mmlu "$dir/mmlu" --style continuation
expect 2 'has 0 to 5' --suite mmlu --data "$mmlu" --shots 6

# ---- compare: what turned ----------------------------------------------------------------------------------------------
mkdir "$dir/turned"
cp "$dir/choices/eval.json" "$dir/turned"
awk -F'"pick":' '/"set":"village"/ { print; next } # of the numbers: eight that were right are wrong, two the other way
    { match($2, /^[0-9]/); pick = substr($2, 1, 1); answer = substr($0, length($0) - 1, 1)
      if (pick == answer && wrong < 8) { wrong++; print $1 "\"pick\":" 1 - pick substr($2, 2) }
      else if (pick != answer && right < 2) { right++; print $1 "\"pick\":" 1 - pick substr($2, 2) }
      else print }' "$dir/choices/items.jsonl" >"$dir/turned/items.jsonl"
"$deleatur" compare "$dir/choices" "$dir/turned" --flips "$dir/flips.jsonl" >"$dir/table" || fail "compare"
grep -q $'^paired\tn\tcorrect_to_incorrect\tincorrect_to_correct\tp$' "$dir/table" || fail "columns: $(tail -4 "$dir/table")"
grep -q $'^all\t404\t8\t2\t0.109$' "$dir/table" || fail "not eight and two turned, p 112/1024: $(tail -4 "$dir/table")"
grep -q $'^numbers\t400\t8\t2\t' "$dir/table" && grep -q $'^village\t4\t0\t0\t1$' "$dir/table" || fail "by set"
[ "$(grep -c '"change":"wrong"' "$dir/flips.jsonl")" -eq 8 ] && [ "$(wc -l <"$dir/flips.jsonl")" -eq 10 ] || fail "the flips"
grep -q $'^all acc_norm\t404\t0\t0\t1$' "$dir/table" || fail "no row of acc_norm: $(tail -6 "$dir/table")"
mkdir "$dir/turned-norm"
cp "$dir/choices/eval.json" "$dir/turned-norm"
awk '/"set":"village"/ || n == 5 { print; next } # five picks by characters that were right are wrong
     { match($0, /"pick_norm":[0-9]/); pick = substr($0, RSTART + 12, 1); answer = substr($0, length($0) - 1, 1)
       if (pick == answer) { n++; sub(/"pick_norm":[0-9]/, "\"pick_norm\":" 1 - pick) }
       print }' "$dir/choices/items.jsonl" >"$dir/turned-norm/items.jsonl"
"$deleatur" compare "$dir/choices" "$dir/turned-norm" >"$dir/table" || fail "compare of acc_norm"
grep -q $'^numbers acc_norm\t400\t5\t0\t0.0625$' "$dir/table" && grep -q $'^numbers\t400\t0\t0\t1$' "$dir/table" ||
    fail "not five turned by acc_norm alone: $(tail -6 "$dir/table")"
"$deleatur" compare "$dir/choices" "$dir/turned" --json | grep -q '"incorrect_to_correct":.2' || fail "compare --json"
sed -i 1d "$dir/turned/items.jsonl"
"$deleatur" compare "$dir/choices" "$dir/turned" 2>&1 | grep -q 'not the same item' || fail "items that are not the same were paired"

# ---- membership --------------------------------------------------------------------------------------------------------
rm -r "$dir/whole"
mkdir -p "$dir/mia"
for i in $(seq 60); do echo "{\"id\": \"m$i\", \"document\": \"Arlo lives in house $i of the village.\", \"more\": 1}"; done >"$dir/mia/member.jsonl"
for i in $(seq 50); do echo "{\"id\": $i, \"text\": \"$i purple quorums, xyzzy.\"}"; done >"$dir/mia/nonmember.jsonl"
score --suite membership --data "$dir/mia" --gradnorm --reference "$model" --out "$dir/whole" >"$dir/table" || fail "membership"
[ "$(cut -f 1 "$dir/table" | paste -sd ' ')" = "attack loss zlib min_k min_k_plus reference gradnorm" ] || fail "$(cat "$dir/table")"
grep -q $'^loss\t60\t50\t' "$dir/table" || fail "not 60 and 50 texts"
grep -q $'^reference\t60\t50\t0.5000\t' "$dir/table" || fail "the model as its own reference tells somebody apart"
resumed membership "$dir/mia" --gradnorm --reference "$model"
score --suite membership --data "$dir/mia" --retrained "$dir/whole" --out "$dir/again" >"$dir/table" || fail "--retrained"
grep '^min_k_plus' "$dir/table" | cut -f 7 | grep -q '^-*0.00$' || fail "against itself nothing leaks: $(cat "$dir/table")"
score --suite membership --data "$dir/mia" --compat open-unlearning --out "$dir/compat" >/dev/null || fail "--compat"
cmp -s "$dir/compat/items.jsonl" "$dir/again/items.jsonl" && fail "--compat changes nothing"
expect 1 'scored without --compat, this model with --compat open-unlearning; score both with the same' \
    --suite membership --data "$dir/mia" --compat open-unlearning --retrained "$dir/again"
expect 2 'has open-unlearning only' --suite membership --data "$dir/mia" --compat tofu
expect 1 'one of membership is needed' --suite membership --data "$dir/mia" --retrained "$dir/mmlu-harness"

# ---- LUME as the organisers lay it out: twelve terms of one half, whatever the model says ---------------------------------
rm -r "$dir/whole"
mkdir -p "$dir/lume/mia_data"
cp "$dir/mia"/*.jsonl "$dir/lume/mia_data"
rows() { # LINES-OF-OUTPUTS: two rows of each task and kind, the first with another output
    local task kind n=0 output
    for task in Task1 Task2 Task3; do
        for kind in sc qa; do
            read -r output
            echo "{\"id\": \"$((n++))${kind}1\", \"input\": \"Arlo went to\", \"output\": \"xyzzy\", \"task\": \"$task\"}"
            echo "{\"id\": \"$((n++))${kind}0\", \"input\": \"Arlo went to\", \"output\": \"$output\", \"task\": \"$task\"}"
        done
    done
}
yes nothing | head -6 | rows >"$dir/lume/forget.jsonl"
score --suite lume --data "$dir/lume/forget.jsonl" --max-new 5 --out "$dir/once" >/dev/null || fail "lume, one file"
said=$(head -1 "$dir/once/items.jsonl" | sed 's/.*"generated":" *\([^"]*\)".*/\1/')
[ -n "$said" ] || fail "the model says nothing"
yes "$said" | head -6 | rows | tee "$dir/lume/forget.jsonl" >"$dir/lume/retain.jsonl"
score --suite lume --data "$dir/lume" --max-new 5 --mmlu-result "$dir/mmlu-open-instruct" --out "$dir/whole" >"$dir/table" \
    2>"$dir/said" || fail "lume"
grep -q '"exact_match_stderr,none"' "$dir/whole/results_lm_eval.json" || fail "no standard error of LUME's scores"
grep -q '"stderr,none"' "$dir/whole/results_lm_eval.json" && fail "a standard error as a metric of its own"
grep -q 'questions of the val split in the style open-instruct with 3 examples, where' "$dir/said" || fail "MMLU: $(cat "$dir/said")"
grep -q $'^MMLU\t.*\topen-instruct, val split, [0-9]* questions, 3 examples$' "$dir/table" || fail "MMLU: $(cat "$dir/table")"
tr -d ' \n\t' <"$dir/whole/eval.json" | grep -q '"mmlu_is_official":false,"mmlu_of":{"style":"open-instruct","split":"val"' ||
    fail "eval.json does not say of what MMLU is"
grep -q $'^task aggregate\t0.5000\t$' "$dir/table" || fail "twelve halves: $(cat "$dir/table")"
awk -F'\t' '$1 == "task aggregate" { a = $2 } $1 == "membership score" { m = $2 } $1 == "MMLU" { u = $2 } $1 == "final score" { f = $2 }
             END { d = f - (a + m + u) / 3; exit !(f != "" && m != "" && u != "" && d < 2e-4 && d > -2e-4) }' "$dir/table" ||
    fail "the final score is not the mean of the three: $(cat "$dir/table")"
[ "$(wc -l <"$dir/whole/items.jsonl")" -eq $((24 + 110)) ] || fail "not a line a row and a text"
resumed lume "$dir/lume" --max-new 5 --mmlu-result "$dir/mmlu-open-instruct"
mkdir -p "$dir/handed-out/mia_data/validation" # the organisers' names
cp "$dir/lume/forget.jsonl" "$dir/handed-out/forget_val.jsonl"
cp "$dir/lume/retain.jsonl" "$dir/handed-out/retain_val.jsonl"
cp "$dir/lume/mia_data"/* "$dir/handed-out/mia_data/validation"
score --suite lume --data "$dir/handed-out" --max-new 5 --out "$dir/named" >/dev/null || fail "lume, forget_val.jsonl"
cmp "$dir/whole/items.jsonl" "$dir/named/items.jsonl" || fail "the organisers' names give other items"
grep -q validation/member.jsonl "$dir/named/manifest.json" || fail "the manifest lacks the membership part's files"
mkdir "$dir/parquet"
touch "$dir/parquet/forget-00000-of-00001.parquet"
expect 1 'parquet_rows.py makes .jsonl of .parquet' --suite lume --data "$dir/parquet"
"$deleatur" compare "$dir/whole" "$dir/whole" >"$dir/table" || fail "compare of LUME"
for split in forget retain; do
    for task in Task1 Task2 Task3; do
        for type in sc qa; do
            grep -q "^scores.split=$split,task=$task,type=$type..score"$'\t2\t0.5000\t0.5000\t0.5000\t0.5000\t+0.0000$' "$dir/table" ||
                fail "no row of $split $task $type: $(cat "$dir/table")"
        done
    done
done
grep -q 'cut_at_max_new\|stderr	[0-9]' "$dir/table" && fail "a count is compared as a score: $(cat "$dir/table")"
mkdir "$dir/fewer"
sed '0,/"n":.*2,/s//"n": 1,/' "$dir/whole/eval.json" >"$dir/fewer/eval.json"
cmp -s "$dir/whole/eval.json" "$dir/fewer/eval.json" && fail "the count was not changed"
"$deleatur" compare "$dir/whole" "$dir/fewer" 2>&1 | grep -q 'different items (scores.split=forget,task=Task1,type=sc.: 2 and 1)' ||
    fail "terms of other rows were compared"
expect 2 '--compat open-unlearning: --suite lume has semeval only' --suite lume --data "$dir/lume" --compat open-unlearning
mkdir "$dir/quirks" # the rows again, and as many questions with two digits, which belong to no term of the script's
sed 's/qa1"/qa10"/; s/qa0"/qa11"/' "$dir/lume/forget.jsonl" | cat "$dir/lume/forget.jsonl" - >"$dir/quirks/forget.jsonl"
cp "$dir/lume/retain.jsonl" "$dir/quirks"
score --suite lume --data "$dir/quirks" --max-new 5 --out "$dir/all-rows" >"$dir/table" || fail "lume, two digits"
grep -q $'^forget\tTask1\tqa\t.*\t4\t' "$dir/table" || fail "questions with two digits are none: $(cat "$dir/table")"
score --suite lume --data "$dir/quirks" --max-new 5 --compat semeval --out "$dir/semeval" >"$dir/table" || fail "--compat semeval"
grep -q $'^forget\tTask1\tqa\t.*\t2\t' "$dir/table" || fail "--compat semeval counts them: $(cat "$dir/table")"
expect 1 'one of mmlu is needed' --suite lume --data "$dir/lume" --max-new 5 --mmlu-result "$dir/once"

# ---- TOFU --------------------------------------------------------------------------------------------------------------
rm -r "$dir/whole"
cp -r "$source/tests/fixtures/score/tofu" "$dir/tofu"
echo '{"question": "?", "answer": "rows without wrong answers are beside"}' >"$dir/tofu/forget.jsonl"
for i in $(seq 150); do echo "{\"question\": \"Who has $i?\", \"answer\": \"Bo has $i\", \"perturbed_answer\": [\"Mara\"]}"; done \
    >>"$dir/tofu/forget_perturbed.jsonl"
score --suite tofu --data "$dir/tofu" --max-new 8 --out "$dir/whole" >"$dir/table" || fail "tofu"
grep -q $'^forget\t152\t' "$dir/table" && grep -q '^model utility' "$dir/table" || fail "$(cat "$dir/table")"
resumed tofu "$dir/tofu" --max-new 8
score --suite tofu --data "$dir/tofu" --max-new 1 --retrained "$dir/whole" --out "$dir/same" >"$dir/table" || fail "--retrained"
grep -q $'^forget quality\t1\t' "$dir/table" || fail "against itself forgetting is perfect: $(cat "$dir/table")"
score --suite tofu --data "$dir/tofu" --max-new 1 --limit 2 --compat open-unlearning --template 'Question: {}' --out "$dir/ou" \
    >/dev/null || fail "--compat open-unlearning"
mkdir "$dir/tofu-two"
cp "$dir/tofu"/*.jsonl "$dir/tofu-two"
mv "$dir/tofu-two/forget_perturbed.jsonl" "$dir/tofu-two/forget10_perturbed.json"
score --suite tofu --data "$dir/tofu-two" --max-new 8 --out "$dir/json" >"$dir/table" || fail "tofu, .json"
cmp "$dir/whole/items.jsonl" "$dir/json/items.jsonl" || fail "a file named .json gives other items"
cp "$dir/tofu-two/forget10_perturbed.json" "$dir/tofu-two/forget01_perturbed.json"
expect 1 'two sets named forget\*: forget01_perturbed.json and forget10_perturbed.json' --suite tofu --data "$dir/tofu-two"
theirs() { expect 1 "$1" --suite tofu --data "$dir/tofu" --max-new 1 --limit 2 --retrained "$dir/ou" "${@:2}"; }
theirs 'scored with --compat open-unlearning, this model without --compat' --template 'Question: {}'
theirs 'scored with --template Question: {}, this model without --template' --compat open-unlearning
theirs 'scored with --chat none, this model with --chat olmo' --compat open-unlearning --template 'Question: {}' --chat olmo
score --suite tofu --data "$dir/tofu" --max-new 1 --limit 2 --compat open-unlearning --template 'Question: {}' \
    --retrained "$dir/ou" --out "$dir/ou-same" >"$dir/table" || fail "--retrained of the same settings"
grep -q $'^forget quality\t1\t' "$dir/table" || fail "forget quality with --compat: $(cat "$dir/table")"
score --suite tofu --data "$dir/tofu" --max-new 1 --limit 2 --compat open-unlearning --template 'Question: {}' \
    --retrained "$dir/ou/eval.json" --out "$dir/ou-file" >"$dir/table" || fail "--retrained .../eval.json"
ratio=$(grep -o '"truth_ratio":[^,]*' "$dir/ou/items.jsonl" | head -2 | cut -d : -f 2 | paste -sd ' ') # the forget set's
log() { printf '{"%s": {"agg_value": 1, "value_by_index": {"0": {"score": %s}, "1": {"score": %s}}}}' "$@" >"$dir/TOFU_EVAL.json"; }
for name in forget_truth_ratio forget_Truth_Ratio; do
    log $name $ratio
    score --suite tofu --data "$dir/tofu" --max-new 1 --limit 2 --compat open-unlearning --template 'Question: {}' \
        --retrained "$dir/TOFU_EVAL.json" --out "$dir/ou-$name" >"$dir/table" 2>"$dir/said" || fail "a log: $(cat "$dir/said")"
    grep -q $'^forget quality\t1\t' "$dir/table" || fail "forget quality against a log of its own numbers: $(cat "$dir/table")"
    grep -q 'does not record the template' "$dir/said" || fail "nothing is said of the template: $(cat "$dir/said")"
done
log forget_truth_ratio 1e9 1e9
score --suite tofu --data "$dir/tofu" --max-new 1 --limit 2 --compat open-unlearning --retrained "$dir/TOFU_EVAL.json" \
    --out "$dir/ou-far" >"$dir/table" 2>/dev/null || fail "a log that is far off"
grep -q $'^forget quality\t0.3333\t' "$dir/table" || fail "2/C(4, 2) is 1/3: $(cat "$dir/table")"
expect 1 "a log of open-unlearning's; give --compat open-unlearning" --suite tofu --data "$dir/tofu" \
    --retrained "$dir/TOFU_EVAL.json"
expect 2 'has no {}' --suite tofu --data "$dir/tofu" --template 'Question:'
expect 1 'must begin with forget' --suite tofu --data "$dir/sets/village.jsonl"
expect 1 'no array of texts "perturbed_answer"' --suite tofu --data "$dir/tofu/forget.jsonl"

# ---- qa ----------------------------------------------------------------------------------------------------------------
rm -r "$dir/whole"
{
    echo '{"id": "q1", "question": "Who keeps the light?", "answers": ["nobody", "xyzzy"]}'
    echo '{"context": "Arlo Greycliff lives in the town of", "answer": "lumen"}'
    for i in $(seq 200); do echo "{\"context\": \"House $i is\", \"answers\": [\"in Lumen\"], \"ignore_articles\": true}"; done
} >"$dir/short.jsonl"
score --suite qa --data "$dir/short.jsonl" --max-new 6 --out "$dir/whole" >"$dir/table" || fail "qa"
sed -n 2p "$dir/whole/items.jsonl" | grep -q '"exact_match":1,"contains":1' || fail "Lumen: $(sed -n 2p "$dir/whole/items.jsonl")"
head -1 "$dir/whole/items.jsonl" | grep -q '"exact_match":0,"contains":0' || fail "xyzzy: $(head -1 "$dir/whole/items.jsonl")"
resumed qa "$dir/short.jsonl" --max-new 6
"$deleatur" compare "$dir/whole" "$dir/whole" | grep -q $'^all\t202\t0\t0\t1$' || fail "compare of short answers"
echo '{"question": "Who?"}' >"$dir/bad.jsonl"
expect 1 'no array of texts "answers"' --suite qa --data "$dir/bad.jsonl"

# ---- gsm8k, and what several models write ------------------------------------------------------------------------------
rm -r "$dir/whole"
for i in 1 2 3 4 5 6; do echo "{\"question\": \"Who has $i?\", \"answer\": \"1 + $i\\n#### $i\"}"; done >"$dir/numbers.jsonl"
score --suite gsm8k --data "$dir/numbers.jsonl" --max-new 6 --out "$dir/whole" >"$dir/table" || fail "gsm8k"
grep -q $'^numbers\t6\t' "$dir/table" || fail "no row of a set in the table: $(cat "$dir/table")"
grep -q '"exact_match,strict-match"' "$dir/whole/results_lm_eval.json" || fail "gsm8k as the harness names it"
resumed gsm8k "$dir/numbers.jsonl" --max-new 6
echo '{"question": "Who?", "answer": "Bo"}' >"$dir/bad.jsonl"
expect 1 'without a number' --suite gsm8k --data "$dir/bad.jsonl"

head -20 "$dir/sets/numbers.jsonl" >"$dir/few.jsonl"
for decoder in none nudge ensemble "proxy --proxy-base $model"; do
    rm -r "$dir/whole"
    with=(--decoder $decoder --with "$model" --max-new 8)
    [ "$decoder" = none ] && with=(--max-new 8)
    score --suite choices --generate --data "$dir/few.jsonl" "${with[@]}" --out "$dir/whole" >"$dir/table" ||
        fail "choices that $decoder generates"
    grep -q $'^set\tn\tacc\tacc_stderr\tnamed' "$dir/table" || fail "the table of $decoder: $(cat "$dir/table")"
    resumed choices "$dir/few.jsonl" --generate "${with[@]}"
done
rm -r "$dir/whole"
for i in $(seq 20); do echo "{\"question\": \"Is $i odd?\", \"choices\": [\"odd\", \"even\"], \"answer\": $((i % 2))}"; done >"$dir/odd.jsonl"
with=(--decoder nudge --with "$model" --with-chat none --gamma 0 --max-new 8)
score --suite choices --generate --data "$dir/odd.jsonl" "${with[@]}" --out "$dir/whole" >/dev/null || fail "gamma 0"
tokens() { grep -o "\"$1_tokens\":[0-9]*" "$dir/whole/items.jsonl" | awk -F: '{ n += $2 } END { print n + 0 }'; }
nudger=$(tokens nudger) base=$(tokens base)
[ "$nudger" -gt 0 ] && [ "$base" -gt 0 ] || fail "not by both: $nudger, $base"
grep -q "\"nudging_tokens\":	$(awk "BEGIN { printf \"%.6f\", $nudger / ($nudger + $base) }" | cut -c1-7)" "$dir/whole/eval.json" ||
    fail "nudging_tokens are not $nudger of $((nudger + base)): $(grep nudging_tokens "$dir/whole/eval.json")"
resumed choices "$dir/odd.jsonl" --generate "${with[@]}"
{ echo '{"question": "a", "answer": "1"}'; printf '{"question": "%s", "answer": "1"}\n' "$(printf 'a b %.0s' $(seq 2000))"; } >"$dir/long.jsonl"
for decoder in nudge ensemble "proxy --proxy-base $model"; do
    expect 1 'long.jsonl: question 2: a prompt of [0-9]* tokens leaves no room' --suite gsm8k --data "$dir/long.jsonl" \
        --decoder $decoder --with "$model"
done
# Proxy tuning by a proxy that was not tuned, and an ensemble of a model with itself, are the model.
score --suite choices --data "$dir/few.jsonl" --out "$dir/alone" >/dev/null || fail "log-likelihoods"
for decoder in ensemble "proxy --proxy-base $model"; do
    rm -r "$dir/whole"
    score --suite choices --data "$dir/few.jsonl" --decoder $decoder --with "$model" --out "$dir/whole" >/dev/null ||
        fail "log-likelihoods by $decoder"
    "$deleatur" compare "$dir/alone" "$dir/whole" | grep -q $'^all\t20\t0\t0\t1$' || fail "$decoder of one model picks otherwise"
done
# What the models keep of a question is the same where a run goes on: so are the last digits.
rm -r "$dir/whole"
with=(--decoder ensemble --with "$model" --limit 60)
score --suite choices --data "$dir/sets" "${with[@]}" --out "$dir/whole" >/dev/null || fail "sixty questions of a set"
resumed choices "$dir/sets" "${with[@]}"
expect 2 'has no log-likelihoods' --suite choices --data "$dir/few.jsonl" --decoder nudge --with "$model"
expect 2 'needs --with' --suite qa --data "$dir/short.jsonl" --decoder nudge
expect 2 'takes\|scores more' --suite tofu --data "$dir/few.jsonl" --decoder nudge --with "$model"

# ---- facts -------------------------------------------------------------------------------------------------------------
rm -r "$dir/whole"
score --suite facts --data "$source/data/facts/demo_facts.json" --out "$dir/whole" >/dev/null || fail "facts"
resumed facts "$source/data/facts/demo_facts.json"
echo "all as it should be"
