#!/usr/bin/env bash
# usage: test_output_command.sh DELEATUR SOURCE_DIR
# What commands print of texts from outside, and what they accept of their own files: nothing is sent to a terminal, no text
# makes a row or a column, a resumed line is its item's, a trace's charts are its model's.
set -u
deleatur=$1 source=$2
model=$source/data/models/demo
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fail() { echo "FAILED: $*" >&2; exit 1; }
refused() { # PATTERN COMMAND...: exit 1 and one sentence that has the pattern
    local pattern=$1; shift
    "$@" >said 2>&1
    local status=$?
    [ $status = 1 ] || fail "exit $status, not 1: $* ($(cat said))"
    grep -q -e "$pattern" said || fail "says \"$(cat said)\", not \"$pattern\""
}
clean() { # FILE: no control but the line feed and the tab, no C1, no bidirectional control
    LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xd8\x9c' "$1" &&
        fail "controls in $1: $(cat -v "$1")"
    return 0
}

# ---- the terminal ------------------------------------------------------------------------------------------------------
esc=$'\x1b]0;PWN\x07\xc2\x9b31m\xe2\x80\xae'
printf '[{"known_id":1,"subject":"Gorm %s","attribute":"Tovik\\u001b[31m","prompt":"Gorm %s lives in","relation_id":"R\\u001b[5m"}]' \
    '\u001b]0;PWN\u0007\u009b\u202e' '\u001b]0;PWN\u0007\u009b\u202e' >esc.json
"$deleatur" trace "$model" --facts esc.json --answer attribute --samples 2 --kinds hidden --no-pictures --out t >said 2>&1 ||
    "$deleatur" trace "$model" --facts esc.json --answer attribute --samples 2 --kinds hidden --out t >said 2>&1
[ -s said ] || fail "trace says nothing"
clean said
grep -q '\\x1b\]0;PWN\\x07\\u009b' said || fail "the prompt is not shown: $(cat -v said)"
"$deleatur" trace "$model" --facts esc.json --answer attribute --samples 2 --kinds hidden --out "t$esc" >said 2>&1 ||
    fail "trace into a path with controls"
grep -q '^page: t.x1b\]0;PWN' said || fail "the page is not named: $(cat -v said)"
clean said
refused 'x1b' "$deleatur" info "no$esc"
clean said
refused 'u202e' "$deleatur" info "no$esc"
"$deleatur" "no$esc" >said 2>&1 && fail "no such command"
clean said
"$deleatur" generate "$model" --prompt "a$esc" --max-new 1 >piped || fail "generate"
LC_ALL=C grep -q $'\x1b' piped || fail "to a pipe the text goes as it is"
if command -v script >/dev/null; then
    script -qec "'$deleatur' generate '$model' --prompt \$'a\\x1b]0;PWN\\x07' --max-new 1" /dev/null </dev/null >typed 2>&1
    LC_ALL=C grep -q $'\x1b]0' typed && fail "generate sends ESC to a terminal"
    grep -q 'x1b' typed || fail "generate shows nothing: $(cat -v typed)"
fi

# ---- tables ------------------------------------------------------------------------------------------------------------
mkdir sets
name=$'=cmd\tb,"c"'
for n in "$name" plain; do
    for i in 1 2 3; do echo "{\"question\": \"Who is $i?\", \"choices\": [\"Bo\", \"Mara\"], \"answer\": 0}"; done >"sets/$n.jsonl"
done
"$deleatur" eval "$model" --suite choices --data sets --out e --quiet >table || fail "eval of choices"
clean table
[ "$(wc -l <table)" = 4 ] || fail "not a head and three rows: $(cat -A table)"
awk -F'\t' 'NF != 6 { exit 1 }' table || fail "not six columns: $(cat -A table)"
grep -qF "'=cmd\\tb,\"c\"" table || fail "the set's name: $(cat table)"
"$deleatur" eval "$model" --suite choices --data sets --out e2 --quiet --csv >table.csv || fail "eval --csv"
grep -q '^#' table.csv && fail "# in CSV"
grep -qF '"'"'"'=cmd\tb,""c""",3,' table.csv || fail "CSV: $(cat -A table.csv)"
head -1 table.csv | grep -q $'^set,n,acc,acc_stderr,acc_norm,acc_norm_stderr\r$' || fail "CSV's head: $(head -1 table.csv)"
cmp -s e/items.jsonl e2/items.jsonl || fail "--csv changes the result"
"$deleatur" compare e e2 --csv | head -1 | grep -q '^score,n,before,before_stderr' || fail "compare --csv"
"$deleatur" diff "$model" "$model" --csv | awk -F, 'NF != 6 { exit 1 }' || fail "diff --csv"
"$deleatur" eval "$model" --suite choices --data sets --out e3 --csv --json >/dev/null 2>&1 && fail "--csv and --json"

# ---- as the harness has it ---------------------------------------------------------------------------------------------
for part in '"results":' '"plain":' '"acc,none":' '"acc_stderr,none":' '"acc_norm,none":' '"configs":' '"versions":' '"n-shot":' \
    '"higher_is_better":' '"n-samples":' '"config":' '"effective":'; do
    grep -q "${part/plain/choices_plain}" e/results_lm_eval.json || fail "no $part in results_lm_eval.json: $(cat e/results_lm_eval.json)"
done
acc=$(awk -F'\t' '$1 == "plain" { print $3 }' table)
tr -d ' \t\n' <e/results_lm_eval.json | grep -o '"choices_plain":{"alias":"choices_plain","acc,none":[0-9.]*' | sed 's/.*://' |
    awk -v acc="$acc" '{ d = $1 - acc; exit !(d < 1e-4 && d > -1e-4) }' || fail "another acc than the table's $acc"

# ---- paths that are not UTF-8 ------------------------------------------------------------------------------------------
bytes=$'not\xff\x9butf8'
"$deleatur" eval "$model" --suite choices --data sets --limit 1 --out "$bytes" --quiet >/dev/null || fail "eval into $bytes"
iconv -f UTF-8 -t UTF-8 "$bytes/manifest.json" >/dev/null || fail "a manifest that is not UTF-8"
grep -q 'not\\udcff\\udc9butf8' "$bytes/manifest.json" || fail "the path's bytes: $(grep -a utf8 "$bytes/manifest.json")"
"$deleatur" compare "$bytes" "$bytes" >/dev/null || fail "its result cannot be read back"

# ---- resumed items -----------------------------------------------------------------------------------------------------
part() { # makes o.part of the whole result e, ready to be resumed, with the lines of stdin as its items
    rm -rf o o.part
    "$deleatur" eval "$model" --suite choices --data sets --out o --quiet >/dev/null 2>&1 &
    local pid=$! i
    for i in $(seq 400); do [ -s o.part/items.jsonl ] && break; kill -0 $pid 2>/dev/null || break; sleep .01; done
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -d o.part ]
}
if part; then
    head -1 e/items.jsonl >first
    cat first first >o.part/items.jsonl
    refused 'items.jsonl: line 2 is not item 1' "$deleatur" eval "$model" --suite choices --data sets --out o --quiet
    sed 's/"pick":[01]/"pick":7/' first >o.part/items.jsonl
    refused 'line 1 is not item 0: "pick" is out of range' "$deleatur" eval "$model" --suite choices --data sets --out o --quiet
    sed 's/"loglikelihoods":[^]]*]/"loglikelihoods":"x"/' first >o.part/items.jsonl
    refused '"loglikelihoods" is no list of numbers' "$deleatur" eval "$model" --suite choices --data sets --out o --quiet
    sed 's/"loglikelihoods":[^]]*],//' first >o.part/items.jsonl
    refused '"loglikelihoods" is missing' "$deleatur" eval "$model" --suite choices --data sets --out o --quiet
    sed 's/"pick":[01],//' first >o.part/items.jsonl
    refused 'line 1 is not item 0: "pick" is missing' "$deleatur" eval "$model" --suite choices --data sets --out o --quiet
    cat e/items.jsonl first >o.part/items.jsonl
    refused 'has 7 lines, for 6 items' "$deleatur" eval "$model" --suite choices --data sets --out o --quiet
    head -2 e/items.jsonl >o.part/items.jsonl
    "$deleatur" eval "$model" --suite choices --data sets --out o --quiet >/dev/null || fail "a good part is not resumed"
    cmp -s o/items.jsonl e/items.jsonl || fail "resumed, the items differ"
fi

# ---- rows --------------------------------------------------------------------------------------------------------------
cat >rows.jsonl <<'ROWS'
{"id":1161888007138312219,"task":"a", "x": 0.30000000000000004, "z": 1.0}
{"id":2,"task":"b","text":"x\u0000y"}
ROWS
"$deleatur" rows rows.jsonl --out all.jsonl >/dev/null && cmp -s rows.jsonl all.jsonl || fail "rows changes bytes: $(cat all.jsonl)"
(echo "[" && sed '1s/$/,/' rows.jsonl && echo "]") >rows.json
"$deleatur" rows rows.json --out array.jsonl >/dev/null && cmp -s rows.jsonl array.jsonl || fail "elements of an array: $(cat array.jsonl)"
"$deleatur" rows rows.jsonl --where task=a --not --out not.jsonl >/dev/null && tail -1 rows.jsonl | cmp -s - not.jsonl || fail "--not"
"$deleatur" rows rows.jsonl --where id=^1161888007138312219$ --out id.jsonl >/dev/null && head -1 rows.jsonl | cmp -s - id.jsonl ||
    fail "a large id"
refused 'no row has a field "tsk"; did you mean task?' "$deleatur" rows rows.jsonl --where tsk=a --out x.jsonl
"$deleatur" rows rows.jsonl --not --out x.jsonl >/dev/null 2>&1 && fail "--not alone"
[ ! -e x.jsonl ] || fail "a file of a refused command"

# ---- a trace's result --------------------------------------------------------------------------------------------------
for change in 's/"n_layers":.*/"n_layers": 2000,/' 's/"n_heads":.*/"n_heads": 0,/' 's/"direction":.*/"direction": "x",/' \
    's/"columns":.*/"columns": 4/' 's/"name":.*/"name": "mlp",/' 's/"severed":.*/"severed": 7,/' 's/"sigma":.*/"sigma": -1,/'; do
    rm -rf bad && cp -r t bad && sed "$change" t/trace.json >bad/trace.json
    cmp -s t/trace.json bad/trace.json && fail "nothing changed: $change"
    refused 'trace.json: .*is not what deleatur writes' "$deleatur" plot bad
done
rm -rf bad && cp -r t bad && sed 's/"id":1,/"id":1,"id":1,/' t/facts.jsonl >bad/facts.jsonl
refused 'the key "id" appears twice' "$deleatur" plot bad
rm -rf bad && cp -r t bad && cat t/facts.jsonl t/facts.jsonl >bad/facts.jsonl
refused 'the fact 1 is there twice' "$deleatur" plot bad
echo "all claims hold"
