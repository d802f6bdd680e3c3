/* Files of version 0.1, which had another name.  A model of 0.1 loads as any other; its results are
 * refused, because their fields had other definitions. */
#ifndef DELE_FORMER_H
#define DELE_FORMER_H

#include <stdbool.h>

#include "base/err.h"

#define DELE_FORMER_NAME "lacuna" /* the only occurrence of the name */

/* An error where the result at `path`, a directory or a file in one, was written by version 0.1:
 * its manifest.json names that program's version, or its study.json or unfinished result's
 * resume.key begins with its name. */
dele_status dele_former_refuse(const char *path, dele_err *err);

/* Whether `dir` is a checkpoint of 0.1: the folder of that name is there beside config.json. */
bool dele_former_checkpoint(const char *dir);

#endif
