/* deleatur run -- a whole study, from its recipe.
 *
 *   reads    RECIPE.json, or the name of one that comes with deleatur        docs/recipes.md
 *   writes   OUT/<stage>/... each stage's result, OUT/logs/, OUT/study.json, OUT/times.tsv,
 *            OUT/report.html,
 * OUT/report/
 *
 * Stages whose result exists are skipped, so the same command resumes an interrupted run. */
#include "cli/cmd.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/share.h"
#include "base/text_out.h"
#include "experiments/study/study_report.h"
#include "option/option.h"

typedef struct {
    const char *recipe, *out, *only, *again, *set; /* set: for the help alone */
    bool changed, dry_run, report_only;
} run_command;

/* ---- the recipe ------------------------------------------------------------------------------ */

/* The names of the recipes that come with deleatur, as "a, b, c"; "" where their folder is not
 * found. */
static const char *shipped_names(dele_arena *arena, dele_err *err)
{
    dele_err ignored = {0};
    struct dirent **entry = NULL;
    const char *folder = dele_share_path("experiments/recipes", arena, &ignored), *names = "";
    int n = folder ? scandir(folder, &entry, NULL, alphasort) : 0;
    for (int i = 0; i < n; i++) {
        const char *dot = strrchr(entry[i]->d_name, '.');
        if (names && dot && !strcmp(dot, ".json"))
            names = dele_printf(arena, err, "%s%s%.*s", names, *names ? ", " : "",
                                (int)(dot - entry[i]->d_name), entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
    return names ? names : "";
}

/* A file, or the name of a recipe that comes with deleatur. */
static const char *find_recipe(const char *name, dele_arena *arena, dele_err *err)
{
    dele_err ignored = {0};
    if (dele_path_exists(name) && !dele_path_is_dir(name)) return name;
    const char *inner = dele_printf(arena, err, "experiments/recipes/%s.json", name);
    const char *shipped =
        inner && !strchr(name, '/') ? dele_share_path(inner, arena, &ignored) : NULL;
    if (!shipped)
        dele_fail(err, DELE_ERR_FILE,
                  "%s is not a file or an included recipe; included recipes: %s", name,
                  shipped_names(arena, err));
    return shipped;
}

/* $share is where deleatur's own data stand, unless the recipe says otherwise. */
static void add_share(cJSON *json, dele_arena *arena)
{
    dele_err ignored = {0};
    char *path = dele_share_path("data", arena, &ignored),
         *slash = path ? strrchr(path, '/') : NULL;
    cJSON *vars = cJSON_GetObjectItemCaseSensitive(json, "vars");
    if (!vars) vars = cJSON_AddObjectToObject(json, "vars");
    if (!slash || !cJSON_IsObject(vars) || cJSON_GetObjectItemCaseSensitive(vars, "share")) return;
    *slash = '\0';
    cJSON_AddStringToObject(vars, "share", path);
}

/* --set NAME=VALUE as often as there are variables: taken out of the words, which the table of
 * options would keep one of. */
static int take_settings(const char **set, size_t *n_set, int argc, char **argv)
{
    int n = 0;
    *n_set = 0;
    for (int i = 0; i < argc; i++) {
        if (i && !strncmp(argv[i], "--set=", 6))
            set[(*n_set)++] = argv[i] + 6;
        else if (i && !strcmp(argv[i], "--set") && i + 1 < argc)
            set[(*n_set)++] = argv[++i];
        else
            argv[n++] = argv[i];
    }
    return n;
}

/* ---- what is done with it -------------------------------------------------------------------- */

static dele_status print_plan(const study *s, dele_err *err)
{
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        const char *line = s->stage[i].selected ? study_command_line(s, i, err) : "";
        if (!line) return err->code;
        if (*line)
            printf("# %s\n%s\n", s->plan.stage[i].name,
                   line); /* quoted for a shell, controls as $'\\x1b' */
    }
    for (size_t i = 0; i < s->plan.n_left_out; i++)
        dele_text_line(stdout, "# %s is left out", s->plan.left_out[i]);
    return DELE_OK;
}

static dele_status choose_stages(study *s, const run_command *c, bool *again, dele_err *err)
{
    if (c->only) {
        bool *wanted = DELE_NEW(s->arena, bool, s->plan.n_stages, err);
        if (!wanted || recipe_select(wanted, &s->plan, c->only, true, s->arena, err))
            return err->code;
        for (size_t i = 0; i < s->plan.n_stages; i++) s->stage[i].selected = wanted[i];
    }
    if (c->again && recipe_select(again, &s->plan, c->again, false, s->arena, err))
        return err->code;
    for (size_t i = 0; i < s->plan.n_stages && c->changed; i++)
        again[i] |= s->stage[i].state == STUDY_CHANGED && s->stage[i].selected;
    return DELE_OK;
}

static dele_status dry_run(study *s, const run_command *c, dele_err *err)
{
    bool *again = DELE_NEW(s->arena, bool, s->plan.n_stages, err);
    s->stage = DELE_NEW(s->arena, study_stage, s->plan.n_stages, err);
    if (!again || !s->stage) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < s->plan.n_stages; i++) s->stage[i].selected = true;
    if (!choose_stages(s, c, again, err)) print_plan(s, err);
    s->stage = NULL;
    return err->code;
}

/* The report is written whatever came of the stages; their failure is what is said. */
static dele_status run(study *s, const run_command *c, dele_err *err)
{
    dele_err report = {0};
    bool *again = DELE_NEW(s->arena, bool, s->plan.n_stages, err);
    if (!again || study_open(s, c->report_only, s->arena, err) || choose_stages(s, c, again, err))
        return err->code;
    if (!c->report_only) {
        if ((c->again || c->changed) && study_forget(s, again, err)) return err->code;
        study_run(s, err);
    }
    study_report(s, &report);
    if (report.code && !err->code)
        *err = report;
    else if (report.code)
        dele_note("no report: %s", report.msg);
    if (!report.code) {
        fputs("report\t", stdout);
        dele_text_put(stdout, s->out, DELE_TEXT_CELL);
        puts("/report.html");
    }
    return err->code;
}

static dele_status run_stages(const run_command *c, const dele_common *common,
                              const char *const *set, size_t n_set, dele_arena *arena,
                              dele_err *err)
{
    study s = {.out = c->out ? c->out : "OUT", .quiet = common->quiet, .arena = arena, .lock = -1};
    const char *path = find_recipe(c->recipe, arena, err);
    cJSON *json = path ? dele_json_load_result(path, err) : NULL;
    if (common->threads) s.threads = dele_printf(arena, err, "%d", common->threads);
    if (json) add_share(json, arena);
    if (json && !recipe_read(&s.plan, json, path, set, n_set, arena, err) &&
        !study_check_scores(&s.plan, arena, err) &&
        (c->report_only || !study_check_commands(&s, err))) {
        if (c->dry_run)
            dry_run(&s, c, err);
        else
            run(&s, c, err);
    }
    study_close(&s);
    cJSON_Delete(json);
    return err->code;
}

int cmd_run(int argc, char **argv)
{
    run_command c = {0};
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("study"),
        DELE_OPT("out", &c.out, "directory of the study; an existing one is resumed"),
        DELE_OPT("set", &c.set, "NAME=VALUE: a variable of the recipe; may be given several times"),
        DELE_GROUP("stages"),
        DELE_OPT("only", &c.only,
                 "run these stages and what they depend on: names or patterns, as "
                 "'unlearned/*npo*'"),
        DELE_OPT("again", &c.again, "run these stages again, with what depends on them"),
        DELE_FLAG("changed", &c.changed,
                  "run stages again whose settings changed, with what depends on them"),
        DELE_FLAG("dry-run", &c.dry_run, "print the commands that the recipe expands to, and exit"),
        DELE_FLAG("report-only", &c.report_only,
                  "write the report again from the results that exist, and exit"),
        {0}};
    /* clang-format on */
    const dele_usage usage = {.command = "run",
                              .summary = "run a study from a recipe: stages, tables, one report",
                              .synopsis = "RECIPE --out DIR [--set NAME=VALUE ...]",
                              .example = "deleatur run village_sweep --out sweep",
                              .options = options,
                              .positional = &c.recipe,
                              .n_positional = 1};
    dele_arena arena = {0};
    dele_err err = {0};
    dele_common common = {0};
    size_t n_set = 0;
    const char **set = DELE_NEW(&arena, const char *, (size_t)argc, &err);
    if (set) argc = take_settings(set, &n_set, argc, argv);
    if (set && !dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help) {
        if (!c.out && !c.dry_run)
            dele_fail(&err, DELE_ERR_USAGE, "--out DIR is missing: the directory of the study");
        else
            run_stages(&c, &common, set, n_set, &arena, &err);
    }
    dele_arena_release(&arena);
    return dele_complain(&err);
}
