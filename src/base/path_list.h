/* Paths in one option, separated by commas.  A path that exists is not divided at its own commas:
 * the directories of a study are named by its axes, as in "perft/type=s,lr=1e-3". */
#ifndef DELE_PATH_LIST_H
#define DELE_PATH_LIST_H

#include <stdbool.h>

/* Cuts the first entry off *list, a text that is changed; *list is then what follows its comma, or
 * NULL.  The entry ends at the first comma, or the end, before which it is `whole` (which may
 * change it if it restores it), and at the first comma if it never is.  NULL if *list is NULL. */
char *dele_path_list_next(char **list, bool (*whole)(char *entry));

/* The simplest `whole`: a path that exists. */
bool dele_path_list_exists(char *entry);

#endif
