#!/usr/bin/env bash
# label: short
# Generation stops at each end that a model's files name, info lists them, and a conversation is put into its layout.
# usage: test_chat_command.sh DELEATUR SOURCE_DIR
set -u
deleatur=$1
demo=$2/data/models/demo
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export OMP_NUM_THREADS=1 SOURCE_DATE_EPOCH=1721995200
failed=0
same() { # same WHAT WANTED GOT
    if [ "$2" = "$3" ]; then echo "ok    $1"; else printf 'FAIL  %s\n  wanted %s\n  got    %s\n' "$1" "$2" "$3"; failed=1; fi
}
refused() { # refused WHAT STATUS WORDS ARGUMENT...: one line on stderr that has the words
    local what=$1 status=$2 words=$3 got
    shift 3
    "$deleatur" "$@" >out 2>err
    got=$?
    if [ $got -eq "$status" ] && [ "$(wc -l <err)" -eq 1 ] && grep -qF -- "$words" err; then echo "ok    $what"
    else echo "FAIL  $what (status $got)"; cat out err; failed=1; fi
}
ids() { # the ids that are generated after the prompt
    "$deleatur" generate model --prompt 'The capital of' --max-new 6 --quiet --json "$@" | tr -d ' \n\t' | sed 's/.*"ids":\[\([0-9,]*\)\].*/\1/'
}
ends() { "$deleatur" info model | sed -n '/^ends/,/^[cp]/p' | sed 's/^ends *//; s/^ *//; /^[cp]/d' | cut -d' ' -f1 | paste -sd,; }
prompt() { "$deleatur" generate model --max-new 0 --quiet "$@"; }

mkdir model && cp "$demo"/* model
sed -i 's/"eos_token_id":.*/"eos_token_id": 1292,/' model/config.json
all=$(ids)
IFS=, read -r -a id <<<"$all"
same "without an end the text goes on" 6 "${#id[@]}"
third=${id[2]} fifth=${id[4]}

echo "{\"eos_token_id\": $third}" >model/generation_config.json
same "generation_config.json names an end" "${id[0]},${id[1]}" "$(ids)"
same "info lists it" "$third" "$(ends)"
echo "{\"eos_token_id\": [1290, $fifth, $third]}" >model/generation_config.json
same "or a list of ends" "${id[0]},${id[1]}" "$(ids)"
same "info lists them all" "1290,$fifth,$third" "$(ends)"
rm model/generation_config.json
sed -i "s/\"eos_token_id\":.*/\"eos_token_id\": [1290, $fifth],/" model/config.json
same "config.json names a list of ends" "${id[0]},${id[1]},${id[2]},${id[3]}" "$(ids)"
same "info lists these" "1290,$fifth" "$(ends)"
"$deleatur" convert model --out model.gguf --quiet >out 2>&1 || { cat out; failed=1; }
same "a GGUF keeps them" "1290,$fifth" "$("$deleatur" info model.gguf --json | tr -d ' \n\t' | grep -oE '"ends":\[[^]]*' | grep -oE '"id":[0-9]+' | cut -d: -f2 | paste -sd,)"

sed -i 's/"eos_token_id":.*/"eos_token_id": [5],/' model/config.json
printf '%s\n' "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|endoftext|>{% endfor %}{% if add_generation_prompt %}[{{ strftime_now('%Y') }}]{% endif %}" >model/chat_template.jinja
same "info tells the end of a reply" "chat        own template; a reply ends with 0 <|endoftext|>" "$("$deleatur" info model | grep ^chat)"
same "and the ends without it" 5 "$(ends)"
same "the template is rendered" "[user]Hi<|endoftext|>[2024]" "$(prompt --prompt Hi --chat auto)"
"$deleatur" convert model --out talking.gguf --quiet >out 2>&1 || { cat out; failed=1; }
same "a GGUF keeps it" "[user]Hi<|endoftext|>[2024]" "$("$deleatur" generate talking.gguf --max-new 0 --quiet --prompt Hi --chat auto)"
echo '[{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}]' >talk.json
same "a conversation too" "[system]S<|endoftext|>[user]Hi<|endoftext|>[2024]" "$(prompt --messages talk.json --chat auto)"
echo '{"messages": [{"role": "user", "content": "Hi"}]}' >row.json
same "also in a row of a data set" "[user]Hi<|endoftext|>[2024]" "$(prompt --messages row.json --chat auto)"
same "a layout by name takes its place" "<s>[INST] <<SYS>>
S
<</SYS>>

Hi [/INST]" "$(prompt --messages talk.json --chat-layout llama-2)"
same "--chat-layout is --chat" "$(prompt --prompt Hi --chat phi-3)" "$(prompt --prompt Hi --chat-layout phi-3)"
echo '{"chat-layout": "phi-3"}' >options.json
same "in a file of options too" "$(prompt --prompt Hi --chat phi-3)" "$(prompt --prompt Hi --config options.json)"
refused "a layout that does not exist" 2 "did you mean llama-3?" generate model --prompt Hi --chat-layout lama-3
refused "a conversation without a layout" 2 "--messages needs a layout" generate model --messages talk.json
refused "a role that the layout lacks" 1 "there is no system message" generate model --messages talk.json --chat-layout gemma
refused "both kinds of prompt" 2 "one of --prompt TEXT and --messages FILE" generate model --messages talk.json --prompt Hi --chat auto
echo '[]' >none.json
refused "no message" 1 "at least one message" generate model --messages none.json --chat auto
refused "a prompt without a token" 1 "nothing to continue" generate model --prompt ""
printf '{%% include "x" %%}' >model/chat_template.jinja
refused "a template beyond the subset" 1 "line 1: the tag {% include %} is not supported here; name a layout with --chat-layout" generate model --prompt Hi --chat auto
same "info says why" "chat        the model's chat template, line 1: the tag {% include %}" "$("$deleatur" info model | grep ^chat | cut -c1-68)"
exit $failed
