#!/usr/bin/env bash
# usage: test_command_line.sh LACUNA SOURCE_DIR
#
# Every command that `lacuna --help` lists explains itself, and refuses what it does not know with status 2.
set -u
lacuna=$1
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

expect 0 '^lacuna [0-9]' "$lacuna" --version
expect 0 'COMMAND' "$lacuna" --help
expect 2 'COMMAND' "$lacuna"
expect 2 'no command "zebra" (lacuna --help lists them)' "$lacuna" zebra

commands=$("$lacuna" --help | sed -n 's/^  \([a-z]*\)  *[^ ].*/\1/p' | grep -v '^lacuna$')
for command in $commands; do
    expect 0 "lacuna $command" "$lacuna" "$command" --help
    expect 0 "lacuna $command" "$lacuna" help "$command"
    expect 2 'lacuna: no option --no-such-option' "$lacuna" "$command" --no-such-option
    expect 2 "did you mean $command?" "$lacuna" "${command}x"
done
if [ -w /dev/full ]; then # a full disk behind stdout is not a success
    "$lacuna" --help >/dev/full 2>/dev/null && { echo "FAILED: --help on a full disk gave status 0"; failed=1; }
fi
echo "commands: $(echo $commands)"
exit $failed
