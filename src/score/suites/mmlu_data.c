#include "score/suites/mmlu_data.h"

#include <string.h>

#include "base/file.h"
#include "template/pytext.h"
#include "text/csv.h"

typedef struct {
    const char *name;
    dele_mmlu_group group;
} subject_row;

#define S DELE_MMLU_STEM
#define O DELE_MMLU_OTHER
#define C DELE_MMLU_SOCIAL_SCIENCES
#define H DELE_MMLU_HUMANITIES

static const subject_row subject_table[DELE_MMLU_SUBJECTS] = {
    {"abstract_algebra", S},
    {"anatomy", S},
    {"astronomy", S},
    {"business_ethics", O},
    {"clinical_knowledge", O},
    {"college_biology", S},
    {"college_chemistry", S},
    {"college_computer_science", S},
    {"college_mathematics", S},
    {"college_medicine", O},
    {"college_physics", S},
    {"computer_security", S},
    {"conceptual_physics", S},
    {"econometrics", C},
    {"electrical_engineering", S},
    {"elementary_mathematics", S},
    {"formal_logic", H},
    {"global_facts", O},
    {"high_school_biology", S},
    {"high_school_chemistry", S},
    {"high_school_computer_science", S},
    {"high_school_european_history", H},
    {"high_school_geography", C},
    {"high_school_government_and_politics", C},
    {"high_school_macroeconomics", C},
    {"high_school_mathematics", S},
    {"high_school_microeconomics", C},
    {"high_school_physics", S},
    {"high_school_psychology", C},
    {"high_school_statistics", S},
    {"high_school_us_history", H},
    {"high_school_world_history", H},
    {"human_aging", O},
    {"human_sexuality", C},
    {"international_law", H},
    {"jurisprudence", H},
    {"logical_fallacies", H},
    {"machine_learning", S},
    {"management", O},
    {"marketing", O},
    {"medical_genetics", O},
    {"miscellaneous", O},
    {"moral_disputes", H},
    {"moral_scenarios", H},
    {"nutrition", O},
    {"philosophy", H},
    {"prehistory", H},
    {"professional_accounting", O},
    {"professional_law", H},
    {"professional_medicine", O},
    {"professional_psychology", C},
    {"public_relations", C},
    {"security_studies", C},
    {"sociology", C},
    {"us_foreign_policy", C},
    {"virology", O},
    {"world_religions", H}};
#undef S
#undef O
#undef C
#undef H

const char *dele_mmlu_group_name(dele_mmlu_group group)
{
    static const char *const name[] = {"stem", "other", "social_sciences", "humanities"};
    return name[group];
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Reads the first `limit` questions of a CSV file (0: all).  Columns are the question, four choices
 * and the answer's letter; the question is kept as it is and stripped, since styles differ in that.
 */
static dele_status items_load(dele_mmlu_item **items, size_t *n, const char *path, size_t limit,
                              dele_arena *arena, dele_err *err)
{
    dele_csv csv;
    dele_status status = dele_csv_load(&csv, path, 2 + DELE_MMLU_CHOICES, arena, err);
    if (status) return status;
    *n = limit && limit < csv.n_rows ? limit : csv.n_rows;
    *items = DELE_NEW(arena, dele_mmlu_item, *n, err);
    if (!*items) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < *n; i++) {
        dele_mmlu_item *item = &(*items)[i];
        const char *answer = dele_csv_field(&csv, i, 5);
        item->raw_question = dele_csv_field(&csv, i, 0);
        item->question = dele_strip(dele_csv_field(&csv, i, 0), arena, err);
        if (!item->question) return DELE_ERR_MEMORY;
        for (size_t c = 0; c < DELE_MMLU_CHOICES; c++)
            item->choice[c] = dele_csv_field(&csv, i, 1 + c);
        if (answer[0] < 'A' || answer[0] > 'D' || answer[1])
            return dele_fail(err, DELE_ERR_FORMAT,
                             "%s:%d: the answer is \"%.20s\"; the sixth field must be A, B, C or D",
                             path, csv.line[i], answer);
        item->answer = answer[0] - 'A';
    }
    return *n ? DELE_OK : dele_fail(err, DELE_ERR_DATA, "%s holds no question", path);
}

/* Is name among the comma-separated names? */
static bool listed(const char *names, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at += n)
        if ((at == names || at[-1] == ',') && (at[n] == ',' || at[n] == '\0')) return true;
    return false;
}

static dele_status check_names(const char *names, dele_err *err)
{
    for (const char *at = names; *at;) {
        size_t n = strcspn(at, ",");
        bool known = false;
        for (int s = 0; s < DELE_MMLU_SUBJECTS; s++)
            known |=
                strlen(subject_table[s].name) == n && memcmp(subject_table[s].name, at, n) == 0;
        if (!known)
            return dele_fail(err, DELE_ERR_USAGE,
                             "--subjects: MMLU has no subject \"%.*s\"; names are as in its files, "
                             "like college_biology,virology",
                             (int)n, at);
        at += n + (at[n] == ',');
    }
    return DELE_OK;
}

static dele_status subject_load(dele_mmlu_subject *s, const char *path, const char *split,
                                int shots, int limit, dele_arena *arena, dele_err *err)
{
    char *file = dele_printf(arena, err, "%s/%s/%s_%s.csv", path, split, s->name, split);
    char *dev = dele_printf(arena, err, "%s/dev/%s_dev.csv", path, s->name);
    if (!file || !dev) return DELE_ERR_MEMORY;
    dele_status status = items_load(&s->item, &s->n_items, file, (size_t)limit, arena, err);
    if (!status && shots)
        status = items_load(&s->shot, &s->n_shots, dev, (size_t)shots, arena, err);
    if (!status && s->n_shots < (size_t)shots)
        status = dele_fail(err, DELE_ERR_DATA, "%s has %zu examples, not %d: set fewer --shots",
                           dev, s->n_shots, shots);
    return status;
}

dele_status dele_mmlu_load(dele_mmlu *data, const char *path, const char *split,
                           const char *subjects, int shots, int limit, dele_arena *arena,
                           dele_err *err)
{
    *data = (dele_mmlu){.subject = DELE_NEW(arena, dele_mmlu_subject, DELE_MMLU_SUBJECTS, err)};
    if (!data->subject) return DELE_ERR_MEMORY;
    dele_status status = subjects ? check_names(subjects, err) : DELE_OK;
    for (int i = 0; i < DELE_MMLU_SUBJECTS && !status; i++) {
        const char *name = subject_table[i].name;
        char *file = dele_printf(arena, err, "%s/%s/%s_%s.csv", path, split, name, split);
        if (!file) return DELE_ERR_MEMORY;
        if (subjects ? !listed(subjects, name) : !dele_path_exists(file)) continue;
        dele_mmlu_subject *s = &data->subject[data->n_subjects++];
        *s = (dele_mmlu_subject){.name = name, .group = subject_table[i].group};
        status = subject_load(s, path, split, shots, limit, arena, err);
        data->n_items += s->n_items;
    }
    if (!status && data->n_subjects == 0)
        status =
            dele_fail(err, DELE_ERR_FILE,
                      "%s holds no MMLU split \"%s\": a file is named like %s/%s/anatomy_%s.csv",
                      path, split, path, split, split);
    return status;
}

void dele_mmlu_through_pandas(dele_mmlu *data)
{
    for (size_t k = 0; k < data->n_subjects; k++)
        for (int part = 0; part < 2; part++) {
            const dele_mmlu_subject *s = &data->subject[k];
            dele_mmlu_item *item = part ? s->shot : s->item;
            for (size_t i = 0; i < (part ? s->n_shots : s->n_items); i++) {
                item[i].raw_question = dele_through_pandas(item[i].raw_question);
                item[i].question = dele_through_pandas(item[i].question);
                for (int c = 0; c < DELE_MMLU_CHOICES; c++)
                    item[i].choice[c] = dele_through_pandas(item[i].choice[c]);
            }
        }
}
