/* The table of a command's options (option.h says how one is written), and its values as JSON. */
#ifndef DELE_OPTION_TABLE_H
#define DELE_OPTION_TABLE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    DELE_OPT_STRING,
    DELE_OPT_INT,
    DELE_OPT_U64,
    DELE_OPT_DOUBLE,
    DELE_OPT_BOOL,
    DELE_OPT_CHOICE,
    DELE_OPT_GROUP
} dele_option_type;

/* One line of a table; of a group, name is "", value NULL and help its title. */
typedef struct {
    const char *name;
    dele_option_type type;
    void *value;
    const char *help;
    const char *const *choices; /* of a choice: its words, ends with NULL */
} dele_option;

#define DELE_OPT_TYPE(p)                                                                           \
    _Generic((p), const char **: DELE_OPT_STRING, int *: DELE_OPT_INT,                             \
             uint64_t *: DELE_OPT_U64, double *: DELE_OPT_DOUBLE, bool *: DELE_OPT_BOOL)
#define DELE_OPT(name, p, help)                                                                    \
    {                                                                                              \
        (name), DELE_OPT_TYPE(p), (p), (help), NULL                                                \
    }
#define DELE_FLAG(name, p, help)                                                                   \
    {                                                                                              \
        (name), DELE_OPT_BOOL, (p), (help), NULL                                                   \
    }
#define DELE_GROUP(title)                                                                          \
    {                                                                                              \
        "", DELE_OPT_GROUP, NULL, (title), NULL                                                    \
    }

/* An option that takes one of a few words.  p points to an enum whose values are the indices of the
 * words in `choices`, which ends with NULL; an empty word stands for "not given" and is not shown.
 * The array type in sizeof is an error where the enum is not as wide as an unsigned int, which is
 * what the parser writes. */
#define DELE_CHOICE(name, p, choices, help)                                                        \
    {                                                                                              \
        (name), DELE_OPT_CHOICE, (p) + 0 * sizeof(char[sizeof *(p) == sizeof(unsigned) ? 1 : -1]), \
            (help), (choices)                                                                      \
    }

/* A line of the list that a command's help may end with, as the objectives of unlearn. */
typedef struct {
    const char *name, *text;
} dele_usage_entry;

typedef struct {
    const char *command; /* "trace" */
    const char *summary; /* one line */
    const char
        *synopsis; /* "MODEL --facts FILE --out DIR"; its first words name the positional ones */
    const char *example;        /* a whole command line that works */
    const dele_option *options; /* ends with {0} */
    const char **positional;    /* [n_positional] out: their values, all required */
    int n_positional;
    const char *list_title;       /* NULL: no list */
    const dele_usage_entry *list; /* ends with {0} */
    bool tables;                  /* it prints tables, and so has --csv */
} dele_usage;

/* The option after o (first: of the table), over the groups' titles; NULL at the end. */
const dele_option *dele_option_next(const dele_option *o);
const dele_option *dele_option_first(const dele_option *table);

/* Whether the value is another than that of `defaults`.  settings: what the table's values point
 * into, and defaults another of its type, both `size` bytes; false where this option's value lies
 * elsewhere. */
bool dele_option_differs(const dele_option *o, const void *settings, const void *defaults,
                         size_t size);

/* The word in force of a choice. */
const char *dele_option_word(const dele_option *o);

/* The words of a choice, those that are not empty, separated by `between`. */
void dele_option_words(char *text, size_t size, const dele_option *o, const char *between);

/* The value in force; the caller owns it.  NULL: no memory. */
cJSON *dele_option_value_json(const dele_option *o);

/* Every option with its current value, for the manifest.  The caller owns the object
 * (cJSON_Delete). */
cJSON *dele_options_json(const dele_usage *usage);

#endif
