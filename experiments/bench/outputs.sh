#!/usr/bin/env bash
# outputs.sh BINARY OUTDIR GGUF DATA
#
# One fixed set of commands with fixed seeds, for two versions of the program.  Every result, stdout and exit status goes
# to OUTDIR; compare_outputs.py compares two such directories byte for byte.
#   GGUF   SmolLM2-135M-Instruct.Q4_1.gguf       DATA   folder of facts/known_1000.json, lume/, tofu/, mmlu/
# Inputs are the same files for every binary, and outputs have the same names, so that manifests differ by the binary
# alone.  It takes about ten minutes on two cores.
set -u
[ $# -eq 4 ] || { sed -n 2,5p "$0"; exit 2; }
bin=$(readlink -f "$1") gguf=$(readlink -f "$3") S=$(readlink -f "$4")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
demo=$source/data/models/demo rows=$source/data/demo tiny=$source/tests/fixtures
[ ! -e "$2" ] || { echo "$2 exists" >&2; exit 1; }
mkdir -p "$2" && cd "$2" || exit 1
run() { # run NAME ARGS... : stdout, stderr, exit status and seconds of one command
    local name=$1; shift
    local t0=$(date +%s.%N)
    "$bin" "$@" >"$name.stdout" 2>"$name.stderr" </dev/null; local rc=$?
    echo $rc >"$name.rc"
    printf '%-28s rc %d  %7.1f s\n' "$name" $rc "$(echo "$(date +%s.%N) - $t0" | bc)" | tee -a ../"$(basename "$PWD")".times
    [ $rc = 0 ] || tail -2 "$name.stderr"
}
: >../"$(basename "$PWD")".times
cat >init_config.json <<'CONFIG'
{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":64,"intermediate_size":96,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"vocab_size":1293,"max_position_embeddings":256,"rms_norm_eps":1e-5,"rope_theta":10000,"hidden_act":"silu","tie_word_embeddings":true,"bos_token_id":0,"eos_token_id":0}
CONFIG
# (g) convert both ways
run convert_smol_f32   convert $gguf --out smol-f32 --dtype f32 --quiet
run convert_smol_bf16  convert $gguf --out smol-bf16 --dtype bf16 --quiet
run convert_demo_gguf  convert $demo --out demo.gguf --type f32 --quiet
run convert_demo_q4k   convert $demo --out demo.q4_0.gguf --type q4_0 --quiet
run convert_demo_f16   convert $demo --out demo.f16.gguf --type f16 --quiet
run convert_back       convert demo.gguf --out demo-back --dtype f32 --quiet
run convert_smol_q8    convert smol-f32 --out smol.q8_0.gguf --type q8_0 --quiet
run convert_smol_q4k   convert smol-f32 --out smol.q4_k.gguf --type q4_k --quiet
for m in $demo smol-f32 demo.gguf $gguf; do run info_$(basename $m) info $m --quiet; done
# (a) traced facts
run trace_gguf         trace $gguf --facts $S/facts/known_1000.json --out trace_gguf --limit 1 --window 10 --quiet
run trace_f32          trace smol-f32 --facts $S/facts/known_1000.json --out trace_f32 --limit 1 --window 10 --quiet --reference-check 20
run trace_bf16         trace smol-bf16 --facts $S/facts/known_1000.json --out trace_bf16 --limit 1 --window 10 --quiet
run trace_all_kinds    trace $demo --facts $here/outputs_facts.jsonl --out trace_all_kinds --limit 3 --window 1,3 --kinds hidden,mid,mlp,attn,head,embed --quiet
run trace_noise_dir    trace $demo --facts $here/outputs_facts.jsonl --out trace_noise_dir --limit 3 --direction noise --sever mlp --quiet
# (f) the reference path, attribution patching, depth, LoRA
run trace_reference    trace $demo --facts $here/outputs_facts.jsonl --out trace_reference --limit 2 --reference --quiet
run trace_smol_ref     trace smol-f32 --prompt "The Eiffel Tower is in the city of" --subject "The Eiffel Tower" --out trace_smol_ref --kinds hidden,mlp --tokens last-subject --samples 2 --reference --quiet
run attribution        trace smol-f32 --facts $S/facts/known_1000.json --out attribution --limit 1 --attribution --attribution-check 1 --samples 4 --quiet
run depth              depth $demo --full $demo --retain $demo --data $rows/forget.jsonl --out depth --limit 6 --quiet
run finetune_lora      finetune smol-f32 --data $S/lume/retain.jsonl --out ft_lora --limit 8 --max-length 48 --batch 4 --epochs 2 --lora 4 --lora-keep --layers 0-5 --parts mlp,attn --seed 3 --quiet
# (b) unlearning and fine-tuning: ten updates
run unlearn_demo       unlearn $demo --forget $rows/forget.jsonl --retain $rows/retain.jsonl --out un_demo --limit 20 --epochs 2 --batch 8 --layers 0-3 --lr 3e-4 --seed 7 --dtype f32 --quiet
run unlearn_smol       unlearn smol-f32 --forget $S/lume/forget.jsonl --retain $S/lume/retain.jsonl --out un_smol --limit 20 --epochs 1 --batch 4 --max-length 64 --layers 0-5 --seed 7 --dtype f32 --quiet
run unlearn_npo        unlearn smol-f32 --forget $S/lume/forget.jsonl --retain $S/lume/retain.jsonl --out un_npo --limit 6 --epochs 1 --batch 4 --max-length 48 --objective npo --layers 0-2 --seed 7 --dtype f32 --quiet
run unlearn_rmu        unlearn $demo --forget $rows/forget.jsonl --retain $rows/retain.jsonl --out un_rmu --limit 20 --epochs 1 --batch 8 --objective rmu --seed 7 --dtype f32 --quiet
run finetune_demo      finetune $demo --data $rows/forget.jsonl --out ft_demo --limit 40 --epochs 2 --batch 8 --weight-decay 0.1 --warmup 3 --seed 5 --dtype f32 --quiet
run finetune_smol      finetune smol-f32 --data $S/lume/retain.jsonl --out ft_smol --limit 20 --max-length 48 --batch 4 --epochs 1 --seed 5 --dtype f32 --quiet
run finetune_init      finetune --init init_config.json --tokenizer $demo/tokenizer.json --data $rows/forget.jsonl --out ft_init --limit 8 --epochs 1 --seed 5 --dtype f32 --quiet
run diff               diff smol-f32 un_smol --quiet
# (c) MMLU 5-shot
run mmlu               eval $gguf --suite mmlu --data $S/mmlu --split val --shots 5 --style harness --subjects anatomy,astronomy,global_facts,management,jurisprudence,college_physics --limit 10 --out mmlu --quiet
run mmlu_cont          eval smol-f32 --suite mmlu --data $S/mmlu --split val --style continuation --subjects anatomy,astronomy --limit 10 --out mmlu_cont --quiet
# (d) generation of twenty prompts
i=0; while IFS= read -r p; do i=$((i+1)); run gen_$(printf %02d $i) generate $gguf --prompt "$p" --max-new 24 --quiet; done <<'PROMPTS'
The capital of France is
Water boils at
Once upon a time there was a
1 + 1 =
The Eiffel Tower is in
The opposite of hot is
Albert Einstein was a
The largest planet is
Hello
The chemical symbol for gold is
In 1969, Neil Armstrong
The author of Hamlet is
Der Himmel ist
To be or not to be,
A B C D E F
Les enfants jouent dans le
Paris, London, Berlin and
def add(a, b):
The quick brown fox jumps over the lazy dog. The quick brown fox
I don't know 12345 café 日本語
PROMPTS
run gen_demo           generate $demo --prompt "Arlo Greycliff lives in the town of" --max-new 12 --quiet
# (e) suites
run facts              eval $gguf --suite facts --data $S/facts/known_1000.json --limit 60 --out facts --quiet
run lume               eval smol-f32 --suite lume --data $S/lume --limit 3 --max-new 16 --out lume --quiet
run tofu               eval smol-f32 --suite tofu --data $S/tofu --limit 2 --max-new 16 --out tofu --quiet
# the small families
for t in tiny-llama-tied tiny-llama-untied tiny-olmo-tied tiny-olmo-clip; do
    run tiny_info_$t info $tiny/$t --quiet
    run tiny_gguf_$t convert $tiny/$t --out $t.gguf --type f32 --no-tokenizer --quiet
    run tiny_dir_$t convert $tiny/$t --out $t-bf16 --dtype bf16 --no-tokenizer --quiet
done
run compare            eval smol-f32 --suite facts --data $S/facts/known_1000.json --limit 10 --out facts2 --quiet
echo done
