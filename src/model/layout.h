/* lac_model_layout in two steps, for the loaders: they compare the table with the file before any memory is asked
 * for, so that a config which claims too much fails by name and not by size. */
#ifndef LAC_LAYOUT_H
#define LAC_LAYOUT_H

#include "model/model.h"

/* Names and shapes, data still NULL. */
lac_status lac_model_table(lac_model *model, const lac_config *config, lac_arena *arena, lac_err *err);
/* The memory behind the table, and the pointers of layers, embed, head. */
lac_status lac_model_memory(lac_model *model, bool zeroed, lac_arena *arena, lac_err *err);

#endif
