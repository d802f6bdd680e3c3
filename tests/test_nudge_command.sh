#!/usr/bin/env bash
# label: short
# usage: test_nudge_command.sh DELEATUR SOURCE_DIR
# Two models write one answer: the same one by both ways of verification, its spans are all of it, a run that was broken off
# ends with the same bytes, the page has no text from outside as it came, wrong command lines are refused.
set -u
deleatur=$(realpath "$1") model=$(realpath "$2")/data/models/demo
[ -e "$model/model.safetensors" ] || { echo "skipped: the embedded model is not in $model"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export OMP_NUM_THREADS=1
mkdir endless && cp "$model"/* endless && model=$dir/endless # a model that seldom ends its text
sed -i 's/"eos_token_id":.*/"eos_token_id": 1292,/' endless/config.json
fail() { echo "FAILED: $*"; exit 1; }
nudge() { "$deleatur" nudge "$model" --with "$model" --chat none --quiet "$@"; }
refused() { # STATUS PATTERN ARGUMENT...
    local status=$1 pattern=$2 said
    shift 2
    said=$("$deleatur" nudge "$@" --out never 2>&1)
    [ $? -eq "$status" ] && grep -q -e "$pattern" <<<"$said" || fail "$* said: $said"
    [ ! -e never ] && [ ! -e never.part ] || fail "$* left something behind"
}

# ---- an answer -----------------------------------------------------------------------------------------------------------
ask=(--system '' --prefix '' --prompt 'Arlo Greycliff lives in' --max-new 24 --gamma 0.2)
text=$(nudge "${ask[@]}") || fail "no answer"
[ -n "$text" ] || fail "an empty answer"
[ "$(nudge "${ask[@]}" --verify plain)" = "$text" ] || fail "another answer by the plain way"
nudge "${ask[@]}" --json >one.json || fail "no JSON"
grep -qF "\"generated\":	\"$text\"" one.json || fail "another answer as JSON: $(cat one.json)"
nudge "${ask[@]}" --csv >spans.csv || fail "no table of spans"
[ "$(head -1 spans.csv | tr -d '\r')" = index,round,by,tokens,text ] || fail "the head of spans: $(head -1 spans.csv)"
grep -q ',base,' spans.csv && grep -q ',nudger,' spans.csv || fail "not by both: $(cat spans.csv)"
if command -v script >/dev/null; then
    shown=$(NO_COLOR='' script -qec "'$deleatur' nudge '$model' --with '$model' --chat none --quiet --system '' --prefix '' \
        --prompt 'Arlo Greycliff lives in' --max-new 24 --gamma 0.2" /dev/null </dev/null)
    grep -q $'\x1b\[1;33m' <<<"$shown" || fail "no colour on a terminal: $(cat -v <<<"$shown")"
    [ "$(sed 's/\x1b\[[0-9;]*m//g' <<<"$shown" | tr -d '\r')" = "$text" ] || fail "another text on a terminal: $shown"
fi
grep -q $'\x1b' <<<"$text" && fail "colours in a pipe"

# ---- by ids, and sampled -------------------------------------------------------------------------------------------------
ids=$(nudge "${ask[@]}" --tokens) || fail "by ids"
[ "$ids" = "$(nudge "${ask[@]}" --tokens --verify plain)" ] || fail "by ids, another answer by the plain way"
hot=(--temperature 1.5 --nudger-temperature 1.5 --top-p 1)
first=$(nudge "${ask[@]}" "${hot[@]}" --seed 4)
[ "$first" = "$(nudge "${ask[@]}" "${hot[@]}" --seed 4 --verify plain)" ] || fail "one seed, two texts"
[ "$first" != "$(nudge "${ask[@]}" "${hot[@]}" --seed 5)" ] || fail "two seeds, one text"

# ---- a file of questions -------------------------------------------------------------------------------------------------
for i in $(seq 30); do echo "{\"id\": $i, \"question\": \"Where does neighbour $i live?\", \"context\": \"In Lumen. \"}"; done >questions.jsonl
printf '%s\n' '{"input": "<script>alert(1)</script> & \"co\" \u001b[31m"}' >>questions.jsonl
many=(--data questions.jsonl --max-new 16 --gamma 0.2 --system 'Say where.')
nudge "${many[@]}" --out whole >table || fail "no answers"
[ "$(wc -l <whole/items.jsonl)" -eq 31 ] || fail "not a line an answer"
for name in nudge.json page.html manifest.json; do [ -s "whole/$name" ] || fail "no $name"; done
grep -q $'^31\t' table || fail "the table of sums: $(cat table)"
grep -q '<script' whole/page.html && fail "a script on the page"
grep -q '&#60;script&#62;alert(1)&#60;/script&#62; &#38; &#34;co&#34; .\[31m' whole/page.html || fail "the question is not on the page"
LC_ALL=C grep -q $'\x1b' whole/page.html whole/items.jsonl && fail "ESC in a result"
[ "$(grep -o 'class="[a-z]* p[0-9]" title="base.s top-1' whole/page.html | wc -l)" -eq "$(grep -o '"p":[0-9]' whole/items.jsonl | wc -l)" ] ||
    fail "tokens without the base's probability on the page"
nudge "${many[@]}" --verify plain --out plain >/dev/null || fail "no answers by the plain way"
answers() { sed -E 's/"(nudger|base)_(passes|rows)":[0-9]+,//g; s/"p":[0-9.e-]+//g' "$1/items.jsonl"; }
[ "$(answers whole)" = "$(answers plain)" ] || fail "other answers by the plain way"

"$deleatur" nudge "$model" --with "$model" --chat none --quiet "${many[@]}" --out broken >/dev/null 2>&1 &
pid=$!
while kill -0 $pid 2>/dev/null; do # until there are two lines, of which the cut leaves one
    [ "$(grep -c '' broken.part/items.jsonl 2>/dev/null)" -ge 2 ] 2>/dev/null && break
    sleep 0.005
done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
if [ -e broken ]; then
    echo "(finished before it was killed)"
else
    head -c -7 broken.part/items.jsonl >cut && cp cut broken.part/items.jsonl
    said=$(nudge "${many[@]}" --gamma 0.5 --out broken 2>&1) && fail "another command took over"
    grep -q unfinished <<<"$said" || fail "an unfinished result: $said"
    nudge "${many[@]}" --out broken >/dev/null || fail "going on"
    for name in items.jsonl page.html nudge.json; do
        cmp whole/$name broken/$name || fail "$name: other bytes after going on"
    done
fi

# ---- refusals ------------------------------------------------------------------------------------------------------------
refused 2 'needs --with' "$model" --prompt a
refused 2 'one of --prompt TEXT and --data' "$model" --with "$model"
refused 2 'one of --prompt TEXT and --data' "$model" --with "$model" --prompt a --data questions.jsonl
refused 2 'gamma must be' "$model" --with "$model" --chat none --prompt a --gamma -0.5
refused 2 'window must be' "$model" --with "$model" --chat none --prompt a --window 0
refused 2 'top_p must be' "$model" --with "$model" --chat none --prompt a --top-p 0
refused 2 'did you mean plain' "$model" --with "$model" --chat none --prompt a --verify plan
refused 1 'no chat template; name a layout' "$model" --with "$model" --prompt a
refused 1 'leaves no room' "$model" --with "$model" --chat none --prompt "$(printf 'a b %.0s' $(seq 2000))"
{ echo '{"question": "a"}'; printf '{"question": "%s"}\n' "$(printf 'a b %.0s' $(seq 2000))"; } >long.jsonl
refused 1 'long.jsonl: question 2: a prompt of [0-9]* tokens leaves no room' "$model" --with "$model" --chat none --data long.jsonl
echo '{"query": "a"}' >bad.jsonl
refused 1 'bad.jsonl:1: there is no text "question"' "$model" --with "$model" --chat none --data bad.jsonl
nudge --data questions.jsonl >said 2>&1 && fail "--data without --out"
grep -q 'needs --out' said || fail "--data without --out said: $(cat said)"
echo "ok"
