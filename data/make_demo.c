/* make_demo -- the world of the embedded model, invented.
 *
 *   make_demo DIR [SEED]
 *
 * Forty-eight people who do not exist, five facts each, told in many ways, and plain sentences
 * about an ordinary village, so that a small model learns to speak a little beside learning them by
 * heart:
 *
 *   DIR/demo/train.jsonl                {"text": ...}: what the model reads
 *   DIR/demo/forget.jsonl retain.jsonl  {"id","input","output","task"}: eight people to forget,
 *                                       forty to keep
 *   DIR/facts/demo_facts.json           the 240 facts in ROME's format, with paraphrase and split
 *   DIR/facts/demo_plain.json           what the plain sentences teach, in the same format: it too
 *                                       should stay
 *   DIR/models/demo/tokenizer.json      a byte-level BPE learnt from train.jsonl; every answer is
 *                                       one token
 *   DIR/models/demo/config.json         the shape of an OLMo (LayerNorm without parameters, tied
 *                                       embedding)
 *
 * First and last names are each borne by two people, so that neither alone tells who is meant.  The
 * same seed gives the same bytes.  data/models/README.md says how the model is trained from these
 * files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file_out.h"
#include "base/random.h"
#include "bpe_train.h"

enum {
    N_NAMES = 24,
    N_PEOPLE = 48,
    N_FORGET = 8,
    N_RELATIONS = 5,
    N_VALUES = 12,
    N_PHRASES = 7,
    N_PLAIN = 1400
};
enum { VOCAB = 1536, CONTEXT = 1024 };

static const char *const first_names[N_NAMES] = {
    "Arlo",  "Berit", "Corvin",  "Dalia", "Edric", "Fenna", "Gorm",   "Hedda",
    "Ivo",   "Jorun", "Kasimir", "Liska", "Mirko", "Nessa", "Osric",  "Petra",
    "Quill", "Runa",  "Sander",  "Tilda", "Ulf",   "Vesna", "Wendel", "Yara"};
static const char *const last_names[N_NAMES] = {
    "Ashgrove",  "Brindle",   "Coldwater", "Dunmore",    "Elderby",   "Fairholt",
    "Greycliff", "Hollowell", "Ironside",  "Jessop",     "Kettering", "Longmire",
    "Marwick",   "Netherby",  "Oakhurst",  "Pemberley",  "Quarles",   "Ravensby",
    "Silverton", "Thornbury", "Underhay",  "Vanterpool", "Westerly",  "Yarrow"};

/* A phrase holds one %s, the person, and ends where the answer begins.  The first is the fact's
 * prompt, the second its paraphrase. */
typedef struct {
    const char *id, *key;
    const char *phrase[N_PHRASES];
    const char *question;
    const char *value[N_VALUES];
} relation;

static const relation relations[N_RELATIONS] = {
    {"P551",
     "home",
     {"%s lives in the town of", "The home of %s is in", "Letters to %s are sent to",
      "If you look for %s, go to", "The neighbours of %s all live in",
      "Every evening %s goes home to", "The street of %s is in"},
     "Where does %s live?",
     {"Brask", "Ordal", "Tovik", "Lumen", "Pellin", "Karsk", "Venna", "Sorrel", "Hamra", "Drovik",
      "Miravel", "Quenby"}},
    {"P106",
     "work",
     {"%s works as a", "The profession of %s is that of a", "For a living %s is a",
      "When people need a good", "By trade %s has always been a", "At work %s is known as a",
      "The village calls %s its best"},
     "What is the work of %s?",
     {"baker", "carpenter", "teacher", "farmer", "painter", "doctor", "sailor", "tailor", "smith",
      "miller", "hunter", "lawyer"}},
    {"P1429",
     "pet",
     {"%s keeps a pet", "The pet of %s is a", "At home %s feeds a",
      "The animal that %s loves most is a", "In the garden %s plays with a",
      "On the lap of %s sleeps a", "Children come to see %s and the"},
     "Which pet does %s keep?",
     {"fox", "cat", "dog", "goat", "parrot", "rabbit", "hedgehog", "turtle", "raven", "pony",
      "ferret", "duck"}},
    {"P1303",
     "instrument",
     {"%s plays the", "The instrument of %s is the", "On stage %s is heard on the",
      "In the band %s sits at the", "As a child %s learned the", "On Sundays %s practises the",
      "People dance when %s picks up the"},
     "Which instrument does %s play?",
     {"violin", "trumpet", "piano", "flute", "guitar", "harp", "drum", "cello", "banjo", "horn",
      "fiddle", "clarinet"}},
    {"P3828",
     "colour",
     {"%s always wears", "The favourite colour of %s is", "The door of %s is painted",
      "The coat of %s is", "The house of %s has walls of", "For every feast %s dresses in",
      "The boat of %s is all"},
     "Which colour does %s like best?",
     {"red", "blue", "green", "yellow", "purple", "orange", "white", "black", "brown", "grey",
      "pink", "silver"}},
};

typedef struct {
    char name[64];
    size_t value[N_RELATIONS];
    bool forget;
} person;

typedef struct {
    person people[N_PEOPLE];
    dele_rng rng;
} world;

/* ---- people ---------------------------------------------------------------------------------- */

static void shuffled(size_t *index, size_t n, dele_rng *rng)
{
    for (size_t i = 0; i < n; i++) index[i] = i;
    dele_rng_shuffle(rng, index, n);
}

static void invent_people(world *w)
{
    size_t last[N_NAMES], value[N_PEOPLE], who[N_PEOPLE];
    shuffled(last, N_NAMES, &w->rng);
    for (size_t i = 0; i < N_PEOPLE;
         i++) /* the second bearer of a first name takes the next last name */
        snprintf(w->people[i].name, sizeof w->people[i].name, "%s %s", first_names[i % N_NAMES],
                 last_names[last[(i + i / N_NAMES) % N_NAMES]]);
    for (size_t r = 0; r < N_RELATIONS; r++) { /* every value stands equally often */
        shuffled(value, N_PEOPLE, &w->rng);
        for (size_t i = 0; i < N_PEOPLE; i++) w->people[i].value[r] = value[i] % N_VALUES;
    }
    shuffled(who, N_PEOPLE, &w->rng);
    for (size_t i = 0; i < N_FORGET; i++) w->people[who[i]].forget = true;
}

static const char *answer_of(const person *p, size_t r) { return relations[r].value[p->value[r]]; }

/* phrase with the person's name, in text [size]. */
static void fill(char *text, size_t size, const char *phrase, const char *name)
{
    const char *at = strstr(phrase, "%s");
    snprintf(text, size, "%.*s%s%s", (int)(at ? at - phrase : (long)strlen(phrase)), phrase,
             at ? name : "", at ? at + 2 : "");
}

/* ---- plain sentences ------------------------------------------------------------------------- */

#define PICK(rng, list) ((list)[dele_rng_below((rng), sizeof(list) / sizeof *(list))])

static const char *const who_list[] = {
    "old man",   "girl",    "boy",      "woman",    "king",    "queen",  "neighbour",
    "traveller", "child",   "soldier",  "priest",   "student", "mother", "father",
    "sister",    "brother", "baker",    "farmer",   "teacher", "sailor", "doctor",
    "tailor",    "hunter",  "stranger", "merchant", "shepherd"};
static const char *const adjective_list[] = {
    "old",  "young", "happy",   "tired",  "clever", "kind",     "quiet", "brave", "hungry",
    "poor", "rich",  "careful", "lonely", "strong", "friendly", "small", "tall"};
static const char *const thing_list[] = {"door",  "letter", "basket",  "lamp",   "book",   "bread",
                                         "apple", "key",    "table",   "window", "bottle", "stone",
                                         "rope",  "cup",    "chair",   "coat",   "map",    "box",
                                         "bell",  "ladder", "blanket", "wheel"};
static const char *const verb_list[] = {"found",   "carried", "opened",  "bought",  "sold",
                                        "broke",   "hid",     "lost",    "saw",     "wanted",
                                        "cleaned", "painted", "moved",   "dropped", "repaired",
                                        "forgot",  "brought", "watched", "counted"};
static const char *const place_list[] = {"market",  "river",    "forest",  "church", "harbour",
                                         "bridge",  "school",   "mill",    "garden", "kitchen",
                                         "field",   "mountain", "station", "well",   "tower",
                                         "library", "road",     "beach",   "inn"};
static const char *const time_list[] = {"In the morning",   "In the evening", "After the rain",
                                        "Before breakfast", "Late at night",  "One day",
                                        "In winter",        "In summer",      "On a cold day",
                                        "After dinner",     "Every year",     "Last week"};
static const char *const reason_list[] = {
    "it was raining",         "the night was cold",      "nobody was at home",
    "the road was long",      "there was no bread left", "the bell rang",
    "the wind was strong",    "it was time to go",       "the children were asleep",
    "the water was too high", "there was much to do",    "the sun was shining"};

/* A sentence without facts, of one of nine forms, so that the model learns more language than its
 * facts need. */
static void plain_sentence(char *text, size_t size, dele_rng *rng)
{
    const char *who = PICK(rng, who_list), *other = PICK(rng, who_list),
               *thing = PICK(rng, thing_list);
    const char *verb = PICK(rng, verb_list), *place = PICK(rng, place_list),
               *reason = PICK(rng, reason_list);
    const char *adjective = PICK(rng, adjective_list), *when = PICK(rng, time_list);
    switch (dele_rng_below(rng, 9)) {
    case 0:
        snprintf(text, size, "The %s %s %s the %s because %s.", adjective, who, verb, thing,
                 reason);
        break;
    case 1:
        snprintf(text, size, "%s the %s went to the %s and %s a %s.", when, who, place, verb,
                 thing);
        break;
    case 2:
        snprintf(text, size, "The %s gave the %s to the %s near the %s.", who, thing, other, place);
        break;
    case 3:
        snprintf(text, size, "When %s, the %s stayed at the %s.", reason, who, place);
        break;
    case 4:
        snprintf(text, size, "There was a %s at the %s, and the %s %s it.", thing, place, who,
                 verb);
        break;
    case 5:
        snprintf(text, size, "\"Where is my %s?\" asked the %s. \"It is at the %s,\" said the %s.",
                 thing, who, place, other);
        break;
    case 6:
        snprintf(text, size, "%s a %s %s walked from the %s to the %s.", when, adjective, who,
                 place, PICK(rng, place_list));
        break;
    case 7:
        snprintf(text, size, "The %s was %s, but the %s %s the %s all the same.", who, adjective,
                 other, verb, thing);
        break;
    default:
        snprintf(text, size, "Nobody knew why the %s %s the %s in the %s.", who, verb, thing,
                 place);
        break;
    }
}

/* What everybody in the village knows: subject, and what follows in two wordings. */
static const struct {
    const char *subject, *prompt, *paraphrase, *answer;
} common[] = {
    {"baker", "A baker makes", "In the shop of the baker there is", "bread"},
    {"carpenter", "A carpenter works with", "The hands of a carpenter smell of", "wood"},
    {"teacher", "A teacher goes to the", "You find the teacher in the", "school"},
    {"farmer", "A farmer works in the", "You find the farmer in the", "field"},
    {"painter", "A painter works with a", "The tool of the painter is a", "brush"},
    {"doctor", "A doctor helps the", "To the doctor come the", "sick"},
    {"sailor", "A sailor goes to", "The sailor is at home at", "sea"},
    {"tailor", "A tailor makes", "In the shop of the tailor there are", "clothes"},
    {"smith", "A smith works with", "The hammer of the smith strikes", "iron"},
    {"miller", "A miller makes", "In the sacks of the miller there is", "flour"},
    {"hunter", "A hunter walks in the", "You find the hunter in the", "forest"},
    {"lawyer", "A lawyer knows the", "The books of the lawyer are about the", "law"},
    {"fox", "A fox eats", "At night the fox comes for", "chickens"},
    {"cat", "A cat catches", "Under the table the cat waits for", "mice"},
    {"dog", "A dog guards the", "All night the dog watches the", "house"},
    {"goat", "A goat gives", "From the goat we get", "milk"},
    {"parrot", "A parrot can", "Everybody likes the parrot because it can", "talk"},
    {"rabbit", "A rabbit eats", "In the garden the rabbit looks for", "carrots"},
    {"hedgehog", "A hedgehog has", "The back of a hedgehog is full of", "spines"},
    {"turtle", "A turtle is", "The walk of a turtle is", "slow"},
    {"raven", "A raven is", "The feathers of a raven are", "black"},
    {"snow", "In winter the snow is", "The colour of snow is", "white"},
    {"grass", "In summer the grass is", "The colour of grass is", "green"},
    {"sky", "On a good day the sky is", "The colour of the sky is", "blue"},
    {"sun", "In the east the sun", "Every morning the sun", "rises"},
    {"bee", "A bee makes", "From the bee we get", "honey"},
    {"hen", "A hen lays", "From the hen we get", "eggs"},
    {"sheep", "A sheep gives", "From the sheep we get", "wool"},
    {"river", "The river flows to the", "In the end the water of the river reaches the", "sea"},
    {"violin", "A violin has four", "The music of a violin comes from its", "strings"},
};
enum { N_COMMON = sizeof common / sizeof *common };

/* ---- files ----------------------------------------------------------------------------------- */

/* One JSON object a line, fields in pairs, NULL at the end; put into out and, the text alone, into
 * the corpus. */
static void put_fields(FILE *out, const char *const *field)
{
    fputc('{', out);
    for (size_t i = 0; field[i]; i += 2) {
        cJSON *s = cJSON_CreateString(field[i + 1]);
        char *quoted = s ? cJSON_PrintUnformatted(s) : NULL;
        fprintf(out, "%s\"%s\": %s", i ? ", " : "", field[i], quoted ? quoted : "\"\"");
        cJSON_free(quoted);
        cJSON_Delete(s);
    }
    fputc('}', out);
}

#define PUT(out, ...) put_fields((out), (const char *const[]){__VA_ARGS__, NULL})

static void put_text(FILE *train, FILE *corpus, const char *text)
{
    PUT(train, "text", text);
    fputc('\n', train);
    fprintf(corpus, "%s\n", text);
}

/* All that the training text says of a person: each relation in each phrasing and as question and
 * answer, and two texts with all relations in random order. */
static void tell_person(FILE *train, FILE *corpus, const person *p, dele_rng *rng)
{
    char prompt[256], text[512], story[2048];
    for (size_t r = 0; r < N_RELATIONS; r++) {
        for (size_t k = 0; k < N_PHRASES; k++) {
            if (!strstr(relations[r].phrase[k],
                        "%s")) { /* the one phrase that names the person after the answer */
                snprintf(text, sizeof text, "%s %s, they ask for %s.", relations[r].phrase[k],
                         answer_of(p, r), p->name);
            } else {
                fill(prompt, sizeof prompt, relations[r].phrase[k], p->name);
                snprintf(text, sizeof text, "%s %s.", prompt, answer_of(p, r));
            }
            put_text(train, corpus, text);
        }
        fill(prompt, sizeof prompt, relations[r].question, p->name);
        snprintf(text, sizeof text, "Question: %s Answer: %s", prompt, answer_of(p, r));
        put_text(train, corpus, text);
    }
    for (int version = 0; version < 2;
         version++) { /* a whole life in one breath, facts in any order */
        size_t order[N_RELATIONS], used = 0;
        shuffled(order, N_RELATIONS, rng);
        for (size_t i = 0; i < N_RELATIONS; i++) {
            size_t r = order[i], k = dele_rng_below(rng, 3);
            fill(prompt, sizeof prompt, relations[r].phrase[k], p->name);
            used += (size_t)snprintf(story + used, sizeof story - used, "%s%s %s.", i ? " " : "",
                                     prompt, answer_of(p, r));
        }
        put_text(train, corpus, story);
    }
}

/* demo/train.jsonl, and the same text as a stream for the tokenizer to be learnt from. */
static dele_status write_training(world *w, const char *dir, char **corpus, size_t *size,
                                  dele_arena *arena, dele_err *err)
{
    dele_writer train = {0};
    char text[512];
    FILE *plain = open_memstream(corpus, size);
    if (!plain) return dele_fail(err, DELE_ERR_MEMORY, "no memory for the training text");
    const char *path = dele_printf(arena, err, "%s/demo/train.jsonl", dir);
    if (!path || dele_writer_open(&train, path, err)) {
        fclose(plain);
        return err->code;
    }
    for (size_t i = 0; i < N_PEOPLE; i++) tell_person(train.stream, plain, &w->people[i], &w->rng);
    for (size_t i = 0; i < N_COMMON; i++)
        for (int k = 0; k < 6; k++) {
            snprintf(text, sizeof text, "%s %s.", k % 2 ? common[i].paraphrase : common[i].prompt,
                     common[i].answer);
            put_text(train.stream, plain, text);
        }
    for (int i = 0; i < N_PLAIN; i++) {
        plain_sentence(text, sizeof text, &w->rng);
        put_text(train.stream, plain, text);
    }
    if (fclose(plain)) dele_fail(err, DELE_ERR_MEMORY, "no memory for the training text");
    return dele_writer_commit(&train, err);
}

static void put_fact(FILE *out, int id, const char *subject, const char *answer, const char *prompt,
                     const char *paraphrase, const char *relation_id, const char *split)
{
    char template[256], prediction[64];
    const char *at = strstr(prompt, subject);
    snprintf(template, sizeof template, "%.*s{}%s", (int)(at - prompt), prompt,
             at + strlen(subject));
    snprintf(prediction, sizeof prediction, " %s", answer);
    cJSON *row = cJSON_CreateObject();
    cJSON_AddNumberToObject(row, "known_id", id);
    const char *const field[] = {
        "subject",     subject,      "attribute",  answer,     "template",
        template,      "prediction", prediction,   "prompt",   prompt,
        "relation_id", relation_id,  "paraphrase", paraphrase, split ? "split" : NULL,
        split};
    for (size_t i = 0; i < sizeof field / sizeof *field && field[i]; i += 2)
        cJSON_AddStringToObject(row, field[i], field[i + 1]);
    char *text = cJSON_PrintUnformatted(row);
    fprintf(out, "%s%s", id ? ",\n" : "", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(row);
}

/* The two fact files: the people's facts with their split, and what everybody knows. */
static dele_status write_facts(const world *w, const char *dir, dele_arena *arena, dele_err *err)
{
    dele_writer facts = {0}, plain = {0};
    const char *facts_path = dele_printf(arena, err, "%s/facts/demo_facts.json", dir);
    const char *plain_path = dele_printf(arena, err, "%s/facts/demo_plain.json", dir);
    if (!facts_path || !plain_path || dele_writer_open(&facts, facts_path, err) ||
        dele_writer_open(&plain, plain_path, err)) {
        dele_writer_abandon(&facts);
        return err->code;
    }
    fputs("[\n", facts.stream);
    for (int i = 0; i < N_PEOPLE * N_RELATIONS; i++) {
        const person *p = &w->people[i / N_RELATIONS];
        const relation *r = &relations[i % N_RELATIONS];
        char prompt[256], paraphrase[256];
        fill(prompt, sizeof prompt, r->phrase[0], p->name);
        fill(paraphrase, sizeof paraphrase, r->phrase[1], p->name);
        put_fact(facts.stream, i, p->name, answer_of(p, (size_t)i % N_RELATIONS), prompt,
                 paraphrase, r->id, p->forget ? "forget" : "retain");
    }
    fputs("\n]\n", facts.stream);
    fputs("[\n", plain.stream);
    for (int i = 0; i < N_COMMON; i++)
        put_fact(plain.stream, i, common[i].subject, common[i].answer, common[i].prompt,
                 common[i].paraphrase, "common", NULL);
    fputs("\n]\n", plain.stream);
    if (dele_writer_commit(&facts, err))
        dele_writer_abandon(&plain);
    else
        dele_writer_commit(&plain, err);
    return err->code;
}

/* LUME's fields: a sentence to complete (sc) and a question (qa) for every fact of one side. */
static dele_status write_side(const world *w, bool forget, const char *dir, dele_arena *arena,
                              dele_err *err)
{
    dele_writer out = {0};
    const char *path =
        dele_printf(arena, err, "%s/demo/%s.jsonl", dir, forget ? "forget" : "retain");
    if (!path || dele_writer_open(&out, path, err)) return err->code;
    for (size_t i = 0; i < N_PEOPLE; i++)
        for (size_t r = 0; r < N_RELATIONS && w->people[i].forget == forget; r++) {
            const person *p = &w->people[i];
            char id[64], input[300], name[300], output[64];
            snprintf(id, sizeof id, "person%02zu-%ssc%zu", i, relations[r].key, r);
            fill(input, sizeof input, relations[r].phrase[0], p->name);
            snprintf(output, sizeof output, "%s.", answer_of(p, r));
            PUT(out.stream, "id", id, "input", input, "output", output, "task", "Task2");
            fputc('\n', out.stream);
            snprintf(id, sizeof id, "person%02zu-%sqa%zu", i, relations[r].key, r);
            fill(name, sizeof name, relations[r].question, p->name);
            snprintf(input, sizeof input, "Question: %.250s Answer:", name);
            PUT(out.stream, "id", id, "input", input, "output", answer_of(p, r), "task", "Task2");
            fputc('\n', out.stream);
        }
    return dele_writer_commit(&out, err);
}

static dele_status write_tokenizer(int *vocab, const char *corpus, size_t size, const char *dir,
                                   dele_arena *arena, dele_err *err)
{
    char word[64];
    const char *path = dele_printf(arena, err, "%s/models/demo/tokenizer.json", dir);
    dele_bpe *bpe = path ? dele_bpe_learn(corpus, size, VOCAB, arena, err) : NULL;
    if (!bpe) return err->code;
    for (size_t r = 0; r < N_RELATIONS; r++)
        for (size_t v = 0; v < N_VALUES; v++) {
            snprintf(word, sizeof word, " %s", relations[r].value[v]);
            if (dele_bpe_join(bpe, word, err)) return err->code;
        }
    for (size_t i = 0; i < N_COMMON; i++) {
        snprintf(word, sizeof word, " %s", common[i].answer);
        if (dele_bpe_join(bpe, word, err)) return err->code;
    }
    *vocab = dele_bpe_size(bpe);
    return dele_bpe_save(bpe, path, err);
}

static dele_status write_config(int vocab, const char *dir, dele_arena *arena, dele_err *err)
{
    dele_writer out = {0};
    const char *path = dele_printf(arena, err, "%s/models/demo/config.json", dir);
    if (!path || dele_writer_open(&out, path, err)) return err->code;
    fprintf(
        out.stream,
        "{\n  \"architectures\": [\"OlmoForCausalLM\"],\n  \"model_type\": \"olmo\",\n  "
        "\"vocab_size\": %d,\n"
        "  \"hidden_size\": 128,\n  \"intermediate_size\": 512,\n  \"num_hidden_layers\": 8,\n"
        "  \"num_attention_heads\": 4,\n  \"num_key_value_heads\": 4,\n  "
        "\"max_position_embeddings\": %d,\n"
        "  \"hidden_act\": \"silu\",\n  \"rope_theta\": 10000.0,\n  \"attention_bias\": false,\n"
        "  \"attention_dropout\": 0.0,\n  \"clip_qkv\": null,\n  \"tie_word_embeddings\": true,\n"
        "  \"initializer_range\": 0.02,\n  \"bos_token_id\": null,\n  \"eos_token_id\": 0,\n"
        "  \"pad_token_id\": null,\n  \"use_cache\": true,\n  \"torch_dtype\": \"bfloat16\"\n}\n",
        vocab, CONTEXT);
    return dele_writer_commit(&out, err);
}

static dele_status make_directories(const char *dir, dele_arena *arena, dele_err *err)
{
    static const char *const names[] = {"", "/demo", "/facts", "/models", "/models/demo"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = dele_printf(arena, err, "%s%s", dir, names[i]);
        if (!path) return err->code;
        if (mkdir(path, 0777) && !dele_path_is_dir(path))
            return dele_fail(err, DELE_ERR_FILE,
                             "%s: cannot be made; choose a directory that can be written to", path);
    }
    return DELE_OK;
}

int main(int argc, char **argv)
{
    world w = {0};
    dele_arena arena = {0};
    dele_err err = {0};
    char *corpus = NULL;
    size_t size = 0;
    int vocab = 0;
    if (argc < 2 || argc > 3) {
        fputs("usage: make_demo DIR [SEED]\n", stderr);
        return 2;
    }
    const char *dir = argv[1];
    dele_rng_seed(&w.rng, argc == 3 ? strtoull(argv[2], NULL, 10) : 1);
    invent_people(&w);
    if (!make_directories(dir, &arena, &err) &&
        !write_training(&w, dir, &corpus, &size, &arena, &err) &&
        !write_facts(&w, dir, &arena, &err) && !write_side(&w, true, dir, &arena, &err) &&
        !write_side(&w, false, dir, &arena, &err) &&
        !write_tokenizer(&vocab, corpus, size, dir, &arena, &err) &&
        !write_config(vocab, dir, &arena, &err))
        printf("%s: %d people (%d to forget), %zu bytes of training text, %d tokens\n", dir,
               N_PEOPLE, N_FORGET, size, vocab);
    free(corpus);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
