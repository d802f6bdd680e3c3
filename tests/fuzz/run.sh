#!/usr/bin/env bash
# usage: tests/fuzz/run.sh [-t SECONDS] [-j JOBS] [FORMAT ...]       default: 600 seconds each, two at a time, all of them
#
# Builds the libFuzzer programs with clang (build/fuzz) and runs each from its seeds. Findings are written to
# build/fuzz/found/FORMAT-*; the corpus grows in build/fuzz/corpus/FORMAT. A line a target tells executions,
# coverage (edges) and findings. Needs Debian's clang, libclang-rt-14-dev and libomp-14-dev.
set -u -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
seconds=600 jobs=2
while getopts t:j: option; do
    case $option in t) seconds=$OPTARG ;; j) jobs=$OPTARG ;; *) exit 2 ;; esac
done
shift $((OPTIND - 1))
formats=("$@")
[ ${#formats[@]} -gt 0 ] || for s in tests/fuzz/fuzz_*.c; do s=${s##*/fuzz_}; formats+=("${s%.c}"); done

mkdir -p build
cmake -S . -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo -DBUILD_TESTING=ON \
    -DDELE_GEMM=openblas -DDELE_FUZZ=ON >build/fuzz.log 2>&1 || { cat build/fuzz.log; exit 1; }
cmake --build build/fuzz --target "${formats[@]/#/fuzz_}" >build/fuzz.log 2>&1 || { tail -40 build/fuzz.log; exit 1; }
mkdir -p build/fuzz/found

run_one() {
    local f=$1 log=build/fuzz/$1.log
    mkdir -p "build/fuzz/corpus/$f"
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 build/fuzz/tests/fuzz/fuzz_"$f" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=3000 -max_len=65536 -close_fd_mask=2 -print_final_stats=1 -artifact_prefix="build/fuzz/found/$f-" \
        "build/fuzz/corpus/$f" "tests/fuzz/seeds/$f" >"$log" 2>&1
    local status=$?
    printf '%-12s %9s executions, coverage %s, %s\n' "$f" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
        "$(grep -aoE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -1)" \
        "$([ $status -eq 0 ] && echo 'no finding' || echo "FOUND: $(grep -a -m1 -E 'ERROR|runtime error|SUMMARY' "$log")")"
    return $status
}
export -f run_one
export seconds
printf '%s\n' "${formats[@]}" | xargs -P "$jobs" -I{} bash -c 'run_one {}'
