/* deleatur attack -- is what was forgotten really gone?
 *
 *   reads    the unlearned model, the rows it was to forget, (--before) the model that knew them,
 *            and (--never) one that never saw them
 *   attacks  quantise    the model written as a GGUF of few bits, and read again
 *            relearn     a few of the rows trained again, for a few updates; the others are asked
 *                        for
 *            templates   the prompts paraphrased
 *            prefix      the answer's beginning given
 *            replay      mixtures of experts: the unlearned weights on the original's routes, and
 *                        the reverse
 *   writes   attack.json, attack.tsv and its picture, items.jsonl (every answer), relearn.tsv (its
 *            losses), manifest.json; TYPE.gguf with --keep.  DIR.part until all is there; the same
 *            command resumes an interrupted one, attack by attack
 *   prints   the table; with --json, attack.json */

#include "cli/cmd.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/share.h"
#include "base/text_out.h"
#include "experiments/attack/attack_job.h"

/* ---- the command line ------------------------------------------------------------------------ */

static const attack_settings defaults = {.attacks = "quantise,relearn,templates,prefix",
                                         .memory = DELE_DEFAULT_MEMORY,
                                         .adapters = {DELE_ADAPTER_DEFAULTS},
                                         .types = "q8_0,q4_0,q4_k",
                                         .prefixes = "25,50,75",
                                         .gammas = "0.1,0.3,0.5",
                                         .with_chat = DELE_CHAT_AUTO,
                                         .margin = 1,
                                         .layers = "all",
                                         .parts = "all",
                                         .eos = true,
                                         .relearn_rows = 10,
                                         .relearn_updates = 20,
                                         .relearn_lr = 1e-4,
                                         .resamples = 1000};

/* Each attack's flag, and the options that are its own. */
static const struct {
    const char *name;
    size_t flag;
    const char *options[7]; /* ends with NULL */
} attacks[] = {
    {"quantise", offsetof(attack_settings, quantise), {"types", "keep"}},
    {"relearn",
     offsetof(attack_settings, relearn),
     {"relearn-rows", "relearn-updates", "relearn-lr", "eos", "layers", "parts"}},
    {"templates", offsetof(attack_settings, template), {"templates", "paraphrases"}},
    {"prefix", offsetof(attack_settings, prefix), {"prefixes"}},
    {"replay", offsetof(attack_settings, replay), {NULL}},
    {"nudge", offsetof(attack_settings, nudge), {"with", "with-chat", "gammas", "guard-margin"}},
};
enum { N_ATTACKS = sizeof attacks / sizeof *attacks };

static bool *asked_for(attack_settings *s, size_t attack)
{
    return (bool *)((char *)s + attacks[attack].flag);
}

static dele_status parse_attacks(attack_settings *s, dele_arena *arena, dele_err *err)
{
    const char *list = s->attacks;
    bool any = false;
    for (char *name; !err->code && (name = attack_next_name(&list, arena, err));) {
        size_t i = 0;
        while (i < N_ATTACKS && strcmp(name, attacks[i].name)) i++;
        if (i == N_ATTACKS)
            return dele_fail(err, DELE_ERR_USAGE,
                             "--attacks: \"%.20s\" is none of quantise, relearn, templates, "
                             "prefix, replay, nudge",
                             name);
        if (*asked_for(s, i))
            return dele_fail(err, DELE_ERR_USAGE, "--attacks names %s twice", name);
        *asked_for(s, i) = true;
        any = true;
    }
    if (!err->code && !any)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--attacks names none; choose from quantise, relearn, templates, prefix, "
                         "replay, nudge");
    return err->code;
}

static const dele_option *changed(const char *name, const attack_settings *s,
                                  const dele_option *options)
{
    const dele_option *o = dele_option_first(options);
    while (o && strcmp(o->name, name)) o = dele_option_next(o);
    return o && dele_option_differs(o, s, &defaults, sizeof defaults) ? o : NULL;
}

/* An option of an attack that is not asked for is refused by name, and so is one of nudge about a
 * model that is not there. */
static dele_status check_unused(attack_settings *s, const dele_option *options, dele_err *err)
{
    static const char *const about[][2] = {{"with-chat", "with"}, {"guard-margin", "before"}};
    for (size_t i = 0; i < N_ATTACKS; i++)
        for (const char *const *name = attacks[i].options; *name && !*asked_for(s, i); name++) {
            const dele_option *o = changed(*name, s, options);
            const bool off = o && o->type == DELE_OPT_BOOL && !*(const bool *)o->value;
            if (o)
                return dele_fail(err, DELE_ERR_USAGE, "--%s%s needs the attack \"%s\" in --attacks",
                                 off ? "no-" : "", *name, attacks[i].name);
        }
    for (size_t i = 0; i < sizeof about / sizeof *about; i++)
        if (changed(about[i][0], s, options) && !changed(about[i][1], s, options))
            return dele_fail(err, DELE_ERR_USAGE, "--%s needs --%s", about[i][0], about[i][1]);
    return DELE_OK;
}

static dele_status parse_types(attack_settings *s, dele_arena *arena, dele_err *err)
{
    const char *list = s->types;
    for (char *name; s->quantise && !err->code && (name = attack_next_name(&list, arena, err));) {
        dele_dtype type = dele_dtype_by_name(name);
        if (type == DELE_N_DTYPES || !dele_dtype_writable(type))
            return dele_fail(err, DELE_ERR_USAGE,
                             "--types: \"%.20s\" is none of q8_0, q5_0, q4_0, q4_k, bf16, f16, f32",
                             name);
        for (size_t i = 0; i < s->n_types; i++)
            if (s->type[i] == type)
                return dele_fail(err, DELE_ERR_USAGE, "--types names %s twice", name);
        if (s->n_types < ATTACK_MAX_TYPES) s->type[s->n_types++] = type;
    }
    if (s->quantise && !s->n_types && !err->code)
        return dele_fail(err, DELE_ERR_USAGE, "--types names none");
    return err->code;
}

/* --gammas, and what the attack "nudge" needs. */
static dele_status parse_nudge(attack_settings *s, dele_arena *arena, dele_err *err)
{
    const char *list = s->gammas;
    if (s->nudge && !s->with && !s->before)
        return dele_fail(err, DELE_ERR_USAGE,
                         "the attack \"nudge\" needs another model: --with, or --before");
    for (char *name; s->nudge && !err->code && (name = attack_next_name(&list, arena, err));) {
        char *end;
        const double gamma = strtod(name, &end);
        if (*end || end == name || !(gamma >= 0 && gamma <= 1) || s->n_gammas == ATTACK_MAX_GAMMAS)
            return dele_fail(err, DELE_ERR_USAGE,
                             "--gammas \"%.60s\" should read like 0.1,0.3: at most %d numbers from "
                             "0 to 1",
                             s->gammas, ATTACK_MAX_GAMMAS);
        for (size_t i = 0; i < s->n_gammas; i++)
            if (s->gamma[i] == gamma)
                return dele_fail(err, DELE_ERR_USAGE, "--gammas names %g twice", gamma);
        s->gamma[s->n_gammas++] = gamma;
    }
    if (s->nudge && !s->n_gammas && !err->code)
        return dele_fail(err, DELE_ERR_USAGE, "--gammas names none");
    return err->code;
}

static dele_status resolve_attack(attack_settings *s, const dele_option *options, dele_arena *arena,
                                  dele_err *err)
{
    if (!s->forget || !s->out)
        return dele_fail(err, DELE_ERR_USAGE,
                         "attack needs --forget and --out (deleatur attack --help says more)");
    if (parse_attacks(s, arena, err) || check_unused(s, options, err) ||
        parse_types(s, arena, err) || parse_nudge(s, arena, err))
        return err->code;
    if (s->relearn && (s->relearn_rows < 1 || s->relearn_updates < 1 || !(s->relearn_lr > 0)))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--relearn-rows, --relearn-updates and --relearn-lr must be above 0");
    if (s->replay && !s->before)
        return dele_fail(err, DELE_ERR_USAGE,
                         "the attack \"replay\" follows the original model's routes: give it with "
                         "--before");
    if (s->limit < 0 || s->max_new < 0 || s->resamples < 100)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--limit and --max-new cannot be negative, --resamples is at least 100");
    if (s->template && !s->templates)
        s->templates = dele_share_path("data/attacks/templates.jsonl", arena, err);
    return err->code;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Each undefined share is said once a reason, not once a row of the table. */
static void say_undefined(const attack_job *j)
{
    size_t n = 0, of = j->n_outcomes * ATTACK_N_MEASURES;
    const char *why = NULL;
    for (size_t i = 0; i < of; i++)
        if (j->summary[i].recovery.why) why = j->summary[i].recovery.why, n++;
    if (n && !j->s->common.quiet)
        dele_note("%zu of %zu recovery fractions are undefined (-): %s", n, of, why);
}

static dele_status open_attack_result(dele_result *result, const attack_settings *s, dele_err *err)
{
    const char *const path[] = {
        s->model,       s->before, s->never, s->forget, s->template ? s->templates : NULL,
        s->paraphrases, s->with};
    if (dele_adapters_note(&result->manifest, &s->adapters, err)) return err->code;
    return dele_result_open(result, path, sizeof path / sizeof *path, s->out,
                            s->common.quiet ? NULL : "items", err);
}

static dele_status run_attacks(attack_settings *s, const dele_option *options, dele_result *result,
                               dele_err *err)
{
    attack_job j = {.s = s, .result = result};
    if (!resolve_attack(s, options, &j.arena, err) && !open_attack_result(result, s, err) &&
        !attack_run(&j, s, err) && !attack_make_outcomes(&j, err) && !attack_save(&j, err) &&
        !dele_result_commit(result, err))
        say_undefined(&j);
    dele_arena_release(&j.arena);
    return err->code;
}

int cmd_attack(int argc, char **argv)
{
    attack_settings s = defaults;
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("data and models"),
        DELE_OPT("forget", &s.forget, "forget set, JSONL or JSON: input and output"),
        DELE_ADAPTER_OPTIONS(s.adapters),
        DELE_OPT("before", &s.before, "the original model: recovery is a fraction of what it knew"),
        DELE_OPT("never", &s.never, "a never-trained model, one that never saw the rows"),
        DELE_GROUP("result"),
        DELE_OPT("out", &s.out, "directory for the result; must not exist"),
        DELE_GROUP("attacks"),
        DELE_OPT("attacks", &s.attacks,
                 "attacks, comma-separated: quantise, relearn, templates, prefix, nudge (with "
                 "--with or --before); of a mixture of experts also replay (weights on the other "
                 "model's routes, with --before)"),
        DELE_OPT("types", &s.types, "quantise: any of q8_0, q5_0, q4_0, q4_k, bf16, f16"),
        DELE_FLAG("keep", &s.keep, "quantise: keep the .gguf files in the result"),
        DELE_GROUP("relearn"),
        DELE_OPT("relearn-rows", &s.relearn_rows,
                 "relearn: number of rows trained on again, drawn by the seed"),
        DELE_OPT("relearn-updates", &s.relearn_updates,
                 "relearn: number of updates, each with all of those rows"),
        DELE_OPT("relearn-lr", &s.relearn_lr, "relearn: learning rate, constant"),
        DELE_FLAG("eos", &s.eos, "relearn: append end of text to each output, with loss"),
        DELE_OPT("layers", &s.layers, "relearn: layers to train: 0-5,12 or all"),
        DELE_OPT("parts", &s.parts,
                 "relearn: modules to train: mlp,attn,router,norm,embed,head or all"),
        DELE_GROUP("templates and prefixes"),
        DELE_OPT("templates", &s.templates,
                 "templates: a file of them (default: data/attacks/templates.jsonl)"),
        DELE_OPT("paraphrases", &s.paraphrases,
                 "templates: JSONL rows with the id of a row and another input"),
        DELE_OPT("prefixes", &s.prefixes,
                 "prefix: percentage of the answer's tokens that is given"),
        DELE_GROUP("nudge"),
        DELE_OPT("with", &s.with,
                 "nudge: a small model that was not unlearned, to write with the unlearned one"),
        DELE_CHOICE("with-chat", &s.with_chat, dele_chat_name,
                    "nudge: chat layout of --with: auto, its own template if it has one"),
        DELE_OPT("gammas", &s.gammas,
                 "nudge: thresholds of the top-1 probability; of the guard: its tau"),
        DELE_OPT("guard-margin", &s.margin,
                 "nudge: nats by which the unlearned model must find a token less likely, for the "
                 "guard to replace it"),
        DELE_GROUP("rows and generation"),
        DELE_CHAT_OPTION(&s.asked_chat, "the prompt"),
        DELE_OPT("max-new", &s.max_new,
                 "maximum number of new tokens; 0: the longest answer and 8 more, at most 256"),
        DELE_OPT("limit", &s.limit, "use the first N rows; 0: all"),
        DELE_MEMORY_OPTION(s.memory),
        DELE_GROUP("intervals"),
        DELE_OPT("resamples", &s.resamples, "number of bootstrap samples"),
        DELE_OPT("seed", &s.seed, "random seed of the relearned rows and of the bootstrap"),
        {0}};
    /* clang-format on */
    const dele_usage usage = {
        .command = "attack",
        .summary = "attack an unlearned model, and measure what is recovered",
        .synopsis = "MODEL --forget FILE --out DIR [--before MODEL] [--never MODEL]",
        .example = "deleatur attack unlearned --before model --forget forget.jsonl --out attacked",
        .options = options,
        .positional = &s.model,
        .n_positional = 1,
        .tables = true};
    dele_arena arena = {0};
    dele_result result = {0};
    dele_err err = {0};
    if (!dele_options_parse(&s.common, &usage, argc, argv, &arena, &err) && !s.common.help) {
        dele_manifest_begin(&result.manifest, &usage, argc, argv);
        run_attacks(&s, options, &result, &err);
    }
    dele_result_release(&result);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
