#!/usr/bin/env bash
# usage: test_plot_command.sh DELEATUR SOURCE_DIR
#
# Every command that draws, with names and texts that a shell or gnuplot would obey: nothing runs, and there are pictures.
set -u
deleatur=$1 source=$2
model=$source/data/models/demo forget=$source/data/demo/forget.jsonl retain=$source/data/demo/retain.jsonl
command -v gnuplot >/dev/null || { echo "skipped: gnuplot is not installed"; exit 77; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export PWNED=$dir/PWNED OMP_WAIT_POLICY=passive
fail() { echo "FAILED: $*"; exit 1; }
quiet="--quiet --threads 1"
# drawn FILE: the picture is there, whole, well-formed where that can be checked, and nothing has run
drawn() {
    [ -e "$PWNED" ] && fail "$1: a command was run"
    [ -s "$1" ] && tail -c 20 <"$1" | grep -q '^</svg>' || fail "no picture $(printf %q "$1"): $(cat said)"
    ! command -v xmllint >/dev/null || xmllint --noout - <"$1" || fail "$1 is not XML"
}

cat >facts.json <<'JSON'
[{"known_id": 0, "subject": "Arlo '' Greycliff", "attribute": "Lumen", "template": "{} \"lives\" \n`touch $PWNED` $(touch $PWNED) \\n {x}_^@ <b>& ]]> '; system('touch $PWNED'); '", "prompt": "Arlo '' Greycliff \"lives\" \n`touch $PWNED` $(touch $PWNED) \\n {x}_^@ <b>& ]]> '; system('touch $PWNED'); '"}]
JSON
trace() { "$deleatur" trace "$model" --facts facts.json --answer attribute --samples 2 --kinds mlp --window 1 $quiet "$@" >said 2>&1; }

names=($'a\nsystem("touch $PWNED")\n#' '<touch $PWNED;#' '|touch $PWNED;#' "'; system('touch \$PWNED'); '" ';`touch $PWNED`$(touch $PWNED)')
for name in "${names[@]}"; do
    trace --out "$name" || fail "trace: $(cat said)"
    drawn "$name/plots/0_mlp.svg"
    drawn "$name/plots/average_mlp.svg"
    grep -qF "Arlo '' Greycliff" "$name/plots/0_mlp.svg" || fail "the title has lost its quotes"
    rm "$name"/plots/*.svg && "$deleatur" plot "$name" >said 2>&1 || fail "plot: $(cat said)"
    drawn "$name/plots/0_mlp.svg"
done
# the table's labels, one for one
cut -f 2 "$name/plots/0_mlp.tsv" | grep -v '^#' | uniq | sed 's/&/\&amp;/g; s/</\&lt;/g; s/]]>/]]\&gt;/g' >labels
while IFS= read -r label; do
    [ -z "$label" ] || grep -qF "$label" "$name/plots/0_mlp.svg" || fail "no label $label"
done < <(grep '^[0-9]' labels)
# a result that was downloaded
mkdir -p res/plots && cp "$name/plots/average_mlp.tsv" $'res/plots/b\nsystem("touch $PWNED")\n.tsv' && "$deleatur" plot res >said 2>&1 || fail "plot: $(cat said)"
drawn $'res/plots/b\nsystem("touch $PWNED")\n.svg'
# a name that is not UTF-8 is drawn or refused, with a sentence
if trace --out $'\xff|touch $PWNED'; then drawn $'\xff|touch $PWNED/plots/0_mlp.svg'
else grep -q '^deleatur: ' said || fail "no sentence: $(cat said)"; fi

# Routing of few tokens: no id occurs often enough, or all experts are used equally.  There is a picture of what is known.
echo "{\"model_type\": \"olmoe\", \"hidden_size\": 8, \"intermediate_size\": 8, \"num_hidden_layers\": 2, \"num_attention_heads\": 2,
 \"num_key_value_heads\": 2, \"vocab_size\": 1293, \"num_experts\": 2, \"num_experts_per_tok\": 2, \"eos_token_id\": 0}" >mixture.json
echo 'Arlo lives in Lumen.' >few.txt
"$deleatur" finetune --init mixture.json --tokenizer "$model/tokenizer.json" --text few.txt --context 4 $quiet --out mixture >said 2>&1 ||
    fail "a mixture: $(cat said)"
for few in 1 10; do
    "$deleatur" routing mixture --text few.txt --min-count $few --shuffles 2 $quiet --out routes$few >/dev/null 2>said || fail "routing: $(cat said)"
    [ -s said ] && fail "routing of few tokens said: $(cat said)"
    for table in routes$few/plots/*.tsv; do drawn "${table%.tsv}.svg"; done
done
[ -e routes1/plots/vocabulary.svg ] && [ ! -e routes10/plots/vocabulary.tsv ] || fail "vocabulary: $(ls routes*/plots)"

name=${names[0]}x
"$deleatur" unlearn "$model" --forget "$forget" --retain "$retain" --limit 4 --epochs 1 --no-eos $quiet --out "$name" >said 2>&1 ||
    fail "unlearn: $(cat said)"
drawn "$name/deleatur/plots/losses.svg"
"$deleatur" depth "$name" --full "$model" --retain "$model" --data "$forget" --limit 2 $quiet --out "${names[1]}y" >said 2>&1 ||
    fail "depth: $(cat said)"
drawn "${names[1]}y/plots/depth.svg"
printf '%s\n' '{"name": "x`touch $PWNED`\"; $(touch $PWNED) '"''"'", "template": "Say: {input}"}' >templates.jsonl
"$deleatur" attack "$name" --before "$model" --forget "$forget" --limit 2 --attacks templates --templates templates.jsonl $quiet \
    --out "${names[2]}z" >said 2>&1 || fail "attack: $(cat said)"
drawn "${names[2]}z/attack.svg"
cat >study.json <<JSON
{"about": "<script>\u009b ' \" \`touch \$\$PWNED\`", "vars": {"model": "$model"},
 "stages": [{"name": "e", "run": "eval", "model": "\$model", "for": {"of": [{"name": "nan", "value": 2}, {"name": "b", "value": 3}]},
   "options": {"suite": "facts", "data": "$source/data/facts/demo_facts.json", "limit": "\$of"}}],
 "table": {"columns": {"p '' \" \\\\n": "e:all.prompt.p", "t\`": "e:all.prompt.top1"}},
 "pareto": {"x": "p '' \" \\\\n", "x_better": "low", "y": "t\`", "y_better": "high", "colour": "of", "label": "of"}}
JSON
"$deleatur" run study.json $quiet --out "${names[3]}r" >said 2>&1 || fail "run: $(cat said)"
drawn "${names[3]}r/report/pareto.svg"
grep -q '<script>' "${names[3]}r/report.html" && fail "a recipe's text became markup"
grep -q $'\xc2\x9b' "${names[3]}r/report.html" && fail "a control character on the page"
[ -e "$PWNED" ] && fail "a command was run"
find . -name '*PWNED' -type f | grep -q . && fail "a command was run: $(find . -name '*PWNED')"
exit 0
