/* The tensors of PERFT's adapters in the table of a model, under the names of the authors' released
 * code: beside the router of each sparse layer,
 *
 *   PERFT-R   shared_routing_adapter_gate.weight, shared_routing_adapter.J.unit....
 *   PERFT-D   shared_adapter.J.unit....            (S: J is 0)
 *   PERFT-E   experts.E.embedded_routing_adapter.unit....
 *             .... is lora_A.weight and lora_B.weight, or adapter_w1.weight and adapter_w2.weight
 */
#include <stdio.h>
#include <string.h>

#include "model/layout.h"

enum { GATE, DOWN, UP };

static const dele_tensor_row rows[] = {
    [GATE] = {.slot = DELE_SLOT_PERFT_GATE, .part = DELE_PART_ADAPTER, .init = DELE_INIT_NORMAL},
    [DOWN] = {.slot = DELE_SLOT_PERFT_DOWN, .part = DELE_PART_ADAPTER, .init = DELE_INIT_NORMAL},
    [UP] = {.slot = DELE_SLOT_PERFT_UP, .part = DELE_PART_ADAPTER, .init = DELE_INIT_ZEROS}};

/* "model.layers.%d.mlp." of "model.layers.%d.mlp.gate.weight", the router's name. */
static int block_prefix(const dele_config *c)
{
    const char *router = dele_family_tensor(c->family, DELE_SLOT_ROUTER)->hf;
    const char *end = strstr(router, "gate.weight");
    return end ? (int)(end - router) : (int)strlen(router);
}

/* The form of a tensor's name, with %d for the layer and a second one for the adapter. */
static void name_form(char *form, size_t size, const dele_config *c, int which)
{
    static const char *const of[DELE_N_PERFT] = {[DELE_PERFT_R] = "shared_routing_adapter.%d.unit.",
                                                 [DELE_PERFT_E] =
                                                     "experts.%d.embedded_routing_adapter.unit.",
                                                 [DELE_PERFT_D] = "shared_adapter.%d.unit.",
                                                 [DELE_PERFT_S] = "shared_adapter.%d.unit."};
    static const char *const unit[2][3] = {{"", "lora_A.weight", "lora_B.weight"},
                                           {"", "adapter_w1.weight", "adapter_w2.weight"}};
    const dele_perft *p = &c->perft;
    snprintf(form, size, "%.*s%s%s", block_prefix(c),
             dele_family_tensor(c->family, DELE_SLOT_ROUTER)->hf,
             which == GATE ? "shared_routing_adapter_gate.weight" : of[p->variant],
             unit[p->parallel][which]);
}

static void describe_adapter(dele_tensor *t, const dele_config *c, int which, int layer,
                             int adapter)
{
    const size_t d_model = (size_t)c->hidden_size, rank = (size_t)c->perft.rank;
    char form[160];
    *t = (dele_tensor){.row = &rows[which],
                       .slot = rows[which].slot,
                       .part = DELE_PART_ADAPTER,
                       .layer = layer,
                       .expert = adapter,
                       .rows = which == UP     ? d_model
                               : which == DOWN ? rank
                                               : (size_t)c->perft.adapters,
                       .cols = which == UP ? rank : d_model};
    name_form(form, sizeof form, c, which);
    dele_tensor_name(t->hf_name, sizeof t->hf_name, form, layer, adapter);
    memcpy(t->name, t->hf_name, sizeof t->name);
}

size_t dele_describe_perft(dele_tensor **to, const dele_config *c, int layer)
{
    const dele_perft *p = &c->perft;
    if (p->variant == DELE_PERFT_NONE || layer < 0 || !dele_layer_is_sparse(c, layer)) return 0;
    const bool gate = p->variant == DELE_PERFT_R;
    if (to && gate) describe_adapter((*to)++, c, GATE, layer, -1);
    for (int j = 0; to && j < p->adapters; j++) {
        describe_adapter((*to)++, c, DOWN, layer, j);
        describe_adapter((*to)++, c, UP, layer, j);
    }
    return gate + 2 * (size_t)p->adapters;
}
