#!/usr/bin/env bash
# usage: tests/run.sh [release|asan|shared]
#
# Builds deleatur from this tree and runs its tests: the release build with every test, then the
# build with address and undefined-behaviour sanitizers with the short tests; the first with oneDNN,
# the second with OpenBLAS alone.  With an argument, only that part.  Fails when anything fails.
#
# These tests need only the repository.  A few more tests read large published data (LUME, MMLU,
# TOFU, tokenizers).  They are registered if the environment variable DELEATUR_SHARED names the
# folder of these data; "shared" runs only them.
#
# Needs the Debian packages below.  Missing packages are installed when run as root, and named
# otherwise.  The test of a trace's page needs a browser and is skipped with a message without one;
# chromium is installed only where CI=true and run as root.
set -u -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(build-essential cmake ninja-build pkg-config libopenblas-openmp-dev libgsl-dev libcjson-dev gnuplot-nox
          libpcre2-dev libutf8proc-dev libcmocka-dev zlib1g-dev libzip-dev nettle-dev libcsv-dev libdnnl-dev
          file unzip man-db zsh libxml2-utils)

# Some tests check a part of their subject with one of these, and leave that part out where it is missing.
tools=(gnuplot file unzip man zsh xmllint script dpkg-shlibdeps)

say() { printf '\n== %s\n' "$*"; }

need_packages() {
    command -v dpkg-query >/dev/null || return 0 # not Debian: CMake will name what it cannot find
    local missing=() p
    for p in "${packages[@]}"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "tests/run.sh: these packages are missing: ${missing[*]}" >&2
        echo "              sudo apt-get install ${missing[*]}" >&2
        return 1
    fi
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null 2>&1 && return 0
    { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } >/dev/null && return 0
    echo "tests/run.sh: apt-get could not install ${missing[*]}" >&2
    return 1
}

missing_tools() {
    local t missing=()
    for t in "${tools[@]}"; do command -v "$t" >/dev/null || missing+=("$t"); done
    [ ${#missing[@]} -eq 0 ] || echo "tests leave out the parts that need these programs, which are not installed: ${missing[*]}"
}

# A missing browser is not a failure: its test is skipped with a message.
want_browser() {
    [ "${CI:-}" = true ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 0
    command -v chromium >/dev/null && return 0
    say "installing chromium"
    export DEBIAN_FRONTEND=noninteractive
    timeout 300 apt-get install -y -q --no-install-recommends chromium >/dev/null 2>&1 ||
        { timeout 60 apt-get update -q && timeout 300 apt-get install -y -q --no-install-recommends chromium; } >/dev/null 2>&1 ||
        echo "chromium could not be installed: the test of a trace's page will be skipped"
}

jobs=$(nproc 2>/dev/null || echo 2)

# build DIR CMAKE-ARGUMENTS...
build() {
    local dir=$1
    shift
    cmake -S . -B "$dir" -G Ninja -DBUILD_TESTING=ON -DDELE_WERROR=ON "$@" >"$dir.log" 2>&1 ||
        { cat "$dir.log"; echo "tests/run.sh: CMake could not configure $dir" >&2; return 1; }
    grep -A3 'CMake Warning' "$dir.log"
    cmake --build "$dir" -j "$jobs" >"$dir.log" 2>&1 ||
        { grep -vE '^\[[0-9]+/[0-9]+\] (Building|Linking)' "$dir.log"; echo "tests/run.sh: $dir does not build" >&2; return 1; }
}

release() {
    say "release build, every test"
    build build/test -DCMAKE_BUILD_TYPE=Release || return 1
    [ -n "${DELEATUR_SHARED:-}" ] ||
        echo "tests of the large shared data are not registered: DELEATUR_SHARED does not name their folder"
    ctest --test-dir build/test --output-on-failure --no-tests=error --timeout 600
}

shared() {
    [ -n "${DELEATUR_SHARED:-}" ] || { echo "tests/run.sh: DELEATUR_SHARED does not name the shared data" >&2; return 1; }
    say "release build, the tests of the shared data in $DELEATUR_SHARED"
    build build/test -DCMAKE_BUILD_TYPE=Release || return 1
    ctest --test-dir build/test --output-on-failure --no-tests=error --timeout 600 -L shared
}

asan() {
    say "address and undefined-behaviour sanitizers, the short tests"
    build build/test-asan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DDELE_GEMM=openblas \
        -DCMAKE_C_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer" || return 1
    # Where a process may not trace itself (some containers) the leak check cannot run; the others can.
    if ! build/test-asan/deleatur --version >/dev/null 2>&1; then
        export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
        build/test-asan/deleatur --version >/dev/null || return 1
        echo "the leak check cannot run here and is left out"
    fi
    ctest --test-dir build/test-asan --output-on-failure --no-tests=error --timeout 600 -L short
}

need_packages || exit 1
missing_tools
want_browser
mkdir -p build
status=0
case ${1:-all} in
    release) release || status=1 ;;
    asan)    asan || status=1 ;;
    shared)  shared || status=1 ;;
    all)     release || status=1
             asan || status=1 ;;
    *)       echo "usage: tests/run.sh [release|asan|shared]" >&2; exit 2 ;;
esac
if [ $status -eq 0 ]; then say "all passed"; else say "FAILED (see above)"; fi
exit $status
