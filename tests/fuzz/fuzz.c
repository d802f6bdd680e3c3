#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/forward.h"

enum { LIMIT_MIB = 512 };

static char folder[64];
static dele_arena arena = {.limit = (size_t)LIMIT_MIB << 20};

/* The folder goes with the process.  Its entries are files: targets make no folders of their
 * own. */
static void remove_folder(void)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.') unlinkat(dirfd(dir), e->d_name, 0);
    if (dir) closedir(dir);
    rmdir(folder);
}

static void make_folder(void)
{
    if (folder[0]) return;
    snprintf(folder, sizeof folder, "%s/deleatur-fuzz-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder)) abort();
    atexit(remove_folder);
}

const char *fuzz_path(const char *name)
{
    static char paths[4][128];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    make_folder();
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *fuzz_write(const char *name, const void *data, size_t size)
{
    const char *path = fuzz_path(name);
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(data, 1, size, out) != size || fclose(out)) abort();
    return path;
}

dele_arena *fuzz_arena(void) { return &arena; }

/* FUZZ_SAY=1 prints the sentences: a seed has to be accepted. */
void fuzz_answer(dele_status status, const dele_err *err)
{
    if (!status) return;
    if (err->code == DELE_OK || !err->msg[0] || strchr(err->msg, '\n')) abort();
    if (getenv("FUZZ_SAY")) fprintf(stderr, "refused: %s\n", err->msg);
}

dele_config fuzz_config(int n_layers, bool tied)
{
    return (dele_config){.family = &dele_family_llama,
                         .n_layers = n_layers,
                         .hidden_size = 8,
                         .intermediate_size = 12,
                         .n_heads = 2,
                         .n_kv_heads = 1,
                         .head_dim = 4,
                         .vocab = 10,
                         .context = 32,
                         .norm_eps = 1e-5f,
                         .rope[0].theta = 1e4f,
                         .bos = -1,
                         .eos = -1,
                         .pad = -1,
                         .tied = tied};
}

dele_config fuzz_mixture_config(void)
{
    dele_config c = fuzz_config(3, false);
    c.family = &dele_family_olmoe;
    c.n_experts = 4, c.top_k = 2;
    c.n_kv_heads = 2; /* OLMoE's q/k norm is over the width */
    for (int l = 0; l < c.n_layers; l++) c.layer_kind[l] = DELE_LAYER_SPARSE;
    return c;
}

void fuzz_run_model(const dele_model *model, const dele_routes *forced)
{
    int id[FUZZ_TOKENS], row[FUZZ_TOKENS], n = FUZZ_TOKENS;
    const int vocab = model->config.vocab;
    if (n > model->config.context) n = model->config.context;
    if (forced && (size_t)n > forced->n_rows) n = (int)forced->n_rows;
    for (int i = 0; i < n; i++) id[i] = i % vocab, row[i] = i;
    const dele_segment segment = {.tokens = id, .n_rows = n, .forced = forced};
    const dele_batch batch = {
        .segments = &segment, .n_segments = 1, .output_rows = row, .n_output_rows = (size_t)n};
    dele_err err = {0};
    dele_run run = {0};
    float *logits = DELE_NEW(fuzz_arena(), float, (size_t)n *(size_t)vocab, &err);
    if (!logits || dele_forward(&run, model, &batch, &err))
        fuzz_answer(err.code, &err);
    else
        dele_logits(logits, &run, model, run.final, (size_t)n);
    dele_run_release(&run);
}

uint64_t fuzz_next(fuzz_random *r) /* splitmix64 */
{
    uint64_t z = r->x += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

size_t fuzz_below(fuzz_random *r, size_t n) { return n ? (size_t)(fuzz_next(r) % n) : 0; }

#ifdef DELE_FUZZ
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t fuzz_bytes(uint8_t *data, size_t size, size_t max, fuzz_random *r)
{
    (void)r;
    return LLVMFuzzerMutate(data, size, max);
}
#else
size_t fuzz_bytes(uint8_t *data, size_t size, size_t max, fuzz_random *r)
{
    if (!size) return max ? (data[0] = (uint8_t)fuzz_next(r), 1) : 0;
    for (size_t n = 1 + fuzz_below(r, 4); n--;) data[fuzz_below(r, size)] = (uint8_t)fuzz_next(r);
    return size;
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_one(data, size);
    dele_arena_release(&arena);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate(data, size, max, seed);
}
