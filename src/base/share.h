/* Where the files that come with lacuna stand: plots/heatmap.gp, data/demo/...
 *
 * Looked for in $LACUNA_SHARE, then in ../share/lacuna beside the program (installed), then in the source tree. */
#ifndef LAC_SHARE_H
#define LAC_SHARE_H

#include "base/arena.h"

/* The path of a shipped file or directory ("plots/heatmap.gp"), in the arena; NULL with err set when it is missing. */
char *lac_share_path(const char *name, lac_arena *arena, lac_err *err);

#endif
