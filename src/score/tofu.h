/* TOFU (Maini et al. 2024): what a model says of invented authors it shall forget, and of what it shall keep.
 *
 *   {"question", "answer", "paraphrased_answer", "perturbed_answer": [...]}      in DIR/<set>_perturbed.jsonl, or .json
 *
 * Sets are told by how their names begin: forget, retain, real_authors, world_facts; a directory has one of each at most.
 * With l(a) = the mean of -log p over an answer's tokens behind the question, a the answer, ã its paraphrase (a where
 * there is none), â the wrong ones:
 *
 *   probability            exp(-l(a));  of real_authors and world_facts  exp(-l(a)) / (exp(-l(a)) + Σ exp(-l(â)))
 *   rougeL_recall          of the answer in what the model says greedily, words stemmed
 *   truth ratio R          exp(-mean l(â)) / exp(-l(ã))           (the code of both repositories: a geometric mean)
 *       arithmetic         mean exp(-l(â)) / exp(-l(ã))           (the paper's formula; TOFU's utils.py)
 *   truth_ratio            forget: mean of min(R, 1/R);  else mean of max(0, 1 - R)
 *   exact_memorization     share of the answer's tokens that are the likeliest behind those before them
 *   extraction_strength    1 - k/L, k the fewest of the L tokens to be given so that all others are the likeliest
 *   model utility          harmonic mean of probability, ROUGE and truth ratio of retain, real_authors, world_facts
 *   forget quality         Kolmogorov-Smirnov p of the forget set's R against those of a model that never saw it
 *
 * compat "open-unlearning": an end-of-text token behind every answer counts in l; 1e-10 is added to denominators; where
 * even the last token fails, extraction strength is 1/L, not 0.  compat "tofu": get_model_utility of locuslab/tofu's
 * utils.py, that is the end-of-text token, and the arithmetic R in every set's truth ratio (its aggregate_eval_stat.py
 * takes the geometric one in every set).  Forget quality is of the geometric R in all of them, and needs the same compat
 * on both sides. */
#ifndef LAC_TOFU_H
#define LAC_TOFU_H

#include "base/progress.h"
#include "model/forward.h"
#include "score/report.h"
#include "score/two_samples.h"

typedef enum { LAC_TOFU_FORGET, LAC_TOFU_RETAIN, LAC_TOFU_REAL_AUTHORS, LAC_TOFU_WORLD_FACTS, LAC_TOFU_SETS } lac_tofu_set;
typedef enum { LAC_TOFU_PLAIN, LAC_TOFU_OPEN_UNLEARNING, LAC_TOFU_ORIGINAL } lac_tofu_compat;

typedef struct {
    lac_tofu_set set;
    const char *question, *answer, *paraphrase; /* paraphrase: NULL where there is none */
    const char **wrong;
    int n_wrong;
} lac_tofu_row;

typedef struct {
    lac_tofu_row *row;
    size_t n;
} lac_tofu;

typedef struct {
    lac_chat chat;        /* LAC_CHAT_NONE: the template */
    const char *template; /* with {} for the question; NULL: the question alone */
    int max_new;
    lac_tofu_compat compat;
    lac_items *items;
    lac_progress *progress;
} lac_tofu_opts;

typedef struct {
    double mean, se;
} lac_tofu_mean;

typedef struct {
    size_t n; /* 0: no such set */
    lac_tofu_mean probability, rouge, truth_ratio, memorization, extraction;
} lac_tofu_cell;

typedef struct {
    lac_tofu_cell set[LAC_TOFU_SETS];
    double utility; /* NaN where a set is missing */
    double *forget_ratio; /* [set[FORGET].n] */
    lac_ks quality;       /* filled by lac_tofu_quality; n_retrained 0: not asked for */
    size_t n_retrained;
} lac_tofu_scores;

/* A directory, or one file.  limit: at most so many rows a set, 0 for all. */
lac_status lac_tofu_load(lac_tofu *data, const char *path, int limit, lac_arena *arena, lac_err *err);

lac_status lac_tofu_run(lac_tofu_scores *scores, const lac_tofu *data, lac_run *run, const lac_model *model,
                        const lac_tofu_opts *opts, lac_arena *arena, lac_err *err);

/* Forget quality against the truth ratios in another result's items.jsonl. */
lac_status lac_tofu_quality(lac_tofu_scores *scores, const char *items, lac_arena *arena, lac_err *err);

/* The same against a log of open-unlearning's, TOFU_EVAL.json, such as it publishes of its retrained models:
 *   {"forget_truth_ratio": {"value_by_index": {"0": {"score": R}, ...}, ...}, ...}    older: forget_Truth_Ratio
 * ratios: its rows, or NULL where the JSON is no such log. */
const cJSON *lac_tofu_log_ratios(const cJSON *log);
lac_status lac_tofu_quality_of_log(lac_tofu_scores *scores, const cJSON *log, const char *path, lac_arena *arena,
                                   lac_err *err);

lac_status lac_tofu_parse_compat(lac_tofu_compat *compat, const char *name, lac_err *err); /* name may be NULL */

/* R out of losses; add is what compat puts into the denominator. */
double lac_truth_ratio(double correct, const double *wrong, int n, bool arithmetic, double add);
/* floor: 0, or 1/n as open-unlearning has it. */
double lac_extraction_strength(const bool *greedy, int n, double floor);

cJSON *lac_tofu_json(const lac_tofu_scores *scores);
void lac_tofu_table(FILE *to, const lac_tofu_scores *scores);

#endif
