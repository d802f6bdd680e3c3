#include "adapter/perft_options.h"

/* Of a variant: what it would ignore is refused. */
static dele_status check_used(const dele_perft_options *o, dele_err *err)
{
    const bool several = o->variant == DELE_PERFT_R || o->variant == DELE_PERFT_D;
    const char *given = NULL, *of = NULL;
    if (o->top_k != DELE_PERFT_TOP_K && o->variant != DELE_PERFT_R)
        given = "adapter-top-k", of = "adapters with a router (perft-r)";
    if (o->adapters != DELE_PERFT_ADAPTERS && !several)
        given = "adapters", of = "perft-r and perft-d";
    if (o->alpha != 0 && o->form != DELE_ADAPTER_LORA)
        given = "adapter-alpha", of = "--adapter-form lora";
    if (!given) return DELE_OK;
    return dele_fail(err, DELE_ERR_USAGE, "--%s is for %s; leave it out", given, of);
}

dele_status dele_perft_options_check(const dele_perft_options *o, dele_err *err)
{
    const char *given = NULL;
    if (o->variant != DELE_PERFT_NONE) return check_used(o, err);
    if (o->compat != DELE_PERFT_PAPER) given = "compat";
    if (o->dropout >= 0) given = "adapter-dropout";
    if (o->alpha != 0) given = "adapter-alpha";
    if (o->form != DELE_ADAPTER_LORA) given = "adapter-form";
    if (o->top_k != DELE_PERFT_TOP_K) given = "adapter-top-k";
    if (o->adapters != DELE_PERFT_ADAPTERS) given = "adapters";
    if (o->rank != DELE_PERFT_RANK) given = "rank";
    if (!given) return DELE_OK;
    return dele_fail(err, DELE_ERR_USAGE, "--%s is for new adapters: give --adapter-type", given);
}

dele_status dele_perft_of(dele_perft *perft, const dele_perft_options *o, const dele_config *config,
                          dele_err *err)
{
    const bool compat = o->compat == DELE_PERFT_RELEASED;
    *perft = (dele_perft){.variant = o->variant,
                          .rank = o->rank,
                          .adapters = o->adapters,
                          .top_k = o->top_k,
                          .parallel = o->form == DELE_ADAPTER_PARALLEL,
                          .compat = compat,
                          .alpha = o->alpha != 0 ? o->alpha : 2.0 * o->rank,
                          .scale = 1,
                          .dropout = o->dropout >= 0 ? (float)o->dropout
                                     : compat        ? 0.05f
                                                     : 0};
    return dele_perft_settle(perft, config, "--adapter-type", err);
}
