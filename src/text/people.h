/* Finds the person that a question is about.  Names are found by their spelling and their
 * recurrence, without a list of names.
 *
 *   run      two or more name words in a row ("Basil Mahfouz Al-Kuwaiti"), particles such as "de"
 *            or "bin" among them; a name word begins with a capital, and punctuation or 's ends a
 *            run.  At a sentence's start a word that also occurs somewhere in small letters ("Has",
 *            "has") is none.  Every part of a run is a run too.
 *   frame    the question without the run: "What is {}'s phone number?"
 *
 * The best run of a question is the one in whose frame most other runs occur in other questions;
 * then the one that recurs in most questions; then the longest.  So the question "What is Ann Lee's
 * Social Security Number?" is about "Ann Lee" and not about "Social Security Number": the same
 * frame occurs with other people's names, and her name occurs in other questions.
 *
 * A run counts as a person if it is the best of two questions, or if other runs occur in its frame,
 * and if it is the best in at least half of the questions in which it occurs.  A place or a book
 * mentioned beside an author is not.  Otherwise the question has no person. */
#ifndef DELE_PEOPLE_H
#define DELE_PEOPLE_H

#include "base/arena.h"

typedef struct {
    size_t begin, end; /* bytes of the question; end 0: no person was found */
} dele_person;

/* person[n], one for each question; questions must be valid UTF-8. */
dele_status dele_people_find(dele_person *person, const char *const *question, size_t n,
                             dele_arena *arena, dele_err *err);

#endif
