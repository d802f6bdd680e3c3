/* Which choice a generated answer names, where choices were listed as "A. text".
 *
 *   1  the letter after the last "answer is" (or "answer:"), perhaps in brackets
 *   2  else the letter with which the text begins, alone or before one of . ) : and a blank
 *   3  else the only choice whose text occurs in it as whole words, ignoring case
 *   4  else the letter that stands last in the text as "(A)" or "A."
 *
 * Generated answers have no single rule in the field: the program of Nudging asks GPT-4, which does
 * not reproduce.  An answer that names none is wrong. */
#ifndef DELE_CHOICE_NAMED_H
#define DELE_CHOICE_NAMED_H

#include "base/arena.h"

/* choice [n], n <= 26.  *named: its number from 0, or -1. */
dele_status dele_choice_named(int *named, const char *text, const char *const *choice, int n,
                              dele_arena *arena, dele_err *err);

#endif
