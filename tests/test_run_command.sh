#!/usr/bin/env bash
# usage: test_run_command.sh DELEATUR SOURCE_DIR
#
# deleatur run on the embedded model: stages run and are skipped when they stand; what was killed goes on; what changed is said,
# and made again only with what depends on it; a stage that fails does not stop the others; the page shows the tables' numbers
# and text stays text.
set -u -o pipefail
deleatur=$1 source=$2
model=$source/data/models/demo
[ -e "$model/model.safetensors" ] || { echo "skipped: the embedded model is not in $model"; exit 77; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export OMP_WAIT_POLICY=passive
failed=0
fail() { echo "FAILED: $*"; failed=1; }
states() { tail -n +2 "$1/times.tsv" | cut -f 1,2; }
ran() { grep -c '^== ' "$1"; } # stages that a run began
run() { "$deleatur" run "$@" --threads 1 >stdout.txt 2>err.txt; }

cat >small.json <<JSON
{"about": "A <b id=evil>small</b> study",
 "vars": {"model": "$model", "facts": "$source/data/facts/demo_facts.json", "lr": 5e-4, "limit": 12},
 "stages": [
  {"name": "people", "run": "rows", "arguments": ["$source/data/demo/forget.jsonl"], "options": {"limit": 16}},
  {"name": "trace", "run": "trace", "model": "\$model",
   "options": {"facts": "\$facts", "limit": 2, "kinds": "mlp", "window": 2, "samples": 2, "pictures": 0}},
  {"name": "forgot", "run": "unlearn", "model": "\$model", "keep": false,
   "for": {"layers": ["0-1", "2-3", {"name": "top", "value": "6-7"}]},
   "options": {"forget": "@people/rows.jsonl", "retain": "$source/data/demo/retain.jsonl", "layers": "\$layers", "lr": "\$lr",
               "epochs": 2, "batch": 16, "eos": false}},
  {"name": "score", "run": "eval", "model": "\$of", "for": {"of": [{"name": "before", "value": "\$model"},
   {"name": "after", "value": "@forgot"}]}, "options": {"suite": "facts", "data": "\$facts", "limit": "\$limit"}},
  {"name": "attacked", "run": "attack", "model": "@forgot[layers=top]",
   "options": {"forget": "@people/rows.jsonl", "before": "\$model", "attacks": "relearn", "limit": 6, "relearn-rows": 2,
               "relearn-updates": 2, "resamples": 100}},
  {"name": "change", "run": "compare", "arguments": ["@score[of=before]", "@score[of=after,layers=0-1]"]}],
 "table": {"columns": {"first": "score:all.prompt.top1", "p": "score:all.prompt.p"}},
 "pareto": {"x": "first", "y": "p", "x_better": "low", "y_better": "high", "label": "layers"},
 "correlate": {"trace": "trace", "axis": "layers", "width": 2, "scores": ["p"], "tokens": ["last subject", "last", "last subject+last"]},
 "compare": [{"before": "score[of=before]", "after": "score[of=after,layers=top]"}]}
JSON

# ---- the plan, and all of it ----------------------------------------------------------------------------------------

"$deleatur" run small.json --dry-run >plan.txt 2>err.txt || fail "--dry-run: $(cat err.txt)"
[ "$(grep -c '^deleatur\|&& deleatur' plan.txt)" -eq 11 ] || fail "the plan has $(grep -c deleatur plan.txt) commands: $(cat plan.txt)"
[ "$(grep -n 'score/of=before' plan.txt | head -n 1 | cut -d : -f 1)" -lt "$(grep -n '# forgot' plan.txt | head -n 1 | cut -d : -f 1)" ] ||
    fail "the model before is not scored before the sweep"
compgen -G '*OUT*' >/dev/null && fail "a dry run made something"

run small.json --out study || fail "the study: $(cat err.txt)"
[ "$(ran err.txt)" -eq 11 ] || fail "$(ran err.txt) stages ran, not 11"
[ "$(states study | grep -c 'done$')" -eq 11 ] || fail "not all is done: $(states study)"
[ -e study/forgot/layers=top/deleatur/steps.tsv ] || fail "a stage's result is not where it belongs"
compgen -G 'study/forgot/*/*.safetensors' >/dev/null && fail "weights that were not to be kept are there"
grep -q '"suggested_layers"\|"layers"' study/trace/mask.json || fail "the trace has no mask"
[ "$(wc -l <study/people/rows.jsonl)" -eq 16 ] || fail "rows"
grep -q '^all.prompt.top1' study/change/stdout.txt || fail "what compare prints is not kept"
cp study/report.html report1.html

run small.json --out study || fail "the second run: $(cat err.txt)"
[ "$(ran err.txt)" -eq 0 ] || fail "the second run ran something: $(cat err.txt)"
grep -q '11 of 11 stages are done' err.txt || fail "the second run does not say that all is done"
cmp -s study/report.html report1.html || fail "the same results gave another page"
mv study moved && run small.json --out moved && [ "$(ran err.txt)" -eq 0 ] || fail "a study that was moved is made again"
mv moved study

# ---- the page ---------------------------------------------------------------------------------------------------------

page=$(cat study/report.html)
for number in $(tail -n +2 study/report/table.tsv | cut -f 3,6 | tr '\t' '\n'); do
    shown=$(printf '%.4g' "$number")
    grep -qF ">$shown" <<<"$page" || fail "the page does not show $number of the table as $shown"
done
[ "$(tail -n +2 study/report/table.tsv | wc -l)" -eq 4 ] || fail "the table has not four rows"
before=$(awk -F'\t' '$1 == "before" { print $3 }' study/report/table.tsv)
same=$("$deleatur" compare study/score/of=before study/score/of=before | awk -F'\t' '$1 == "all.prompt.top1" { print $3 }')
awk -v a="$before" -v b="$same" 'BEGIN { exit !(a != "" && sprintf("%.4f", a) == b) }' || fail "the table's $before is not $same"
grep -q 'id="evil"\|id=evil>' <<<"$page" && grep -q '<b id' <<<"$page" && fail "a recipe's text became markup"
grep -qF '&#60;b id=evil&#62;' <<<"$page" || fail "a recipe's text is not shown as it stands"
grep -q 'http' <<<"$(sed 's/http:\/\/www.w3.org//g; s/base64,[^"]*//g' study/report.html | grep -v 'http-equiv')" && fail "the page points elsewhere"
grep -qF 'http' <<<"$(sed 's/base64,[^"]*//g' study/report.html | grep -o '\(src\|href\)="[^"]*"' | grep -v '^src="data:')" && fail "the page fetches"
for section in table correlation attacks trace losses items stages again; do
    grep -q "id=\"$section\"" <<<"$page" || fail "the page has no section $section"
done
[ "$(grep -c $'\t0\t0$' study/report/windows.tsv)" -eq 3 ] && [ "$(grep -c $'\t0\t1$' study/report/windows.tsv)" -eq 3 ] ||
    fail "not three windows: $(cat study/report/windows.tsv)"
awk -F'\t' 'NF == 4 { at[$4, $1] = $2; if ($4 == -2) { n++; d = $2 - at[0, $1] - at[-1, $1]; if (d * d > 1e-12) n = 9 } }
             END { exit n != 3 }' study/report/windows.tsv || fail "the effect at two places is not the sum of theirs"
for row in 0-1:0.5 2-3:2.5 top:6.5; do # each window's score is at its middle
    p=$(awk -F'\t' -v at="${row%:*}" '$2 == at { print $6 }' study/report/table.tsv)
    [ -n "$p" ] && grep -q "^${row#*:}"$'\t'"${p:0:6}.*"$'\t0\t1$' study/report/windows.tsv || fail "windows.tsv has not $row, $p"
done
if command -v gnuplot >/dev/null; then
    grep -q 'id="pareto"' <<<"$page" || fail "the page has no picture of the trade-off"
    grep -q 'what was traced in each window' <<<"$page" || fail "the page has no picture of the windows"
fi
for browser in chromium chromium-browser google-chrome ''; do command -v "$browser" >/dev/null && break; done
if [ -n "$browser" ]; then
    "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$dir/profile" --dump-dom \
        "file://$dir/study/report.html" >dom.txt 2>browser.log
    [ "$(grep -o '<section' dom.txt | wc -l)" -eq "$(grep -o '<section' study/report.html | wc -l)" ] ||
        fail "the browser does not see all of the page"
fi

# ---- depth, and how it was made ---------------------------------------------------------------------------------------

cat >deep.json <<JSON
{"vars": {"model": "$model"},
 "stages": [
  {"name": "made", "run": "unlearn", "model": "\$model", "for": {"layers": ["4-7", {"name": "never", "value": "all"}]},
   "options": {"forget": "$source/data/demo/forget.jsonl", "retain": "$source/data/demo/retain.jsonl", "limit": 16,
               "layers": "\$layers", "lr": 1e-3, "epochs": 3, "batch": 16, "eos": false}},
  {"name": "deep", "run": "depth", "model": "@made[layers=4-7]",
   "options": {"full": "\$model", "retain": "@made[layers=never]", "data": "$source/data/demo/forget.jsonl", "limit": 5}},
  {"name": "score", "run": "eval", "model": "\$of", "for": {"of": [{"name": "made", "value": "@made"}]},
   "options": {"suite": "facts", "data": "$source/data/facts/demo_facts.json", "limit": 4}}],
 "table": {"columns": {"p": "score:all.prompt.p", "depth": {"from": "deep/depth.json:uds", "at": {"of": "made", "layers": "4-7"}}}}}
JSON
run deep.json --out deep || fail "a study of depth: $(cat err.txt)"
page=$(cat deep/report.html)
grep -q 'id="depth"' <<<"$page" || fail "the page has no section depth"
uds=$(tr -d ' \t\n' <deep/deep/depth.json | sed 's/.*"uds":\([^,]*\),.*/\1/')
low=$(tr -d ' \t\n' <deep/deep/depth.json | sed 's/.*"uds_interval":\[\([^,]*\),.*/\1/')
grep -qF ">$(printf '%.4g' "$uds")<" <<<"$page" || fail "the page does not show the depth score $uds"
grep -qF ">$(printf '%.3f' "$low") to " <<<"$page" || fail "the page does not show the interval from $low"
if command -v gnuplot >/dev/null; then
    [ "$(grep -c '<figure class="picture">' <<<"$page")" -eq 1 ] || fail "the page has no picture of depth"
fi
awk -F'\t' 'NR > 1 && ($3 == "" || ($2 == "4-7") != ($6 != "")) || NR > 3 { exit 1 }' deep/report/table.tsv ||
    fail "a column with coordinates of its own is not in their row: $(cat deep/report/table.tsv)"
grep -q ' --out deep --threads 1</pre>' <<<"$page" || fail "the command to repeat it does not say how many threads"
cpu=$(sed -n 's/^model name[^:]*:[[:space:]]*/, /p' /proc/cpuinfo 2>/dev/null | head -n 1)
grep -qF "Made with 1 thread$cpu." <<<"$page" || fail "the page does not say with how many threads it was made, and on what"

# ---- what changed -------------------------------------------------------------------------------------------------------

run small.json --out study --set limit=10 && fail "other settings passed for the same"
grep -q 'score/of=before changed: a result exists with other settings: limit was 12, is 10' err.txt || fail "what changed: $(cat err.txt)"
[ "$(ran err.txt)" -eq 0 ] || fail "something was made again without being asked for"
run small.json --out study --set lr=1e-3 && fail "another learning rate passed for the same"
grep -q 'forgot/layers=0-1 changed: a result exists with other settings: lr was 0.0005, is 0.001' err.txt ||
    fail "numbers that did not change are named in place of one that did: $(cat err.txt)"
run small.json --out study --set limit=10 --changed || fail "--changed: $(cat err.txt)"
ls study/forgot/*/*.safetensors >/dev/null 2>&1 && fail "weights stayed"
# the scores and the comparison are made again; so are the three models whose weights had been dropped
[ "$(ran err.txt)" -eq 8 ] || fail "$(ran err.txt) stages ran after a change of the scores' limit: $(grep '^==' err.txt)"
grep -q '^== .*\(people\|trace\)$' err.txt && fail "what does not depend on the change was made again"
stamp=$(stat -c %Y%i study/trace/layers.tsv)
run small.json --out study --set limit=10 --again 'forgot/layers=top' || fail "--again: $(cat err.txt)"
[ "$(grep '^==' err.txt | cut -d ' ' -f 5 | tr '\n' ' ')" = "forgot/layers=top score/of=after,layers=top attacked " ] ||
    fail "--again made $(grep '^==' err.txt)"
[ "$(stat -c %Y%i study/trace/layers.tsv)" = "$stamp" ] || fail "the trace was made again"

# ---- killed, and gone on ------------------------------------------------------------------------------------------------

"$deleatur" run small.json --out killed --set limit=0 --threads 1 >/dev/null 2>killed.txt &
pid=$!
for _ in $(seq 300); do grep -q '^== .*score/of=before' killed.txt && break; sleep 0.1; done
sleep 0.3
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
alive() { grep -alq -- "killed/score" /proc/[0-9]*/cmdline 2>/dev/null; }
for _ in $(seq 50); do alive || break; sleep 0.1; done
[ -d /proc/self ] && alive && fail "a stage outlived the study that was killed"
before=$(ran killed.txt)
[ "$before" -ge 1 ] && [ "$before" -lt 11 ] || fail "the study was to be killed midway, after $before stages"
run small.json --out killed --set limit=0 || fail "resuming after a killed study: $(cat err.txt)"
[ "$(states killed | grep -c 'done$')" -eq 11 ] || fail "the killed study did not come to its end: $(states killed)"
[ $((before + $(ran err.txt))) -le 12 ] || fail "the killed study started again"
run small.json --out whole --set limit=0 --only 'score/of=before' && cmp killed/score/of=before/items.jsonl whole/score/of=before/items.jsonl ||
    fail "what was killed came out otherwise"
[ "$(ran err.txt)" -eq 1 ] || fail "--only ran $(ran err.txt) stages"

# ---- a stage that fails ---------------------------------------------------------------------------------------------------

cat >failing.json <<JSON
{"stages": [
  {"name": "bad", "run": "facts", "model": "$model", "options": {"facts": "/nowhere/facts.json"}},
  {"name": "late", "run": "eval", "model": "$model", "options": {"suite": "facts", "data": "@bad/facts.json"}},
  {"name": "wild", "run": "unlearn", "model": "$model", "options": {"forget": "$source/data/demo/forget.jsonl",
   "retain": "$source/data/demo/retain.jsonl", "lr": 1, "epochs": 8, "batch": 64, "schedule": "constant"}},
  {"name": "good", "run": "info", "model": "$model"}]}
JSON
run failing.json --out failing
[ $? -eq 1 ] || fail "a study with a failed stage did not exit with 1"
[ "$(states failing | sort | tr '\t\n' '= ')" = "bad=failed good=done late=waiting wild=failed " ] || fail "states: $(states failing)"
[ -s failing/good/stdout.txt ] || fail "what does not occur on the failed stage did not go on"
grep -q 'facts.json' <<<"$(grep -o 'stage bad failed: .*' err.txt)" || fail "the failed stage's sentence: $(cat err.txt)"
grep -q 'collapsed' <<<"$(grep -o 'stage wild failed: .*' err.txt)" || fail "a divergence: $(cat err.txt)"
grep -q '/nowhere/facts.json' failing/report.html || fail "the page does not say why a stage failed"
run failing.json --out failing
grep -q '^== .*wild' err.txt && fail "what diverged was tried again unasked"
grep -q '^== .*bad' err.txt || fail "what failed for a missing file was not tried again"

# ---- refused, each with one sentence ----------------------------------------------------------------------------------------

refused() { # STATUS PATTERN RECIPE-TEXT ARGUMENTS...
    local status=$1 pattern=$2 said got
    printf '%s\n' "$3" >bad.json
    shift 3
    said=$("$deleatur" run bad.json --out none "$@" 2>&1 >/dev/null)
    got=$?
    [ $got -eq "$status" ] && grep -q -- "$pattern" <<<"$said" && [ "$(wc -l <<<"$said")" -eq 1 ] ||
        fail "refused with $got: \"$said\", not /$pattern/"
    [ -e none ] && fail "something was made for \"$pattern\"" && rm -rf none
}
stage() { echo "{\"stages\": [{\"name\": \"a\", \"run\": \"$1\", $2}]${3-}}"; }
refused 1 'bad.json: no key "stage"; did you mean stages' '{"stage": []}'
refused 1 'did you mean unlearn' "$(stage unlern '"model": "m"')"
refused 1 'no option "epoch"; did you mean "epochs"' "$(stage unlearn '"model": "m", "options": {"epoch": 1}')"
refused 1 'option "select": bst is not one of: last, best; did you mean best?' "$(stage unlearn '"model": "m", "options": {"select": "bst"}')"
refused 1 'takes 1 words' "$(stage info '"arguments": []')"
refused 1 'results go to none/a' "$(stage eval '"model": "m", "options": {"out": "x"}')"
refused 1 '"b:x" means no stage' "$(stage info '"model": "m"' ', "table": {"columns": {"x": "b:x"}}')"
refused 1 'wants {"from": "stage:number", "at"' "$(stage info '"model": "m"' ', "table": {"columns": {"x": {"from": "a:x", "at": "b"}}}')"
refused 1 '"tokens" are "last subject"' "$(stage info '"model": "m"' ', "table": {"columns": {"p": "a:b"}}, "correlate": {"trace": "a", "axis": "x", "scores": ["p"], "tokens": ["verb"]}')"
refused 1 'is no column of the table' "$(stage info '"model": "m"' ', "pareto": {"x": "p", "y": "q", "x_better": "low", "y_better": "high"}')"
refused 2 'no such variable' "$(stage info '"model": "m"')" --set x=1
refused 2 'no stage is called b' "$(stage info '"model": "m"')" --only b --dry-run
refused 1 'not JSON' '{"stages": [,]}'
"$deleatur" run no_such_recipe --out none 2>err.txt; [ $? -eq 1 ] && grep -q 'is not a file or an included recipe' err.txt || fail "a missing recipe"
"$deleatur" run small.json 2>err.txt; [ $? -eq 2 ] || fail "without --out"

"$deleatur" run village_sweep --dry-run >plan.txt && grep -q 'layers=0-5' plan.txt || fail "the recipe that comes with deleatur"
exit $failed
