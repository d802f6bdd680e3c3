/* The files that are installed with deleatur: plots/heatmap.gp, data/demo/...
 *
 * Looked for in $DELEATUR_SHARE, then in ../share/deleatur from the program's directory
 * (installed), then in share/deleatur inside it (a build tree, where that is a link to the source
 * tree). */
#ifndef DELE_SHARE_H
#define DELE_SHARE_H

#include "base/arena.h"

/* The path of a shipped file or directory ("plots/heatmap.gp"), in the arena; NULL with err set
 * when it is missing. */
char *dele_share_path(const char *name, dele_arena *arena, dele_err *err);

#endif
