#!/usr/bin/env bash
# usage: test_family_names.sh DELEATUR SOURCE_DIR
# label: short
#
# A family of models is one file of src/model/families/ and its row in families.h: no other code names it.  Comments may.
# The exceptions below are names of other things.  A small tree shows that a name is seen.
set -u

# FILE:PATTERN, both extended regular expressions: the pattern is taken out of the file's lines before they are searched.
exceptions=(
    # kinds of tokenizers in GGUF, which files of many families have; a pattern that many tokenizers share
    'src/(model/gguf|model/gguf_config|text/tokenizer_gguf|text/tokenizer_parts)\.c:"(llama|gpt2)"'
    'src/text/tokenizer_steps\.c:GPT2_PATTERN'
    'src/text/tokenizer_gguf\.c:gpt2 and llama are supported'
    # names of pre-tokenizers in GGUF
    'src/text/tokenizer_gguf\.c:^ *\{"[a-z0-9.-]+", (true|false), .*'
    # a key that a converter of transformers wrote, whatever the family
    'src/model/config/config\.c:"is_llama_config"'
    # chat layouts, and the options that choose one
    'src/text/chat\.c:"[a-z0-9.-]+"'
    'src/text/chat\.[ch]:DELE_CHAT_[A-Z0-9_]+'
    '.*:(none|auto|\(default\)|\(raw text\)),( auto,)? olmo( or|, smollm2|,)'
    # example paths
    '.*:deleatur [a-z -]*(models/|trace-)olmo|trace-olmo'
    # the variants of a published method, by the models for which they were published
    'unlearn/objectives/objective_rmu\.c:"olmo-7b"'
    # the model of which published numbers are, and the program that counted them
    'src/routing/study/anchors\.c:"OLMoE-1B-7B"'
    'src/routing/study/study\.c:"olmoe"'
)

# FILE:LINE: TEXT of each line of code that names a family, in the root of a source tree
search() {
    local names files
    names=$(sed -n 's/^ *X(\([a-z0-9_]*\)).*/\1/p' src/model/families/families.h | paste -sd'|')
    [ -n "$names" ] || { echo "families.h has no rows"; return; }
    mapfile -t files < <(find src trace unlearn experiments -name '*.[ch]' ! -path 'src/model/families/*' \
        ! -path 'experiments/results/*' 2>/dev/null | LC_ALL=C sort)
    printf '%s\n' "${exceptions[@]}" | awk -v names="$names" '
        FNR == NR { at = index($0, ":"); file[NR] = substr($0, 1, at - 1); other[NR] = substr($0, at + 1); n = NR; next }
        FNR == 1 { inside = 0 }
        {
            code = ""; rest = $0    # without comments
            while (rest != "") {
                mark = inside ? "*/" : "/*"
                at = index(rest, mark)
                if (!inside) code = code (at ? substr(rest, 1, at - 1) : rest)
                if (!at) break
                rest = substr(rest, at + 2); inside = !inside
            }
            text = code
            for (i = 1; i <= n; i++)
                if (FILENAME ~ "^(" file[i] ")$") gsub(other[i], "", text)
            if (tolower(text) ~ "(^|[^a-z0-9])(" names ")([^a-z0-9]|$)") print FILENAME ":" FNR ": " $0
        }' - "${files[@]}"
}

cd "$2" || exit 1
found=$(search)
[ -z "$found" ] || { echo "$found"; echo "FAILED: these lines name a family of models; ask its struct (families/family.h)"; exit 1; }

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree" && mkdir -p src/model/families src/text unlearn || exit 1
printf '%s\n' '    X(llama)  \' '    X(olmo)' >src/model/families/families.h
echo 'int llama;' >src/model/families/llama.c
printf '%s\n' '/* Llama' ' * olmo */ int x; /* llama */' 'if (f == &dele_family_llama) x = 1;' 'int allamanda; /* Olmo' '*/' \
    'name = "Olmo";' >src/model/model.c
printf '%s\n' 'kind = "llama";' '    {"olmo", false, true, NULL},' 'x = is_olmo;' >src/text/tokenizer_gguf.c
printf '%s\n' '"chat template: none, olmo, smollm2, auto"' '"olmo-7b"' >unlearn/job.h
cat >expected <<'END'
src/model/model.c:3: if (f == &dele_family_llama) x = 1;
src/model/model.c:6: name = "Olmo";
src/text/tokenizer_gguf.c:3: x = is_olmo;
unlearn/job.h:2: "olmo-7b"
END
search >found
diff expected found || { echo "FAILED: what is seen of a tree that names its families"; exit 1; }
