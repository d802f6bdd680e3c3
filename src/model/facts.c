/* Facts from files in three forms (CounterFact: Meng et al. 2022; its flat copy:
 * github.com/zjunlp/EasyEdit), and the position of a subject's tokens. */
#include "model/facts.h"

#include <limits.h>
#include <string.h>

#include "base/json.h"

/* ---- loading --------------------------------------------------------------------------------- */

/* A copy of an optional string; NULL where absent, null or empty. */
static const char *optional(const cJSON *item, dele_arena *arena, dele_err *err)
{
    return cJSON_IsString(item) && item->valuestring[0] ? dele_strdup(arena, item->valuestring, err)
                                                        : NULL;
}

static dele_facts_form form_of(const cJSON *row)
{
    if (dele_json_get(row, "requested_rewrite")) return DELE_FACTS_COUNTERFACT;
    if (dele_json_get(row, "ground_truth") && dele_json_get(row, "target_new") &&
        !dele_json_get(row, "attribute"))
        return DELE_FACTS_EASYEDIT;
    return DELE_FACTS_ROME;
}

/* Replaces every {} by `with`; *n is their number. */
static const char *fill(const char *template, const char *with, int *n, dele_arena *arena,
                        dele_err *err)
{
    *n = 0;
    for (const char *c = template; (c = strstr(c, "{}")); c += 2) ++*n;
    char *text = DELE_NEW(arena, char, strlen(template) + (size_t)*n * strlen(with) + 1, err),
         *to = text;
    for (const char *c = template; text && *c;) {
        if (strncmp(c, "{}", 2))
            *to++ = *c++;
        else {
            to = stpcpy(to, with);
            c += 2;
        }
    }
    return text;
}

/* The three texts that every form must have, and the optional ones.  The record owns the texts. */
typedef struct {
    const char *prompt, *subject, *attribute;
    const cJSON *id, *paraphrase, *relation, *template, *foil;
    bool joined;
} texts;

static dele_status read_rome(texts *x, const dele_records *r, const cJSON *row, dele_err *err)
{
    *x = (texts){.id = dele_json_get(row, "known_id"),
                 .paraphrase = dele_json_get(row, "paraphrase"),
                 .relation = dele_json_get(row, "relation_id"),
                 .template = dele_json_get(row, "template"),
                 .foil = dele_json_get(row, "foil"),
                 .joined = cJSON_IsTrue(dele_json_get(row, "joined"))};
    x->prompt = dele_record_string(r, row, "prompt", err);
    x->subject = x->prompt ? dele_record_string(r, row, "subject", err) : NULL;
    x->attribute = x->subject ? dele_record_string(r, row, "attribute", err) : NULL;
    return x->attribute ? DELE_OK : DELE_ERR_DATA;
}

/* CounterFact's record: the prompt is a template, answer and foil are objects with a text. */
static dele_status read_counterfact(texts *x, const dele_records *r, const cJSON *row,
                                    dele_arena *arena, dele_err *err)
{
    const cJSON *rewrite = dele_json_get(row, "requested_rewrite");
    if (!cJSON_IsObject(rewrite))
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: no object \"requested_rewrite\" (the file's first record has "
                         "CounterFact's form, so all must)",
                         r->path, r->line);
    const cJSON *target = dele_json_get(rewrite, "target_true");
    *x = (texts){.id = dele_json_get(row, "case_id"),
                 .relation = dele_json_get(rewrite, "relation_id"),
                 .template = dele_json_get(rewrite, "prompt"),
                 .foil = dele_json_get(dele_json_get(rewrite, "target_new"), "str"),
                 .paraphrase = cJSON_GetArrayItem(dele_json_get(row, "paraphrase_prompts"), 0)};
    const char *template = dele_record_string(r, rewrite, "prompt", err);
    x->subject = template ? dele_record_string(r, rewrite, "subject", err) : NULL;
    if (!x->subject) return DELE_ERR_DATA;
    x->attribute = dele_json_string(target, "str");
    if (!x->attribute)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%s:%d: \"requested_rewrite\" has no \"target_true\" with a string \"str\"", r->path,
            r->line);
    int n;
    x->prompt = fill(template, x->subject, &n, arena, err);
    if (x->prompt && n == 0)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: the prompt \"%.200s\" has no {} for the subject", r->path, r->line,
                         template);
    return x->prompt ? DELE_OK : DELE_ERR_MEMORY;
}

static dele_status read_easyedit(texts *x, const dele_records *r, const cJSON *row, dele_err *err)
{
    *x = (texts){.id = dele_json_get(row, "case_id"),
                 .foil = dele_json_get(row, "target_new"),
                 .paraphrase = dele_json_get(row, "rephrase_prompt"),
                 .relation = dele_json_get(row, "relation_id")};
    x->prompt = dele_record_string(r, row, "prompt", err);
    x->subject = x->prompt ? dele_record_string(r, row, "subject", err) : NULL;
    x->attribute = x->subject ? dele_record_string(r, row, "ground_truth", err) : NULL;
    return x->attribute ? DELE_OK : DELE_ERR_DATA;
}

/* One record of any form.  What no form can do without is checked here, so that a fact that was
 * read can be traced: a subject in the prompt, an answer, a number to name its results by. */
static dele_status read_fact(dele_fact *fact, dele_facts_form form, const dele_records *r,
                             const cJSON *row, int index, dele_arena *arena, dele_err *err)
{
    texts x = {0};
    dele_status status = form == DELE_FACTS_ROME       ? read_rome(&x, r, row, err)
                         : form == DELE_FACTS_EASYEDIT ? read_easyedit(&x, r, row, err)
                                                       : read_counterfact(&x, r, row, arena, err);
    if (status) return status;
    if (!x.subject[0] || !x.attribute[0])
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: subject and attribute must not be empty",
                         r->path, r->line);
    if (!strstr(x.prompt, x.subject))
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: the subject \"%.100s\" does not occur in the prompt \"%.200s\"",
                         r->path, r->line, x.subject, x.prompt);
    *fact = (dele_fact){.id = index, .line = r->line, .joined = x.joined};
    if ((cJSON_IsNumber(x.id) || cJSON_IsRaw(x.id)) && !dele_json_int(&fact->id, x.id))
        return dele_fail(
            err, DELE_ERR_DATA,
            "%s:%d: \"%s\" must be a whole number from %d to %d: results are named by it", r->path,
            r->line, x.id->string, INT_MIN, INT_MAX);
    fact->prompt = dele_strdup(arena, x.prompt, err);
    fact->subject = dele_strdup(arena, x.subject, err);
    fact->attribute = dele_strdup(arena, x.attribute, err);
    fact->paraphrase = optional(x.paraphrase, arena, err);
    fact->relation = optional(x.relation, arena, err);
    fact->template = optional(x.template, arena, err);
    fact->foil = optional(x.foil, arena, err);
    fact->split = optional(dele_json_get(row, "split"), arena, err);
    if (err->code) return err->code;
    if (fact->split && strcmp(fact->split, "forget") != 0 && strcmp(fact->split, "retain") != 0)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: split \"%.40s\" is neither \"forget\" nor \"retain\"", r->path,
                         r->line, fact->split);
    return DELE_OK;
}

/* A helpful error for rows of questions and answers (LUME's, TOFU's) given as facts. */
static dele_status fail_rows(const dele_records *r, const cJSON *row, dele_err *err)
{
    static const char *const pairs[][2] = {{"input", "output"}, {"question", "answer"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (!dele_json_get(row, "prompt") && !dele_json_get(row, "subject") &&
            dele_json_get(row, pairs[i][0]) && dele_json_get(row, pairs[i][1]))
            return dele_fail(err, DELE_ERR_DATA,
                             "%s:%d: a row with \"%s\" and \"%s\" is not a fact with a subject; "
                             "make facts of such "
                             "rows: deleatur facts MODEL --qa %s --first-token --out facts.json",
                             r->path, r->line, pairs[i][0], pairs[i][1], r->path);
    return DELE_OK;
}

static dele_status push(dele_facts *facts, size_t *capacity, const dele_fact *fact,
                        dele_arena *arena, dele_err *err)
{
    if (facts->n == *capacity) {
        size_t more = *capacity ? 2 * *capacity : 256;
        dele_fact *grown = DELE_NEW(arena, dele_fact, more, err);
        if (!grown) return DELE_ERR_MEMORY;
        if (facts->n) memcpy(grown, facts->fact, facts->n * sizeof *grown);
        facts->fact = grown;
        *capacity = more;
    }
    facts->fact[facts->n++] = *fact;
    return DELE_OK;
}

dele_status dele_facts_load(dele_facts *facts, const char *path, dele_arena *arena, dele_err *err)
{
    dele_err mine = {0};
    dele_records r = {0};
    size_t capacity = 0;
    *facts = (dele_facts){.path = dele_strdup(arena, path, &mine)};
    dele_status status = facts->path ? dele_records_open(&r, facts->path, &mine) : DELE_ERR_MEMORY;
    const cJSON *row;
    while (!status && (row = dele_records_next(&r, &mine))) {
        dele_fact fact;
        if (facts->n == 0) facts->form = form_of(row);
        if ((status = fail_rows(&r, row, &mine))) break;
        status = read_fact(&fact, facts->form, &r, row, (int)facts->n, arena, &mine);
        if (!status) status = push(facts, &capacity, &fact, arena, &mine);
    }
    dele_records_close(&r);
    if (!mine.code && facts->n == 0)
        dele_fail(&mine, DELE_ERR_DATA, "%s: no facts in this file", path);
    if (mine.code) return dele_fail(err, mine.code, "%s", mine.msg);
    facts->note = dele_facts_note(facts);
    return DELE_OK;
}

/* ---- Selective Amnesia's
 * people----------------------------------------------------------------- */

/* The people of known_QA_T2.json (Selective Amnesia's repository), all of them invented, all in
 * LUME's retain.jsonl. */
static const char *const retain_people[] = {
    "Bianka Blush",    "Cathrin Copper", "Charil Pink",        "Demetris Yellow",
    "Erminie Plum",    "Federica Azure", "Ferdinanda Fuchsia", "Florette Amethyst",
    "Florrie Blush",   "Gaye Azure",     "Ginnie Turquoise",   "Gretal Moccasin",
    "Inessa Beige",    "Jandy Azure",    "Jandy Olive",        "Katlin Gray",
    "Lola Teal",       "Marguerite Red", "Mellisa Purple",     "Nike Olive",
    "Olwen Ivory",     "Otha Olive",     "Pansy Tomato",       "Wilone Amaranth",
    "Yettie Turquoise"};

static bool is_retain_person(const char *subject)
{
    for (size_t i = 0; i < sizeof retain_people / sizeof *retain_people; i++)
        if (!strcmp(subject, retain_people[i])) return true;
    return false;
}

const char *dele_facts_note(const dele_facts *facts)
{
    bool said = facts->n > 0; /* every record is marked as retain */
    for (size_t i = 0; i < facts->n; i++) {
        if (!is_retain_person(facts->fact[i].subject)) return NULL;
        said &= facts->fact[i].split && !strcmp(facts->fact[i].split, "retain");
    }
    if (said || facts->n == 0) return NULL;
    return "all subjects of this file are among the 25 people of Selective Amnesia's "
           "known_QA_T2.json, who are retain "
           "people of LUME's Task 2: none of them is in the forget set";
}

/* ---- writing --------------------------------------------------------------------------------- */

cJSON *dele_fact_json(const dele_fact *fact)
{
    cJSON *json = cJSON_CreateObject();
    const struct {
        const char *name, *text;
    } fields[] = {{"subject", fact->subject},
                  {"attribute", fact->attribute},
                  {"template", fact->template},
                  {"prompt", fact->prompt},
                  {"relation_id", fact->relation},
                  {"paraphrase", fact->paraphrase},
                  {"foil", fact->foil},
                  {"split", fact->split}};
    bool ok = json && cJSON_AddNumberToObject(json, "known_id", fact->id);
    for (size_t i = 0; i < sizeof fields / sizeof *fields && ok; i++)
        if (fields[i].text) ok = cJSON_AddStringToObject(json, fields[i].name, fields[i].text);
    if (ok && fact->joined) ok = cJSON_AddTrueToObject(json, "joined");
    if (ok) return json;
    cJSON_Delete(json);
    return NULL;
}

/* ---- the subject's tokens -------------------------------------------------------------------- */

/* How far the ids up to one of them reach into the decoded text: the bytes of whole characters, and
 * whether a part of the next character follows. */
typedef struct {
    size_t whole;
    bool part;
} reach;

/* The first bytes in which text and said agree, up to the end of a character. */
static size_t agreed(const char *text, const char *said)
{
    size_t n = 0;
    while (text[n] && text[n] == said[n]) n++;
    while (n && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
    return n;
}

/* Decodes every prefix of the ids.  Where a prefix ends inside a character, the end of its decoded
 * text differs from the whole text. */
static dele_status find_reaches(reach *at, const char *text, const dele_tokenizer *t,
                                const dele_ids *ids, dele_arena *arena, dele_err *err)
{
    dele_arena scratch = {.limit = arena->limit};
    dele_status status = DELE_OK;
    for (size_t i = 0, before = 0; i < ids->n && !status; before = at[i++].whole) {
        dele_arena_reset(&scratch);
        const char *said = dele_decode(t, ids->id, i + 1, false, &scratch, err);
        if (!said) {
            status = err ? err->code : DELE_ERR_MEMORY;
            break;
        }
        size_t whole = agreed(text, said);
        at[i].whole = whole > before ? whole : before;
        at[i].part = strlen(said) > at[i].whole;
    }
    dele_arena_release(&scratch);
    return status;
}

/* Without its blanks; at[i] follows, where at is given. */
static void drop_blanks(char *text, reach *at, size_t n)
{
    size_t used = 0, k = 0;
    for (size_t i = 0;; i++) {
        while (k < n && at[k].whole <= i) at[k++].whole = used;
        if (!text[i]) break;
        if (text[i] != ' ') text[used++] = text[i];
    }
    text[used] = '\0';
}

/* The first occurrence of subject in text, after head where text begins with head. */
static const char *find_after(const char *text, const char *head, const char *subject)
{
    size_t n = strlen(head);
    return subject[0] ? strstr(text + (strncmp(text, head, n) ? 0 : n), subject) : NULL;
}

dele_status dele_subject_range(int *begin, int *end, const dele_tokenizer *t, const dele_ids *ids,
                               const char *subject, dele_arena *arena, dele_err *err)
{
    return dele_subject_range_after(begin, end, t, ids, "", subject, arena, err);
}

/* The ids of text, without special tokens, and the index of each: "<|begin_of_text|>" does not
 * contain a subject "text". */
static dele_status drop_special(dele_ids *kept, int **place, const dele_tokenizer *t,
                                const dele_ids *ids, dele_arena *arena, dele_err *err)
{
    *kept = (dele_ids){.id = DELE_NEW(arena, int, ids->n + 1, err)};
    *place = DELE_NEW(arena, int, ids->n + 1, err);
    if (!kept->id || !*place) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < ids->n; i++) {
        if (dele_token_is_special(t, ids->id[i])) continue;
        kept->id[kept->n] = ids->id[i];
        (*place)[kept->n++] = (int)i;
    }
    return DELE_OK;
}

/* The head's text without its special tokens. */
static char *text_of_head(const dele_tokenizer *t, const char *head, dele_arena *arena,
                          dele_err *err)
{
    dele_ids ids, kept;
    int *place;
    if (!*head) return dele_strdup(arena, "", err);
    if (dele_encode(&ids, t, head, strlen(head), false, arena, err) ||
        drop_special(&kept, &place, t, &ids, arena, err))
        return NULL;
    return dele_decode(t, kept.id, kept.n, false, arena, err);
}

dele_status dele_subject_range_after(int *begin, int *end, const dele_tokenizer *t,
                                     const dele_ids *ids, const char *head, const char *subject,
                                     dele_arena *arena, dele_err *err)
{
    dele_ids kept;
    int *place;
    if (drop_special(&kept, &place, t, ids, arena, err)) return DELE_ERR_MEMORY;
    char *text = dele_decode(t, kept.id, kept.n, false, arena, err),
         *bare_head = text_of_head(t, head, arena, err);
    reach *at = DELE_NEW(arena, reach, kept.n + 1, err);
    if (!text || !bare_head || !at || find_reaches(at, text, t, &kept, arena, err))
        return err ? err->code : DELE_ERR_MEMORY;
    const char *found = find_after(text, bare_head, subject);
    if (!found &&
        subject[0]) { /* some decoders put blanks of their own between tokens, or take some away */
        char *bare = dele_strdup(arena, subject, err);
        if (!bare) return DELE_ERR_MEMORY;
        drop_blanks(text, at, kept.n);
        drop_blanks(bare, NULL, 0);
        drop_blanks(bare_head, NULL, 0);
        found = find_after(text, bare_head, subject = bare);
    }
    if (!found)
        return dele_fail(err, DELE_ERR_DATA,
                         "the subject \"%.100s\" does not occur in the decoded tokens \"%.200s\"",
                         subject, text);
    const size_t first = (size_t)(found - text), past = first + strlen(subject);
    *begin = *end = -1;
    for (size_t i = 0; i < kept.n && *end < 0; i++) {
        if (*begin < 0 && (at[i].whole > first || (at[i].whole == first && at[i].part)))
            *begin = place[i];
        if (at[i].whole >= past) *end = place[i] + 1;
    }
    return DELE_OK;
}
