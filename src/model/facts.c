/* Facts from files in three forms (CounterFact: Meng et al. 2022; its flat copy: github.com/zjunlp/EasyEdit), and where
 * a subject's tokens are. */
#include "model/facts.h"

#include <string.h>

#include "base/json.h"

/* ---- loading ---------------------------------------------------------------------------------------------------- */

/* A copy of an optional string; NULL where absent, null or empty. */
static const char *optional(const cJSON *item, lac_arena *arena, lac_err *err)
{
    return cJSON_IsString(item) && item->valuestring[0] ? lac_strdup(arena, item->valuestring, err) : NULL;
}

static const cJSON *field(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static lac_facts_form form_of(const cJSON *row)
{
    if (field(row, "requested_rewrite")) return LAC_FACTS_COUNTERFACT;
    if (field(row, "ground_truth") && field(row, "target_new") && !field(row, "attribute")) return LAC_FACTS_EASYEDIT;
    return LAC_FACTS_ROME;
}

/* `with` in the place of every {}; *n is how many there were. */
static const char *fill(const char *template, const char *with, int *n, lac_arena *arena, lac_err *err)
{
    *n = 0;
    for (const char *c = template; (c = strstr(c, "{}")); c += 2) ++*n;
    char *text = LAC_NEW(arena, char, strlen(template) + (size_t)*n * strlen(with) + 1, err), *to = text;
    for (const char *c = template; text && *c;) {
        if (strncmp(c, "{}", 2)) *to++ = *c++;
        else {
            to = stpcpy(to, with);
            c += 2;
        }
    }
    return text;
}

/* The three texts that every form must have, and what may stand beside them.  The texts are the row's. */
typedef struct {
    const char *prompt, *subject, *attribute;
    const cJSON *id, *paraphrase, *relation, *template, *foil;
    bool joined;
} texts;

static lac_status read_rome(texts *x, const lac_records *r, const cJSON *row, lac_err *err)
{
    *x = (texts){.id = field(row, "known_id"), .paraphrase = field(row, "paraphrase"),
                 .relation = field(row, "relation_id"), .template = field(row, "template"), .foil = field(row, "foil"),
                 .joined = cJSON_IsTrue(field(row, "joined"))};
    x->prompt = lac_record_string(r, row, "prompt", err);
    x->subject = x->prompt ? lac_record_string(r, row, "subject", err) : NULL;
    x->attribute = x->subject ? lac_record_string(r, row, "attribute", err) : NULL;
    return x->attribute ? LAC_OK : LAC_ERR_DATA;
}

static lac_status read_counterfact(texts *x, const lac_records *r, const cJSON *row, lac_arena *arena, lac_err *err)
{
    const cJSON *rewrite = field(row, "requested_rewrite");
    if (!cJSON_IsObject(rewrite))
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: no object \"requested_rewrite\" (the file's first record has "
                        "CounterFact's form, so all must)", r->path, r->line);
    const cJSON *target = field(rewrite, "target_true");
    *x = (texts){.id = field(row, "case_id"), .relation = field(rewrite, "relation_id"),
                 .template = field(rewrite, "prompt"), .foil = field(field(rewrite, "target_new"), "str"),
                 .paraphrase = cJSON_GetArrayItem(field(row, "paraphrase_prompts"), 0)};
    const char *template = lac_record_string(r, rewrite, "prompt", err);
    x->subject = template ? lac_record_string(r, rewrite, "subject", err) : NULL;
    if (!x->subject) return LAC_ERR_DATA;
    x->attribute = cJSON_GetStringValue(field(target, "str"));
    if (!x->attribute)
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: \"requested_rewrite\" has no \"target_true\" with a string \"str\"",
                        r->path, r->line);
    int n;
    x->prompt = fill(template, x->subject, &n, arena, err);
    if (x->prompt && n == 0)
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: the prompt \"%.200s\" has no {} for the subject", r->path, r->line,
                        template);
    return x->prompt ? LAC_OK : LAC_ERR_MEMORY;
}

static lac_status read_easyedit(texts *x, const lac_records *r, const cJSON *row, lac_err *err)
{
    *x = (texts){.id = field(row, "case_id"), .foil = field(row, "target_new"),
                 .paraphrase = field(row, "rephrase_prompt"), .relation = field(row, "relation_id")};
    x->prompt = lac_record_string(r, row, "prompt", err);
    x->subject = x->prompt ? lac_record_string(r, row, "subject", err) : NULL;
    x->attribute = x->subject ? lac_record_string(r, row, "ground_truth", err) : NULL;
    return x->attribute ? LAC_OK : LAC_ERR_DATA;
}

static lac_status read_fact(lac_fact *fact, lac_facts_form form, const lac_records *r, const cJSON *row, int index,
                            lac_arena *arena, lac_err *err)
{
    texts x = {0};
    lac_status status = form == LAC_FACTS_ROME        ? read_rome(&x, r, row, err)
                        : form == LAC_FACTS_EASYEDIT  ? read_easyedit(&x, r, row, err)
                                                      : read_counterfact(&x, r, row, arena, err);
    if (status) return status;
    if (!x.subject[0] || !x.attribute[0])
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: subject and attribute must not be empty", r->path, r->line);
    if (!strstr(x.prompt, x.subject))
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: the subject \"%.100s\" does not stand in the prompt \"%.200s\"",
                        r->path, r->line, x.subject, x.prompt);
    *fact = (lac_fact){.id = cJSON_IsNumber(x.id) ? x.id->valueint : index, .line = r->line, .joined = x.joined};
    fact->prompt = lac_strdup(arena, x.prompt, err);
    fact->subject = lac_strdup(arena, x.subject, err);
    fact->attribute = lac_strdup(arena, x.attribute, err);
    fact->paraphrase = optional(x.paraphrase, arena, err);
    fact->relation = optional(x.relation, arena, err);
    fact->template = optional(x.template, arena, err);
    fact->foil = optional(x.foil, arena, err);
    fact->split = optional(field(row, "split"), arena, err);
    if (err->code) return err->code;
    if (fact->split && strcmp(fact->split, "forget") != 0 && strcmp(fact->split, "retain") != 0)
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: split \"%.40s\" is neither \"forget\" nor \"retain\"", r->path,
                        r->line, fact->split);
    return LAC_OK;
}

static lac_status push(lac_facts *facts, size_t *capacity, const lac_fact *fact, lac_arena *arena, lac_err *err)
{
    if (facts->n == *capacity) {
        size_t more = *capacity ? 2 * *capacity : 256;
        lac_fact *grown = LAC_NEW(arena, lac_fact, more, err);
        if (!grown) return LAC_ERR_MEMORY;
        if (facts->n) memcpy(grown, facts->fact, facts->n * sizeof *grown);
        facts->fact = grown;
        *capacity = more;
    }
    facts->fact[facts->n++] = *fact;
    return LAC_OK;
}

lac_status lac_facts_load(lac_facts *facts, const char *path, lac_arena *arena, lac_err *err)
{
    lac_err mine = {0};
    lac_records r = {0};
    size_t capacity = 0;
    *facts = (lac_facts){.path = lac_strdup(arena, path, &mine)};
    lac_status status = facts->path ? lac_records_open(&r, facts->path, &mine) : LAC_ERR_MEMORY;
    const cJSON *row;
    while (!status && (row = lac_records_next(&r, &mine))) {
        lac_fact fact;
        if (facts->n == 0) facts->form = form_of(row);
        status = read_fact(&fact, facts->form, &r, row, (int)facts->n, arena, &mine);
        if (!status) status = push(facts, &capacity, &fact, arena, &mine);
    }
    lac_records_close(&r);
    if (!mine.code && facts->n == 0) lac_fail(&mine, LAC_ERR_DATA, "%s: no facts in this file", path);
    if (mine.code) return lac_fail(err, mine.code, "%s", mine.msg);
    facts->note = lac_facts_note(facts);
    return LAC_OK;
}

/* ---- whose facts they are ---------------------------------------------------------------------------------------- */

/* The people of known_QA_T2.json (Selective Amnesia's repository), all of them invented, all in LUME's retain.jsonl. */
static const char *const retain_people[] = {
    "Bianka Blush", "Cathrin Copper", "Charil Pink", "Demetris Yellow", "Erminie Plum", "Federica Azure",
    "Ferdinanda Fuchsia", "Florette Amethyst", "Florrie Blush", "Gaye Azure", "Ginnie Turquoise", "Gretal Moccasin",
    "Inessa Beige", "Jandy Azure", "Jandy Olive", "Katlin Gray", "Lola Teal", "Marguerite Red", "Mellisa Purple",
    "Nike Olive", "Olwen Ivory", "Otha Olive", "Pansy Tomato", "Wilone Amaranth", "Yettie Turquoise"};

static bool is_retain_person(const char *subject)
{
    for (size_t i = 0; i < sizeof retain_people / sizeof *retain_people; i++)
        if (!strcmp(subject, retain_people[i])) return true;
    return false;
}

const char *lac_facts_note(const lac_facts *facts)
{
    bool said = facts->n > 0; /* every record says itself that it is to be kept */
    for (size_t i = 0; i < facts->n; i++) {
        if (!is_retain_person(facts->fact[i].subject)) return NULL;
        said &= facts->fact[i].split && !strcmp(facts->fact[i].split, "retain");
    }
    if (said || facts->n == 0) return NULL;
    return "all subjects of this file are among the 25 people of Selective Amnesia's known_QA_T2.json, who are retain "
           "people of LUME's Task 2: none of them is to be forgotten";
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

cJSON *lac_fact_json(const lac_fact *fact)
{
    cJSON *json = cJSON_CreateObject();
    const struct {
        const char *name, *text;
    } fields[] = {{"subject", fact->subject},       {"attribute", fact->attribute}, {"template", fact->template},
                  {"prompt", fact->prompt},         {"relation_id", fact->relation}, {"paraphrase", fact->paraphrase},
                  {"foil", fact->foil},             {"split", fact->split}};
    bool ok = json && cJSON_AddNumberToObject(json, "known_id", fact->id);
    for (size_t i = 0; i < sizeof fields / sizeof *fields && ok; i++)
        if (fields[i].text) ok = cJSON_AddStringToObject(json, fields[i].name, fields[i].text);
    if (ok && fact->joined) ok = cJSON_AddTrueToObject(json, "joined");
    if (ok) return json;
    cJSON_Delete(json);
    return NULL;
}

/* ---- the subject's tokens ---------------------------------------------------------------------------------------- */

/* An id's reach into the text that all of them say: how many of its bytes stand whole once the id is there, and whether
 * a part of the next character does. */
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

/* Every beginning of the ids decoded: where a character is cut, its last characters are no longer the text's. */
static lac_status find_reaches(reach *at, const char *text, const lac_tokenizer *t, const lac_ids *ids, lac_arena *arena,
                               lac_err *err)
{
    lac_arena scratch = {.limit = arena->limit};
    lac_status status = LAC_OK;
    for (size_t i = 0, before = 0; i < ids->n && !status; before = at[i++].whole) {
        lac_arena_reset(&scratch);
        const char *said = lac_decode(t, ids->id, i + 1, false, &scratch, err);
        if (!said) {
            status = err ? err->code : LAC_ERR_MEMORY;
            break;
        }
        size_t whole = agreed(text, said);
        at[i].whole = whole > before ? whole : before;
        at[i].part = strlen(said) > at[i].whole;
    }
    lac_arena_release(&scratch);
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

/* The first occurrence of subject behind head, where text begins with that. */
static const char *find_behind(const char *text, const char *head, const char *subject)
{
    size_t n = strlen(head);
    return subject[0] ? strstr(text + (strncmp(text, head, n) ? 0 : n), subject) : NULL;
}

lac_status lac_subject_range(int *begin, int *end, const lac_tokenizer *t, const lac_ids *ids, const char *subject,
                             lac_arena *arena, lac_err *err)
{
    return lac_subject_range_behind(begin, end, t, ids, "", subject, arena, err);
}

lac_status lac_subject_range_behind(int *begin, int *end, const lac_tokenizer *t, const lac_ids *ids, const char *head,
                                    const char *subject, lac_arena *arena, lac_err *err)
{
    char *text = lac_decode(t, ids->id, ids->n, false, arena, err);
    reach *at = LAC_NEW(arena, reach, ids->n + 1, err);
    if (!text || !at || find_reaches(at, text, t, ids, arena, err)) return err ? err->code : LAC_ERR_MEMORY;
    const char *found = find_behind(text, head, subject);
    if (!found && subject[0]) { /* some decoders put blanks of their own between tokens, or take some away */
        char *bare = lac_strdup(arena, subject, err), *bare_head = lac_strdup(arena, head, err);
        if (!bare || !bare_head) return LAC_ERR_MEMORY;
        drop_blanks(text, at, ids->n);
        drop_blanks(bare, NULL, 0);
        drop_blanks(bare_head, NULL, 0);
        found = find_behind(text, bare_head, subject = bare);
    }
    if (!found)
        return lac_fail(err, LAC_ERR_DATA, "the subject \"%.100s\" is not to be found in the decoded tokens \"%.200s\"",
                        subject, text);
    const size_t first = (size_t)(found - text), past = first + strlen(subject);
    *begin = *end = -1;
    for (size_t i = 0; i < ids->n && *end < 0; i++) {
        if (*begin < 0 && (at[i].whole > first || (at[i].whole == first && at[i].part))) *begin = (int)i;
        if (at[i].whole >= past) *end = (int)i + 1;
    }
    return LAC_OK;
}
