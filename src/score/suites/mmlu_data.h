/* MMLU's questions from its original CSV files, by subject. */
#ifndef DELE_MMLU_DATA_H
#define DELE_MMLU_DATA_H

#include "base/arena.h"

enum { DELE_MMLU_CHOICES = 4, DELE_MMLU_SUBJECTS = 57 };

typedef enum {
    DELE_MMLU_STEM,
    DELE_MMLU_OTHER,
    DELE_MMLU_SOCIAL_SCIENCES,
    DELE_MMLU_HUMANITIES,
    DELE_MMLU_GROUPS
} dele_mmlu_group;

typedef struct {
    const char *question, *raw_question; /* stripped; as in the file */
    const char *choice[DELE_MMLU_CHOICES];
    int answer; /* 0..3 */
} dele_mmlu_item;

typedef struct {
    const char *name; /* "college_biology" */
    dele_mmlu_group group;
    dele_mmlu_item *item, *shot; /* the split's questions; dev's, in order */
    size_t n_items, n_shots;
} dele_mmlu_subject;

typedef struct {
    dele_mmlu_subject *subject;
    size_t n_subjects, n_items;
} dele_mmlu;

const char *dele_mmlu_group_name(dele_mmlu_group group);

/* PATH/<split>/<subject>_<split>.csv and PATH/dev/<subject>_dev.csv (where shots > 0).  subjects:
 * "a,b", or NULL for all that exist.  limit: maximum number of questions per subject, 0 for all. */
dele_status dele_mmlu_load(dele_mmlu *data, const char *path, const char *split,
                           const char *subjects, int shots, int limit, dele_arena *arena,
                           dele_err *err);

/* Changes questions and choices to what pandas reads (template/pytext.h). */
void dele_mmlu_through_pandas(dele_mmlu *data);

#endif
