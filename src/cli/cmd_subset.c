/* deleatur subset -- a smaller LUME: whole documents of each task, and as many others that nobody
 * is taught.
 *
 *   reads    DIR/forget.jsonl, DIR/retain.jsonl; rows are passed on byte for byte
 *   writes   OUT/forget.jsonl, OUT/retain.jsonl        all rows of the documents taken, in the
 *                                                      order of the files
 *            OUT/taught.jsonl                          both, to teach a model from
 *            OUT/mia_data/member.jsonl                 forget.jsonl again
 *            OUT/mia_data/nonmember.jsonl              as many further documents of
 *                                                      DIR/forget.jsonl
 *
 * which is what deleatur eval --suite lume reads.  A document is what is in a row's id before "sc"
 * or "qa" and a number (score/suites/lume_rows.h): a story, a person, an article. */
#include "cli/cmd.h"

#include <stdlib.h>
#include <string.h>

#include "base/file_out.h"
#include "base/json.h"
#include "base/random.h"
#include "option/manifest.h"
#include "option/option.h"
#include "score/suites/lume_rows.h"

enum { TASKS = 3 };

typedef struct {
    const char *from, *out, *documents;
    int seed;
} command;

typedef enum { NOT_TAKEN, TAKEN, BESIDE } share;

typedef struct {
    const char *name;
    size_t length;
    int task;
    share share;
} document;

typedef struct {
    char *text;
    size_t document;
} row;

/* One file of rows, and the documents they belong to, both in its order. */
typedef struct {
    row *row;
    document *document;
    size_t n, capacity, n_documents;
} lume_split;

/* ---- reading --------------------------------------------------------------------------------- */

static dele_status reserve(lume_split *s, dele_arena *arena, dele_err *err)
{
    if (s->n < s->capacity) return DELE_OK;
    const size_t more = s->capacity ? 2 * s->capacity : 512;
    row *rows = DELE_NEW(arena, row, more, err);
    document *documents = rows ? DELE_NEW(arena, document, more, err) : NULL;
    if (!documents) return err->code;
    if (s->n) memcpy(rows, s->row, s->n * sizeof *rows);
    if (s->n) memcpy(documents, s->document, s->n_documents * sizeof *documents);
    s->row = rows;
    s->document = documents;
    s->capacity = more;
    return DELE_OK;
}

/* Rows of one document mostly are together: the last one is looked at first. */
static size_t find_document(lume_split *s, const char *id, size_t length, int task)
{
    for (size_t k = s->n_documents; k-- > 0;) {
        const document *d = &s->document[k];
        if (d->task == task && d->length == length && !memcmp(d->name, id, length)) return k;
    }
    s->document[s->n_documents] = (document){.name = id, .length = length, .task = task};
    return s->n_documents++;
}

static dele_status read_row(lume_split *s, const dele_records *r, const cJSON *json,
                            dele_arena *arena, dele_err *err)
{
    dele_lume_kind kind;
    size_t length;
    const char *id = dele_record_string(r, json, "id", err),
               *task = id ? dele_record_string(r, json, "task", err) : NULL;
    if (!task || reserve(s, arena, err)) return err->code;
    if (!dele_lume_parse_id(&kind, &length, id))
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: the id \"%.80s\" must end in sc or qa and a number", r->path,
                         r->line, id);
    if (strlen(task) != 5 || strncmp(task, "Task", 4) || task[4] < '1' || task[4] > '0' + TASKS)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: \"task\" is \"%.40s\", not Task1, Task2 or Task3", r->path,
                         r->line, task);
    char *kept = dele_record_text(r, arena, err), *name = kept ? dele_strdup(arena, id, err) : NULL;
    if (!name) return dele_fail(err, DELE_ERR_MEMORY, "out of memory while reading %s", r->path);
    s->row[s->n++] = (row){kept, find_document(s, name, length, task[4] - '1')};
    return DELE_OK;
}

static dele_status read_split(lume_split *s, const char *path, dele_arena *arena, dele_err *err)
{
    dele_records r = {.pass_on = true};
    const cJSON *json;
    if (dele_records_open(&r, path, err)) return err->code;
    while (!err->code && (json = dele_records_next(&r, err))) read_row(s, &r, json, arena, err);
    dele_records_close(&r);
    return err->code;
}

/* "5,20,5", a number for each task; or one for all. */
static dele_status parse_documents(size_t want[TASKS], const char *text, dele_err *err)
{
    const char *at = text;
    char *end = NULL;
    int n = 0;
    for (; n < TASKS; n++, at = end + 1) {
        const long number = strtol(at, &end, 10);
        if (end == at || number < 0 || number > 1000000) break;
        want[n] = (size_t)number;
        if (*end != ',') {
            n++;
            break;
        }
    }
    if (n == 1 && end && !*end)
        want[1] = want[2] = want[0];
    else if (n != TASKS || *end)
        return dele_fail(
            err, DELE_ERR_USAGE,
            "--documents %s: a number, or one for each of the three tasks as in 5,20,5", text);
    if (want[0] + want[1] + want[2] == 0)
        return dele_fail(err, DELE_ERR_USAGE, "--documents %s: no documents", text);
    return DELE_OK;
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* The first want[task] documents of each task, in the file's order or in the seed's; and where
 * `beside`, as many after them. */
static dele_status take(lume_split *s, const char *path, const size_t want[TASKS], bool beside,
                        dele_rng *rng, dele_arena *arena, dele_err *err)
{
    size_t *order = DELE_NEW(arena, size_t, s->n_documents + 1, err), taken[TASKS] = {0};
    if (!order) return err->code;
    for (size_t k = 0; k < s->n_documents; k++) order[k] = k;
    if (rng) dele_rng_shuffle(rng, order, s->n_documents);
    for (size_t k = 0; k < s->n_documents; k++) {
        document *d = &s->document[order[k]];
        size_t *n = &taken[d->task];
        if (*n < want[d->task])
            d->share = TAKEN;
        else if (beside && *n < 2 * want[d->task])
            d->share = BESIDE;
        else
            continue;
        ++*n;
    }
    for (int t = 0; t < TASKS; t++)
        if (taken[t] < want[t] * (beside ? 2 : 1))
            return dele_fail(err, DELE_ERR_DATA,
                             "%s has %zu documents of Task%d; %zu are asked for%s", path, taken[t],
                             t + 1, want[t], beside ? ", and as many held-out ones" : "");
    return DELE_OK;
}

static size_t write_rows(FILE *to, const lume_split *s, share which)
{
    size_t n = 0;
    for (size_t k = 0; k < s->n; k++) {
        if (s->document[s->row[k].document].share != which) continue;
        fprintf(to, "%s\n", s->row[k].text);
        n++;
    }
    return n;
}

/* a's rows of that share, and after them b's (or NULL). */
static dele_status write_file(size_t *n, const dele_outdir *out, const char *name,
                              const lume_split *a, const lume_split *b, share which, dele_err *err)
{
    dele_writer w = {0};
    char path[1100];
    snprintf(path, sizeof path, "%s/%s", out->part, name);
    if (dele_writer_open(&w, path, err)) return err->code;
    *n = write_rows(w.stream, a, which) + (b ? write_rows(w.stream, b, which) : 0);
    dele_writer_commit(&w, err);
    dele_writer_abandon(&w);
    return err->code;
}

static dele_status write_all(const dele_outdir *out, const lume_split part[2], size_t n[3],
                             dele_err *err)
{
    size_t both;
    (void)(dele_outdir_sub(out, "mia_data", err) ||
           write_file(&n[0], out, "forget.jsonl", &part[0], NULL, TAKEN, err) ||
           write_file(&n[1], out, "retain.jsonl", &part[1], NULL, TAKEN, err) ||
           write_file(&both, out, "taught.jsonl", &part[0], &part[1], TAKEN, err) ||
           write_file(&n[0], out, "mia_data/member.jsonl", &part[0], NULL, TAKEN, err) ||
           write_file(&n[2], out, "mia_data/nonmember.jsonl", &part[0], NULL, BESIDE, err));
    return err->code;
}

/* Reads both splits whole, selects documents, and writes a directory of the same layout with its
 * manifest. */
static dele_status work(const command *o, dele_manifest *manifest, size_t n[3], dele_arena *arena,
                        dele_err *err)
{
    static const char *const name[2] = {"forget", "retain"};
    lume_split part[2] = {{0}};
    size_t want[TASKS] = {0};
    dele_rng rng;
    dele_outdir out = {0};
    char manifest_path[1100];
    if (!o->out)
        return dele_fail(err, DELE_ERR_USAGE, "--out DIR is missing: the directory for the rows");
    if (o->seed < 0) return dele_fail(err, DELE_ERR_USAGE, "--seed %d: give at least 0", o->seed);
    if (parse_documents(want, o->documents, err)) return err->code;
    dele_rng_seed(&rng, (uint64_t)o->seed);
    for (int i = 0; i < 2; i++) {
        char *path = dele_printf(arena, err, "%s/%s.jsonl", o->from, name[i]);
        if (!path || read_split(&part[i], path, arena, err) ||
            take(&part[i], path, want, i == 0, o->seed ? &rng : NULL, arena, err) ||
            dele_manifest_input(manifest, path, err))
            return err->code;
    }
    if (dele_outdir_open(&out, o->out, err)) return err->code;
    snprintf(manifest_path, sizeof manifest_path, "%s/manifest.json", out.part);
    if (!write_all(&out, part, n, err) && !dele_manifest_save(manifest, manifest_path, err))
        dele_outdir_commit(&out, err);
    dele_outdir_abandon(&out);
    return err->code;
}

int cmd_subset(int argc, char **argv)
{
    command o = {.documents = "5,20,5"};
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("options"),
        DELE_OPT("documents", &o.documents,
                 "number of documents of Task1, Task2, Task3 in each of forget and retain; or "
                 "one number for all"),
        DELE_OPT("seed", &o.seed, "random seed of the documents; 0: the first ones of each file"),
        DELE_OPT("out", &o.out, "directory for the result; must not exist"),
        {0}};
    /* clang-format on */
    const dele_usage usage = {.command = "subset",
                              .summary = "draw a smaller LUME: whole documents, and held-out ones",
                              .synopsis = "LUME_DIR --out DIR",
                              .example = "deleatur subset data/lume --documents 5,20,5 --out small",
                              .options = options,
                              .positional = &o.from,
                              .n_positional = 1};
    dele_arena arena = {0};
    dele_err err = {0};
    dele_common common = {0};
    dele_manifest manifest = {0};
    size_t n[3] = {0};
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help) {
        dele_manifest_begin(&manifest, &usage, argc, argv);
        if (!work(&o, &manifest, n, &arena, &err))
            printf(common.json ? "{\"forget\": %zu, \"retain\": %zu, \"nonmember\": %zu}\n"
                               : "forget\t%zu rows\nretain\t%zu rows\nnonmember\t%zu rows\n",
                   n[0], n[1], n[2]);
    }
    dele_manifest_release(&manifest);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
