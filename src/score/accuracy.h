/* Accuracy: means over questions, subjects and groups, with their standard errors.
 *
 *   questions   mean, sd(n-1)/√n
 *   pool        over the questions of all; √( Σ (nᵢ-1) nᵢ seᵢ² / (N-K) / N ), N questions in K
 *               parts
 *   macro       the unweighted mean of the parts' means, √(Σ seᵢ²)/K
 *
 * One question has no standard error: NaN here, null in JSON. */
#ifndef DELE_ACCURACY_H
#define DELE_ACCURACY_H

#include <stddef.h>

/* acc_norm picks by log-probability per character of the choice. */
typedef struct {
    size_t n;
    double acc, acc_se, acc_norm, acc_norm_se;
    double n_effective; /* the effective number of questions: n; of a macro
                           mean K² / Σ 1/nᵢ */
} dele_accuracy;

/* From n questions of 0 or 1. */
dele_accuracy dele_accuracy_mean(const unsigned char *right, const unsigned char *right_norm,
                                 size_t n);
dele_accuracy dele_accuracy_pool(const dele_accuracy *part, size_t n);
dele_accuracy dele_accuracy_macro(const dele_accuracy *part, size_t n);

/* The first of the largest, as numpy's argmax. */
int dele_argmax(const double *x, int n);
/* Unicode characters of a text. */
double dele_characters(const char *text);

#endif
