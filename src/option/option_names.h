/* Names that other programs have for deleatur's options. */
#ifndef DELE_OPTION_NAMES_H
#define DELE_OPTION_NAMES_H

#include <stddef.h>

/* The name by which the tables know an option that has two (--chat-layout is --chat). */
const char *dele_option_first_name(const char *name);

/* The k-th of deleatur's names for an option that other programs call `theirs` (transformers, PEFT,
 * lm-evaluation-harness, open-unlearning, ROME; - and _ are the same), or NULL.  A name in capitals
 * is a positional word. */
const char *dele_option_ours(const char *theirs, size_t k);

#endif
