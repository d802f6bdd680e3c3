/* Tests that need the large shared data (models, LUME, MMLU, TOFU, tokenizers), which the
 * repository does not hold.
 *
 * A program lists them apart from its own and runs them only when asked to:
 *
 *   if (shared_asked(argc, argv)) return cmocka_run_group_tests(shared, NULL, NULL);
 *
 * ctest asks (`test_x shared`) where the environment variable DELEATUR_SHARED named the folder when
 * CMake was run.  No feature may be tested by them alone. */
#ifndef DELE_TEST_SHARED_H
#define DELE_TEST_SHARED_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline bool shared_asked(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "shared")) return false;
    if (getenv("DELEATUR_SHARED")) return true;
    fprintf(stderr, "DELEATUR_SHARED does not name the folder of the shared data\n");
    exit(1);
}

/* A file or folder of the shared data; the last eight paths asked for stay valid. */
static inline const char *shared_path(const char *name)
{
    static char path[8][700];
    static unsigned turn;
    char *p = path[turn++ % 8];
    const char *folder = getenv("DELEATUR_SHARED");
    if (snprintf(p, sizeof path[0], "%s/%s", folder ? folder : "DELEATUR_SHARED", name) >=
        (int)sizeof path[0])
        abort();
    return p;
}

#endif
