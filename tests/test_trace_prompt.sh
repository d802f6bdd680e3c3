#!/usr/bin/env bash
# usage: test_trace_prompt.sh DELEATUR SOURCE_DIR
#
# deleatur trace on one prompt without a file, on facts by their ids, and what it says where nothing could be traced; and
# files of formats that are not read (parquet, archives, pickles) are told what to do with.
set -u
deleatur=$1 model=$2/data/models/demo facts=$2/data/facts/demo_facts.json
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failed=0
fail() { echo "FAILED: $*"; failed=1; }
trace() { "$deleatur" trace "$model" --quiet --threads 2 --kinds mlp --samples 2 "$@"; }
refused() { # STATUS PATTERN COMMAND...: this status, one sentence on stderr that matches, and no x left
    local status=$1 pattern=$2 said got
    shift 2
    said=$("$@" 2>&1 >/dev/null)
    got=$?
    [ $got -eq "$status" ] || fail "$* gave status $got, not $status: $said"
    [ "$(wc -l <<<"$said")" -eq 1 ] && grep -q -- "$pattern" <<<"$said" || fail "$* said \"$said\", not /$pattern/"
    compgen -G 'x*' >/dev/null && fail "$* left $(echo x*)" && rm -rf x*
}

# ---- one prompt ------------------------------------------------------------------------------------------------------
prompt='Arlo Greycliff lives in the town of'
trace --prompt "$prompt" --subject 'Arlo Greycliff' >shown.txt || fail "a prompt without --out"
grep -q '^traced 1 of 1' shown.txt && grep -q 'p( Lumen)' shown.txt || fail "the model's own answer is not traced: $(cat shown.txt)"
[ "$(ls)" = shown.txt ] || fail "without --out it wrote $(ls)"
trace --prompt "$prompt" --subject 'Arlo Greycliff' --noise-sigma 0.3 --out by-prompt >stdout.txt || fail "a prompt with --out"
grep -q '^page: by-prompt/page.html' stdout.txt && [ -s by-prompt/page.html ] || fail "where the page is: $(tail -n 2 stdout.txt)"
trace --facts "$facts" --id 0 --noise-sigma 0.3 --out by-id >/dev/null || fail "--id 0"
cmp by-prompt/summary.tsv by-id/summary.tsv && cmp by-prompt/layers.tsv by-id/layers.tsv ||
    fail "the same fact by prompt and by file gives other numbers"
trace --prompt "$prompt" --subject 'Arlo Greycliff' --attribute Tovik >stdout.txt || fail "--attribute"
grep -q 'the model says something else: 1' stdout.txt && grep -q -- '--answer attribute' stdout.txt || fail "another answer: $(cat stdout.txt)"
grep -q 'clean' stdout.txt && fail "nothing was traced, and it has a clean p: $(cat stdout.txt)"
refused 2 'needs --subject' trace --prompt "$prompt"
refused 2 'needs --prompt' trace --subject Arlo
refused 2 'give one of them' trace --facts "$facts" --prompt "$prompt" --subject Arlo
refused 1 'does not occur in the prompt' trace --prompt "$prompt" --subject Bob
refused 2 '--out DIR is missing' trace --facts "$facts"
refused 2 '--facts FILE is missing' trace --out x

# ---- by id -----------------------------------------------------------------------------------------------------------
trace --facts "$facts" --id 17,3 --out two >/dev/null || fail "--id 17,3"
[ "$(grep -o '"id": *[0-9]*' two/facts.jsonl | tr -dc '0-9\n' | tr '\n' ' ')" = "3 17 " ] || fail "--id 17,3 traced others"
refused 1 'has no fact of this known_id' trace --facts "$facts" --id 3,999 --out x
refused 2 'give the ids of facts' trace --facts "$facts" --id three --out x

# ---- nothing traced --------------------------------------------------------------------------------------------------
printf '%s\n' "{\"prompt\": \"$prompt\", \"subject\": \"Arlo Greycliff\", \"attribute\": \"Lumen.\"}" \
    '{"prompt": "Gorm Ashgrove lives in the town of", "subject": "Gorm Ashgrove", "attribute": "Tovik."}' >long.jsonl
trace --facts long.jsonl --out none >stdout.txt || fail "facts of two tokens"
grep -q '^traced 0 of 2' stdout.txt && grep -q -- '--answer greedy' stdout.txt || fail "nothing traced: $(cat stdout.txt)"
trace --facts long.jsonl --answer greedy --out greedy >stdout.txt && grep -q '^traced 2 of 2' stdout.txt || fail "what it suggests: $(cat stdout.txt)"
refused 1 'deleatur facts MODEL --qa' trace --facts "$2/data/demo/forget.jsonl" --out x
echo '{"question": "Who?", "answer": "She"}' >tofu.jsonl
refused 1 'deleatur facts MODEL --qa' "$deleatur" eval "$model" --suite facts --data tofu.jsonl --out x

# ---- files of other formats ------------------------------------------------------------------------------------------
printf 'PAR1\25\0\25\20PAR1' >data.parquet
cp data.parquet named.jsonl
refused 1 'parquet_rows.py' "$deleatur" unlearn "$model" --forget data.parquet --retain data.parquet --out x
refused 1 'parquet_rows.py' "$deleatur" rows named.jsonl --out x
refused 1 'parquet_rows.py' "$deleatur" eval "$model" --suite facts --data named.jsonl --out x
printf 'ARROW1\0\0' >data.arrow
refused 1 'is an Arrow file' "$deleatur" finetune "$model" --data data.arrow --out x
echo '{"input": "a", "output": "b"}' | gzip -c >rows.jsonl.gz
refused 1 'gunzip' "$deleatur" rows rows.jsonl.gz --out x
printf '\50\265\57\375abc' >rows.jsonl.zst
refused 1 'zstd -d' "$deleatur" rows rows.jsonl.zst --out x
printf 'PK\3\4aaaaaaaaaa' >pytorch_model.bin
refused 1 'save_pretrained' "$deleatur" info pytorch_model.bin
refused 1 'unzip' "$deleatur" rows pytorch_model.bin --out x
printf '\200\2}q\0(X\4\0\0\0' >old.pt
refused 1 'pickle' "$deleatur" info old.pt
refused 1 'pickle' "$deleatur" rows old.pt --out x
mkdir only_bin && cp pytorch_model.bin "$model/config.json" only_bin
refused 1 'pytorch_model.bin is not read.*save_pretrained' "$deleatur" info only_bin
refused 1 'give the directory' "$deleatur" info "$model/model.safetensors"
refused 1 'included recipes: .*quickstart' "$deleatur" run nope --out x
exit $failed
