/* Writes a model as a GGUF that llama.cpp reads.
 *
 *   "GGUF" 3 n_tensors n_pairs | pairs | tensors: name, shape, type, offset | padding | data
 *
 * Each tensor is aligned to 32 bytes.
 *
 * The pairs are written to memory first, because their number precedes them.  Names and keys are
 * those of llama.cpp's convert_hf_to_gguf.py.  The rows of Q and K are interleaved as llama.cpp's
 * rotation needs them, where the family's rows say so.
 *
 * The type of each tensor follows llama-quantize where that matters.  1-d tensors and routers stay
 * F32.  A
 * tensor whose rows do not fill the blocks of the requested type falls back, Q4_K to Q5_0, any
 * other type to F16; a remark says so, and the file too.  Embedding and head are Q8_0 with the
 * 4-bit types; llama-quantize gives the head Q6_K, or Q8_0 where the rows do not fill Q6_K's
 * blocks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_out.h"
#include "model/config/config_compare.h"
#include "model/form.h"
#include "model/gguf.h"
#include "model/gguf_config.h"
#include "model/gguf_rotation.h"

enum { ALIGN = 32 };

/* ---- pairs ----------------------------------------------------------------------------------- */

typedef struct {
    FILE *to; /* into memory */
    uint64_t n;
} pairs;

static void put_u32(FILE *to, uint32_t x) { fwrite(&x, sizeof x, 1, to); }
static void put_u64(FILE *to, uint64_t x) { fwrite(&x, sizeof x, 1, to); }

static void put_string(FILE *to, const char *text)
{
    const size_t n = strlen(text);
    put_u64(to, n);
    fwrite(text, 1, n, to);
}

static void begin_pair(pairs *p, const char *key, dele_gguf_type type)
{
    put_string(p->to, key);
    put_u32(p->to, type);
    p->n++;
}

static void pair_text(pairs *p, const char *key, const char *text)
{
    begin_pair(p, key, DELE_GGUF_STRING);
    put_string(p->to, text);
}

static void pair_u32(pairs *p, const char *key, uint32_t x)
{
    begin_pair(p, key, DELE_GGUF_U32);
    put_u32(p->to, x);
}

static void pair_f32(pairs *p, const char *key, float x)
{
    begin_pair(p, key, DELE_GGUF_F32);
    fwrite(&x, sizeof x, 1, p->to);
}

static void pair_bool(pairs *p, const char *key, bool x)
{
    begin_pair(p, key, DELE_GGUF_BOOL);
    fputc(x, p->to);
}

static void begin_list(pairs *p, const char *key, dele_gguf_type item, size_t n)
{
    begin_pair(p, key, DELE_GGUF_ARRAY);
    put_u32(p->to, item);
    put_u64(p->to, n);
}

static void pair_texts(pairs *p, const char *key, const char *const *texts, size_t n)
{
    begin_list(p, key, DELE_GGUF_STRING, n);
    for (size_t i = 0; i < n; i++) put_string(p->to, texts[i]);
}

/* Where a key stands in the file: the first sizes, the other sizes, the rotation, other numbers;
 * N_PLACES: it is not written. */
enum { N_PLACES = 4 };
static int place_of(const dele_key_row *row)
{
    switch (row->gguf ? row->kind : DELE_HOLDS_NOTHING) {
    case DELE_HOLDS_SIZE:
    case DELE_HOLDS_ROWS:
    case DELE_HOLDS_FIELD:
    case DELE_HOLDS_ROTATED:
    case DELE_HOLDS_WINDOW:
        return row->gguf_first ? 0 : 1;
    case DELE_HOLDS_ROTATION:
        return 2;
    case DELE_HOLDS_POSITIVE:
    case DELE_HOLDS_POSITIVE_OR_NONE:
    case DELE_HOLDS_CONSTANT:
    case DELE_HOLDS_FLAG:
        return 3;
    default:
        return N_PLACES;
    }
}

/* A key of the architecture: "ARCH." before the name.  A number that is not there (0) is left
 * out. */
static void put_key(pairs *p, const dele_config *c, const dele_key_row *row)
{
    const void *field = (const char *)c + row->field;
    const bool is_size = place_of(row) < 2;
    const int size = !is_size                          ? 0
                     : row->kind == DELE_HOLDS_ROTATED ? (int)dele_rotary_dim(c)
                                                       : *(const int *)field;
    char key[96];
    snprintf(key, sizeof key, "%s.%s", c->family->gguf, row->gguf);
    if (is_size)
        pair_u32(p, key, (uint32_t)size);
    else if (row->kind == DELE_HOLDS_FLAG)
        pair_bool(p, key, *(const bool *)field);
    else if (row->kind == DELE_HOLDS_CONSTANT)
        pair_f32(p, key, (float)row->value);
    else if (row->kind != DELE_HOLDS_POSITIVE_OR_NONE || *(const float *)field > 0)
        pair_f32(p, key, *(const float *)field);
}

/* The rotation's keys beside its base, and the list of the layers that slide. */
static void put_rotation(pairs *p, const dele_config *c)
{
    dele_gguf_said said[DELE_GGUF_SAID];
    const size_t n = dele_gguf_rotation_keys(said, c);
    for (size_t i = 0; i < n; i++) {
        const char *name = said[i].name;
        const dele_gguf_name key = dele_gguf_name_of(c->family, name);
        const char *text = strncmp(name, "deleatur.", 9) ? key.text : name;
        if (said[i].text)
            pair_text(p, text, said[i].text);
        else if (said[i].whole)
            pair_u32(p, text, (uint32_t)said[i].number);
        else
            pair_f32(p, text, (float)said[i].number);
    }
    if (!c->family->gguf_pattern) return;
    begin_list(p, dele_gguf_name_of(c->family, "attention.sliding_window_pattern").text,
               DELE_GGUF_BOOL, (size_t)c->n_layers);
    for (int l = 0; l < c->n_layers; l++) fputc(c->layer_kind[l] & DELE_LAYER_SLIDING, p->to);
}

static void put_config(pairs *p, const dele_config *c)
{
    for (int place = 0; place < N_PLACES; place++)
        for (size_t i = 0; i < c->family->n_keys; i++)
            if (place_of(&c->family->keys[i]) == place) put_key(p, c, &c->family->keys[i]);
    put_rotation(p, c);
}

static void put_id(pairs *p, const char *key, int id)
{
    if (id >= 0) pair_u32(p, key, (uint32_t)id);
}

static void put_tokenizer(pairs *p, const dele_tokenizer_parts *t)
{
    pair_text(p, "tokenizer.ggml.model", t->kind);
    if (t->pre) pair_text(p, "tokenizer.ggml.pre", t->pre);
    pair_texts(p, "tokenizer.ggml.tokens", t->tokens, t->n_tokens);
    if (t->types) {
        begin_list(p, "tokenizer.ggml.token_type", DELE_GGUF_I32, t->n_tokens);
        fwrite(t->types, sizeof *t->types, t->n_tokens, p->to);
    }
    if (t->scores) {
        begin_list(p, "tokenizer.ggml.scores", DELE_GGUF_F32, t->n_tokens);
        fwrite(t->scores, sizeof *t->scores, t->n_tokens, p->to);
    }
    if (t->n_merges) pair_texts(p, "tokenizer.ggml.merges", t->merges, t->n_merges);
    put_id(p, "tokenizer.ggml.unknown_token_id", t->unk);
    pair_bool(p, "tokenizer.ggml.add_bos_token", t->add_bos);
    if (t->add_eos) pair_bool(p, "tokenizer.ggml.add_eos_token", true);
    pair_bool(p, "tokenizer.ggml.add_space_prefix", t->add_space_prefix);
    if (t->chat_template) pair_text(p, "tokenizer.chat_template", t->chat_template);
}

/* llama.cpp's number of the type that most tensors have. */
static uint32_t file_type(dele_dtype type)
{
    switch (type) {
    case DELE_DTYPE_F32:
        return 0;
    case DELE_DTYPE_F16:
        return 1;
    case DELE_DTYPE_BF16:
        return 32;
    case DELE_DTYPE_Q4_0:
        return 2;
    case DELE_DTYPE_Q8_0:
        return 7;
    case DELE_DTYPE_Q5_0:
        return 8;
    default:
        return 14; /* Q4_K, small: no tensor in more bits than it must */
    }
}

static int first_id(int a, int b) { return a >= 0 ? a : b; }

/* The first two ends after eos are written under llama.cpp's keys, which hold no more; deleatur's
 * own key has all of them. */
static void put_ends(pairs *p, const dele_config *c)
{
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    size_t n = 0;
    for (int i = 0; i < c->n_ends && n < sizeof keys / sizeof *keys; i++)
        if (c->ends[i] != c->eos) put_id(p, keys[n++], c->ends[i]);
    if (!c->n_ends) return;
    begin_list(p, DELE_GGUF_ENDS, DELE_GGUF_I32, (size_t)c->n_ends);
    fwrite(c->ends, sizeof *c->ends, (size_t)c->n_ends, p->to);
}

/* parts NULL: no tokenizer; the ids of begin and end are written nevertheless. */
static void put_pairs(pairs *p, const dele_model *model, dele_dtype type,
                      const dele_tokenizer_parts *parts, const dele_gguf_saved *saved)
{
    const dele_config *c = &model->config;
    const char *path = model->path ? model->path : "model", *slash = strrchr(path, '/');
    pair_text(p, "general.architecture", c->family->gguf);
    pair_text(p, "general.name", slash && slash[1] ? slash + 1 : path);
    pair_u32(p, "general.file_type", file_type(type));
    if (type > DELE_DTYPE_BF16) pair_u32(p, "general.quantization_version", 2);
    pair_text(p, "deleatur.version", DELE_VERSION);
    pair_text(p, "deleatur.type", dele_dtype_of(type)->name);
    if (saved->fallback[0]) pair_text(p, "deleatur.fallback", saved->fallback);
    if (saved->note[0]) pair_text(p, "deleatur.tokenizer", saved->note);
    put_config(p, c);
    put_id(p, "tokenizer.ggml.bos_token_id", first_id(c->bos, parts ? parts->bos : -1));
    put_id(p, "tokenizer.ggml.eos_token_id", first_id(c->eos, parts ? parts->eos : -1));
    put_ends(p, c);
    put_id(p, "tokenizer.ggml.padding_token_id", first_id(c->pad, parts ? parts->pad : -1));
    if (parts)
        put_tokenizer(p, parts);
    else
        pair_text(p, "tokenizer.ggml.model", "none"); /* llama.cpp loads no file without the key */
}

/* ---- types ----------------------------------------------------------------------------------- */

/* The type of a matrix whose rows fill the blocks. */
static dele_dtype aimed_at(const dele_tensor *t, dele_dtype requested)
{
    bool outer = t->part == DELE_PART_EMBED || t->part == DELE_PART_HEAD;
    if (t->vector || t->slot == DELE_SLOT_POSITIONS || t->slot == DELE_SLOT_ROUTER)
        return DELE_DTYPE_F32;
    return outer && (requested == DELE_DTYPE_Q4_0 || requested == DELE_DTYPE_Q4_K) ? DELE_DTYPE_Q8_0
                                                                                   : requested;
}

dele_dtype dele_gguf_dtype(const dele_tensor *t, dele_dtype requested)
{
    const dele_stored_form form = t->row->gguf_form;
    const bool transposed = form == DELE_FORM_TRANSPOSED || form == DELE_FORM_FUSED_TRANSPOSED;
    dele_dtype type = aimed_at(t, requested);
    if (transposed && dele_dtype_of(type)->items > 1) return DELE_DTYPE_F16;
    if (type == DELE_DTYPE_Q4_K && t->cols % dele_dtype_of(type)->items) type = DELE_DTYPE_Q5_0;
    return t->cols % dele_dtype_of(type)->items ? DELE_DTYPE_F16 : type;
}

size_t dele_gguf_count(size_t *n_of, const dele_model *model, dele_dtype requested)
{
    const size_t n_beside = dele_gguf_divisors(NULL, &model->config) > 0;
    dele_file_tensor f;
    memset(n_of, 0, DELE_N_DTYPES * sizeof *n_of);
    n_of[DELE_DTYPE_F32] = n_beside;
    for (size_t i = 0; i < model->n_tensors; i = f.next) {
        f = dele_file_tensor_at(model, i, DELE_FILE_GGUF);
        n_of[dele_gguf_dtype(f.tensor, requested)]++;
    }
    return n_beside + dele_file_tensors(model, DELE_FILE_GGUF);
}

static void count_types(dele_gguf_saved *saved, const dele_model *model, dele_dtype requested)
{
    size_t fallen_to[DELE_N_DTYPES] = {0}, used = 0;
    dele_file_tensor f;
    saved->n_tensors = dele_gguf_count(saved->n_of, model, requested);
    for (size_t i = 0; i < model->n_tensors; i = f.next) {
        f = dele_file_tensor_at(model, i, DELE_FILE_GGUF);
        dele_dtype type = dele_gguf_dtype(f.tensor, requested), aim = aimed_at(f.tensor, requested);
        if (type != aim) saved->n_fallen++, fallen_to[type]++;
    }
    for (int type = 0; type < DELE_N_DTYPES; type++)
        if (fallen_to[type])
            used += (size_t)snprintf(saved->fallback + used, sizeof saved->fallback - used,
                                     "%s%zu of %zu tensors as %s", used ? ", " : "",
                                     fallen_to[type], saved->n_tensors, dele_dtype_of(type)->name);
    if (used)
        snprintf(saved->fallback + used, sizeof saved->fallback - used,
                 ": their rows do not fill blocks of %s", dele_dtype_of(requested)->name);
}

static size_t stored_bytes(const dele_file_tensor *f, dele_dtype type)
{
    const dele_dtype_info *info = dele_dtype_of(type);
    return f->rows * f->cols / info->items * info->bytes;
}

static size_t padded(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

/* ---- tensors --------------------------------------------------------------------------------- */

/* Each tensor's name, shape, type and place.  Returns the bytes of all of them. */
static size_t put_infos(FILE *to, const dele_model *model, dele_dtype requested)
{
    const size_t n_divisors = dele_gguf_divisors(NULL, &model->config);
    size_t offset = padded(n_divisors * sizeof(float));
    dele_file_tensor f;
    if (n_divisors) {
        put_string(to, DELE_GGUF_DIVISORS);
        put_u32(to, 1);
        put_u64(to, n_divisors);
        put_u32(to, dele_dtype_of(DELE_DTYPE_F32)->ggml);
        put_u64(to, 0);
    }
    for (size_t i = 0; i < model->n_tensors; i = f.next) {
        f = dele_file_tensor_at(model, i, DELE_FILE_GGUF);
        const dele_dtype type = dele_gguf_dtype(f.tensor, requested);
        put_string(to, f.name);
        put_u32(to, (uint32_t)f.n_dims);
        for (int d = f.n_dims - 1; d >= 0; d--) put_u64(to, f.dims[d]);
        put_u32(to, dele_dtype_of(type)->ggml);
        put_u64(to, offset);
        offset += padded(stored_bytes(&f, type));
    }
    return offset;
}

static void put_padding(FILE *to, size_t n)
{
    for (; n % ALIGN; n++) fputc(0, to);
}

/* A tensor's weights, some rows at a time, as the type of the file. */
static dele_status put_tensor(FILE *to, const dele_file_tensor *f, dele_dtype type,
                              const char *path, dele_arena *scratch, dele_err *err)
{
    const dele_dtype_info *info = dele_dtype_of(type);
    const size_t width = f->width, piece = dele_file_piece(f);
    dele_arena_reset(scratch);
    float *rows = dele_alloc_raw(scratch, piece, width * sizeof *rows, err),
          *row = rows ? dele_alloc_raw(scratch, f->cols, sizeof *row, err) : NULL;
    uint8_t *buffer = row ? dele_alloc_raw(scratch, piece, width * sizeof(float), err) : NULL;
    if (!buffer) return DELE_ERR_MEMORY;
    for (size_t from = 0, n; from < f->height; from += n) {
        n = f->height - from < piece ? f->height - from : piece;
        const size_t bytes = n * width / info->items * info->bytes;
        dele_file_rows(rows, f, from, n, row);
        if (!dele_dtype_write(buffer, rows, type, n * width))
            return dele_fail(
                err, DELE_ERR_DATA,
                "%s: %s holds a weight that %s cannot express (too large, or not finite); "
                "try bf16 or f32",
                path, f->tensor->name, info->name);
        if (fwrite(buffer, 1, bytes, to) != bytes)
            return dele_fail(err, DELE_ERR_FILE, "%s: writing failed; is the disk full?", path);
    }
    put_padding(to, stored_bytes(f, type));
    return DELE_OK;
}

static dele_status put_divisors(FILE *to, const dele_config *c, dele_arena *scratch, dele_err *err)
{
    const size_t n = dele_gguf_divisors(NULL, c);
    float *divisors = n ? dele_alloc_raw(scratch, n, sizeof *divisors, err) : NULL;
    if (n && !divisors) return DELE_ERR_MEMORY;
    if (!n) return DELE_OK;
    dele_gguf_divisors(divisors, c);
    fwrite(divisors, sizeof *divisors, n,
           to); /* the writer's commit looks at the stream's errors */
    put_padding(to, n * sizeof *divisors);
    return DELE_OK;
}

static dele_status put_data(FILE *to, const dele_model *model, dele_dtype requested,
                            const char *path, dele_err *err)
{
    dele_arena scratch = {0};
    dele_status status = put_divisors(to, &model->config, &scratch, err);
    dele_file_tensor f;
    for (size_t i = 0; i < model->n_tensors && !status; i = f.next) {
        f = dele_file_tensor_at(model, i, DELE_FILE_GGUF);
        status = put_tensor(to, &f, dele_gguf_dtype(f.tensor, requested), path, &scratch, err);
    }
    dele_arena_release(&scratch);
    return status;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* What precedes the data, in malloc'd memory; NULL: none is left.  bytes: of the data.  The number
 * of pairs precedes them. */
static char *make_header(size_t *n, size_t *bytes, const dele_model *model, dele_dtype type,
                         const dele_tokenizer_parts *parts, const dele_gguf_saved *saved)
{
    char *text = NULL, *header = NULL;
    size_t n_text = 0;
    pairs p = {.to = open_memstream(&text, &n_text)};
    if (p.to) put_pairs(&p, model, type, parts, saved);
    bool ok = p.to && !ferror(p.to);
    if (p.to) ok = fclose(p.to) == 0 && ok;
    FILE *to = ok ? open_memstream(&header, n) : NULL;
    if (to) {
        fwrite("GGUF", 1, 4, to);
        put_u32(to, 3);
        put_u64(to, saved->n_tensors);
        put_u64(to, p.n);
        fwrite(text, 1, n_text, to);
        *bytes = put_infos(to, model, type);
        ok = !ferror(to);
        ok = fclose(to) == 0 && ok;
    }
    free(text);
    if (to && ok) return header;
    free(header);
    return NULL;
}

/* What the metadata say is read as any other file's and compared: a GGUF has no keys for some of
 * what a config says, and llama.cpp would compute another model. */
static dele_status check_said(const dele_model *model, dele_dtype type,
                              const dele_gguf_saved *saved, const char *path, dele_arena *arena,
                              dele_err *err)
{
    const dele_config *c = &model->config;
    const dele_rope *rope = &c->rope[0];
    size_t n = 0, bytes = 0;
    dele_config back;
    dele_err mine = {0};
    for (size_t i = 0; i < model->n_tensors; i++)
        if (!model->tensors[i].gguf_name[0])
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "%s: a GGUF of architecture %s does not have the tensor %s", path,
                             c->family->gguf, model->tensors[i].name);
    if (c->tied && c->family->gguf_untied)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: a GGUF of architecture %s cannot say that the head is the embedding "
                         "(tie_word_embeddings): its readers need output.weight",
                         path, c->family->gguf);
    if (rope->type == DELE_ROPE_YARN && (rope->beta_fast != 32 || rope->beta_slow != 1))
        return dele_fail(
            err, DELE_ERR_UNSUPPORTED,
            "%s: beta_fast %g and beta_slow %g of the rotation would be read by nothing "
            "in a GGUF of architecture %s; 32 and 1 are taken",
            path, (double)rope->beta_fast, (double)rope->beta_slow, c->family->gguf);
    if (c->family->gguf_forgets && c->window && c->window < c->context)
        dele_remark("a GGUF of architecture %s says the window of %d keys, but not every program "
                    "that reads it computes windows: longer texts may differ there",
                    c->family->gguf, c->window);
    char *header = make_header(&n, &bytes, model, type, NULL, saved);
    if (!header) return dele_fail(err, DELE_ERR_MEMORY, "%s: out of memory for its metadata", path);
    dele_gguf g = {.file = path, .map = {.data = (uint8_t *)header}, .no_data = true};
    g.map.size = padded(n) + bytes;
    const bool read = !dele_gguf_parse(&g, arena, &mine) && !dele_gguf_config(&back, &g, &mine);
    const char *differs = read ? dele_config_difference(NULL, c, &back, DELE_SAME_MODEL) : NULL;
    free(header);
    if (!read)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "a GGUF of architecture %s cannot say what this model is (%s)",
                         c->family->gguf, mine.msg);
    if (!differs) return DELE_OK;
    return dele_fail(
        err, DELE_ERR_UNSUPPORTED,
        "%s: a GGUF of architecture %s cannot say this model's %s: what reads it would "
        "compute another model",
        path, c->family->gguf, differs);
}

static dele_status put_file(dele_gguf_saved *saved, FILE *to, const dele_model *model,
                            dele_dtype type, const char *path, const dele_tokenizer_parts *parts,
                            dele_err *err)
{
    size_t n = 0, bytes = 0;
    char *header = make_header(&n, &bytes, model, type, parts, saved);
    if (!header) return dele_fail(err, DELE_ERR_MEMORY, "%s: out of memory for its metadata", path);
    fwrite(header, 1, n, to); /* the writer's commit looks at the stream's errors */
    free(header);
    put_padding(to, n);
    dele_status status = put_data(to, model, type, path, err);
    const long at = ftell(to);
    if (!status && at < 0)
        return dele_fail(err, DELE_ERR_FILE, "%s: writing failed; is the disk full?", path);
    saved->n_bytes = at > 0 ? (size_t)at : 0;
    return status;
}

static dele_status find_parts(dele_tokenizer_parts *parts, dele_gguf_saved *saved,
                              const dele_model *model, dele_arena *arena, dele_err *err)
{
    const char *note = NULL;
    if (!model->tokenizer)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s has no tokenizer to put into a GGUF: put its tokenizer.json there, or "
                         "leave it out (--no-tokenizer)",
                         model->path ? model->path : "the model");
    dele_status status =
        dele_tokenizer_parts_of(parts, &note, model->tokenizer, model->config.vocab, arena, err);
    if (!status && note) snprintf(saved->note, sizeof saved->note, "%s", note);
    return status;
}

dele_status dele_gguf_save(dele_gguf_saved *saved, const dele_model *model, const char *path,
                           dele_dtype type, bool with_tokenizer, dele_err *err)
{
    *saved = (dele_gguf_saved){0};
    if (model->config.perft.variant)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: adapters beside or within experts cannot be merged into weights, and "
                         "a GGUF has no place for them; load them with --adapter",
                         path);
    if (!dele_dtype_writable(type))
        return dele_fail(err, DELE_ERR_USAGE, "%s: a GGUF of type %s cannot be written", path,
                         type < DELE_N_DTYPES ? dele_dtype_of(type)->name : "unknown");
    dele_arena arena = {0};
    dele_tokenizer_parts parts = {0};
    dele_writer out = {0};
    dele_status status = with_tokenizer ? find_parts(&parts, saved, model, &arena, err) : DELE_OK;
    count_types(saved, model, type);
    if (!status) status = check_said(model, type, saved, path, &arena, err);
    if (!status) status = dele_writer_open(&out, path, err);
    if (!status)
        status =
            put_file(saved, out.stream, model, type, path, with_tokenizer ? &parts : NULL, err);
    if (!status)
        status = dele_writer_commit(&out, err);
    else
        dele_writer_abandon(&out);
    dele_arena_release(&arena);
    return status;
}
