/* dele_model_layout in two steps, for the loaders: they compare the table with the file before any
 * memory is asked for, so that a config which claims too much fails by name and not by size. */
#ifndef DELE_LAYOUT_H
#define DELE_LAYOUT_H

#include "model/model.h"

/* Names and shapes, data still NULL. */
dele_status dele_model_table(dele_model *model, const dele_config *config, dele_arena *arena,
                             dele_err *err);
/* The memory behind the table, and the pointers of layers, embed, head. */
dele_status dele_model_memory(dele_model *model, bool zeroed, dele_arena *arena, dele_err *err);

/* Refuses a model's directory with a file in it that is none of its own: a link out of it, a
 * device, a pipe, a text of a size that no text has.  What a copy of the model would hold is looked
 * at too. */
dele_status dele_model_check_files(const char *dir, dele_err *err);

#endif
