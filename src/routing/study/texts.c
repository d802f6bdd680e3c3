#include "routing/study/texts.h"

#include <stdint.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/path_list.h"
#include "base/texts.h"
#include "text/row_texts.h"

enum { MOST_DOMAINS = 64 };

/* ---- the list -------------------------------------------------------------------------------- */

/* "man pages" of "data/man pages.jsonl". */
static char *name_of_file(const char *path, dele_arena *arena, dele_err *err)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path,
               *dot = strrchr(name, '.');
    return dele_strndup(arena, name, dot && dot > name ? (size_t)(dot - name) : strlen(name), err);
}

/* The = of NAME=PATH, or NULL: a path that exists may have one of its own. */
static char *end_of_name(char *item) { return dele_path_exists(item) ? NULL : strchr(item, '='); }

static bool is_domain(char *item)
{
    const char *equals = end_of_name(item);
    return dele_path_exists(equals ? equals + 1 : item);
}

static dele_status add_domain(dele_routing_texts *t, char *item, dele_arena *arena, dele_err *err)
{
    char *equals = end_of_name(item);
    dele_routing_domain *d = &t->domain[t->n_domains];
    if (equals) *equals = '\0';
    d->path = equals ? equals + 1 : item;
    d->name = equals && *item ? item : name_of_file(d->path, arena, err);
    if (!d->name) return err->code;
    if (!*d->path)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--text: a file is missing; give NAME=PATH or PATH, several with commas");
    for (size_t i = 0; i < t->n_domains; i++)
        if (!strcmp(t->domain[i].name, d->name))
            return dele_fail(err, DELE_ERR_USAGE,
                             "--text: two files are named \"%s\"; give names, as in NAME=PATH",
                             d->name);
    t->name[t->n_domains++] = d->name;
    return DELE_OK;
}

dele_status dele_routing_texts_list(dele_routing_texts *t, const char *list, dele_arena *arena,
                                    dele_err *err)
{
    char *rest = dele_strdup(arena, list, err);
    *t = (dele_routing_texts){.domain = DELE_NEW(arena, dele_routing_domain, MOST_DOMAINS, err),
                              .name = DELE_NEW(arena, const char *, MOST_DOMAINS, err)};
    if (!rest || !t->domain || !t->name) return err->code;
    for (char *item; (item = dele_path_list_next(&rest, is_domain));) {
        if (t->n_domains == MOST_DOMAINS)
            return dele_fail(err, DELE_ERR_USAGE, "--text: more than %d files", MOST_DOMAINS);
        if (add_domain(t, item, arena, err)) return err->code;
    }
    return DELE_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct {
    dele_routing_texts *t;
    const dele_tokenizer *tokenizer;
    size_t window, limit;
    size_t room_windows, room_tokens, n_documents;
    dele_arena *arena, scratch;
    dele_err *err;
} reading;

/* An array with room for one element more than n, at least. */
static void *grown(void *array, size_t n, size_t room, size_t size, const reading *x)
{
    void *more = dele_alloc_raw(x->arena, room, size, x->err);
    if (more && n) memcpy(more, array, n * size);
    return more;
}

static dele_status reserve_tokens(reading *x, size_t n)
{
    dele_routing_texts *t = x->t;
    if (t->n_tokens + n > x->room_tokens) {
        const size_t room = 2 * (t->n_tokens + n) + 4096;
        t->id = grown(t->id, t->n_tokens, room, sizeof *t->id, x);
        t->document = grown(t->document, t->n_tokens, room, sizeof *t->document, x);
        t->domain_of = grown(t->domain_of, t->n_tokens, room, sizeof *t->domain_of, x);
        x->room_tokens = room;
        if (!t->id || !t->document || !t->domain_of) return x->err->code;
    }
    if (t->n_windows == x->room_windows) {
        const size_t room = 2 * t->n_windows + 256;
        t->window = grown(t->window, t->n_windows, room, sizeof *t->window, x);
        x->room_windows = room;
        if (!t->window) return x->err->code;
    }
    return DELE_OK;
}

/* ids [n] as windows of domain d, up to its limit; each a document where `stream`. */
static dele_status add_ids(reading *x, size_t d, const int *ids, size_t n, bool stream)
{
    dele_routing_texts *t = x->t;
    dele_routing_domain *domain = &t->domain[d];
    if (x->limit && domain->n_tokens + n > x->limit) {
        n = x->limit - domain->n_tokens;
        domain->cut = true;
    }
    for (size_t begin = 0; begin < n; begin += x->window) {
        const size_t length = n - begin < x->window ? n - begin : x->window;
        if (reserve_tokens(x, length)) return x->err->code;
        if (begin && stream) x->n_documents++;
        t->window[t->n_windows++] = (dele_routing_window){t->n_tokens, (int)length};
        for (size_t i = 0; i < length; i++, t->n_tokens++) {
            t->id[t->n_tokens] = ids[begin + i];
            t->document[t->n_tokens] = (int)x->n_documents;
            t->domain_of[t->n_tokens] =
                dele_token_is_special(x->tokenizer, ids[begin + i]) ? -1 : (int)d;
        }
    }
    x->n_documents += n > 0;
    domain->n_tokens += n;
    return DELE_OK;
}

static dele_status add_document(reading *x, size_t d, const char *text, size_t n, bool stream)
{
    dele_ids ids;
    if (dele_encode(&ids, x->tokenizer, text, n, true, &x->scratch, x->err)) return x->err->code;
    return add_ids(x, d, ids.id, ids.n, stream);
}

/* A row's text, or its two texts. */
static const char *text_of_row(reading *x, const dele_records *r, const cJSON *row)
{
    const cJSON *text = dele_json_get(row, "text");
    dele_row_texts both;
    if (cJSON_IsString(text)) return text->valuestring;
    if (dele_row_texts_of(&both, row))
        return dele_printf(&x->scratch, x->err, "%s%s%s", both.prompt, both.joined ? "" : " ",
                           both.output);
    dele_fail(x->err, DELE_ERR_DATA,
              "%s:%d: no \"text\", and no prompt with an output (\"input\" and \"output\", "
              "\"question\" and \"answer\")",
              r->path, r->line);
    return NULL;
}

static dele_status read_rows(reading *x, size_t d)
{
    dele_records r = {0};
    dele_routing_domain *domain = &x->t->domain[d];
    if (dele_records_open(&r, domain->path, x->err)) return x->err->code;
    for (const cJSON *row; !x->err->code && (row = dele_records_next(&r, x->err));) {
        if (x->limit && domain->n_tokens >= x->limit) {
            domain->cut = true;
            break;
        }
        const char *text = text_of_row(x, &r, row);
        if (text && *text) add_document(x, d, text, strlen(text), false);
        dele_arena_reset(&x->scratch);
    }
    dele_records_close(&r);
    return x->err->code;
}

static dele_status read_stream(reading *x, size_t d)
{
    size_t n;
    const char *text = dele_text_read(x->t->domain[d].path, &x->scratch, &n, x->err);
    if (text && n) add_document(x, d, text, n, true);
    dele_arena_reset(&x->scratch);
    return x->err->code;
}

dele_status dele_routing_texts_read(dele_routing_texts *t, const dele_tokenizer *tokenizer,
                                    int window, size_t limit, dele_arena *arena, dele_err *err)
{
    reading x = {.t = t,
                 .tokenizer = tokenizer,
                 .window = (size_t)window,
                 .limit = limit,
                 .arena = arena,
                 .err = err};
    for (size_t d = 0; d < t->n_domains && !err->code; d++) {
        const char *path = t->domain[d].path;
        const size_t before = x.n_documents;
        if (dele_ends_with(path, ".jsonl") || dele_ends_with(path, ".json"))
            read_rows(&x, d);
        else
            read_stream(&x, d);
        t->domain[d].n_documents = x.n_documents - before;
        size_t counted = 0;
        for (size_t i = t->n_tokens - t->domain[d].n_tokens; i < t->n_tokens; i++)
            counted += t->domain_of[i] >= 0;
        if (!err->code && !counted) dele_fail(err, DELE_ERR_DATA, "%s holds no text", path);
    }
    dele_arena_release(&x.scratch);
    return err->code;
}

dele_status dele_routing_texts_routed(dele_routed *r, const dele_routing_texts *t,
                                      const dele_config *config, dele_arena *arena, dele_err *err)
{
    if (!config->n_experts)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "a model of family %s has no experts, so there is no routing to study",
                         config->family->hf);
    if (dele_routed_init(r, t->n_tokens, config->n_layers, config->n_experts, config->top_k, arena,
                         err))
        return err->code;
    r->n_domains = t->n_domains;
    r->domain_name = t->name;
    r->n_documents = t->n_tokens ? (size_t)t->document[t->n_tokens - 1] + 1 : 0;
    memcpy(r->id, t->id, t->n_tokens * sizeof *r->id);
    memcpy(r->document, t->document, t->n_tokens * sizeof *r->document);
    memcpy(r->domain, t->domain_of, t->n_tokens * sizeof *r->domain);
    for (size_t w = 0; w < t->n_windows; w++)
        for (int i = 0; i + 1 < t->window[w].n; i++)
            r->next[t->window[w].first + (size_t)i] = t->id[t->window[w].first + (size_t)i + 1];
    return DELE_OK;
}
