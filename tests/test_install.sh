#!/usr/bin/env bash
# usage: test_install.sh DELEATUR SOURCE_DIR
#
# What is installed works by itself: the program finds its data, no file names the source or the build folder, every command
# has a man page and a completion that know each of its options; and a Debian package holds the same and names its libraries.
set -u
deleatur=$1 source=$2 build=$(dirname "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

# checks of a tree whose prefix is $1
check_tree() {
    local prefix=$1 commands command page option
    [ "$("$prefix/bin/deleatur" --version)" = "$("$deleatur" --version)" ] || fail "$prefix: the program does not run"
    for path in "$source" "$build"; do
        grep -rqF "$path" "$prefix/bin" "$prefix/share/man" && fail "$prefix: a file names $path"
    done
    (cd "$dir" && "$prefix/bin/deleatur" info "$prefix/share/deleatur/data/models/demo" >/dev/null) || fail "$prefix: info of the embedded model"
    (cd "$dir" && "$prefix/bin/deleatur" run village_sweep --list --out sweep >"$dir/list.txt" 2>&1) ||
        "$prefix/bin/deleatur" run --help >/dev/null || fail "$prefix: a recipe is not found"
    commands=$("$deleatur" --help | sed -n 's/^  \([a-z][a-z]*\)  *[^ ].*/\1/p' | grep -v '^deleatur$')
    [ -n "$commands" ] || fail "no commands"
    for command in $commands; do
        page=$prefix/share/man/man1/deleatur-$command.1
        [ -s "$page" ] || [ -s "$page.gz" ] || { fail "no man page of $command"; continue; }
        "$deleatur" "$command" --help | sed -n 's/^  --\([a-z0-9-]*\).*/\1/p' | while read -r option; do
            zcat -f "$page" "$page.gz" 2>/dev/null | grep -qF -- "\\-\\-${option//-/\\-}\\fR" || echo "$command: no --$option"
            grep -q -- "--$option" "$prefix/share/bash-completion/completions/deleatur" || echo "bash: $command: no --$option"
            grep -q -- "--$option" "$prefix/share/zsh/vendor-completions/_deleatur" || echo "zsh: $command: no --$option"
        done >"$dir/missing.txt"
        [ -s "$dir/missing.txt" ] && fail "$(cat "$dir/missing.txt")"
    done
}

cmake --install "$build" --prefix "$dir/usr" >"$dir/log.txt" 2>&1 || { cat "$dir/log.txt"; fail "install"; }
check_tree "$dir/usr"

# bash completes commands and options
complete_words() {
    bash -c "source '$dir/usr/share/bash-completion/completions/deleatur'; COMP_WORDS=($*); COMP_CWORD=$(($# - 1)); _deleatur; echo \"\${COMPREPLY[@]}\""
}
[ "$(complete_words deleatur unl)" = unlearn ] || fail "bash: unl"
complete_words deleatur trace --noi | grep -q -- --noise || fail "bash: trace --noi"
[ "$(complete_words deleatur trace m --direction den)" = denoise ] || fail "bash: trace --direction den"
command -v zsh >/dev/null && { zsh -n "$dir/usr/share/zsh/vendor-completions/_deleatur" || fail "zsh cannot read its completion"; }
if command -v man >/dev/null; then
    for page in "$dir"/usr/share/man/man1/*; do
        [ -z "$(man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)" ] || fail "man complains of $page"
    done
fi

# the Debian package, where this is Debian (CPack finds the libraries it depends on with dpkg-shlibdeps and file)
if command -v dpkg-deb >/dev/null && command -v dpkg-shlibdeps >/dev/null && command -v file >/dev/null; then
    (cd "$build" && cpack -G DEB -B "$dir/deb") >"$dir/log.txt" 2>&1 || { tail -20 "$dir/log.txt"; fail "cpack"; }
    deb=$(ls "$dir"/deb/*.deb)
    mkdir "$dir/root" && dpkg-deb -x "$deb" "$dir/root" || fail "the package cannot be unpacked"
    check_tree "$dir/root/usr"
    depends=$(dpkg-deb -f "$deb" Depends)
    for library in libopenblas0-openmp libgsl libcjson1 libpcre2-8-0 libutf8proc2 libzip4 libgomp1; do
        grep -q "$library" <<<"$depends" || fail "the package does not depend on $library: $depends"
    done
    dpkg-deb -f "$deb" Recommends | grep -q gnuplot || fail "the package does not name gnuplot"
    dpkg-deb -f "$deb" Maintainer
fi
[ $failed -eq 0 ] && echo "installed and packaged"
exit $failed
