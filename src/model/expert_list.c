#include "model/expert_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

dele_status dele_config_has_experts(const dele_config *config, const char *where, dele_err *err)
{
    if (config->n_experts) return DELE_OK;
    return dele_fail(err, DELE_ERR_USAGE,
                     "%s is about mixtures of experts, and this model of family %s is dense: it "
                     "has no experts",
                     where, config->family->hf);
}

/* A number that begins with a digit, which strtol alone does not ask for; -1: there is none.  One
 * that is too large stays too large. */
static int listed_number(const char **at)
{
    char *end;
    if (**at < '0' || **at > '9') return -1;
    const long n = strtol(*at, &end, 10);
    *at = end;
    return n < 1 << 30 ? (int)n : 1 << 30;
}

static dele_status check_expert(const dele_expert_list *list, dele_expert e, const dele_config *c,
                                const char *where, dele_err *err)
{
    if (e.layer >= c->n_layers)
        return dele_fail(err, DELE_ERR_USAGE, "%s %d:%d: there is no layer %d, the last one is %d",
                         where, e.layer, e.expert, e.layer, c->n_layers - 1);
    if (!dele_layer_is_sparse(c, e.layer))
        return dele_fail(err, DELE_ERR_USAGE, "%s %d:%d: layer %d is dense, it has no experts",
                         where, e.layer, e.expert, e.layer);
    if (e.expert >= c->n_experts)
        return dele_fail(err, DELE_ERR_USAGE, "%s %d:%d: there is no expert %d, the last one is %d",
                         where, e.layer, e.expert, e.expert, c->n_experts - 1);
    for (size_t i = 0; i < list->n; i++)
        if (list->expert[i].layer == e.layer && list->expert[i].expert == e.expert)
            return dele_fail(err, DELE_ERR_USAGE, "%s names %d:%d twice", where, e.layer, e.expert);
    return DELE_OK;
}

dele_status dele_expert_list_parse(dele_expert_list *list, const dele_config *config,
                                   const char *text, const char *where, dele_arena *arena,
                                   dele_err *err)
{
    size_t most = 1;
    for (const char *c = text; *c; c++) most += *c == ',';
    *list = (dele_expert_list){.expert = DELE_NEW(arena, dele_expert, most, err)};
    if (!list->expert) return DELE_ERR_MEMORY;
    const dele_status status = dele_config_has_experts(config, where, err);
    if (status) return status;
    for (const char *at = text;; at++) {
        dele_expert e = {.layer = listed_number(&at)};
        const bool colon = e.layer >= 0 && *at == ':';
        at += colon;
        e.expert = colon ? listed_number(&at) : -1;
        if (e.expert < 0 || (*at && *at != ','))
            return dele_fail(err, DELE_ERR_USAGE,
                             "%s \"%.60s\" should read like 3:17,5:2, LAYER:EXPERT", where, text);
        const dele_status bad = check_expert(list, e, config, where, err);
        if (bad) return bad;
        list->expert[list->n++] = e;
        if (!*at) return DELE_OK;
    }
}

char *dele_expert_list_text(const dele_expert_list *list, dele_arena *arena, dele_err *err)
{
    enum { LONGEST = 24 }; /* of two ints, a colon, a comma */
    char *text = DELE_NEW(arena, char, list->n *LONGEST + 1, err);
    size_t at = 0;
    for (size_t i = 0; text && i < list->n; i++)
        at += (size_t)snprintf(text + at, LONGEST, "%s%d:%d", i ? "," : "", list->expert[i].layer,
                               list->expert[i].expert);
    return text;
}
