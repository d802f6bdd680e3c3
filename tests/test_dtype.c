/* Stored numbers: 16-bit floats against the compiler's own, blocks against gguf-py's
 * (fixtures/quant_blocks.bin), what is written against ggml's (fixtures/quantised.bin). */
#include "model_files.h"

#include "base/random.h"
#include "tensor/dtype.h"
#include "tensor/half.h"

static void every_f16_survives_the_way_through_f32(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float x = dele_f16_to_f32((uint16_t)h);
        bool nan = (h & 0x7c00) == 0x7c00 && (h & 0x3ff);
        if (nan)
            assert_true(isnan(x));
        else
            assert_int_equal(dele_f32_to_f16(x), h);
    }
    assert_true(dele_f16_to_f32(0x0001) == 0x1p-24f);
    assert_true(dele_f16_to_f32(0x83ff) == -1023 * 0x1p-24f);
    assert_true(dele_f16_to_f32(0x7bff) == 65504);
}

static void f32_to_f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7bff;
         h++) { /* halfway between neighbours, and a hair to each side */
        float low = dele_f16_to_f32((uint16_t)h), high = dele_f16_to_f32((uint16_t)(h + 1)),
              middle = (low + high) / 2;
        assert_int_equal(dele_f32_to_f16(middle), h + (h & 1));
        assert_int_equal(dele_f32_to_f16(nextafterf(middle, 0)), h);
        assert_int_equal(dele_f32_to_f16(-nextafterf(middle, INFINITY)), (h + 1) | 0x8000);
    }
    assert_int_equal(dele_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(dele_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(dele_f32_to_f16(-1e30f), 0xfc00);
}

static void f32_to_bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7f7f; h++) {
        double low = dele_bf16_to_f32((uint16_t)h), high = dele_bf16_to_f32((uint16_t)(h + 1));
        float middle = (float)((low + high) / 2);
        assert_int_equal(dele_f32_to_bf16(middle), h + (h & 1));
        assert_int_equal(dele_f32_to_bf16(nextafterf(middle, 0)), h);
        assert_int_equal(dele_f32_to_bf16(nextafterf(middle, INFINITY)), h + 1);
    }
    assert_true(isnan(dele_bf16_to_f32(dele_f32_to_bf16(NAN))));
}

static void a_number_too_large_for_f16_is_noticed(void **state)
{
    (void)state;
    const float fine[] = {1, -65504, INFINITY}, bad[] = {1, 70000};
    uint16_t out[3];
    assert_true(dele_dtype_write(out, fine, DELE_DTYPE_F16, 3));
    assert_false(dele_dtype_write(out, bad, DELE_DTYPE_F16, 2));
    assert_true(dele_dtype_write(out, bad, DELE_DTYPE_BF16, 2));
}

static void blocks_of_every_type_read_as_gguf_py_reads_them(void **state)
{
    (void)state;
    size_t size = 0, types = 0;
    uint8_t *data = read_bytes(DELE_TESTS_DIR "/fixtures/quant_blocks.bin", &size), *at = data;
    while (at < data + size) {
        uint32_t head[4]; /* type, blocks, items, bytes */
        memcpy(head, at, sizeof head);
        dele_dtype type = dele_dtype_by_ggml(head[0]);
        assert_true(type < DELE_N_DTYPES);
        assert_int_equal(head[2], head[1] * dele_dtype_of(type)->items);
        assert_int_equal(head[3], head[1] * dele_dtype_of(type)->bytes);
        float *got = malloc(head[2] * sizeof *got), *want = malloc(head[2] * sizeof *want);
        assert_true(got && want);
        memcpy(want, at + 16 + head[3], head[2] * sizeof *want);
        dele_dtype_read(got, at + 16, type, head[2]);
        for (uint32_t i = 0; i < head[2]; i++)
            if (fabsf(got[i] - want[i]) > 1e-6f * fabsf(want[i]) + 1e-9f)
                fail_msg("%s, item %u: %.9g, but gguf-py says %.9g", dele_dtype_of(type)->name, i,
                         (double)got[i], (double)want[i]);
        free(got);
        free(want);
        at += 16 + head[3] + 4 * head[2];
        types++;
    }
    assert_int_equal(types, DELE_N_DTYPES - 1); /* all but F32 */
    free(data);
}

/* ---- into blocks (fixtures/quantised.bin, by ggml itself) ------------------------------------ */

typedef struct {
    uint8_t *data;
    size_t size;
    uint32_t n;
    const uint8_t *items; /* [n] float32 */
} quantised;

static void open_quantised(quantised *q)
{
    q->data = read_bytes(DELE_TESTS_DIR "/fixtures/quantised.bin", &q->size);
    memcpy(&q->n, q->data, sizeof q->n);
    q->items = q->data + sizeof q->n;
}

static void blocks_are_written_byte_for_byte_as_ggml_writes_them(void **state)
{
    (void)state;
    quantised q;
    open_quantised(&q);
    float *x = malloc(q.n * sizeof *x);
    assert_non_null(x);
    memcpy(x, q.items, q.n * sizeof *x);
    size_t types = 0;
    for (uint8_t *at = q.data + 4 + 4 * q.n; at < q.data + q.size; types++) {
        uint32_t head[2]; /* type, bytes */
        memcpy(head, at, sizeof head);
        const dele_dtype type = dele_dtype_by_ggml(head[0]);
        const dele_dtype_info *info = dele_dtype_of(type);
        assert_int_equal(head[1], q.n / info->items * info->bytes);
        uint8_t *ours = malloc(head[1]);
        assert_non_null(ours);
        assert_true(dele_dtype_write(ours, x, type, q.n));
        for (uint32_t b = 0; b < head[1]; b++)
            if (ours[b] != at[8 + b])
                fail_msg("%s, block %zu, byte %zu: %d, but ggml writes %d", info->name,
                         b / info->bytes, b % info->bytes, ours[b], at[8 + b]);
        free(ours);
        at += 8 + head[1];
    }
    assert_int_equal(types, 4);
    free(x);
    free(q.data);
}

/* The root mean square of what is lost, as a share of the weights' own: stated here beforehand for
 * normal weights.  A step of d loses d / sqrt(12); of 32 normal weights the largest is near 2.07,
 * so that d is about 2.07 sigma / 127, / 16 and / 8.  Q4_K's sub-blocks have a minimum too, about
 * 4.1 sigma / 15 a step. */
static void what_is_lost_in_blocks_is_as_small_as_the_step_says(void **state)
{
    (void)state;
    enum { N = 256 * 64 };
    static const struct {
        dele_dtype type;
        double at_most;
    } claims[] = {{DELE_DTYPE_Q8_0, 0.006},
                  {DELE_DTYPE_Q5_0, 0.045},
                  {DELE_DTYPE_Q4_0, 0.10},
                  {DELE_DTYPE_Q4_K, 0.085}};
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    uint8_t *blocks = malloc(N * 2);
    assert_true(x && y && blocks);
    dele_rng rng;
    dele_rng_seed(&rng, 3);
    for (int i = 0; i < N; i++) x[i] = (float)(0.02 * dele_rng_normal(&rng));
    for (size_t c = 0; c < sizeof claims / sizeof *claims; c++) {
        double lost = 0, all = 0;
        assert_true(dele_dtype_write(blocks, x, claims[c].type, N));
        dele_dtype_read(y, blocks, claims[c].type, N);
        for (int i = 0; i < N; i++) {
            lost += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
            all += (double)x[i] * (double)x[i];
        }
        if (!(sqrt(lost / all) < claims[c].at_most) || !(sqrt(lost / all) > claims[c].at_most / 4))
            fail_msg("%s loses %.4f of the weights", dele_dtype_of(claims[c].type)->name,
                     sqrt(lost / all));
    }
    free(x);
    free(y);
    free(blocks);
}

static void what_is_no_number_is_put_into_no_block(void **state)
{
    (void)state;
    static const dele_dtype types[] = {DELE_DTYPE_Q8_0, DELE_DTYPE_Q5_0, DELE_DTYPE_Q4_0,
                                       DELE_DTYPE_Q4_K};
    uint8_t blocks[512];
    float x[256] = {0};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        x[17] = 1;
        assert_true(dele_dtype_write(blocks, x, types[i], 256));
        x[17] = NAN;
        assert_false(dele_dtype_write(blocks, x, types[i], 256));
        x[17] = -INFINITY;
        assert_false(dele_dtype_write(blocks, x, types[i], 256));
        x[17] = 3e38f; /* a scale beyond float16 */
        assert_false(dele_dtype_write(blocks, x, types[i], 256));
    }
}

static void many_blocks_read_in_parallel_equal_one_at_a_time(void **state)
{
    (void)state;
    enum { N = 256 * 200 };
    const dele_dtype_info *info = dele_dtype_of(DELE_DTYPE_Q6_K);
    size_t bytes = N / info->items * info->bytes;
    uint8_t *blocks = malloc(bytes);
    float *together = malloc(N * sizeof *together), alone[256];
    assert_true(blocks && together);
    for (size_t i = 0; i < bytes; i++) blocks[i] = (uint8_t)((i * 131 + 7) & 0x3f);
    dele_dtype_read(together, blocks, DELE_DTYPE_Q6_K, N);
    for (size_t b = 0; b < N / 256; b++) {
        dele_dtype_read(alone, blocks + b * info->bytes, DELE_DTYPE_Q6_K, 256);
        assert_memory_equal(alone, together + b * 256, sizeof alone);
    }
    free(blocks);
    free(together);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_f16_survives_the_way_through_f32),
        cmocka_unit_test(f32_to_f16_rounds_to_nearest_even),
        cmocka_unit_test(f32_to_bf16_rounds_to_nearest_even),
        cmocka_unit_test(a_number_too_large_for_f16_is_noticed),
        cmocka_unit_test(blocks_of_every_type_read_as_gguf_py_reads_them),
        cmocka_unit_test(blocks_are_written_byte_for_byte_as_ggml_writes_them),
        cmocka_unit_test(what_is_lost_in_blocks_is_as_small_as_the_step_says),
        cmocka_unit_test(what_is_no_number_is_put_into_no_block),
        cmocka_unit_test(many_blocks_read_in_parallel_equal_one_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
