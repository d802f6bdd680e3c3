/* Ten updates against transformers' Trainer (tests/reference/trainer_updates.py): rates, norms, and
 * the weights after. */
#include "claims.h"

#include "base/json.h"
#include "tests/family_fixtures.h"
#include "unlearn/trainer.h"

enum { UPDATES = 10 };

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_mask mask;
    dele_dataset rows;
    cJSON *file;
} world;

static double number(const cJSON *object, const char *name)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(object, name);
    assert_true(cJSON_IsNumber(x));
    return x->valuedouble;
}

#define FIXTURES DELE_TESTS_DIR "/fixtures/"
static const struct {
    const char *updates, *model;
} OF[] = {{FIXTURES "trainer_updates.json", FIXTURES "tiny-llama-tied"},
          {FIXTURES "trainer_updates_qwen2.json", FIXTURES "tiny-qwen2"}};

static void open_world(world *w, size_t which)
{
    dele_err err = {0};
    *w = (world){.file = dele_json_load(OF[which].updates, &err)};
    if (!w->file || dele_model_load(&w->model, OF[which].model, &w->arena, &err) ||
        dele_mask_parse(&w->mask, &w->model, "all", "all", &w->arena, &err))
        fail_msg("%s", err.msg);
    const cJSON *row, *id;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(w->file, "rows"))
    {
        int *ids = DELE_NEW(&w->arena, int, (size_t)cJSON_GetArraySize(row), &err);
        size_t n = 0;
        assert_non_null(ids);
        cJSON_ArrayForEach(id, row) ids[n++] = id->valueint;
        const dele_sequence sequence = {ids, n, (size_t)number(w->file, "first"), 0};
        assert_int_equal(dele_dataset_add_sequence(&w->rows, sequence, &w->arena, &err), DELE_OK);
    }
}

static void close_world(world *w)
{
    cJSON_Delete(w->file);
    dele_model_release(&w->model);
    dele_arena_release(&w->arena);
}

/* Trains by the defaults but for what the file names. */
static void train(world *w, const cJSON *run, const dele_train_options *with, FILE *steps)
{
    dele_train_options o = *with;
    dele_train_report report = {0};
    dele_err err = {0};
    const dele_trainable trainable = {.model = &w->model, .mask = &w->mask};
    const dele_train_data data = {.set = {[DELE_RETAIN] = &w->rows}};
    const dele_train_output output = {.steps = steps};
    o.objective = &dele_objective_ce;
    o.epochs = UPDATES, o.batch = (int)w->rows.n, o.warmup = (int)number(w->file, "warmup");
    o.adamw.lr = number(w->file, "lr"), o.adamw.weight_decay = number(w->file, "weight_decay");
    o.clip = number(w->file, "clip");
    while (strcmp(dele_schedule_name[o.schedule], cJSON_GetObjectItem(run, "name")->valuestring))
        o.schedule++;
    if (dele_train(&report, &trainable, &data, &o, &output, &err)) fail_msg("%s", err.msg);
    assert_int_equal(report.done, UPDATES);
}

/* The largest difference from the Trainer's weights among tensors of the part, and others. */
static void gaps(double gap[2], const world *w, const cJSON *run)
{
    const cJSON *x;
    gap[0] = gap[1] = 0;
    for (size_t k = 0; k < w->model.n_tensors; k++) {
        const dele_tensor *t = &w->model.tensors[k];
        const cJSON *after =
            cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItem(run, "after"), t->name);
        double *worst = &gap[t->part == DELE_PART_NORM];
        size_t i = 0;
        assert_true(cJSON_GetArraySize(after) > 0);
        cJSON_ArrayForEach(x, after)
        {
            *worst = fmax(*worst, fabs((double)t->data[i] - x->valuedouble));
            i += 7;
        }
    }
}

static void updates_are_the_trainers(size_t which)
{
    world w;
    for (int i = 0; i < 3; i++) {
        open_world(&w, which);
        const cJSON *run = cJSON_GetArrayItem(cJSON_GetObjectItem(w.file, "runs"), i);
        FILE *steps = tmpfile();
        char line[512];
        double gap[2];
        assert_non_null(steps);
        train(&w, run, &(dele_train_options)DELE_TRAIN_DEFAULTS, steps);
        rewind(steps);
        assert_non_null(fgets(line, sizeof line, steps)); /* names of columns */
        for (int u = 0; u < UPDATES; u++) {
            double lr, norm;
            assert_non_null(fgets(line, sizeof line, steps));
            assert_int_equal(sscanf(line, "%*s %*s %*s %*s %*s %lf %*s %lf", &lr, &norm), 2);
            const double their_lr =
                cJSON_GetArrayItem(cJSON_GetObjectItem(run, "lr"), u)->valuedouble;
            const double theirs =
                cJSON_GetArrayItem(cJSON_GetObjectItem(run, "gradient"), u)->valuedouble;
            assert_true(fabs(lr - their_lr) <= 1e-8 * their_lr);
            assert_true(fabs(norm - theirs) <= 1e-3 * theirs);
        }
        fclose(steps);
        gaps(gap, &w, run);
        if (gap[0] > 1e-4 || gap[1] > 1e-4)
            fail_msg("%s: weights differ by %g, norms by %g", OF[which].model, gap[0], gap[1]);
        close_world(&w);
    }
}

static void ten_updates_are_the_trainers(void **state)
{
    (void)state;
    for (size_t which = 0; which < sizeof OF / sizeof *OF; which++) updates_are_the_trainers(which);
}

/* ---- every family (fixtures/families, by reference/make_family_fixtures.py) -------------------
 */

/* As the script has them. */
enum { FIRST_LABEL = 2, NOT_COMPARED = 9 };
static const int ROW[][8] = {{11, 3, 42, 17, 60, 8, 29},
                             {5, 9, 33, 2, 14},
                             {7, 50, 21, 44, 13, 6},
                             {1, 58, 36, 25, 40, 12, 19}};
static const size_t ROW_LENGTH[] = {7, 5, 6, 7};
enum { N_ROWS = sizeof ROW_LENGTH / sizeof *ROW_LENGTH };

/* Each weight against where ten updates in PyTorch take it: before plus the stored movement. */
static void moved_as(const char *name)
{
    char path[512];
    dele_err err = {0};
    dele_arena arena = {0};
    dele_model model, before, moved;
    dele_mask mask;
    dele_dataset rows = {0};
    dele_model *const models[] = {&model, &before, &moved};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, FIXTURES "families/%s%s", name, i < 2 ? "" : "/moved");
        if (dele_model_load(models[i], path, &arena, &err)) fail_msg("%s", err.msg);
    }
    if (dele_mask_parse(&mask, &model, "all", "all", &arena, &err)) fail_msg("%s", err.msg);
    for (size_t i = 0; i < N_ROWS; i++) {
        const dele_sequence sequence = {ROW[i], ROW_LENGTH[i], FIRST_LABEL, 0};
        assert_int_equal(dele_dataset_add_sequence(&rows, sequence, &arena, &err), DELE_OK);
    }
    dele_train_options o = DELE_TRAIN_DEFAULTS;
    dele_train_report report = {0};
    const dele_trainable trainable = {.model = &model, .mask = &mask};
    const dele_train_data data = {.set = {[DELE_RETAIN] = &rows}};
    o.objective = &dele_objective_ce;
    o.epochs = UPDATES, o.batch = N_ROWS;
    o.adamw.lr = 1e-3, o.adamw.weight_decay = 0.1, o.clip = 1;
    if (dele_train(&report, &trainable, &data, &o, &(dele_train_output){0}, &err))
        fail_msg("%s", err.msg);
    for (size_t k = 0; k < model.n_tensors; k++) {
        const dele_tensor *t = &model.tensors[k];
        const size_t n = t->rows * t->cols;
        float *was = dele_alloc(&arena, n, sizeof *was, &err);
        float *by = dele_alloc(&arena, n, sizeof *by, &err);
        size_t n_compared = 0;
        assert_true(was && by);
        dele_tensor_rows(was, &before.tensors[k], 0, t->rows);
        dele_tensor_rows(by, &moved.tensors[k], 0, t->rows);
        for (size_t j = 0; j < n; j++) {
            if (by[j] >= NOT_COMPARED) continue;
            n_compared++;
            if (!(fabs((double)t->data[j] - was[j] - by[j]) <= 1e-4))
                fail_msg("%s, %s: moved by %g, in PyTorch by %g", name, t->name,
                         (double)t->data[j] - was[j], (double)by[j]);
        }
        assert_true(n_compared * 2 > n || t->slot == DELE_SLOT_K_BIAS);
    }
    for (int i = 0; i < 3; i++) dele_model_release(models[i]);
    dele_arena_release(&arena);
}

static void ten_updates_of_every_family_are_pytorchs(void **state)
{
    (void)state;
    static const char *const families[] = DELE_FAMILY_FIXTURES;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) moved_as(families[i]);
}

/* What the tolerance can see: either habit of before is far outside of it. */
static void decayed_norms_and_a_first_rate_above_zero_are_another_run(void **state)
{
    (void)state;
    for (int old = 0; old < 2; old++) {
        world w;
        double gap[2];
        open_world(&w, 0);
        const cJSON *run = cJSON_GetArrayItem(cJSON_GetObjectItem(w.file, "runs"), 0);
        dele_train_options o = DELE_TRAIN_DEFAULTS;
        if (old)
            o.decay_all = true;
        else
            o.warmup_from_zero = false;
        train(&w, run, &o, NULL);
        gaps(gap, &w, run);
        assert_true(gap[1] > 1e-3);
        close_world(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_updates_are_the_trainers),
        cmocka_unit_test(ten_updates_of_every_family_are_pytorchs),
        cmocka_unit_test(decayed_norms_and_a_first_rate_above_zero_are_another_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
