/* Whom is a question about?  Names are found by how they are written and by how they recur; no list
 * of names is asked.
 *
 *   run      two or more name words in a row ("Basil Mahfouz Al-Kuwaiti"), particles such as "de"
 *            or "bin" among them; a name word begins with a capital, and punctuation or 's ends a
 *            run.  At a sentence's start a word that also occurs somewhere in small letters ("Has",
 *            "has") is none.  Every part of a run is a run too.
 *   frame    the question without the run: "What is {}'s phone number?"
 *
 * Of the runs of a question the best is the one in whose frame most other runs occur somewhere,
 * then the one that recurs in most questions, then the longest.  So "Ann Lee" and not "Social
 * Security Number" is whom "What is Ann Lee's Social Security Number?" is about: others are asked
 * for theirs, and she is asked for more.
 *
 * It counts as a person when it is the best of two questions, or others are in its frame, and when
 * it is the best in at least half of the questions in which it stands: a place or a book mentioned
 * beside an author is not.  Else the question is about nobody. */
#ifndef DELE_PEOPLE_H
#define DELE_PEOPLE_H

#include "base/arena.h"

typedef struct {
    size_t begin, end; /* bytes of the question; end 0: nobody was found */
} dele_person;

/* person[n], one a question; questions are valid UTF-8. */
dele_status dele_people_find(dele_person *person, const char *const *question, size_t n,
                             dele_arena *arena, dele_err *err);

#endif
