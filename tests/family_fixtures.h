/* The directories of fixtures/families, one block each (reference/make_family_fixtures.py). */
#ifndef DELE_TESTS_FAMILY_FIXTURES_H
#define DELE_TESTS_FAMILY_FIXTURES_H

/* clang-format off */
#define DELE_FAMILY_FIXTURES                                                                       \
    {                                                                                              \
        "olmo-grouped",                                                                    \
    }
/* clang-format on */

#endif
