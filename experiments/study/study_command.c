/* A stage's command line, and the process that it becomes. */

#include "experiments/study/study.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/file_out.h"
#include "base/nearest.h"
#include "base/text_out.h"

static const struct {
    const char *command,
        *file; /* what --out names in the stage's directory; NULL: nothing, it prints */
} others[] = {{"facts", "facts.json"}, {"rows", "rows.jsonl"}, {"compare", NULL},  {"diff", NULL},
              {"info", NULL},          {"parity", NULL},       {"generate", NULL}, {"plot", NULL}};

enum { MOST_CHOICES = 40 }; /* words of an option */
enum { N_OTHERS = sizeof others / sizeof *others };

/* Options whose value is a path that the command writes to; the others name what is read. */
static const char *const written[] = {"out", "forget-out", "retain-out", "flips"};

static bool is_written(const char *option)
{
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        if (!strcmp(option, written[i])) return true;
    return false;
}

/* The part after @own_name/ where a text names a file in the stage's own result, and no way out of
 * it; or NULL. */
static const char *own_file(const recipe_stage *r, const char *text)
{
    size_t n = strlen(r->name);
    if (!text || *text != '\1' || strncmp(text + 1, r->name, n) || text[n + 1] != '\2' ||
        text[n + 2] != '/')
        return NULL;
    const char *file = text + n + 3;
    for (const char *step = file; step; step = strchr(step, '/') ? strchr(step, '/') + 1 : NULL) {
        size_t length = strcspn(step, "/");
        if (!length || (length == 1 && *step == '.') || (length == 2 && !strncmp(step, "..", 2)))
            return NULL;
    }
    return strpbrk(file, "\1\2") ? NULL : file;
}

/* Whether an option "out" names a file in the stage's own result, as of convert:
 * @gguf/model.gguf. */
static bool names_own_file(const recipe_stage *r)
{
    for (size_t i = 0; i < r->n_options; i++)
        if (!strcmp(r->option[i].name, "out") && own_file(r, r->option[i].text)) return true;
    return false;
}

study_kind study_kind_of(const recipe_stage *r)
{
    for (size_t i = 0; i < N_OTHERS; i++)
        if (!strcmp(r->command, others[i].command))
            return others[i].file ? STUDY_MAKES_FILE : STUDY_PRINTS;
    return names_own_file(r) ? STUDY_MAKES_FILE : STUDY_MAKES_DIR;
}

static const char *file_of(const char *command)
{
    for (size_t i = 0; i < N_OTHERS; i++)
        if (!strcmp(command, others[i].command)) return others[i].file;
    return NULL;
}

static bool has_option(const recipe_stage *r, const char *name)
{
    for (size_t i = 0; i < r->n_options; i++)
        if (!strcmp(r->option[i].name, name)) return true;
    return false;
}

/* ---- words ----------------------------------------------------------------------------------- */

typedef struct {
    const study *s;
    const recipe_stage *self;
    const char *dir; /* of self's result */
    dele_err *err;
} places;

static const char *place_of(const char *name, void *context)
{
    const places *p = context;
    return !strcmp(name, p->self->name)
               ? p->dir
               : dele_printf(p->s->arena, p->err, "%s/%s", p->s->out, name);
}

const char **study_command(const study *s, size_t which, const char *dir, dele_err *err)
{
    const recipe_stage *r = &s->plan.stage[which];
    dele_arena *arena = s->arena;
    places p = {.s = s, .self = r, .dir = dir, .err = err};
    const char **word = DELE_NEW(arena, const char *, r->n_arguments + 2 * r->n_options + 10, err);
    size_t n = 0;
    if (!word) return NULL;
    word[n++] = "deleatur";
    word[n++] = r->command;
    for (size_t i = 0; i < r->n_arguments; i++)
        if (!(word[n++] = recipe_render(r->argument[i], place_of, &p, arena, err))) return NULL;
    for (size_t i = 0; i < r->n_options; i++) {
        const recipe_option *o = &r->option[i];
        if (!(word[n++] = dele_printf(arena, err, o->off ? "--no-%s" : "--%s", o->name)))
            return NULL;
        if (o->text && !(word[n++] = recipe_render(o->text, place_of, &p, arena, err))) return NULL;
    }
    const char *file = file_of(r->command),
               *out = file ? dele_printf(arena, err, "%s/%s", dir, file) : dir;
    if (!out) return NULL;
    if (study_kind_of(r) != STUDY_PRINTS && !has_option(r, "out")) {
        word[n++] = "--out";
        word[n++] = out;
    }
    if (s->threads && !has_option(r, "threads")) {
        word[n++] = "--threads";
        word[n++] = s->threads;
    }
    if (s->quiet) word[n++] = "--quiet";
    return word;
}

static void print_line(FILE *to, const char *const *word, study_kind kind, const char *dir)
{
    if (kind != STUDY_MAKES_DIR) {
        fputs("mkdir -p ", to);
        dele_shell_put(to, dir);
        fputs(" && ", to);
    }
    for (size_t i = 0; word[i]; i++) {
        if (i) fputc(' ', to);
        dele_shell_put(to, word[i]);
    }
    if (kind == STUDY_PRINTS) {
        fputs(" > ", to);
        dele_shell_put(to, dir);
        fputs("/stdout.txt", to);
    }
}

const char *study_command_line(const study *s, size_t which, dele_err *err)
{
    const recipe_stage *r = &s->plan.stage[which];
    const char *dir = dele_printf(s->arena, err, "%s/%s", s->out, r->name), *line = NULL;
    const char **word = dir ? study_command(s, which, dir, err) : NULL;
    char *text = NULL;
    size_t n = 0;
    FILE *to = word ? open_memstream(&text, &n) : NULL;
    if (word && !to) dele_fail(err, DELE_ERR_MEMORY, "out of memory");
    if (to) {
        print_line(to, word, study_kind_of(r), dir);
        if (fclose(to))
            dele_fail(err, DELE_ERR_MEMORY, "out of memory");
        else
            line = dele_strdup(s->arena, text, err);
    }
    free(text);
    return line;
}

/* ---- a process ------------------------------------------------------------------------------- */

/* In the child: becomes the command.  Whoever ends us ends it too, so that nobody writes into a
 * result behind our back.
 */
static void become(const char *const *command, pid_t parent, int stdout_fd, int complaints)
{
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
#else
    (void)parent;
#endif
    dup2(stdout_fd, 1);
    dup2(complaints, 2);
    execv("/proc/self/exe", (char *const *)(uintptr_t)command);
    execvp(
        command[0],
        (char *const *)(uintptr_t)command); /* a system without /proc: the deleatur on the path */
    _exit(127);
}

/* The last line that begins "deleatur: " is what a command complains of.  line collects what is not
 * complete yet. */
static void listen_for_sentence(study_end *end, char *line, size_t size, const char *heard,
                                size_t n)
{
    static const char mark[] = "deleatur: ";
    size_t used = strlen(line);
    for (size_t i = 0; i < n; i++) {
        if (heard[i] != '\n' && heard[i] != '\r') {
            if (used + 1 < size && heard[i]) line[used++] = heard[i];
            line[used] = '\0';
            continue;
        }
        if (!strncmp(line, mark, sizeof mark - 1))
            snprintf(end->sentence, sizeof end->sentence, "%s", line + sizeof mark - 1);
        line[used = 0] = '\0';
    }
}

static void pass_through(study_end *end, int from, FILE *log)
{
    char heard[4096], line[768] = "";
    ssize_t n;
    while ((n = read(from, heard, sizeof heard)) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0) continue;
        if (log) {
            fwrite(heard, 1, (size_t)n, stderr);
            fflush(stderr);
            fwrite(heard, 1, (size_t)n, log);
            fflush(log);
        }
        listen_for_sentence(end, line, sizeof line, heard, (size_t)n);
    }
}

dele_status study_child(study_end *end, const char *const *command, const char *stdout_path,
                        const char *log, bool more, dele_err *err)
{
    int words[2], status = 0;
    *end = (study_end){.status = 0};
    FILE *out = dele_file_append(stdout_path, true, err),
         *notes = log ? dele_file_append(log, !more, err) : NULL;
    bool ready = out && (notes || !log) && !pipe(words);
    if (!ready) {
        dele_fail(err, DELE_ERR_FILE, "cannot begin %s (%s): %s", command[1],
                  out && log ? log : stdout_path, strerror(errno));
        if (out) fclose(out);
        if (notes) fclose(notes);
        return err->code;
    }
    fcntl(words[0], F_SETFD, FD_CLOEXEC);
    fcntl(words[1], F_SETFD, FD_CLOEXEC);
    fflush(stdout);
    pid_t parent = getpid(), child = fork();
    if (child == 0) become(command, parent, fileno(out), words[1]);
    close(words[1]);
    if (child < 0)
        dele_fail_file(err, "begin", command[1]);
    else
        pass_through(end, words[0], notes);
    close(words[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    end->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (end->status > 128)
        snprintf(end->sentence, sizeof end->sentence, "killed by signal %d (%s)%s",
                 end->status - 128, strsignal(end->status - 128),
                 end->status == 137 ? "; was the memory not enough?" : "");
    else if (end->status && !*end->sentence)
        snprintf(end->sentence, sizeof end->sentence, "ended with status %d and without a word",
                 end->status);
    if (fclose(out)) dele_fail_file(err, "write", stdout_path);
    if (notes) fclose(notes);
    return err->code;
}

/* ---- are the options there? ------------------------------------------------------------------ */

/* The command's own table of options, asked with the very words of the stage (some change what a
 * command takes). */
static cJSON *ask_for_options(const study *s, size_t which, dele_err *err)
{
    char path[] = "/tmp/deleatur-options-XXXXXX";
    study_end end;
    const char **word = study_command(s, which, "OUT", err);
    int file = word ? mkstemp(path) : -1;
    cJSON *json = NULL;
    size_t n = 0;
    if (file < 0) {
        dele_fail(err, DELE_ERR_FILE, "cannot make a file in /tmp: %s", strerror(errno));
        return NULL;
    }
    close(file);
    while (word[n]) n++;
    word[n++] = "--json";
    word[n] = "--help";
    if (!study_child(&end, word, path, NULL, false, err)) {
        if (end.status)
            dele_fail(err, DELE_ERR_DATA, "%s", end.sentence);
        else
            json = dele_json_load(path, err);
    }
    unlink(path);
    return json;
}

/* What a stage writes goes into its own result, whether the recipe says so or a file of options. */
static dele_status check_written(const study *s, const recipe_stage *r, dele_err *err)
{
    for (size_t i = 0; i < r->n_options; i++) {
        const recipe_option *o = &r->option[i];
        if (is_written(o->name) && !own_file(r, o->text))
            return dele_fail(
                err, DELE_ERR_DATA,
                "it has an option \"%s\"; results go to %s/%s by themselves, or into a file "
                "@%s/..., without \"..\" in it",
                o->name, s->out, r->name, r->base);
        if (strcmp(o->name, "config") || !o->text) continue;
        if (strchr(o->text, '\1'))
            return dele_fail(
                err, DELE_ERR_DATA,
                "its option \"config\" is a stage's result; give a file that is there already");
        cJSON *json = dele_json_load(o->text, err), *item;
        cJSON_ArrayForEach(item, json) if (item->string && is_written(item->string))
            dele_fail(err, DELE_ERR_DATA,
                      "%s says \"%s\"; in a recipe that is an option of the stage, @%s/...",
                      o->text, item->string, r->base);
        cJSON_Delete(json);
        if (err->code) return err->code;
    }
    for (size_t i = 0; i < r->n_arguments && !strcmp(r->command, "plot"); i++)
        if (r->argument[i][0] != '\1' || strstr(r->argument[i], "/.."))
            return dele_fail(
                err, DELE_ERR_DATA,
                "plot draws into the directory that it is given; name a stage's result, @stage");
    return DELE_OK;
}

/* Checks the names of a stage's options and the number of its arguments against the command's own
 * table (`known`, its --help --json), before hours of work.  The options that every command has are
 * not in that table; --json and --help are no options of a stage. */
static dele_status check_options(const recipe_stage *r, const cJSON *known, dele_err *err)
{
    static const char *const everyones[] = {"config", "threads", "quiet"};
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(known, "options"), *item;
    const cJSON *words = cJSON_GetObjectItemCaseSensitive(known, "words");
    const char *names[128];
    size_t n = 0;
    cJSON_ArrayForEach(item, options) if (n < 120) names[n++] = item->string;
    for (size_t i = 0; i < sizeof everyones / sizeof *everyones; i++) names[n++] = everyones[i];
    for (size_t i = 0; i < r->n_options; i++) {
        const char *name = r->option[i].name;
        size_t k = 0;
        while (k < n && strcmp(names[k], name)) k++;
        if (k < n) continue;
        const char *near = dele_nearest(name, names, n);
        return dele_fail(err, DELE_ERR_DATA, "deleatur %s has no option \"%s\"%s%s%s", r->command,
                         name, near ? "; did you mean \"" : "", near ? near : "",
                         near ? "\"?" : "");
    }
    if (cJSON_IsNumber(words) && (size_t)words->valueint != r->n_arguments)
        return dele_fail(
            err, DELE_ERR_DATA,
            "deleatur %s takes %d words before its options, not %zu (\"model\", or \"arguments\")",
            r->command, words->valueint, r->n_arguments);
    return DELE_OK;
}

/* Stages of one command and the same options are asked about once. */
static bool same_shape(const recipe_stage *a, const recipe_stage *b)
{
    if (strcmp(a->command, b->command) || a->n_options != b->n_options ||
        a->n_arguments != b->n_arguments)
        return false;
    for (size_t i = 0; i < a->n_options; i++)
        if (strcmp(a->option[i].name, b->option[i].name) ||
            (a->option[i].text == NULL) != (b->option[i].text == NULL))
            return false;
    return true;
}

/* The words that an option takes, from the command's table; NULL: it takes any text. */
static const cJSON *choices_of(const cJSON *known, const char *name)
{
    const cJSON *group, *option;
    cJSON_ArrayForEach(group, dele_json_get(known, "groups"))
    {
        cJSON_ArrayForEach(option, dele_json_get(group, "options"))
        {
            const char *own = dele_json_string(option, "name");
            if (own && !strcmp(own, name)) return dele_json_get(option, "choices");
        }
    }
    return NULL;
}

/* Whether options that take one of a few words have one.  Empty texts and references to results are
 * left to the command. */
static dele_status check_choices(const recipe_stage *r, const cJSON *known, dele_err *err)
{
    for (size_t i = 0; i < r->n_options; i++) {
        const char *text = r->option[i].text, *words[MOST_CHOICES + 1];
        const cJSON *choices = choices_of(known, r->option[i].name), *word;
        size_t n = 0;
        bool is_one = false;
        if (!choices || !text || !*text || strchr(text, '\1')) continue;
        cJSON_ArrayForEach(word, choices)
        {
            is_one |= !strcmp(word->valuestring, text);
            if (n < MOST_CHOICES) words[n++] = word->valuestring;
        }
        words[n] = NULL;
        char shown[80];
        snprintf(shown, sizeof shown, "option \"%.60s\":", r->option[i].name);
        if (!is_one) return dele_fail_choice(err, DELE_ERR_DATA, shown, text, words);
    }
    return DELE_OK;
}

/* Options and their words are checked before hours of work.  known[i]: the command's own table, for
 * the first stage of each shape. */
static dele_status check_stages(const study *s, cJSON **known, dele_err *err)
{
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        const recipe_stage *r = &s->plan.stage[i];
        dele_err inner = {0};
        size_t first = 0;
        while (first < i && !same_shape(&s->plan.stage[first], r)) first++;
        if (!check_written(s, r, &inner) && first == i) known[i] = ask_for_options(s, i, &inner);
        if (!inner.code && first == i) check_options(r, known[i], &inner);
        if (!inner.code) check_choices(r, known[first], &inner);
        if (inner.code)
            return dele_fail(err, inner.code, "%s: stage \"%s\": %s", s->plan.path, r->name,
                             inner.msg);
    }
    return DELE_OK;
}

dele_status study_check_commands(const study *s, dele_err *err)
{
    dele_arena arena = {0};
    cJSON **known = DELE_NEW(&arena, cJSON *, s->plan.n_stages + 1, err);
    dele_status status = known ? check_stages(s, known, err) : DELE_ERR_MEMORY;
    for (size_t i = 0; known && i < s->plan.n_stages; i++) cJSON_Delete(known[i]);
    dele_arena_release(&arena);
    return status;
}
