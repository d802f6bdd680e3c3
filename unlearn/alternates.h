/* Other answers where nobody gives any: for each forget row, the answer of a retain row whose
 * question is like its own.
 *
 *   likeness(a, b) = Σ df(w), w in both  /  Σ df(w), w in either        df: questions of the two
 *                                           files that hold w
 *
 * Words that many questions share are their form ("what is ...'s birth date"), those of few are
 * whom they are about: so weighed, the answer is of the same kind, and another's.  Of all rows at
 * least nine tenths as like as the likest, and with another answer than the row's own, one is drawn
 * by the seed, once and for the whole run.
 *
 * A stand-in for AltPO's alternates (arXiv 2409.13474), which the model itself makes up, several to
 * a question: these are no fiction but others' true answers.  They are taken from the retain rows,
 * so that nothing is taught that shall be forgotten. */
#ifndef DELE_ALTERNATES_H
#define DELE_ALTERNATES_H

#include "unlearn/refusals.h"

/* The list has a text for each row of `forget`, in their order: dele_refusals_draw gives them in
 * turn. */
dele_status dele_alternates_from_retain(dele_refusals *r, const char *forget, const char *keep,
                                        uint64_t seed, dele_arena *arena, dele_err *err);

#endif
