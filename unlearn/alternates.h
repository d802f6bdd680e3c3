/* Alternate answers where no file gives them: for each forget row, the answer of a retain row with
 * a similar question.
 *
 *   similarity(a, b) = Σ df(w), w in both  /  Σ df(w), w in either      df(w): number of questions
 *                                             of the two files that contain w
 *
 * Words that many questions share are their form ("what is ...'s birth date"); words of few
 * questions name the person.  Weighted by df, the most similar question asks for the same kind of
 * answer about somebody else.  The answer is drawn, by the seed and once for the run, from all rows
 * whose similarity is at least nine tenths of the highest and whose answer differs from the row's
 * own.
 *
 * This replaces AltPO's alternates (arXiv 2409.13474), which the model itself generates, several
 * for each question: here they are true answers about other people.  They come from the retain
 * rows, so that no row to be forgotten is taught. */
#ifndef DELE_ALTERNATES_H
#define DELE_ALTERNATES_H

#include "unlearn/refusals.h"

/* r receives one text for each row of `forget`, in their order; dele_refusals_draw returns them in
 * that order.  The arena owns the texts. */
dele_status dele_alternates_from_retain(dele_refusals *r, const char *forget, const char *keep,
                                        uint64_t seed, dele_arena *arena, dele_err *err);

#endif
