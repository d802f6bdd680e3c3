#!/usr/bin/env bash
# usage: test_subset_command.sh DELEATUR SOURCE_DIR
#
# deleatur subset on rows made here: whole documents, none in two places, what is asked for or one sentence and nothing.
set -u
deleatur=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
fail() { echo "FAILED: $*"; failed=1; }
refused() { # STATUS PATTERN ARGUMENTS...
    local status=$1 pattern=$2 said got
    shift 2
    said=$("$deleatur" subset "$@" --out none 2>&1 >/dev/null)
    got=$?
    [ "$got" -eq "$status" ] || fail "$* gave status $got, not $status: $said"
    grep -q -- "$pattern" <<<"$said" || fail "$* said \"$said\", not /$pattern/"
    compgen -G 'none*' >/dev/null && fail "$* left $(echo none*)" && rm -rf none*
}

# six documents a task and split, 2 rows each, those of a task's documents 0 and 1 mixed; ids of one task begin alike
mkdir lume
for split in forget retain; do
    for task in 1 2 3; do
        for kind in sc0 qa10; do
            for d in 0 1 2 3 4 5; do
                echo "{\"id\": \"$split-$d$kind\", \"input\": \"a $task $d\", \"output\": \"b\\u00e9\", \"task\": \"Task$task\"}"
            done
        done
    done >lume/$split.jsonl
done

documents() { sed 's/.*"id": "\([a-z]*-[0-9]*\)[sq].*"task": "\(Task.\)".*/\2 \1/' "$1" | sort | uniq -c | sed 's/^ *//'; }

"$deleatur" subset lume --documents 1,3,2 --out small >said || fail "subset: $?"
[ "$(cat said)" = $'forget\t12 rows\nretain\t12 rows\nnonmember\t12 rows' ] || fail "it said $(cat said)"
[ "$(documents small/forget.jsonl)" = "2 Task1 forget-0
2 Task2 forget-0
2 Task2 forget-1
2 Task2 forget-2
2 Task3 forget-0
2 Task3 forget-1" ] || fail "forget: $(documents small/forget.jsonl)"
[ "$(documents small/mia_data/nonmember.jsonl)" = "2 Task1 forget-1
2 Task2 forget-3
2 Task2 forget-4
2 Task2 forget-5
2 Task3 forget-2
2 Task3 forget-3" ] || fail "nonmember: $(documents small/mia_data/nonmember.jsonl)"
cmp small/forget.jsonl small/mia_data/member.jsonl || fail "members are what is to be forgotten"
cat small/forget.jsonl small/retain.jsonl | cmp - small/taught.jsonl || fail "taught is both"
grep -q '"seed"' small/manifest.json || fail "the manifest"
grep -qF 'b\u00e9' small/forget.jsonl || fail "texts are as they were"

"$deleatur" subset lume --documents 2 --seed 7 --out drawn >/dev/null || fail "drawn"
"$deleatur" subset lume --documents 2 --seed 7 --out again >/dev/null || fail "again"
"$deleatur" subset lume --documents 2 --seed 8 --out other >/dev/null || fail "other"
cmp drawn/taught.jsonl again/taught.jsonl || fail "a seed draws the same"
cmp -s drawn/taught.jsonl other/taught.jsonl && fail "another seed draws the same"
[ "$(documents drawn/forget.jsonl | cut -d' ' -f1,2 | sort | uniq -c | sed 's/^ *//')" = "2 2 Task1
2 2 Task2
2 2 Task3" ] || fail "drawn: $(documents drawn/forget.jsonl)"
[ -z "$(comm -12 <(documents drawn/forget.jsonl) <(documents drawn/mia_data/nonmember.jsonl))" ] || fail "a document on both sides"

refused 1 'has 6 documents of Task1; 4 are asked for, and as many held-out ones' lume --documents 4
refused 2 'one for each of the three tasks' lume --documents 1,2
refused 2 'one for each of the three tasks' lume --documents 1,2,3,4
refused 2 'one for each of the three tasks' lume --documents many
refused 2 'one for each of the three tasks' lume --documents 1,-2,3
refused 2 ': no documents' lume --documents 0
refused 1 'nowhere/forget.jsonl' nowhere --documents 1
"$deleatur" subset lume --documents 1 --out small 2>said && fail "it wrote over a result"
sed -i '3s/"task": "Task1"/"task": "Task9"/' lume/retain.jsonl
refused 1 'retain.jsonl:3: "task" is "Task9"' lume --documents 1
sed -i '5s/-4sc0/-4/' lume/forget.jsonl
refused 1 'forget.jsonl:5: the id "forget-4" must end in sc or qa' lume --documents 1
exit $failed
