/* Inside of study_report.c: the page while it is written, the pieces of its sections, and the
 * sections that show what stages have left (study_sections.c). */
#ifndef DELE_STUDY_PAGE_H
#define DELE_STUDY_PAGE_H

#include <stdio.h>

#include "experiments/study/study_scores.h"

typedef struct {
    const study *s;
    const study_table *table;
    const study_correlations *correlations;
    const char *dir; /* OUT/report */
} study_page;

/* ---- pieces (study_page.c) ------------------------------------------------------------------- */

const cJSON *page_field(const cJSON *object, const char *name);
const char *page_text_field(const cJSON *object, const char *name);

void page_score(FILE *to, const study_number *x,
                bool with_n); /* a cell: the number, its error, how many items */
void page_duration(FILE *to, double seconds);

/* A file's text, bounded; NULL where it is not there. */
char *page_read(const study_page *p, const char *path, size_t most, bool *cut);

/* A .tsv as a table: its header as the head, without its comments; at most so many rows. */
void page_tsv(FILE *to, const study_page *p, const char *path, size_t most);

/* ---- sections (study_sections.c): nothing where no stage has left such a thing --------------- */

void page_traces(FILE *to, const study_page *p);
void page_losses(FILE *to, const study_page *p);
void page_attacks(FILE *to, const study_page *p);
void page_depths(FILE *to, const study_page *p);
void page_said(FILE *to, const study_page *p);

#endif
