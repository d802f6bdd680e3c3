/* TOFU (Maini et al. 2024): what a model generates about invented authors, in forget and retain
 * sets.
 *
 *   {"question", "answer", "paraphrased_answer", "perturbed_answer": [...]}
 *
 * a line in DIR/<set>_perturbed.jsonl, or .json.
 *
 * The beginning of a file's name gives the set: forget, retain, real_authors, world_facts; a
 * directory has at most one file of each.  l(a) is the mean of -log p over an answer's tokens after
 * the question; a is the answer, ã its paraphrase (a where there is none; for a list the mean of
 * l(ã), as open-unlearning's truth_ratio averages them), â the wrong answers:
 *
 *   probability            exp(-l(a));  of real_authors and world_facts
 *                          exp(-l(a)) / (exp(-l(a)) + Σ exp(-l(â)))
 *   rougeL_recall          of the answer in the greedy generation, words stemmed
 *   truth ratio R          exp(-mean l(â)) / exp(-l(ã))      (geometric mean: the code of both
 *                                                             repositories)
 *       arithmetic         mean exp(-l(â)) / exp(-l(ã))      (the paper's formula; TOFU's utils.py)
 *   truth_ratio            forget: mean of min(R, 1/R);  else mean of max(0, 1 - R)
 *   exact_memorization     fraction of the answer's tokens that are top-1 given the tokens before
 *   extraction_strength    1 - k/L, k the length of the shortest prefix of the L answer tokens
 *                          after which all other tokens are top-1
 *   model utility          harmonic mean of probability, ROUGE and truth ratio of retain,
 *                          real_authors, world_facts
 *   forget quality         Kolmogorov-Smirnov p-value of the forget set's R against those of a
 *                          retain model, one that was never trained on the forget set
 *
 * compat "open-unlearning": an end-of-text token after every answer counts in l; 1e-10 is added to
 * denominators; where even the last token is not top-1, extraction strength is 1/L, not 0.  compat
 * "tofu": get_model_utility of locuslab/tofu's utils.py, that is the end-of-text token, and the
 * arithmetic R in every set's truth ratio (its aggregate_eval_stat.py takes the geometric one in
 * every set).  Forget quality uses the geometric R in all of them, and needs the same compat on
 * both sides. */
#ifndef DELE_TOFU_H
#define DELE_TOFU_H

#include "score/suites/suite.h"
#include "score/suites/tofu_rows.h"
#include "score/two_samples.h"

typedef struct {
    double mean, se;
} dele_tofu_mean;

typedef struct {
    size_t n; /* 0: no such set */
    dele_tofu_mean probability, rouge, truth_ratio, memorization, extraction;
} dele_tofu_cell;

typedef struct {
    dele_tofu_cell set[DELE_TOFU_SETS];
    double utility;       /* NaN where a set is missing */
    double *forget_ratio; /* [set[FORGET].n] */
    dele_ks quality;      /* against the retrained model's ratios; n_retrained 0: not asked for */
    size_t n_retrained;
} dele_tofu_scores;

/* R from losses; add is the term that compat adds to the denominator. */
double dele_truth_ratio(double correct, const double *wrong, int n, bool arithmetic, double add);
/* floor: 0, or 1/n as in open-unlearning. */
double dele_extraction_strength(const bool *greedy, int n, double floor);

/* The scores of dele_suite_tofu are a dele_tofu_scores. */
extern const dele_suite dele_suite_tofu;

#endif
