/* Gradients of states: those that the caller reads, and those that a loss has for states directly.
 * Private to backward.c and backward_*.c. */
#ifndef DELE_BACKWARD_STATES_H
#define DELE_BACKWARD_STATES_H

#include "model/backward_pass.h"

/* The points of a layer at which gradients are read: three of the stream, with the sites that share
 * the stream's gradient there, one of the heads' outputs, and three of a mixture of experts: of
 * what the experts contribute, of the router's logits and of those of its adapters' router. */
typedef enum {
    DELE_AT_ENTRY,
    DELE_AT_HEADS,
    DELE_AT_MIDDLE,
    DELE_AT_LOGITS,
    DELE_AT_ADAPTER_LOGITS,
    DELE_AT_EXPERTS,
    DELE_AT_EXIT
} dele_place;

/* Whether the caller reads there. */
bool dele_reads_any(const dele_backward_pass *p, int layer, dele_place where);

/* The reads at a place, where the gradient is `from` [rows, width]. */
void dele_read_gradients(dele_backward_pass *p, int layer, dele_place where, const float *from,
                         size_t width);

/* Adds the gradients that a loss has for states at a site directly, to `to` [rows, width]; NULL:
 * nothing needs them. */
void dele_add_gradients(dele_backward_pass *p, int layer, dele_site site, float *to, size_t width);

/* Before the pass: of patches on gradients only those that are supported.  After it: one that
 * applied to no row is the caller's mistake. */
dele_status dele_states_check(const dele_backward_pass *p, dele_err *err);
dele_status dele_states_check_met(const dele_backward_pass *p, dele_err *err);

#endif
