#include "nudge/nudge_json.h"

#include <math.h>
#include <string.h>

#include "base/json_out.h"
#include "plots/page.h"

static const char *const writer_name[] = {"nudger", "base"};

/* ---- JSON ------------------------------------------------------------------------------------ */

/* A run of the answer's text as an object with its writer; NULL: no memory. */
static cJSON *run_json(const dele_nudge_result *r, size_t from, size_t n, dele_nudge_writer by)
{
    dele_arena arena = {0};
    char *text = dele_strndup(&arena, r->text + from, n, NULL);
    cJSON *object = text ? cJSON_CreateObject() : NULL;
    if (object && (!cJSON_AddStringToObject(object, "by", writer_name[by]) ||
                   !cJSON_AddStringToObject(object, "text", text))) {
        cJSON_Delete(object);
        object = NULL;
    }
    dele_arena_release(&arena);
    return object;
}

dele_status dele_nudge_put_spans(cJSON *object, const dele_nudge_result *r, dele_err *err)
{
    cJSON *spans = cJSON_AddArrayToObject(object, "spans"), *tokens = NULL;
    bool full = spans != NULL;
    for (size_t i = 0; i < r->n_spans && full; i++) {
        const dele_nudge_span *s = &r->span[i];
        cJSON *one = run_json(r, s->from, s->n, s->by);
        full = one && cJSON_AddItemToArray(spans, one) &&
               cJSON_AddNumberToObject(one, "round", s->round) &&
               cJSON_AddNumberToObject(one, "tokens", (double)s->n_tokens);
    }
    if (r->n_tokens && full) full = (tokens = cJSON_AddArrayToObject(object, "tokens")) != NULL;
    for (size_t i = 0; i < r->n_tokens && full; i++) {
        const dele_nudge_token *t = &r->token[i];
        cJSON *one = run_json(r, t->from, t->n, t->by);
        full = one && cJSON_AddItemToArray(tokens, one) &&
               cJSON_AddItemToObject(one, "p", dele_json_number(t->p));
    }
    return full ? DELE_OK : dele_fail(err, DELE_ERR_MEMORY, "out of memory for an answer's spans");
}

void dele_nudge_add(dele_nudge_sum *sum, const dele_nudge_result *r)
{
    sum->n++;
    for (int who = 0; who < 2; who++) {
        sum->tokens += (double)r->written[who];
        sum->passes[who] += (double)r->passes[who];
        sum->rows[who] += (double)r->rows[who];
    }
    sum->nudging += (double)r->written[DELE_NUDGE_NUDGER];
    sum->questions += (double)r->base_questions;
    sum->fetched += (double)r->base_fetched;
    sum->rounds += r->rounds;
    sum->seconds += r->seconds;
    for (int who = 0; who < 2 && r->seconds > 0; who++) sum->timed += (double)r->written[who];
    sum->stops[r->stop]++;
}

static double ratio(double a, double b) { return b > 0 ? a / b : (double)NAN; }

void dele_nudge_put_sum(cJSON *object, const dele_nudge_sum *sum)
{
    const struct {
        const char *name;
        double x;
    } number[] = {{"n", sum->n},
                  {"tokens", sum->tokens},
                  {"nudging_tokens", sum->nudging},
                  {"nudging_share", ratio(sum->nudging, sum->tokens)},
                  {"rounds", sum->rounds},
                  {"base_passes", sum->passes[DELE_NUDGE_BASE]},
                  {"base_rows", sum->rows[DELE_NUDGE_BASE]},
                  {"nudger_passes", sum->passes[DELE_NUDGE_NUDGER]},
                  {"nudger_rows", sum->rows[DELE_NUDGE_NUDGER]},
                  {"base_questions", sum->questions},
                  {"base_fetched", sum->fetched}};
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        cJSON_AddItemToObject(object, number[i].name, dele_json_number(number[i].x));
    cJSON *stops = cJSON_AddObjectToObject(object, "stops");
    for (int i = 0; i <= DELE_NUDGE_CONTEXT && stops; i++)
        if (sum->stops[i]) cJSON_AddNumberToObject(stops, dele_nudge_stop_name[i], sum->stops[i]);
}

double dele_nudge_speed(const dele_nudge_sum *sum) { return ratio(sum->timed, sum->seconds); }

void dele_nudge_put_speed(cJSON *object, const dele_nudge_sum *sum)
{
    cJSON_AddItemToObject(object, "seconds", dele_json_number(sum->seconds));
    cJSON_AddItemToObject(object, "tokens_per_second", dele_json_number(dele_nudge_speed(sum)));
}

/* ---- the page -------------------------------------------------------------------------------- */

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text ? text : "";
}

static bool by_nudger(const cJSON *run) { return !strcmp(text_of(run, "by"), writer_name[0]); }

/* The runs of an answer, tokens where it has them: who wrote each, and how likely the base's most
 * likely token was, as one of ten shades and in words. */
static void put_runs(FILE *to, const cJSON *item)
{
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(item, "tokens"), *run;
    const cJSON *runs = cJSON_IsArray(tokens) && tokens->child
                            ? tokens
                            : cJSON_GetObjectItemCaseSensitive(item, "spans");
    cJSON_ArrayForEach(run, runs)
    {
        const cJSON *p = cJSON_GetObjectItemCaseSensitive(run, "p");
        const double x = cJSON_IsNumber(p) && p->valuedouble >= 0 && p->valuedouble <= 1
                             ? p->valuedouble
                             : (double)NAN;
        fprintf(to, "<span class=\"%s", by_nudger(run) ? "nudger" : "base");
        if (isfinite(x))
            fprintf(to, " p%d\" title=\"base's top-1 probability %.3f", (int)(x * 9.999), x);
        fputs("\">", to);
        dele_html_text(to, text_of(run, "text"));
        fputs("</span>", to);
    }
}

static void put_item(FILE *to, const cJSON *item, int number)
{
    double tokens[2] = {0};
    const cJSON *span;
    cJSON_ArrayForEach(span, cJSON_GetObjectItemCaseSensitive(item, "spans"))
    {
        const cJSON *n = cJSON_GetObjectItemCaseSensitive(span, "tokens");
        if (cJSON_IsNumber(n)) tokens[!by_nudger(span)] += n->valuedouble;
    }
    fprintf(to, "<section><h2>%d</h2>\n<p class=\"prompt\">", number);
    dele_html_text(to, text_of(item, "prompt"));
    fputs("</p>\n<p class=\"answer\">", to);
    put_runs(to, item);
    fputs("</p>\n<p class=\"soft\">", to);
    const double all = tokens[0] + tokens[1];
    fprintf(to, "%.0f tokens", all);
    if (all > 0) fprintf(to, ", %.1f %% of them by the nudger", 100 * tokens[0] / all);
    fputs("; stopped: ", to);
    dele_html_text(to, text_of(item, "stop"));
    fputs(".</p></section>\n", to);
}

static dele_status fill_page(FILE *to, void *context, dele_err *err)
{
    const dele_nudge_page *page = context;
    const dele_nudge_sum *sum = page->sum;
    (void)err;
    fputs("<header><h1>Nudging</h1>\n<p>Base ", to);
    dele_html_text(to, page->base);
    fputs(", nudger ", to);
    dele_html_text(to, page->nudger);
    fprintf(to, ", γ %g.</p>\n<p class=\"soft\">%d answer%s, %.0f tokens", page->gamma, sum->n,
            sum->n == 1 ? "" : "s", sum->tokens);
    if (sum->tokens > 0)
        fprintf(to, ", %.1f %% of them by the nudger", 100 * sum->nudging / sum->tokens);
    fprintf(to, "; %.0f passes of the base, %.0f of the nudger", sum->passes[DELE_NUDGE_BASE],
            sum->passes[DELE_NUDGE_NUDGER]);
    fputs(".</p>\n<p><span class=\"nudger\">written by the nudger</span> "
          "<span class=\"base\">written by the base</span> <span class=\"soft\">The darker the "
          "line below a token, the higher the base's top-1 probability before it; point at a token "
          "for the number.</span></p></header>\n<main>\n",
          to);
    const int n = cJSON_GetArraySize(page->items);
    int number = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, page->items) if (number++ < DELE_NUDGE_PAGE_ITEMS)
        put_item(to, item, number);
    if (n > DELE_NUDGE_PAGE_ITEMS)
        fprintf(to, "<p class=\"soft\">%d more answers are in items.jsonl.</p>\n",
                n - DELE_NUDGE_PAGE_ITEMS);
    fputs("</main>\n", to);
    return DELE_OK;
}

dele_status dele_nudge_page_write(const char *path, const dele_nudge_page *page, dele_err *err)
{
    return dele_page_write(path, "plots/nudge.html", "@NUDGE@", fill_page, (void *)page, err);
}
