#!/usr/bin/env bash
# What the embedded model was made to forget comes back when a few rows are learnt again; a model that never forgot leaks
# everything; a run killed at any moment goes on to the same bytes; what cannot be attacked is refused.
# usage: test_attack_command.sh DELEATUR SOURCE_DIR
set -u
deleatur=$1 source=$2
model=$source/data/models/demo forget=$source/data/demo/forget.jsonl retain=$source/data/demo/retain.jsonl
[ -e "$model/model.safetensors" ] || { echo "skipped: the embedded model is not in $model"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fail() { echo "FAILED: $*"; exit 1; }
attack() { "$deleatur" attack "$@" --quiet --threads 1; }
# cell FILE ATTACK VARIANT MEASURE COLUMN: 3 n, 5 before, 6 unlearned, 7 never, 8 attacked, 11 recovery, 12 and 13 its interval
cell() { awk -F'\t' -v a="$2" -v v="$3" -v m="$4" -v c="$5" '$1 == a && $2 == v && $4 == m {print $c}' "$1"; }
holds() { awk "BEGIN {exit !($1)}" || fail "$2: $1"; }

"$deleatur" unlearn "$model" --forget "$forget" --retain "$retain" --layers 0-5 --parts mlp --no-eos --lr 5e-4 --epochs 16 \
    --batch 64 --out gone --quiet --threads 1 >/dev/null || fail "unlearning"

printf '%s\n' '{"name": "complete", "template": "Complete: {input}"}' '{"name": "twice", "template": "{input} ... {input}"}' \
    >templates.jsonl

# ---- the unlearned model ---------------------------------------------------------------------------------------------
attack gone --before "$model" --forget "$forget" --types q8_0,q4_k --templates templates.jsonl --keep --out whole >table 2>said || fail "attack: $(cat said)"
t=whole/attack.tsv
holds "$(cell $t quantise q8_0 p 5) > 0.8 && $(cell $t quantise q8_0 p 6) < 0.3" "the rows were known, and were forgotten"
[ "$(cell $t relearn 'other rows' p 3) $(cell $t relearn 'rows learnt again' p 3)" = "70 10" ] || fail "not 10 of 80 rows"
holds "$(cell $t relearn 'other rows' p 11) > 0.05 && $(cell $t relearn 'other rows' p 12) > 0" \
    "learning a few rows again brings back others"
holds "$(cell $t relearn 'rows learnt again' p 11) > $(cell $t relearn 'other rows' p 11)" \
    "and themselves more than others"
holds "$(cell $t templates best p 8) >= $(cell $t templates twice p 8) && $(cell $t templates best p 8) >= $(cell $t quantise q8_0 p 6)" \
    "the best of the templates is no worse than one of them, nor than none"
holds "($(cell $t quantise q8_0 p 8) - $(cell $t quantise q8_0 p 6)) ^ 2 < 0.0001" "eight bits change next to nothing"
cut -f 1-13 "$t" | grep -q nan && fail "a number that is none"
grep -q 'prefix.*left out' said && fail "not quiet"
cmp <(tail -n +3 "$t") table || fail "what is printed is not the table"
sed -n 3p "$t" | grep -q 'recovery	recovery_low	recovery_high	recovery_above_never_trained	' || fail "columns: $(sed -n 3p "$t")"
[ -s whole/manifest.json ] && [ -s whole/relearn.tsv ] || fail "no manifest, or no losses"
for type in q8_0 q4_K; do "$deleatur" info "whole/$type.gguf" >/dev/null || fail "whole/$type.gguf cannot be read"; done
grep -c '"model":"relearnt"' whole/items.jsonl | grep -qx 80 || fail "not an item a row"

# ---- a model that never forgot ----------------------------------------------------------------------------------------
attack "$model" --before "$model" --forget "$forget" --limit 20 --attacks quantise,templates --types q8_0,bf16 \
    --templates templates.jsonl --out same \
    >/dev/null || fail "a model against itself"
t=same/attack.tsv
holds "$(cell $t quantise bf16 exact_match 8) == 1 && $(cell $t quantise q8_0 contains 8) == 1" "it leaks everything"
holds "$(cell $t templates best exact_match 8) == 1" "whatever it is asked"
[ "$(cell $t quantise bf16 p 6)" = "$(cell $t quantise bf16 p 8)" ] || fail "its own type changed it"
[ -z "$(tail -n +4 $t | cut -f 11-13 | grep -v -e '^-	-	-$')" ] || fail "a share of nothing: $(cut -f 1-4,11-13 $t)"
grep -q '"recovery_undefined"' same/attack.json || fail "no reason why"
ls same/*.gguf 2>/dev/null && fail "files left that nobody asked for"
attack "$model" --before "$model" --forget "$source/data/facts/demo_facts.json" --limit 20 --attacks templates \
    --templates templates.jsonl --out facts >/dev/null || fail "facts"
holds "$(cell facts/attack.tsv templates 'own paraphrase' exact_match 8) > 0.8" "facts bring their paraphrases along"
grep -q '"id":"19"' facts/items.jsonl || fail "and their numbers"
"$deleatur" attack "$model" --before "$model" --forget "$forget" --limit 4 --attacks prefix,quantise --types q8_0 --out noted \
    >/dev/null 2>said || fail "without prefixes"
grep -q '"prefix" is left out' said && grep -q 'undefined' said || fail "not said: $(cat said)"

# ---- prefixes, paraphrases, and a model that never saw the rows -------------------------------------------------------
person() { # NAME: rows whose answers are sentences
    grep "$1" "$source/data/demo/train.jsonl" | grep -v Question | sed -n "s/.*\"text\": \"\\(.*$1\\) \\(.*\\)\"}/\\1\\t\\2/p"
}
person "Gorm Ashgrove" | awk -F'\t' \
    '{printf "{\"id\": \"%d\", \"input\": \"%s\", \"output\": \"%s\"}\n", NR, $1, $2}' >sentences.jsonl
[ "$(wc -l <sentences.jsonl)" -ge 10 ] || fail "few sentences"
sed 's/"input": "[^"]*"/"input": "Somebody"/' sentences.jsonl >others.jsonl
head -1 "$source/data/demo/train.jsonl" >one.jsonl
"$deleatur" finetune --init "$model/config.json" --tokenizer "$model/tokenizer.json" --data one.jsonl --out fresh --lr 1e-6 \
    --quiet --threads 1 >/dev/null || fail "a model that knows nothing"
attack gone --before "$model" --never fresh --forget sentences.jsonl --attacks templates,prefix --paraphrases others.jsonl \
    --templates templates.jsonl \
    --out long >/dev/null || fail "prefixes"
t=long/attack.tsv
holds "$(cell $t prefix '75 %' p 7) < 0.05 && $(cell $t prefix '75 %' p 14) > 0" "one that never read knows nothing"
holds "$(cell $t prefix '25 %' p 5) > 0.5 && $(cell $t prefix '25 %' p 3) <= $(wc -l <sentences.jsonl)" "and the original goes on where it is begun for"
grep -q '^templates	paraphrase 1	' $t || fail "no paraphrases"

# ---- interrupted anywhere, the same command ends with the same bytes ----------------------------------------------------
small=(gone --before "$model" --forget "$forget" --limit 16 --relearn-rows 4 --relearn-updates 3 --types q4_0 --attacks \
    quantise,relearn,templates --templates templates.jsonl)
attack "${small[@]}" --out unbroken >/dev/null || fail "a small attack"
lines=$(wc -l <unbroken/items.jsonl)
broken=0
for upto in 20 $((lines / 2)) $((lines - 10)); do
    "$deleatur" attack "${small[@]}" --out broken --quiet --threads 1 >/dev/null 2>&1 &
    pid=$!
    for _ in $(seq 2000); do
        [ "$(cat broken.part/items.jsonl 2>/dev/null | wc -l)" -ge "$upto" ] && break
        sleep 0.005
    done
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -e broken ] && { rm -r broken; continue; } # it was faster than the killer
    broken=$((broken + 1))
    attack "${small[@]}" --out broken >/dev/null || fail "resuming after $upto items"
    for f in items.jsonl attack.json attack.tsv; do cmp "unbroken/$f" "broken/$f" || fail "$f differs after $upto items"; done
    rm -r broken
done
[ $broken -gt 0 ] || echo "(all were finished before they were killed)"

# ---- written together with the original ---------------------------------------------------------------------------------
nudge=(gone --before "$model" --forget "$forget" --limit 12 --attacks nudge --with "$model" --gammas 0,1 --max-new 8)
attack "${nudge[@]}" --out nudged >/dev/null || fail "nudging"
# of FILE MODELS COLUMN: 2 n, 3 contains, 4 by the nudger, 5 by the base, 6 by both, 8 tokens of the nudger
of() { awk -F'\t' -v m="$2" -v c="$3" '$1 == m {print $c}' "$1"; }
[ "$(wc -l <nudged/nudge.tsv)" -eq 9 ] && [ "$(wc -l <nudged/items.jsonl)" -eq 120 ] || fail "not a line a pass and a row"
known=$(cell nudged/attack.tsv nudge 'guard of before, tau 1' contains 5)
holds "$known > 0.5" "the original knows the rows"
holds "$(of nudged/nudge.tsv 'guard of before, tau 1' 3) == $known" "above every probability the guard is silent"
holds "$(of nudged/nudge.tsv 'guard of before, tau 0' 3) < $known / 2" "the guard stops what the unlearned model forgot"
holds "$(of nudged/nudge.tsv 'guard of before, tau 0' 8) > 0" "and writes where it does"
holds "$(of nudged/nudge.tsv 'unlearned + nudger, gamma 1' 3) > $(cell nudged/attack.tsv nudge 'guard of before, tau 0' contains 6)" \
    "a nudger that was not unlearned brings the forgotten back"
holds "$(of nudged/nudge.tsv 'unlearned + nudger, gamma 1' 4) > 0.5" "and writes it itself"
awk -F'\t' 'NR > 1 && ($4 + $5 + $6 - $3) ^ 2 > 1e-6 {exit 1}' nudged/nudge.tsv || fail "who wrote it: $(cat nudged/nudge.tsv)"
[ "$(cell nudged/attack.tsv nudge 'guard of before, tau 0' p 8)" = - ] || fail "a text by two models has no p"
grep -qi nan nudged/attack.tsv nudged/attack.json nudged/items.jsonl && fail "a number that is none"
"$deleatur" attack "${nudge[@]}" --out broken --quiet --threads 1 >/dev/null 2>&1 &
pid=$!
for _ in $(seq 2000); do [ "$(cat broken.part/items.jsonl 2>/dev/null | wc -l)" -ge 60 ] && break; sleep 0.005; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
[ -e broken ] || attack "${nudge[@]}" --out broken >/dev/null || fail "resuming texts by two models"
for f in items.jsonl attack.json attack.tsv nudge.tsv; do cmp "nudged/$f" "broken/$f" || fail "$f differs"; done

# ---- refusals ---------------------------------------------------------------------------------------------------------
expect() { # STATUS PATTERN OPTIONS...
    local status=$1 pattern=$2 said
    shift 2
    said=$(attack "$@" --out never 2>&1)
    [ $? -eq "$status" ] && grep -q -- "$pattern" <<<"$said" || fail "$* said: $said"
    [ ! -e never ] && [ ! -e never.part ] || fail "$* left something behind"
}
expect 2 '--forget and --out' gone
expect 2 '"burn" is none of quantise' gone --forget "$forget" --attacks burn
expect 2 '"q3_k" is none of' gone --forget "$forget" --types q3_k
expect 2 '--paraphrases needs' gone --forget "$forget" --paraphrases others.jsonl --attacks relearn
expect 1 'leaves none to evaluate' gone --forget "$forget" --limit 10
expect 1 'cannot read nowhere.jsonl' gone --forget nowhere.jsonl
expect 1 'nowhere' gone --forget "$forget" --before nowhere --limit 12
expect 2 'needs another model' gone --forget "$forget" --attacks nudge
expect 2 'needs the attack "nudge"' gone --forget "$forget" --attacks prefix --with "$model"
for option in '--with gone' '--with-chat none' '--gammas 0.5' '--guard-margin 2' '--types q8_0' --keep '--relearn-rows 2' \
    '--relearn-updates 2' '--relearn-lr 1e-3' --no-eos '--layers 0' '--parts mlp' '--templates templates.jsonl' \
    '--paraphrases others.jsonl'; do
    # shellcheck disable=SC2086
    expect 2 "${option%% *} needs the attack" gone --forget "$forget" --attacks prefix $option
done
expect 2 '--prefixes needs the attack "prefix"' gone --forget "$forget" --attacks quantise --prefixes 50
expect 2 '--with-chat needs --with' gone --forget "$forget" --before "$model" --attacks nudge --with-chat none
expect 2 '--guard-margin needs --before' gone --forget "$forget" --with "$model" --attacks nudge --guard-margin 2
expect 2 '--gammas names 0.3 twice' gone --forget "$forget" --attacks nudge --with "$model" --gammas 0.3,0.5,.30
expect 2 '--prefixes names 50 twice' gone --forget sentences.jsonl --attacks prefix --prefixes 50,25,50
expect 2 '--attacks names prefix twice' gone --forget "$forget" --attacks prefix,relearn,prefix
expect 2 'numbers from 0 to 1' gone --forget "$forget" --attacks nudge --with "$model" --gammas .3,2
# before any attack has left an item
cp -rL "$model" narrow && sed -i 's/"max_position_embeddings":[[:space:]]*[0-9]*/"max_position_embeddings": 16/' narrow/config.json
expect 1 'forget.jsonl:1: a prompt of [0-9]* tokens leaves no room for .* of 16 of narrow' gone --forget "$forget" --limit 12 \
    --attacks templates,nudge --templates templates.jsonl --with narrow
expect 1 'choose other --attacks' gone --forget "$forget" --attacks prefix
echo "all that was claimed holds"
