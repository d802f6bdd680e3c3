#include "unlearn/packed_batch.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "model/backward.h"
#include "unlearn/adamw.h"

/* ---- room ------------------------------------------------------------------------------------ */

/* An objective at a layer needs nothing above it: the model it sees ends there. */
static dele_status cut_above(dele_packed_batch *p, const dele_mask *mask, dele_err *err)
{
    const int n_layers = p->now.model.config.n_layers,
              layer = dele_layer_of(p->settings[DELE_LAYER], n_layers);
    if (layer >= n_layers)
        return dele_fail(err, DELE_ERR_USAGE, "--at-layer %d: the model's layers are 0 to %d",
                         layer, n_layers - 1);
    bool below = false;
    for (size_t k = 0; k < mask->n_tensors; k++) {
        const dele_tensor *t = &p->now.model.tensors[k];
        if (!mask->trains[k]) continue;
        if (t->layer > layer || (t->layer < 0 && t->part != DELE_PART_EMBED))
            return dele_fail(err, DELE_ERR_USAGE,
                             "%s is trained but lies above layer %d, whose output %s steers; give "
                             "--layers up to it, or a higher --at-layer",
                             t->name, layer, p->objective->name);
        below = true;
    }
    if (!below)
        return dele_fail(err, DELE_ERR_DATA,
                         "the mask selects no tensor, so nothing would be trained");
    p->now.model.config.n_layers = layer + 1;
    p->width = (size_t)p->now.model.config.hidden_size;
    return DELE_OK;
}

static dele_status keep_before(dele_packed_batch *p, const dele_mask *mask, dele_arena *arena,
                               dele_err *err)
{
    p->reference_rows = p->objective->reference_rows;
    if (p->settings[DELE_RETAIN_KL] >= 1) p->reference_rows |= DELE_ON_RETAIN;
    if (!p->reference_rows && !p->objective->negates) return DELE_OK;
    return dele_model_freeze(&p->before.model, &p->now.model, mask->trains, arena, err);
}

static dele_status reserve_pass(dele_packed_pass *pass, size_t labels, size_t width,
                                dele_arena *arena, dele_err *err)
{
    bool ok = (pass->output_rows = DELE_NEW(arena, int, labels, err)) &&
              (pass->x = dele_alloc_raw(arena, labels, width * sizeof *pass->x, err));
    return ok ? DELE_OK : err->code;
}

static dele_status reserve(dele_packed_batch *p, size_t rows, size_t labels, dele_arena *arena,
                           dele_err *err)
{
    bool ok = (p->segments = DELE_NEW(arena, dele_segment, rows, err)) &&
              (p->sequences = DELE_NEW(arena, dele_loss_sequence, rows, err)) &&
              (p->output_rows = DELE_NEW(arena, int, rows, err)) &&
              (p->target = DELE_NEW(arena, int, rows, err)) &&
              (p->side = DELE_NEW(arena, uint8_t, rows, err)) &&
              (p->nll = DELE_NEW(arena, double, rows, err)) &&
              (p->loss_weight = DELE_NEW(arena, double, rows, err)) &&
              (p->label_weight = DELE_NEW(arena, double, rows, err)) &&
              !reserve_pass(&p->now, labels, p->width, arena, err);
    if (ok && p->reference_rows) ok = !reserve_pass(&p->before, labels, p->width, arena, err);
    const size_t patches = (p->objective->at_layer ? rows : 0) + p->router.n_patches;
    if (ok && patches) ok = (p->patches = DELE_NEW(arena, dele_patch, patches, err));
    if (ok && p->router.n_layers) ok = (p->row_side = DELE_NEW(arena, uint8_t, rows, err));
    if (ok && p->objective->at_layer) ok = (p->steer = DELE_NEW(arena, float, p->width, err));
    return ok ? DELE_OK : err->code;
}

dele_status dele_packed_batch_init(dele_packed_batch *p, const dele_model *model,
                                   const dele_mask *mask, const dele_packed_batch_options *o,
                                   dele_arena *arena, dele_err *err)
{
    *p = (dele_packed_batch){.objective = o->objective,
                             .settings = o->settings,
                             .now.model = *model,
                             .lowest = mask->lowest,
                             .batch_tokens = o->batch_tokens,
                             .width = (size_t)model->config.vocab};
    if (keep_before(p, mask, arena, err) || (o->objective->at_layer && cut_above(p, mask, err)))
        return err->code;
    p->before.model.config.n_layers = p->now.model.config.n_layers; /* cut as well */
    if (o->settings[DELE_MASK_AS_LABEL] == 1 && model->config.vocab <= 100)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--mask-as-label 1: the model has %d tokens, and V - 100 is none of them",
                         model->config.vocab);
    const size_t rows = o->batch_tokens > o->longest ? o->batch_tokens : o->longest;
    if (o->router && dele_router_terms_on(o->router) &&
        dele_router_terms_init(&p->router, o->router, &p->now.model.config, rows, p->lowest, arena,
                               err))
        return err->code;
    return reserve(p, rows, o->labels ? o->labels : rows, arena, err);
}

static size_t pass_bytes(const dele_packed_pass *pass, const dele_pass_size *size)
{
    const dele_config *c = &pass->model.config;
    return DELE_BYTES(dele_forward_bytes(c, size), dele_tile_bytes(&pass->model),
                      size->keep_for_backward ? dele_backward_bytes(c, size) : 0);
}

size_t dele_packed_batch_bytes(const dele_packed_batch *p, dele_pass_size size)
{
    if (p->objective->at_layer) size.n_patches = size.n_output_rows, size.n_output_rows = 0;
    size.n_patches += p->router.n_patches;
    size.keep_for_backward = true;
    size.lowest = p->lowest;
    const size_t now = pass_bytes(&p->now, &size);
    size.keep_for_backward = false;
    return DELE_BYTES(now, p->reference_rows ? pass_bytes(&p->before, &size) : 0);
}

void dele_packed_batch_release(dele_packed_batch *p)
{
    dele_run_release(&p->now.run);
    dele_run_release(&p->before.run);
}

/* ---- laying out ------------------------------------------------------------------------------ */

/* KL at every position of a retain row, as open-unlearning's: no label, no target. */
static bool every_position(const dele_packed_batch *p, dele_side side)
{
    return side == DELE_RETAIN && p->settings[DELE_RETAIN_KL] == 2;
}

/* The loss of label k is taken at position k, not at k - 1 which predicts it. */
static bool own_positions(const dele_packed_batch *p, dele_side side)
{
    return every_position(p, side) ||
           (p->settings[DELE_SHIFT_LABELS] == 0 && p->objective->own_positions >> side & 1);
}

static size_t first_label(const dele_packed_batch *p, const dele_sequence *s, dele_side side)
{
    if (every_position(p, side) ||
        (p->settings[DELE_TRAIN_ON_PROMPT] == 1 && p->objective->train_on_prompt >> side & 1))
        return own_positions(p, side) ? 0 : 1;
    const double skip = p->settings[DELE_SKIP];
    const size_t first = s->first_label + (side == DELE_FORGET && skip > 0 ? (size_t)skip : 0);
    return first < s->n ? first : s->n;
}

size_t dele_packed_batch_labels(const dele_packed_batch *p, const dele_item *item)
{
    return item->row->n - first_label(p, item->row, item->side);
}

/* Rows of a sequence: the last id is only a label, unless labels are taken at their own
 * positions. */
static size_t sequence_rows(const dele_packed_batch *p, const dele_sequence *s, dele_side side)
{
    return s->n - (own_positions(p, side) ? 0 : 1);
}

size_t dele_packed_batch_rows(const dele_packed_batch *p, const dele_item *it)
{
    return sequence_rows(p, it->row, it->side) +
           (it->chosen ? sequence_rows(p, it->chosen, it->side) : 0);
}

size_t dele_packed_batch_length(const dele_packed_batch *p, const dele_item *items, size_t n)
{
    size_t rows = dele_packed_batch_rows(p, items), k = 1;
    while (k < n && rows + dele_packed_batch_rows(p, items + k) <= p->batch_tokens)
        rows += dele_packed_batch_rows(p, items + k++);
    return k;
}

/* The mask of open-unlearning's undial has the label -100 at the prompt; as an index that is token
 * V - 100. */
static int target_of(const dele_packed_batch *p, const dele_sequence *s, size_t k)
{
    const bool masked = p->settings[DELE_MASK_AS_LABEL] == 1 && k < s->first_label;
    return masked ? p->now.model.config.vocab - 100 : s->ids[k];
}

static void lay_sequence(dele_packed_batch *p, const dele_sequence *s, const float *weight,
                         dele_loss_sequence about)
{
    const size_t n_rows = sequence_rows(p, s, about.side);
    about.first = p->n_labels;
    for (size_t k = first_label(p, s, about.side); k < s->n; k++, p->n_labels++) {
        p->output_rows[p->n_labels] = (int)(p->n_rows + k - (s->n - n_rows));
        p->target[p->n_labels] = target_of(p, s, k);
        p->label_weight[p->n_labels] = weight ? (double)weight[k] : 1;
        p->side[p->n_labels] = (uint8_t)about.side;
    }
    about.n = p->n_labels - about.first;
    p->weighted = p->weighted || weight;
    if (p->row_side) memset(p->row_side + p->n_rows, about.side, n_rows);
    p->segments[p->n_sequences] =
        (dele_segment){.tokens = s->ids, .n_rows = (int)n_rows, .n_after = (int)(s->n - n_rows)};
    p->sequences[p->n_sequences++] = about;
    p->n_rows += n_rows;
}

static void lay_nothing(dele_packed_batch *p)
{
    p->n_sequences = p->n_rows = p->n_labels = 0;
    p->weighted = false;
}

static void lay_items(dele_packed_batch *p, const dele_item *items, size_t n)
{
    lay_nothing(p);
    for (size_t i = 0; i < n; i++) {
        lay_sequence(
            p, items[i].row, items[i].weight,
            (dele_loss_sequence){.side = items[i].side, .reference = items[i].reference[0]});
        if (items[i].chosen)
            lay_sequence(p, items[i].chosen, NULL,
                         (dele_loss_sequence){.side = items[i].side,
                                              .chosen = true,
                                              .reference = items[i].reference[1]});
    }
}

/* ---- forward --------------------------------------------------------------------------------- */

/* The forward pass of sequences [from, to) and their labels: their logits or hidden states go into
 * pass->x at the labels' places in the whole packed batch, so that both models' agree row by row.
 * Read at a layer, states come by patches and nothing above the layer is computed.  A pass that is
 * kept for the backward pass reads the router logits as well, where there are terms on them. */
static dele_status forward_states(dele_packed_batch *p, dele_packed_pass *pass, dele_batch *batch,
                                  size_t from, size_t to, dele_err *err)
{
    const dele_loss_sequence *first = &p->sequences[from], *last = &p->sequences[to - 1];
    const size_t begin = first->first, n = last->first + last->n - begin;
    int row = 0;
    for (size_t i = 0; i < from; i++) row += p->segments[i].n_rows;
    for (size_t i = 0; i < n; i++) pass->output_rows[i] = p->output_rows[begin + i] - row;
    batch->segments = p->segments + from, batch->n_segments = to - from;
    batch->patches = p->patches, batch->n_patches = p->objective->at_layer ? n : 0;
    if (batch->keep_for_backward && p->router.n_layers) {
        dele_router_terms_read(&p->router, p->patches + batch->n_patches, p->n_rows);
        batch->n_patches += p->router.n_patches;
    }
    if (!p->objective->at_layer) {
        batch->output_rows = pass->output_rows, batch->n_output_rows = n;
        if (dele_forward(&pass->run, &pass->model, batch, err)) return err->code;
        dele_logits(pass->x + begin * p->width, &pass->run, &pass->model, pass->run.final, n);
        return DELE_OK;
    }
    for (size_t i = 0; i < n; i++)
        p->patches[i] = (dele_patch){.layer = pass->model.config.n_layers - 1,
                                     .site = DELE_RESID_POST,
                                     .op = DELE_READ,
                                     .row = pass->output_rows[i],
                                     .seen = pass->x + (begin + i) * p->width};
    return dele_forward(&pass->run, &pass->model, batch, err);
}

/* The sequences of a side are adjacent, so those of a set of sides are one range. */
static dele_status reference_forward(dele_packed_batch *p, dele_err *err)
{
    size_t from = 0, to = p->n_sequences;
    while (from < to && !(p->reference_rows >> p->sequences[from].side & 1)) from++;
    while (to > from && !(p->reference_rows >> p->sequences[to - 1].side & 1)) to--;
    dele_batch batch = {0};
    if (from == to) return DELE_OK;
    return forward_states(p, &p->before, &batch, from, to, err);
}

/* BROADCAST: open-unlearning divides the sums [b] of the sequences by their lengths [b, 1] and
 * takes the mean of the resulting [b, b]: (1/b Σ sums) (1/b Σ 1/length). */
static bool own_loss_weights(const dele_packed_batch *p, const dele_loss_group *group)
{
    return group->by_sequence || p->settings[DELE_BROADCAST] == 1 || p->weighted;
}

static void fill_loss_weights(dele_packed_batch *p, const dele_loss_group *group)
{
    const bool broadcast = p->settings[DELE_BROADCAST] == 1;
    for (size_t k = 0; k < p->n_sequences; k++) {
        const dele_loss_sequence *s = &p->sequences[k];
        const double b = (double)group->sequences[s->side],
                     inverse = broadcast ? group->inverse_lengths[s->side] / b : 1 / (double)s->n;
        const double mean =
            group->by_sequence || broadcast ? inverse / b : 1 / (double)group->tokens[s->side];
        for (size_t i = s->first; i < s->first + s->n; i++)
            p->loss_weight[i] = mean * p->label_weight[i];
    }
}

/* The passes fill x and, where the objective compares, before.x; the objective then replaces x by
 * its gradient, from which dele_packed_batch_backward starts. */
static dele_status forward_losses(dele_packed_batch *p, double loss[2], const dele_item *items,
                                  size_t n, const dele_loss_group *group, dele_err *err)
{
    lay_items(p, items, n);
    p->batch = (dele_batch){.keep_for_backward = true, .lowest = p->lowest, .dropout = p->dropout};
    /* the reference first: backward needs the patches of the trained model's pass */
    if ((p->reference_rows && reference_forward(p, err)) ||
        forward_states(p, &p->now, &p->batch, 0, p->n_sequences, err))
        return err->code;
    if (own_loss_weights(p, group)) fill_loss_weights(p, group);
    const dele_loss_batch rows = {.n = p->n_labels,
                                  .width = p->width,
                                  .x = p->now.x,
                                  .reference = p->before.x,
                                  .nll = p->nll,
                                  .target = p->target,
                                  .side = p->side,
                                  .loss_weight = own_loss_weights(p, group) ? p->loss_weight : NULL,
                                  .sequence = p->sequences,
                                  .n_sequences = p->n_sequences,
                                  .group = group,
                                  .settings = p->settings,
                                  .steer = p->steer};
    p->objective->rows(loss, &rows);
    return DELE_OK;
}

dele_status dele_packed_batch_forward(dele_packed_batch *p, double loss[2], const dele_item *items,
                                      size_t n, const dele_loss_group *group, dele_err *err)
{
    if (forward_losses(p, loss, items, n, group, err)) return err->code;
    if (p->router.n_layers) dele_router_terms_gradient(&p->router, p->row_side, p->n_rows);
    return DELE_OK;
}

dele_status dele_packed_batch_survey(dele_packed_batch *p, double loss[2], const dele_item *items,
                                     size_t n, const dele_loss_group *group, dele_err *err)
{
    if (forward_losses(p, loss, items, n, group, err)) return err->code;
    if (p->router.n_layers) dele_router_terms_count(&p->router, p->n_rows);
    return DELE_OK;
}

/* ---- backward -------------------------------------------------------------------------------- */

dele_status dele_packed_batch_backward(dele_packed_batch *p, const double weight[2],
                                       double router_weight, float **grads, dele_err *err)
{
    dele_grads into = {.g = grads, .adds = p->patches};
    for (size_t i = 0; i < p->n_labels;) { /* runs of one side */
        size_t end = i + 1;
        while (end < p->n_labels && p->side[end] == p->side[i]) end++;
        if (weight[p->side[i]] != 1)
            dele_scale(p->now.x + i * p->width, weight[p->side[i]], (end - i) * p->width);
        i = end;
    }
    for (size_t i = 0; i < p->n_labels && p->objective->at_layer; i++) {
        p->patches[i].op = DELE_ADD;
        p->patches[i].value = p->now.x + i * p->width;
        into.n_adds++;
    }
    if (p->router.n_layers)
        into.n_adds +=
            dele_router_terms_add(&p->router, p->patches + into.n_adds, router_weight, p->n_rows);
    p->batch.patches = NULL, p->batch.n_patches = 0; /* they are the additions now */
    return dele_backward(&p->now.run, &p->now.model, &p->batch,
                         p->objective->at_layer ? NULL : p->now.x, &into, err);
}

/* ---- before training ------------------------------------------------------------------------- */

/* Over the labelled rows of items. */
static dele_status mean_length(double *mean, dele_packed_batch *p, const dele_item *items, size_t n,
                               dele_err *err)
{
    double sum = 0;
    size_t rows = 0;
    for (size_t i = 0, k; i < n; i += k) {
        dele_batch batch = {0};
        k = dele_packed_batch_length(p, items + i, n - i);
        lay_items(p, items + i, k);
        if (forward_states(p, &p->now, &batch, 0, p->n_sequences, err)) return err->code;
        for (size_t r = 0; r < p->n_labels; r++)
            sum += sqrt(dele_sum_squares(p->now.x + r * p->width, p->width));
        rows += p->n_labels;
    }
    if (!(sum > 0) || !isfinite(sum))
        return dele_fail(
            err, DELE_ERR_DATA,
            "the hidden states at layer %d to be steered have norm %g; choose another --at-layer",
            p->now.model.config.n_layers - 1, sum);
    *mean = sum / (double)rows;
    return DELE_OK;
}

dele_status dele_packed_batch_steer(dele_packed_batch *p, uint64_t seed, const dele_item *items,
                                    size_t n, dele_err *err)
{
    double length = 1;
    dele_rng rng;
    if (p->objective->adaptive && mean_length(&length, p, items, n, err)) return err->code;
    dele_rng_seed(&rng, seed ^ 0x726d75); /* a stream of its own */
    for (size_t i = 0; i < p->width; i++) p->steer[i] = (float)dele_rng_uniform(&rng);
    length *= p->settings[DELE_STEERING_COEFF] / sqrt(dele_sum_squares(p->steer, p->width));
    dele_scale(p->steer, length, p->width);
    return DELE_OK;
}

/* As many rows as fit, as forget rows; returns how many. */
static size_t lay_forget(dele_packed_batch *p, const dele_sequence *rows, size_t n)
{
    size_t k = 0;
    lay_nothing(p);
    do lay_sequence(p, &rows[k++], NULL, (dele_loss_sequence){.side = DELE_FORGET});
    while (k < n && p->n_rows + sequence_rows(p, &rows[k], DELE_FORGET) <= p->batch_tokens);
    return k;
}

dele_status dele_packed_batch_nll(dele_packed_batch *p, double *nll, const dele_sequence *rows,
                                  size_t n, dele_err *err)
{
    for (size_t i = 0, k; i < n; i += k) {
        k = lay_forget(p, rows + i, n - i);
        const dele_batch batch = {.segments = p->segments,
                                  .n_segments = k,
                                  .output_rows = p->output_rows,
                                  .n_output_rows = p->n_labels};
        if (dele_forward(&p->now.run, &p->now.model, &batch, err) ||
            dele_logprobs(p->nll, NULL, &p->now.run, &p->now.model, p->now.run.final, p->target,
                          p->n_labels, err))
            return err->code;
        for (size_t j = 0; j < k; j++) {
            const dele_loss_sequence *s = &p->sequences[j];
            nll[i + j] = 0;
            for (size_t at = s->first; at < s->first + s->n; at++) nll[i + j] -= p->nll[at];
        }
    }
    return DELE_OK;
}
