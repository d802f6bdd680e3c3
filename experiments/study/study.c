/* What stands of a study, and the running of the rest.
 *
 * study.json is written again (aside, moved into place) before a stage begins and after it ends, so
 * that after any crash it says what was being made.  A stage that was begun and did not end is
 * begun again; the command itself resumes after what it finds in its .part. */
#include "experiments/study/study.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_out.h"
#include "base/former.h"
#include "base/json_out.h"
#include "base/progress.h"
#include "base/text_out.h"

const char *const study_state_words[] = {
    [STUDY_NEW] = "not begun", [STUDY_BROKEN] = "interrupted", [STUDY_DONE] = "done",
    [STUDY_FAILED] = "failed", [STUDY_CHANGED] = "changed",    [STUDY_WAITING] = "waiting"};

static void put(cJSON *object, const char *name, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    if (!cJSON_AddItemToObject(object, name, value)) cJSON_Delete(value);
}

static cJSON *part_of(cJSON *object, const char *name)
{
    cJSON *part = dele_json_get(object, name);
    return part ? part : cJSON_AddObjectToObject(object, name);
}

/* ---- inputs ---------------------------------------------------------------------------------- */

/* The sha256 of a file; known already where its size and time are those of the last run. */
static dele_status hash_file(const study *s, char hex[65], const char *path, const struct stat *st,
                             dele_err *err)
{
    cJSON *inputs = part_of(s->record, "inputs"), *old = dele_json_get(inputs, path);
    char stamp[64];
    snprintf(stamp, sizeof stamp, "%lld.%09ld", (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    const char *was = dele_json_string(old, "changed"), *sha = dele_json_string(old, "sha256");
    if (was && sha && strlen(sha) == 64 && !strcmp(was, stamp) &&
        cJSON_GetNumberValue(dele_json_get(old, "size")) == (double)st->st_size) {
        memcpy(hex, sha, 65);
        return DELE_OK;
    }
    if (dele_file_sha256(hex, path, err)) return err->code;
    cJSON *new = cJSON_CreateObject();
    cJSON_AddNumberToObject(new, "size", (double)st->st_size);
    cJSON_AddStringToObject(new, "changed", stamp);
    cJSON_AddStringToObject(new, "sha256", hex);
    put(inputs, path, new);
    return DELE_OK;
}

static int no_dots(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* A file's contents, or a directory's: the names in it with theirs, in order. */
static dele_status hash_input(const study *s, char hex[65], const char *path, int depth,
                              dele_err *err)
{
    struct stat st;
    struct dirent **entry = NULL;
    const char *list = "";
    if (stat(path, &st)) return dele_fail_file(err, "read", path);
    if (!S_ISDIR(st.st_mode)) return hash_file(s, hex, path, &st, err);
    int n = scandir(path, &entry, no_dots, alphasort);
    if (n < 0) return dele_fail_file(err, "read", path);
    if (n > 10000 || depth > 8)
        dele_fail(err, DELE_ERR_DATA, "%s holds too much to be data for a study", path);
    for (int i = 0; i < n; i++) {
        const char *inner =
            err->code ? NULL : dele_printf(s->arena, err, "%s/%s", path, entry[i]->d_name);
        char own[65];
        if (inner && !stat(inner, &st) && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) &&
            !hash_input(s, own, inner, depth + 1, err))
            list = dele_printf(s->arena, err, "%s%s %s\n", list ? list : "", entry[i]->d_name, own);
        free(entry[i]);
    }
    free(entry);
    if (!err->code) dele_text_sha256(hex, list);
    return err->code;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static const char *key_of(const char *name, void *context)
{
    const study *s = context;
    static const char own[] = "itself";
    for (size_t i = 0; i < s->plan.n_stages; i++)
        if (!strcmp(s->plan.stage[i].name, name)) return *s->stage[i].key ? s->stage[i].key : own;
    return own;
}

/* A text as it counts: a number by its value, a path by what is there, a result by its key. */
static cJSON *what_counts(study *s, const char *text, dele_err *err)
{
    char *end, hex[65];
    double number = strtod(text, &end);
    if (*text && !*end && isfinite(number)) return dele_json_number(number);
    if (strchr(text, '\1')) {
        const char *rendered = recipe_render(text, key_of, s, s->arena, err);
        return rendered ? cJSON_CreateString(rendered) : NULL;
    }
    struct stat st;
    if (stat(text, &st) || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return cJSON_CreateString(text);
    if (hash_input(s, hex, text, 0, err)) return NULL;
    const char *name = dele_printf(s->arena, err, "sha256:%s", hex);
    return name ? cJSON_CreateString(name) : NULL;
}

static int by_option_name(const void *a, const void *b)
{
    return strcmp((*(const recipe_option *const *)a)->name,
                  (*(const recipe_option *const *)b)->name);
}

/* Options in alphabetical order: theirs in the recipe does not matter. */
static dele_status make_key(study *s, size_t which, dele_err *err)
{
    const recipe_stage *r = &s->plan.stage[which];
    study_stage *stage = &s->stage[which];
    const recipe_option **sorted = DELE_NEW(s->arena, const recipe_option *, r->n_options, err);
    cJSON *asked = stage->asked = cJSON_CreateObject();
    if (!sorted || !asked) return dele_fail(err, DELE_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < r->n_options; i++) sorted[i] = &r->option[i];
    qsort(sorted, r->n_options, sizeof *sorted, by_option_name);
    cJSON_AddStringToObject(asked, "deleatur", DELE_VERSION);
    cJSON_AddStringToObject(asked, "run", r->command);
    cJSON *words = cJSON_AddArrayToObject(asked, "arguments"),
          *options = cJSON_AddObjectToObject(asked, "options");
    for (size_t i = 0; i < r->n_arguments && !err->code; i++)
        cJSON_AddItemToArray(words, what_counts(s, r->argument[i], err));
    for (size_t i = 0; i < r->n_options && !err->code; i++)
        if (strcmp(sorted[i]->name, "threads") && strcmp(sorted[i]->name, "quiet"))
            cJSON_AddItemToObject(options, sorted[i]->name,
                                  sorted[i]->text ? what_counts(s, sorted[i]->text, err)
                                                  : cJSON_CreateBool(!sorted[i]->off));
    char *text = err->code ? NULL : cJSON_PrintUnformatted(asked);
    if (text)
        dele_text_sha256(stage->key, text);
    else
        dele_fail(err, DELE_ERR_MEMORY, "out of memory");
    cJSON_free(text);
    return err->code;
}

/* ---- what is different? ---------------------------------------------------------------------- */

static const char *short_text(const cJSON *value, dele_arena *arena, dele_err *err)
{
    const char *text = cJSON_GetStringValue(value);
    if (!value) return "not given";
    if (text) return dele_printf(arena, err, "%.60s", text);
    char *printed = cJSON_PrintUnformatted(value);
    const char *copy = printed ? dele_strdup(arena, printed, err) : NULL;
    cJSON_free(printed);
    return copy;
}

static bool is_hash(const cJSON *value)
{
    const char *text = cJSON_GetStringValue(value);
    return text && strlen(text) >= 64; /* a file's contents or a stage's key */
}

/* A number asked for is text that keeps all its digits (dele_json_number), one on record was read
 * as a number. */
static bool same_value(const cJSON *was, const cJSON *is)
{
    if (cJSON_IsNumber(was) && cJSON_IsRaw(is))
        return was->valuedouble == strtod(is->valuestring, NULL);
    return cJSON_Compare(was, is, true);
}

/* "lr was 0.001, is 0.0003": the first thing that differs. */
static const char *difference(const cJSON *was, const cJSON *is, dele_arena *arena, dele_err *err)
{
    static const char *const parts[] = {"options", "arguments", "run", "deleatur"};
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        const cJSON *a = dele_json_get(was, parts[p]), *b = dele_json_get(is, parts[p]), *x = NULL,
                    *y = NULL;
        const char *name = parts[p];
        if (cJSON_Compare(a, b, true)) continue;
        if (cJSON_IsObject(b)) {
            for (y = b->child; y && same_value(dele_json_get(a, y->string), y);) y = y->next;
            if (y) x = dele_json_get(a, y->string);
            for (x = y ? x : a ? a->child : NULL; !y && x && dele_json_get(b, x->string);)
                x = x->next;
            if (!x && !y) continue;
            name = y ? y->string : x ? x->string : name;
        } else if (!cJSON_IsArray(b)) {
            x = a;
            y = b;
        }
        if (cJSON_IsArray(b) || is_hash(x) || is_hash(y))
            return dele_printf(arena, err, "%s: what it names has changed", name);
        return dele_printf(arena, err, "%s was %s, is %s", name, short_text(x, arena, err),
                           short_text(y, arena, err));
    }
    return "its settings have changed";
}

/* ---- what stands? ---------------------------------------------------------------------------- */

static const char *part_path(const study *s, size_t i, dele_err *err)
{
    return dele_printf(s->arena, err, "%s.part", s->stage[i].result);
}

/* Compares a stage with the record and the directory, and sets its state.  A result is kept only if
 * its key is the recorded one.  If a result with another key exists, the state is CHANGED and the
 * sentence names the setting that differs; it is never overwritten without --changed or --again.  A
 * stage that was running when the study ended is BROKEN, and is resumed from its own .part. */
static dele_status judge(study *s, size_t i, dele_err *err)
{
    study_stage *stage = &s->stage[i];
    const cJSON *old = dele_json_get(dele_json_get(s->record, "stages"), s->plan.stage[i].name);
    const char *word = dele_json_string(old, "state"), *key = dele_json_string(old, "key"),
               *part = part_path(s, i, err);
    bool there = dele_path_exists(stage->result), same = key && !strcmp(key, stage->key);
    if (!part) return DELE_ERR_MEMORY;
    stage->state = STUDY_NEW;
    stage->seconds = NAN;
    if (!old) {
        if (!there) return DELE_OK;
        stage->state = STUDY_CHANGED;
        stage->sentence = dele_printf(
            s->arena, err, "%s exists, and study.json does not say how it was made", stage->result);
        return err->code;
    }
    bool done = word && !strcmp(word, "done"), begun = word && !strcmp(word, "running");
    if (!same && (done ? there : begun && dele_path_exists(part))) {
        stage->state = STUDY_CHANGED;
        stage->sentence =
            dele_printf(s->arena, err, "%s exists with other settings: %s",
                        done ? "a result" : "an unfinished result",
                        difference(dele_json_get(old, "asked"), stage->asked, s->arena, err));
        return err->code;
    }
    if (!same) return DELE_OK;
    const cJSON *seconds = dele_json_get(old, "seconds");
    if (cJSON_IsNumber(seconds)) stage->seconds = seconds->valuedouble;
    stage->dropped = cJSON_IsTrue(dele_json_get(old, "dropped"));
    if (begun)
        stage->state = STUDY_BROKEN;
    else if (done && there)
        stage->state = STUDY_DONE;
    else if (!done && there)
        stage->state =
            STUDY_FAILED; /* a result that is known to be bad: it would come out so again */
    if (stage->state == STUDY_FAILED) stage->sentence = dele_json_string(old, "sentence");
    return DELE_OK;
}

/* What was dropped is needed again where something that stands on it has to run. */
static void ask_back(study *s)
{
    for (size_t i = s->plan.n_stages; i-- > 0;)
        for (size_t k = i + 1;
             k < s->plan.n_stages && s->stage[i].state == STUDY_DONE && s->stage[i].dropped; k++)
            if (recipe_depends_on(&s->plan.stage[k], i) && s->stage[k].selected &&
                (s->stage[k].state == STUDY_NEW || s->stage[k].state == STUDY_BROKEN))
                s->stage[i].state = STUDY_NEW;
}

/* ---- the record ------------------------------------------------------------------------------ */

static dele_status save_times(const study *s, dele_err *err)
{
    dele_writer out = {0};
    const char *path = dele_printf(s->arena, err, "%s/times.tsv", s->out);
    if (!path || dele_writer_open(&out, path, err)) return err->code;
    fputs("stage\tstate\tseconds\tcommand\n", out.stream);
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        const study_stage *stage = &s->stage[i];
        fprintf(out.stream, "%s\t%s\t", s->plan.stage[i].name, study_state_words[stage->state]);
        if (isfinite(stage->seconds)) fprintf(out.stream, "%.1f", stage->seconds);
        fputc('\t', out.stream);
        dele_text_put(out.stream, stage->line, DELE_TEXT_CELL);
        fputc('\n', out.stream);
    }
    return dele_writer_commit(&out, err);
}

static dele_status save(const study *s, dele_err *err)
{
    const char *path = dele_printf(s->arena, err, "%s/study.json", s->out);
    return !path || dele_json_save(path, s->record, err) ? err->code : save_times(s, err);
}

/* Loads study.json, or begins a new record, and replaces what describes this run: version, program,
 * recipe and variables.  The stages' entries remain, for judge to compare with. */
static dele_status load_record(study *s, dele_err *err)
{
    const char *path = dele_printf(s->arena, err, "%s/study.json", s->out);
    if (!path) return DELE_ERR_MEMORY;
    if (dele_former_refuse(s->out, err)) return err->code;
    s->record = dele_path_exists(path) ? dele_json_load_result(path, err) : cJSON_CreateObject();
    if (!s->record) return dele_fail(err, DELE_ERR_MEMORY, "out of memory");
    if (!cJSON_IsObject(s->record))
        return dele_fail(err, DELE_ERR_FORMAT, "%s is no record of a study", path);
    put(s->record, "deleatur", cJSON_CreateString(DELE_VERSION));
    put(s->record, "program", cJSON_CreateString(s->program));
    put(s->record, "recipe", cJSON_Duplicate(s->plan.json, true));
    put(s->record, "recipe_path", cJSON_CreateString(s->plan.path));
    cJSON *vars = cJSON_CreateObject();
    for (size_t i = 0; i < s->plan.n_vars; i++)
        cJSON_AddItemToObject(vars, s->plan.var[i].name,
                              s->plan.var[i].text ? cJSON_CreateString(s->plan.var[i].text)
                                                  : cJSON_CreateNull());
    put(s->record, "vars", vars);
    part_of(s->record, "stages");
    return DELE_OK;
}

/* A study goes into a directory of its own: a new or empty one, or one that holds a study's record
 * or lock.  In any other one, files of somebody else's would be written over. */
static dele_status may_take(const study *s, dele_err *err)
{
    static const char *const ours[] = {".lock", "study.json"};
    for (int i = 0; i < 2; i++) {
        const char *path = dele_printf(s->arena, err, "%s/%s", s->out, ours[i]);
        if (!path) return err->code;
        if (dele_path_exists(path)) return DELE_OK;
    }
    struct dirent **entry = NULL;
    const int n = scandir(s->out, &entry, no_dots, alphasort);
    for (int i = 0; i < n; i++) free(entry[i]);
    free(entry);
    if (n <= 0) return DELE_OK; /* empty, or nothing there; what else is wrong is said by mkdir */
    return dele_fail(err, DELE_ERR_FILE,
                     "%s holds files and is no study of deleatur; choose another place for --out",
                     s->out);
}

static dele_status take_lock(study *s, dele_err *err)
{
    bool busy;
    const char *path = dele_printf(s->arena, err, "%s/.lock", s->out);
    if (!path || may_take(s, err) || dele_path_make_dirs(s->out, err)) return err->code;
    s->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (s->lock < 0) return dele_fail_file(err, "write", path);
    if (dele_lock(s->lock, &busy)) return DELE_OK;
    if (!busy) return dele_fail_file(err, "lock", path);
    return dele_fail(err, DELE_ERR_FILE,
                     "another deleatur run is at work in %s; wait for it, or choose another --out",
                     s->out);
}

dele_status study_open(study *s, bool report_only, dele_arena *arena, dele_err *err)
{
    s->arena = arena;
    s->lock = -1;
    s->stage = DELE_NEW(arena, study_stage, s->plan.n_stages, err);
    dele_file_sha256(s->program, "/proc/self/exe", NULL);
    if (!s->stage || (!report_only && take_lock(s, err)) || load_record(s, err)) return err->code;
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        s->stage[i].recipe = &s->plan.stage[i];
        s->stage[i].selected = true;
        s->stage[i].result = dele_printf(arena, err, "%s/%s", s->out, s->plan.stage[i].name);
        s->stage[i].line = study_command_line(s, i, err);
        if (!s->stage[i].result || !s->stage[i].line || make_key(s, i, err) || judge(s, i, err))
            return err->code;
    }
    return DELE_OK;
}

void study_close(study *s)
{
    for (size_t i = 0; i < s->plan.n_stages && s->stage; i++) cJSON_Delete(s->stage[i].asked);
    cJSON_Delete(s->record);
    if (s->lock >= 0) close(s->lock);
    s->lock = -1;
    s->record = NULL;
    s->stage = NULL;
}

dele_status study_forget(study *s, const bool *which, dele_err *err)
{
    bool *gone = DELE_NEW(s->arena, bool, s->plan.n_stages, err);
    if (!gone) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        gone[i] = which[i];
        for (size_t k = 0; k < s->plan.stage[i].n_needs; k++)
            gone[i] |= gone[s->plan.stage[i].needs[k]];
        if (!gone[i]) continue;
        cJSON *stages = dele_json_get(s->record, "stages");
        if (!dele_json_get(stages, s->plan.stage[i].name) &&
            dele_path_free(s->stage[i].result, err))
            return err->code; /* not this study's, as far as its record goes */
        cJSON_DeleteItemFromObjectCaseSensitive(stages, s->plan.stage[i].name);
        if (dele_path_remove(s->stage[i].result, err) || dele_part_remove(s->stage[i].result, err))
            return err->code;
        s->stage[i].state = STUDY_NEW;
        s->stage[i].sentence = NULL;
        s->stage[i].seconds = NAN;
        s->stage[i].dropped = false;
    }
    return save(s, err);
}

/* ---- running --------------------------------------------------------------------------------- */

static dele_status note(study *s, size_t i, const char *state, dele_err *err)
{
    study_stage *stage = &s->stage[i];
    cJSON *stages = part_of(s->record, "stages"), *own = part_of(stages, s->plan.stage[i].name);
    put(own, "state", cJSON_CreateString(state));
    put(own, "key", cJSON_CreateString(stage->key));
    put(own, "asked", cJSON_Duplicate(stage->asked, true));
    put(own, "program", cJSON_CreateString(s->program));
    if (!strcmp(state, "running")) put(own, "began", dele_json_utc_now());
    put(own, "seconds", dele_json_number(stage->seconds));
    put(own, "sentence",
        stage->sentence ? cJSON_CreateString(stage->sentence) : cJSON_CreateNull());
    put(own, "dropped", cJSON_CreateBool(stage->dropped));
    return save(s, err);
}

/* The directory above a path, made. */
static dele_status make_parent(const study *s, const char *path, dele_err *err)
{
    const char *slash = strrchr(path, '/');
    const char *parent = slash ? dele_strndup(s->arena, path, (size_t)(slash - path), err) : ".";
    return parent ? dele_path_make_dirs(parent, err) : DELE_ERR_MEMORY;
}

/* Room for what the stage makes: where its files go.  A command that makes a directory makes its
 * own; for the others it is `dir`. */
static const char *prepare(study *s, size_t i, dele_outdir *dir, dele_err *err)
{
    const study_stage *stage = &s->stage[i];
    const bool own_dir = study_kind_of(stage->recipe) == STUDY_MAKES_DIR;
    if (dele_path_remove(stage->result, err))
        return NULL; /* of an attempt that did not end, or was dropped */
    if (make_parent(s, stage->result, err)) return NULL;
    if (own_dir) return stage->result;
    return dele_outdir_open(dir, stage->result, err) ? NULL : dir->part;
}

static dele_status conclude(study *s, size_t i, const study_end *end, dele_outdir *dir,
                            dele_err *err)
{
    study_stage *stage = &s->stage[i];
    stage->state = end->status ? STUDY_FAILED : STUDY_DONE;
    if (end->status)
        dele_outdir_abandon(dir);
    else if (dele_outdir_commit(dir, err))
        return err->code;
    stage->sentence = end->status ? dele_strdup(s->arena, end->sentence, err) : NULL;
    if (!end->status && !dele_path_exists(stage->result)) {
        stage->state = STUDY_FAILED;
        stage->sentence = dele_printf(s->arena, err, "deleatur %s ended well, but %s is not there",
                                      stage->recipe->command, stage->result);
    }
    if (stage->state == STUDY_FAILED && !stage->sentence) return err->code;
    return note(s, i, stage->state == STUDY_DONE ? "done" : "failed", err);
}

/* Runs one stage as a process of its own, and records how it ended.  The state "running" is
 * recorded before the process starts: if this process dies as well, the next run knows that the
 * .part is the stage's.  Standard output is the result of a command that only prints; of others it
 * goes to the logs. */
static dele_status run_stage(study *s, size_t i, dele_err *err)
{
    study_stage *stage = &s->stage[i];
    dele_outdir own = {0};
    const char *dir = prepare(s, i, &own, err);
    const char **command = dir ? study_command(s, i, dir, err) : NULL;
    const char *log = dele_printf(s->arena, err, "%s/logs/%s.err", s->out, stage->recipe->name);
    const bool prints = study_kind_of(stage->recipe) == STUDY_PRINTS;
    const char *stdout_path =
        !dir ? NULL
             : dele_printf(s->arena, err, prints ? "%s/stdout.txt" : "%s/logs/%s.txt",
                           prints ? dir : s->out, stage->recipe->name);
    const bool more = stage->state == STUDY_BROKEN;
    study_end end;
    stage->seconds = NAN;
    stage->dropped = false;
    stage->sentence = NULL;
    const double began = dele_now();
    if (command && log && stdout_path && !make_parent(s, log, err) && !note(s, i, "running", err) &&
        !study_child(&end, command, stdout_path, log, more, err)) {
        stage->seconds = round(10 * (dele_now() - began)) / 10;
        conclude(s, i, &end, &own, err);
    }
    dele_outdir_abandon(&own);
    return err->code;
}

static void remove_weights(const char *dir)
{
    char path[1400];
    struct dirent **entry = NULL;
    int n = scandir(dir, &entry, no_dots, alphasort);
    for (int i = 0; i < n; i++) {
        if (strstr(entry[i]->d_name, ".safetensors") &&
            (size_t)snprintf(path, sizeof path, "%s/%s", dir, entry[i]->d_name) < sizeof path)
            unlink(path);
        free(entry[i]);
    }
    if (n >= 0) free(entry);
}

/* Stages with "keep": false, once all that stands on them is done. */
static dele_status drop_weights(study *s, dele_err *err)
{
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        study_stage *stage = &s->stage[i];
        size_t users = 0, done = 0;
        if (stage->recipe->keep || stage->state != STUDY_DONE || stage->dropped) continue;
        for (size_t k = i + 1; k < s->plan.n_stages; k++) {
            if (!recipe_depends_on(&s->plan.stage[k], i)) continue;
            users++;
            done += s->stage[k].state == STUDY_DONE;
        }
        if (!users || done < users) continue;
        stage->dropped = true;
        if (note(s, i, "done", err))
            return err->code; /* before they go: a result that says it is whole must be */
        remove_weights(stage->result);
    }
    return DELE_OK;
}

/* The stage that keeps this one from running, or n_stages. */
static size_t hindrance(const study *s, size_t i)
{
    for (size_t k = 0; k < s->plan.stage[i].n_needs; k++)
        if (s->stage[s->plan.stage[i].needs[k]].state != STUDY_DONE)
            return s->plan.stage[i].needs[k];
    return s->plan.n_stages;
}

static void say_stage(const study *s, size_t i, size_t place, size_t n)
{
    fprintf(stderr, "\n== %zu of %zu, %s%s\n   %s\n", place, n, s->plan.stage[i].name,
            s->stage[i].state == STUDY_BROKEN ? " (it was interrupted)" : "", s->stage[i].line);
}

/* An error that counts the stages that are not done and says why the first of them is not, with the
 * option that runs it again; the exit status of a study with a failed stage is therefore not 0. */
static dele_status sum_up(const study *s, dele_err *err)
{
    size_t wanted = 0, done = 0, first = s->plan.n_stages;
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        if (!s->stage[i].selected) continue;
        wanted++;
        if (s->stage[i].state == STUDY_DONE)
            done++;
        else if (first == s->plan.n_stages)
            first = i;
    }
    if (done == wanted) return DELE_OK;
    const study_stage *stage = &s->stage[first];
    return dele_fail(err, DELE_ERR_DATA,
                     "%zu of %zu stages are not done; the first is %s, %s: %s%s", wanted - done,
                     wanted, stage->recipe->name, study_state_words[stage->state],
                     stage->sentence ? stage->sentence : "it was left out",
                     stage->state == STUDY_CHANGED
                         ? " (--changed runs such stages again, with what depends on them; "
                           "--again NAME this one)"
                     : stage->state == STUDY_FAILED ? " (--again NAME tries once more)"
                                                    : "");
}

dele_status study_run(study *s, dele_err *err)
{
    size_t n = 0, place = 0, standing = 0;
    ask_back(s);
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        n += s->stage[i].selected;
        standing += s->stage[i].selected && s->stage[i].state == STUDY_DONE;
    }
    if (!s->quiet && standing) dele_note("%zu of %zu stages are done in %s", standing, n, s->out);
    if (save(s, err)) return err->code;
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        study_stage *stage = &s->stage[i];
        if (!stage->selected) continue;
        place++;
        size_t first = stage->state == STUDY_NEW || stage->state == STUDY_BROKEN ? hindrance(s, i)
                                                                                 : s->plan.n_stages;
        if (first < s->plan.n_stages) {
            stage->sentence =
                dele_printf(s->arena, err, "it depends on %s, which is %s",
                            s->plan.stage[first].name, study_state_words[s->stage[first].state]);
            stage->state = STUDY_WAITING;
        } else if (stage->state == STUDY_NEW || stage->state == STUDY_BROKEN) {
            if (!s->quiet) say_stage(s, i, place, n);
            if (run_stage(s, i, err) || drop_weights(s, err)) return err->code;
        }
        if (stage->state != STUDY_DONE && stage->state != STUDY_WAITING)
            dele_note("stage %s %s: %s", s->plan.stage[i].name, study_state_words[stage->state],
                      stage->sentence ? stage->sentence : "");
    }
    return save(s, err) ? err->code : sum_up(s, err);
}
