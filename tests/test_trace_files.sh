#!/usr/bin/env bash
# usage: test_trace_files.sh DELEATUR SOURCE_DIR
#
# A trace of the embedded model leaves every file that the design names; twice the same command, twice the same bytes;
# the plain way gives the same numbers; what cannot be traced is named with the reason, and a bad command leaves nothing.
set -u
deleatur=$1 source=$2
model=$source/data/models/demo facts=$source/data/facts/demo_facts.json
[ -e "$model/model.safetensors" ] || { echo "skipped: the embedded model is not in $model"; exit 77; }
command -v gnuplot >/dev/null || { echo "skipped: gnuplot is not installed"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAILED: $*"; exit 1; }
trace() { "$deleatur" trace "$model" --quiet --samples 3 --threads 2 "$@"; }

trace --facts "$facts" --limit 2 --pictures 1 --out "$dir/a" >/dev/null || fail "the trace itself"
trace --facts "$facts" --limit 2 --pictures 1 --out "$dir/b" >/dev/null || fail "the trace a second time"
for file in facts.jsonl trace.json summary.tsv layers.tsv manifest.json plots/average_hidden.svg plots/average_mlp.png \
            plots/lines_attn.svg plots/lines_attn.png; do
    [ -s "$dir/a/$file" ] || fail "$file is missing or empty"
done
[ "$(ls "$dir/a/traces" | wc -l)" -eq 6 ] || fail "two facts with three kinds should leave six .npz files"
if gnuplot -e 'exit status strstrt(GPVAL_TERMINALS, "pdfcairo") ? 0 : 1'; then
    for file in "$dir"/a/plots/*.svg; do [ -s "${file%.svg}.pdf" ] || fail "$file without its .pdf"; done
fi
[ ! -e "$dir/a.part" ] || fail "the directory it was written in is still there"
grep -q '</svg>' "$dir/a/plots/average_mlp.svg" || fail "average_mlp.svg is not whole"
rm "$dir/a/manifest.json" "$dir/b/manifest.json"
diff -r "$dir/a" "$dir/b" || fail "the same command gave other bytes"
rm -f "$dir"/b/plots/*.{svg,png,pdf}
"$deleatur" plot "$dir/b" >/dev/null || fail "deleatur plot"
diff -r "$dir/a" "$dir/b" || fail "deleatur plot drew other pictures"

# Charts that are put together have a picture of their own; heads are layers by heads; every figure says how it was made.
trace --facts "$facts" --limit 2 --pictures 1 --kinds hidden,mlp,head --window 1,3 --sever mlp,attn --direction noise \
      --out "$dir/more" >/dev/null || fail "severed paths, windows and heads"
for name in severed windows_mlp average_head_last_subject average_head_last 0_head_last; do
    grep -q '</svg>' "$dir/more/plots/$name.svg" || fail "$name.svg is missing or not whole"
done
[ ! -e "$dir/more/plots/average_head.svg" ] || fail "heads drawn as if they were layers"
for table in "$dir"/more/plots/*.tsv; do
    grep -q '^# note noising, noise s3 (sigma [0-9.]*), 3 draws' "$table" || fail "$table does not say how it was made"
done
grep -q '^# note .*, n = 2 facts$' "$dir/more/plots/severed.tsv" || fail "severed.tsv does not say how many facts"
# the bars are the summary's numbers: hidden, layer 3, last subject token, whole and with the MLPs cut
for chart in hidden:0 hidden_no_mlp:1 hidden_no_attn:2; do
    said=$(awk -F'\t' -v want="${chart#*:}" '!/^#/ && NF == 1 { block++ }
           NF == 4 && $1 == 3 && block == want + 1 { print $2 }' "$dir/more/plots/severed.tsv")
    should=$(awk -F'\t' -v chart="${chart%:*}" '$1 == chart && $2 == "p" && $3 == 3 && $4 == "last subject" { print $9 }' \
             "$dir/more/summary.tsv")
    awk -v a="$said" -v b="$should" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d < 1e-5 && d > -1e-5) }' ||
        fail "severed.tsv says $said of $chart where summary.tsv says $should"
done

# What a figure says of the corruption is true of each kind of it.
says() { # NOTE FILE OPTIONS...
    local note=$1 file=$2
    shift 2
    rm -rf "$dir/says"
    trace --facts "$facts" --limit 1 --pictures 1 --kinds mlp "$@" --out "$dir/says" >/dev/null || fail "$*"
    grep -q "^# note denoising, $note" "$dir"/says/plots/$file || fail "$*: $(grep '^# note' "$dir"/says/plots/$file)"
}
rm -rf "$dir/says"
trace --facts "$facts" --limit 1 --pictures 1 --kinds mlp --corrupt zero --out "$dir/says" >/dev/null || fail "zero ablation"
! grep -q $'\tno-op\t' "$dir/says/controls.tsv" && ! grep -q '^no-op' "$dir/says/plots/lines_mlp.tsv" && ! grep -q noop "$dir/says/facts.jsonl" &&
    grep -q '^# controls 2$' "$dir/says/plots/lines_mlp.tsv" || fail "a no-op that nobody measured"
says "noise m (a text's covariance), 3 draws" average_mlp.tsv --noise m
says "noise t3 (a text's covariance) in the embeddings' place, 3 draws" average_mlp.tsv --noise t3 --replace
grep -q '"replace":true' "$dir/says/page.html" && grep -q '"replace":	true' "$dir/says/trace.json" || fail "--replace is told nowhere else"
says "noise s3 (sigma [0-9.]*) in the embeddings' place, 3 draws" average_mlp.tsv --replace
says "noise of sigma 0.3, 3 draws" average_mlp.tsv --noise-sigma 0.3
says "another subject's tokens, n = 1" average_mlp.tsv --corrupt tokens
partner=$(sed -n 's/.*"partner":"\([^"]*\)".*/\1/p' "$dir/says/facts.jsonl")
[ -n "$partner" ] && grep -q "^# note denoising, another subject's tokens ($partner)$" "$dir"/says/plots/[0-9]*_mlp.tsv ||
    fail "a fact's picture does not name $partner"

trace --facts "$facts" --limit 1 --reference --out "$dir/c" >/dev/null || fail "--reference"
trace --facts "$facts" --limit 1 --out "$dir/d" >/dev/null || fail "--limit 1"
paste <(awk '$2 == "p"' FS='\t' "$dir/c/summary.tsv" | cut -f 6,7,9) <(awk '$2 == "p"' FS='\t' "$dir/d/summary.tsv" | cut -f 6,7,9) |
    awk 'NF == 6 { for (i = 1; i <= 3; i++) { d = $i - $(i + 3); if (d > 1e-5 || d < -1e-5) bad++ } n++ }
         END { exit !(n > 0 && !bad) }' || fail "the plain way and the quick way differ"

# The same agreement as a command: cells drawn from the facts traced, and computed again from the tokens up.
trace --facts "$facts" --limit 2 --reference-check 5 --out "$dir/checked" >"$dir/said" || fail "--reference-check"
grep -q '^reference check: 5 cells of 2 facts, .*p differs by at most [0-9.e-]*$' "$dir/said" || fail "--reference-check says: $(cat "$dir/said")"
trace --facts "$facts" --limit 1 --reference-check 2 --json --out "$dir/checked2" | grep -q '"difference":' || fail "--reference-check --json"

# Killed at any moment, the same command goes on and ends with the same bytes; another command does not touch its work.
trace --facts "$facts" --limit 6 --pictures 1 --out "$dir/whole" >/dev/null || fail "six facts"
"$deleatur" trace "$model" --quiet --samples 3 --threads 2 --facts "$facts" --limit 6 --pictures 1 --out "$dir/broken" \
    >/dev/null 2>&1 & # not through the function, whose shell would be killed in its place
pid=$!
for _ in $(seq 400); do [ "$(ls "$dir/broken.part/traces" 2>/dev/null | wc -l)" -ge 4 ] && break; sleep 0.02; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
if [ ! -e "$dir/broken" ]; then # else it was faster than the killer, and nothing is to be seen
    said=$(trace --facts "$facts" --limit 5 --out "$dir/broken" 2>&1) && fail "another command took over an unfinished result"
    grep -q 'unfinished' <<<"$said" || fail "an unfinished result: $said"
    echo half >"$dir/broken.part/traces/2_mlp.npz.part.abc123" # as a process killed in the middle of a file leaves it
    trace --facts "$facts" --limit 6 --pictures 1 --out "$dir/broken" >/dev/null || fail "going on"
fi
rm "$dir/whole/manifest.json" "$dir/broken/manifest.json"
diff -r "$dir/whole" "$dir/broken" || fail "what was interrupted ended with other bytes"

# A text that the noise is measured on is an input like the facts: its contents are noted, and another text is another run.
seq -f 'Arlo went to the %g of them' 400 >"$dir/text"
trace --facts "$facts" --limit 1 --kinds hidden --noise m --noise-text "$dir/text" --out "$dir/m" >/dev/null || fail "--noise m"
grep -q "$(sha256sum <"$dir/text" | cut -d' ' -f1)" "$dir/m/manifest.json" || fail "--noise-text is not in the manifest"

cat >"$dir/wrong.json" <<'JSON'
[{"known_id": 5, "subject": "Arlo", "attribute": "not what it says", "prompt": "Arlo went to the"}]
JSON
trace --facts "$dir/wrong.json" --out "$dir/e" >/dev/null || fail "a fact that the model does not know is no error"
grep -q '"traced":false,"reason":"the model says' "$dir/e/facts.jsonl" || fail "no reason for what was left out"
[ ! -e "$dir/e/mask.json" ] || fail "a mask out of nothing"
trace --facts "$dir/wrong.json" --answer attribute --kinds mlp --out "$dir/g" >/dev/null || fail "a fact that is not known, traced all the same"
cat >"$dir/several.json" <<JSON
[{"known_id": 0, "subject": "Arlo", "attribute": "not this", "prompt": "Arlo went to the"},
 {"known_id": 1, "subject": "Arlo", "attribute": "x", "prompt": "Arlo went $(printf 'on and on, %.0s' $(seq 2000)) to the"},
 {"known_id": 2, "subject": "Arlo", "attribute": "nor this", "prompt": "Arlo came from the"}]
JSON
trace --facts "$dir/several.json" --out "$dir/several" >"$dir/said" || fail "facts that are left out"
grep -q '^  left out in all, the model says something else: 2$' "$dir/said" &&
    grep -q '^  left out in all, prompt and answer do not fit the model: 1$' "$dir/said" || fail "no counts by reason: $(cat "$dir/said")"
[ "$(grep -c '"left_out":"the model says something else"' "$dir/several/facts.jsonl")" -eq 2 ] || fail "facts.jsonl has other reasons"
trace --facts "$dir/several.json" --json --out "$dir/json" | grep -q '"the model says something else":	2' || fail "--json does not count"
predicted() { unzip -p "$1" correct_prediction.npy | tail -c 1 | od -An -tu1 | tr -d ' '; }
if command -v unzip >/dev/null; then
    [ "$(predicted "$dir/g/traces/5_mlp.npz")" = 0 ] && [ "$(predicted "$dir/a/traces/0_mlp.npz")" = 1 ] ||
        fail "correct_prediction does not tell whether the model says the answer"
fi

expect() { # STATUS PATTERN OPTIONS...
    local status=$1 pattern=$2 said
    shift 2
    said=$(trace --out "$dir/f" "$@" 2>&1)
    [ $? -eq "$status" ] && grep -q -- "$pattern" <<<"$said" || fail "$* said: $said"
    [ ! -e "$dir/f" ] && [ ! -e "$dir/f.part" ] || fail "$* left something behind"
}
echo '[{"subject": "Bo", "attribute": "x", "prompt": "Arlo went"}]' >"$dir/absent.json"
expect 1 'does not occur in the prompt' --facts "$dir/absent.json"
expect 1 'absent-file' --facts "$dir/absent-file.json"
expect 2 'none of hidden, mlp, attn' --facts "$facts" --kinds heads
expect 2 'none of s3' --facts "$facts" --noise loud
expect 2 'at least 1' --facts "$facts" --samples 0
expect 2 'excludes --attribution' --facts "$facts" --attribution --reference-check 2
expect 1 'no facts of split' --facts "$dir/wrong.json" --split forget
said=$(trace --facts "$facts" --out "$dir/a" 2>&1) && fail "an --out that exists was taken"
grep -q 'exists' <<<"$said" || fail "an --out that exists: $said"
echo "all as it should be"
