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
for command in $commands; do
    expect 0 "deleatur $command" "$deleatur" "$command" --help
    expect 0 "deleatur $command" "$deleatur" help "$command"
    expect 2 'deleatur: no option --no-such-option' "$deleatur" "$command" --no-such-option
    expect 2 "did you mean $command?" "$deleatur" "${command}x"
done
if [ -w /dev/full ]; then # a full disk behind stdout is not a success
    "$deleatur" --help >/dev/full 2>/dev/null && { echo "FAILED: --help on a full disk gave status 0"; failed=1; }
fi
echo "commands: $(echo $commands)"
exit $failed
