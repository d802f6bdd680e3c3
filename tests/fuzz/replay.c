/* Runs every file of a folder of seeds, and mutations of each, through a fuzz target: a test of
 * every build.
 *
 *   replay_FORMAT SEEDS [MUTATIONS]     default: 200 of each seed, from fixed random seeds */
#include "fuzz.h"

#include <dirent.h>

enum { MAX_SIZE = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_seed(uint8_t *data, const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *in = fopen(path, "rb");
    if (!in) {
        perror(path);
        exit(1);
    }
    size_t size = fread(data, 1, MAX_SIZE, in);
    fclose(in);
    return size;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}
static int is_seed(const struct dirent *e) { return e->d_name[0] != '.'; }

/* A copy of exactly the input's size, so that a sanitizer sees a read beyond it. */
static void run_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

int main(int argc, char **argv)
{
    if (argc < 2) return fprintf(stderr, "usage: %s SEEDS [MUTATIONS]\n", argv[0]), 2;
    unsigned mutations = argc > 2 ? (unsigned)atoi(argv[2]) : 200;
    uint8_t *seed = malloc(MAX_SIZE), *data = malloc(MAX_SIZE);
    struct dirent **entry = NULL;
    int n = scandir(argv[1], &entry, is_seed, by_name);
    if (!seed || !data || n < 1) return fprintf(stderr, "%s holds no seeds\n", argv[1]), 1;
    for (int i = 0; i < n; i++) {
        size_t size = read_seed(seed, argv[1], entry[i]->d_name);
        run_copy(seed, size);
        for (unsigned k = 0; k < mutations; k++) {
            memcpy(data, seed, size);
            size_t changed = size;
            for (unsigned turn = 0; turn <= k % 3; turn++)
                changed =
                    fuzz_mutate(data, changed, MAX_SIZE, 1000003u * (unsigned)i + 3 * k + turn);
            run_copy(data, changed);
        }
        free(entry[i]);
    }
    free(entry);
    free(seed);
    free(data);
    printf("%d seeds, %u mutations of each: every one answered\n", n, mutations);
    return 0;
}
