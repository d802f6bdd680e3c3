/* Experts of a mixture by name: "3:17,5:2" is expert 17 of layer 3 and expert 2 of layer 5. */
#ifndef DELE_EXPERT_LIST_H
#define DELE_EXPERT_LIST_H

#include "base/arena.h"
#include "model/families/family.h"

typedef struct {
    int layer, expert;
} dele_expert;

typedef struct {
    dele_expert *expert; /* [n] in the order in which they were named, none twice */
    size_t n;
} dele_expert_list;

/* An error where the text does not read like that, names one twice, or names one that the model
 * does not have.  where begins the message: "--experts".  The arena owns the list. */
dele_status dele_expert_list_parse(dele_expert_list *list, const dele_config *config,
                                   const char *text, const char *where, dele_arena *arena,
                                   dele_err *err);

/* "3:17,5:2"; in the arena. */
char *dele_expert_list_text(const dele_expert_list *list, dele_arena *arena, dele_err *err);

/* An error that says that the model has no experts, if it has none.  where: the option that is
 * about experts. */
dele_status dele_config_has_experts(const dele_config *config, const char *where, dele_err *err);

#endif
