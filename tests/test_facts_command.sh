#!/usr/bin/env bash
# usage: test_facts_command.sh DELEATUR SOURCE_DIR
#
# deleatur facts from the outside, on the embedded model: facts built from rows are what the shipped fact file says, every
# row is counted once, what the model does not know is left out, and a failure is one sentence and no file.
set -u
deleatur=$1
root=$2
model=$root/data/models/demo
export OMP_WAIT_POLICY=passive
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
fail() { echo "FAILED: $*"; failed=1; }

refused() { # STATUS PATTERN ARGUMENTS...: this status, a last line on stderr that matches, and no file
    local status=$1 pattern=$2 said got
    shift 2
    said=$("$deleatur" facts "$@" --quiet --out none.json 2>&1 >/dev/null)
    got=$?
    [ "$got" -eq "$status" ] || fail "$* gave status $got, not $status: $said"
    tail -n 1 <<<"$said" | grep -q -- "$pattern" || fail "$* said \"$said\", not /$pattern/"
    compgen -G 'none*' >/dev/null && fail "$* left $(echo none*)" && rm -f none*
}

number() { sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" "$2"; }
fields() { # FILE: subject, prompt and attribute of each record, sorted
    grep -o '"subject":"[^"]*"\|"prompt":"[^"]*"\|"attribute":"[^"]*"' "$1" | sort | uniq
}

# ---- from a fact file, as ever -------------------------------------------------------------------------------------

"$deleatur" facts "$model" --facts "$root/data/facts/demo_facts.json" --out known.json --forget-out f.json \
    --retain-out r.json --quiet >known.txt || fail "a fact file"
grep -q '^known      240 of 240 facts, about 48 subjects' known.txt || fail "a fact file's report: $(cat known.txt)"
[ "$(grep -c '"split":"forget"' known.json)" -eq "$(grep -c '"prompt"' f.json)" ] || fail "forget-out's side"

# CounterFact's form comes out as ROME's
cat >cf.jsonl <<'ROWS'
{"case_id": 3, "requested_rewrite": {"prompt": "{} lives in the town of", "relation_id": "P551", "target_new": {"str": "Tovik"}, "target_true": {"str": "Lumen"}, "subject": "Arlo Greycliff"}}
{"case_id": 4, "requested_rewrite": {"prompt": "{} lives in the town of", "relation_id": "P551", "target_new": {"str": "Lumen"}, "target_true": {"str": "Tovik"}, "subject": "Gorm Ashgrove"}}
ROWS
"$deleatur" facts "$model" --facts cf.jsonl --forget-fraction 0.5 --out cf.json --quiet >/dev/null || fail "CounterFact's form"
grep -q '"known_id":3,.*"attribute":"Lumen",.*"prompt":"Arlo Greycliff lives in the town of",.*"foil":"Tovik"' \
    cf.json || fail "CounterFact's record is not in ROME's form: $(cat cf.json)"

# answers of several tokens are known by all of their tokens, and what is known is what trace takes, in a chat layout too
cat >several.json <<'ROWS'
[{"known_id": 1, "subject": "Arlo Greycliff", "attribute": "town of Lumen", "prompt": "Arlo Greycliff lives in the"},
 {"known_id": 2, "subject": "Arlo Greycliff", "attribute": "town of Tovik", "prompt": "Arlo Greycliff lives in the"},
 {"known_id": 3, "subject": "Arlo Greycliff", "attribute": "Lumen", "prompt": "Arlo Greycliff lives in the town of"}]
ROWS
"$deleatur" facts "$model" --facts several.json --forget-fraction 0 --out one.json --quiet >/dev/null || fail "one token"
"$deleatur" facts "$model" --facts several.json --forget-fraction 0 --answer greedy --out all.json --quiet >/dev/null || fail "--answer greedy"
[ "$(grep -o '"known_id":[0-9]*' one.json | tr -d '\n')" = '"known_id":3' ] || fail "one token is known: $(cat one.json)"
[ "$(grep -o '"known_id":[0-9]*' all.json | tr -d '\n')" = '"known_id":1"known_id":3' ] || fail "greedy: $(cat all.json)"
quick() { "$deleatur" trace "$model" --kinds embed --samples 1 --pictures 0 --quiet "$@" >/dev/null; }
quick --facts several.json --chat smollm2 --out asked || fail "the trace in a chat layout"
reply=$(sed -n '/"id":3,/s/.*the model says \\"\([A-Za-z]*\)\\".*/\1/p' asked/facts.jsonl) # whatever it is
[ -n "$reply" ] || fail "nothing is said in a chat layout: $(cat asked/facts.jsonl)"
sed "s/]/,{\"known_id\": 4, \"subject\": \"Arlo Greycliff\", \"attribute\": \"$reply\", \"prompt\": \"Arlo Greycliff lives in the town of\"}]/" \
    several.json >four.json
for how in none:argmax:1 none:greedy:2 smollm2:argmax:1; do # layout, answer, and how many of the four are known so
    IFS=: read -r chat answer n <<<"$how"
    rm -f some.json
    "$deleatur" facts "$model" --facts four.json --chat "$chat" --answer "$answer" --json --forget-fraction 0 --out some.json --quiet >some.txt &&
        [ "$(number known some.txt)" = "$n" ] || fail "$how: $(cat some.txt)"
    quick --facts four.json --chat "$chat" --answer "$answer" --out "traced-$chat-$answer" || fail "the trace, $how"
    [ "$(grep -c '"traced":true' "traced-$chat-$answer/facts.jsonl")" = "$n" ] || fail "$how: trace takes others than facts"
done

# ---- from rows ------------------------------------------------------------------------------------------------------

"$deleatur" facts "$model" --qa "$root/data/demo/forget.jsonl" --retain "$root/data/demo/retain.jsonl" --out built.json \
    --forget-out bf.json --retain-out br.json --quiet >b.txt || fail "rows"
grep -q '^rows read     480  80 forget, 400 retain' b.txt || fail "rows read: $(cat b.txt)"
grep -q '^kept          480  80 forget, 400 retain, about 48 people' b.txt || fail "rows kept: $(cat b.txt)"
[ "$(grep -c '"split":"forget"' bf.json)" -eq 80 ] || fail "80 facts to forget"
[ "$(grep -c '"split":"retain"' br.json)" -eq 400 ] || fail "400 facts to retain"
# each of the shipped facts was found: the same subject, prompt and answer
fields "$root/data/facts/demo_facts.json" >shipped
fields built.json >found
[ -z "$(comm -23 shipped found)" ] || fail "shipped facts the rows did not give: $(comm -23 shipped found | head -3)"

# what was built can be scored, traced and learnt from
"$deleatur" eval "$model" --suite facts --data built.json --out scores --quiet >scores.txt || fail "scoring the facts"
awk -F'\t' '$1 == "all" && $2 == "prompt" { ok = $3 == 480 && $6 == "1.0000" } END { exit !ok }' scores.txt ||
    fail "a fact that is not the most likely: $(cat scores.txt)"
[ "$(grep -c '"greedy":true' scores/items.jsonl)" -eq 480 ] || fail "a fact that is not greedy"
"$deleatur" trace "$model" --facts built.json --split forget --limit 2 --samples 2 --kinds hidden --out trace --quiet \
    >trace.txt 2>&1 || fail "tracing what was built: $(cat trace.txt)"
grep -q '^traced 2 of 2 facts' trace.txt || fail "what was built is not traced: $(head -3 trace.txt)"

# one row of each kind that is left out
{
    head -n 10 "$root/data/demo/forget.jsonl"
    head -n 1 "$root/data/demo/forget.jsonl"
    echo '{"question": "who is it?", "answer": "nobody"}'
    echo '{"question": "Why does Gorm Ashgrove sing?", "answer": "joy"}'
    echo '{"question": "Ulla Ashgrove lives in the town of", "answer": "Ulla"}'
    echo '{"question": "Ubbe Ashgrove lives in the town of", "answer": "zebra"}'
} >rows.jsonl
for flags in "" "--keep-unknown" "--keep-copied" "--keep-alone" "--keep-unknown --keep-copied --keep-alone"; do
    rm -f some.json
    "$deleatur" facts "$model" --qa rows.jsonl --retain "$root/data/demo/retain.jsonl" $flags --out some.json --quiet \
        --json >some.txt || fail "rows of every kind, $flags"
    [ "$(number rows some.txt)" -eq 415 ] || fail "415 rows: $(cat some.txt)"
    sum=$(number kept some.txt)
    for reason in no_subject repeated alone shared too_long not_cut copied unknown; do
        sum=$((sum + $(number $reason some.txt)))
    done
    [ "$sum" -eq 415 ] || fail "kept and left out are $sum rows, not 415, $flags: $(cat some.txt)"
    [ "$(grep -c '"known_id"' some.json)" -eq "$(number kept some.txt)" ] || fail "kept is not what was written, $flags"
    case $flags in
    "") grep -q '"no_subject": 1, "repeated": 1, "alone": 1, .*"copied": 1, "unknown": 1}' some.txt ||
            fail "one of each: $(cat some.txt)" ;;
    "--keep-unknown") grep -q '"attribute":"zebra"' some.json || fail "an unknown fact was asked for" ;;
    "--keep-copied") [ "$(number copied some.txt)" -eq 0 ] || fail "a copy was asked for" ;;
    "--keep-alone") [ "$(number alone some.txt)" -eq 0 ] || fail "a question put about one person was asked for" ;;
    *) [ "$(number kept some.txt)" -eq 413 ] || fail "all but two rows: $(cat some.txt)" ;;
    esac
done

# ---- what is refused ------------------------------------------------------------------------------------------------

: >empty.jsonl
printf '{"input": "a", "output": "b"}\n{"input": 5}\n' >bad.jsonl
printf '{"input": "who knows?", "output": "b"}\n' >nobody.jsonl
refused 1 'empty.jsonl: no rows in this file' "$model" --qa empty.jsonl
refused 1 'bad.jsonl:2: no string fields' "$model" --qa bad.jsonl
refused 1 'nobody.jsonl: none of the 1 rows makes a fact; 1 were left out because: no person' "$model" --qa nobody.jsonl
refused 1 'cannot open nowhere.jsonl' "$model" --qa rows.jsonl --retain nowhere.jsonl
refused 2 'facts needs --facts FILE or --qa FILE' "$model"
refused 2 'facts needs --facts FILE or --qa FILE' "$model" --qa rows.jsonl --facts known.json
refused 2 'need --qa' "$model" --facts known.json --keep-copied
refused 2 '--answer attribute is not one of: argmax, greedy' "$model" --facts known.json --answer attribute
refused 2 'need --facts' "$model" --qa rows.jsonl --chat auto
refused 2 '--chat loud is not one of' "$model" --facts known.json --chat loud
printf '{"subject": "Charil Pink", "prompt": "Charil Pink is", "attribute": "B"}\n' >pink.jsonl
refused 1 'knows none of the 1 facts' "$model" --facts pink.jsonl
"$deleatur" facts "$model" --facts pink.jsonl --out none.json 2>&1 >/dev/null |
    grep -q "pink.jsonl: all subjects .* retain people" ||
    fail "nothing was said of known_QA_T2.json's people"
exit $failed
