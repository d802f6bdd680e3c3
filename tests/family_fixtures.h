/* The directories of fixtures/families, one block each (reference/make_family_fixtures.py). */
#ifndef DELE_TESTS_FAMILY_FIXTURES_H
#define DELE_TESTS_FAMILY_FIXTURES_H

/* clang-format off */
#define DELE_FAMILY_FIXTURES                                                                       \
    {                                                                                              \
        "gemma2", "gemma3", "gpt2", "llama-llama3", "mistral-window", "neox-parallel",             \
        "neox-sequential", "olmo2", "olmo3-yarn", "olmo-grouped", "phi3", "qwen2-window",          \
        "qwen3", "smollm3", "olmoe", "mixtral", "qwen2-moe", "qwen3-moe",\
    }
/* clang-format on */

#endif
