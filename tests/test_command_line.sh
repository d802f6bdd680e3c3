#!/usr/bin/env bash
# usage: test_command_line.sh DELEATUR SOURCE_DIR
#
# Every command that `deleatur --help` lists explains itself, and refuses what it does not know with status 2.
set -u
deleatur=$1
failed=0

expect() { # STATUS PATTERN COMMAND...: the status, and a line on stdout or stderr that matches
    local status=$1 pattern=$2 output got
    shift 2
    output=$("$@" 2>&1)
    got=$?
    if [ "$got" -ne "$status" ] || ! grep -q -- "$pattern" <<<"$output"; then
        echo "FAILED: $* gave status $got, and said:"
        echo "$output" | head -5
        echo "wanted: status $status and /$pattern/"
        failed=1
    fi
}

expect 0 '^deleatur [0-9]' "$deleatur" --version
expect 0 'COMMAND' "$deleatur" --help
expect 2 'COMMAND' "$deleatur"
expect 2 'no command "zebra" (deleatur --help lists them)' "$deleatur" zebra

commands=$("$deleatur" --help | sed -n 's/^  \([a-z]*\)  *[^ ].*/\1/p' | grep -v '^deleatur$')
[ "$(wc -w <<<"$commands")" -ge 17 ] || { echo "FAILED: --help lists only: $commands"; failed=1; }

# fits WORD...: the page is at most 80 columns wide
fits() {
    local wide
    wide=$("$deleatur" "$@" | LC_ALL=C.UTF-8 awk 'length($0) > 80')
    [ -z "$wide" ] || { echo "FAILED: $* is wider than 80 columns: $wide"; failed=1; }
}

fits --help
for command in $commands; do
    fits "$command" --help
    expect 0 '^every command$' "$deleatur" "$command" --help
    expect 0 '"groups":' "$deleatur" "$command" --help --json
    expect 0 "deleatur $command" "$deleatur" "$command" --help
    expect 0 "deleatur $command" "$deleatur" help "$command"
    expect 2 'deleatur: no option --no-such-option' "$deleatur" "$command" --no-such-option
    expect 2 "did you mean $command?" "$deleatur" "${command}x"
done
fits trace --compare --help
for heading in data 'what is trained' training result; do expect 0 "^$heading\$" "$deleatur" unlearn --help; done
expect 0 '^  npo  *-2/beta log sigma' "$deleatur" unlearn --help

# The names that other programs have are answered with ours, which all are options of some command.
all=$(for command in $commands; do "$deleatur" "$command" --help | sed -n 's/^  --\([a-z0-9-]*\).*/\1/p'; done | sort -u)
for ours in $(sed -n 's/^ *{"[^"]*", "\([^"]*\)"},$/\1/p' "$2/src/option/option_names.c"); do
    [ "$ours" = MODEL ] || grep -qx -- "$ours" <<<"$all" || { echo "FAILED: option_names.c says --$ours, which no command has"; failed=1; }
done
expect 2 'say --lr$' "$deleatur" unlearn m --learning-rate 1e-4
expect 2 'say --batch$' "$deleatur" finetune m --per_device_train_batch_size 8
expect 2 'say --epochs$' "$deleatur" unlearn m --num-epochs 8
expect 2 'say --max-new$' "$deleatur" generate m --max_new_tokens 8
expect 2 'say --out$' "$deleatur" trace m --output-dir x
expect 2 'say --shots$' "$deleatur" eval m --num_fewshot 5
expect 2 'say --suite$' "$deleatur" eval m --tasks mmlu
expect 2 'say --noise$' "$deleatur" trace m --noise_level s3
expect 2 'say --\(eval-\)\?every$' "$deleatur" unlearn m --eval-steps 5
expect 2 'MODEL is a positional argument' "$deleatur" eval --model m
expect 2 '^deleatur: MODEL is missing' "$deleatur" trace
expect 2 '^deleatur: AFTER is missing' "$deleatur" compare before
if [ -w /dev/full ]; then # a full disk behind stdout is not a success
    "$deleatur" --help >/dev/full 2>/dev/null && { echo "FAILED: --help on a full disk gave status 0"; failed=1; }
fi
echo "commands: $(echo $commands)"
exit $failed
