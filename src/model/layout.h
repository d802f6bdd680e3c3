/* dele_model_layout in two steps, for the loaders: they compare the table with the file before they
 * allocate memory.  A config with wrong sizes then fails with a tensor's name, and not for lack of
 * memory. */
#ifndef DELE_LAYOUT_H
#define DELE_LAYOUT_H

#include "model/model.h"

/* Names and shapes, data still NULL. */
dele_status dele_model_table(dele_model *model, const dele_config *config, dele_arena *arena,
                             dele_err *err);
/* The memory behind the table, and the pointers of layers, embed, head. */
dele_status dele_model_memory(dele_model *model, bool zeroed, dele_arena *arena, dele_err *err);

/* Refuses a model's directory that contains a link to a file outside it, a device, a pipe, or a
 * text file larger than any model's.  Files that a copy of the model would contain are checked
 * too. */
dele_status dele_model_check_files(const char *dir, dele_err *err);

#endif
