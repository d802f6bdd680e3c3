/* Matrices in the types and orders of files: the rows they hold, and their products. */
#include "claims.h"

#include "base/random.h"
#include "tensor/half.h"
#include "tensor/matrix.h"

/* More rows than a tile, and not a multiple of it; columns that fill blocks of 32. */
enum { ROWS = 600, COLS = 64, HEAD = 8, N = 5 };

static float weights[ROWS * COLS]; /* each of them a bf16 */

static void fill(void)
{
    dele_rng rng;
    dele_rng_seed(&rng, 11);
    for (size_t i = 0; i < ROWS * COLS; i++)
        weights[i] = dele_bf16_to_f32(dele_f32_to_bf16((float)dele_rng_normal(&rng)));
}

/* The same weights in another order: row r of the result is row `from(r)` of weights. */
static void reorder(float *out, dele_row_order order)
{
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < COLS; c++) {
            const size_t head = r / HEAD * HEAD, s = r % HEAD / (HEAD / 2), i = r % (HEAD / 2);
            if (order == DELE_ROWS_TRANSPOSED)
                out[c * ROWS + r] = weights[r * COLS + c];
            else if (order == DELE_ROWS_PAIRED)
                out[(head + 2 * i + s) * COLS + c] = weights[r * COLS + c];
            else if (order == DELE_ROWS_BY_THREE)
                out[(3 * head + r % HEAD) * COLS + c] = weights[r * COLS + c];
            else if (order == DELE_ROWS_PLUS_ONE)
                out[r * COLS + c] = weights[r * COLS + c] + 1;
            else
                out[r * COLS + c] = weights[r * COLS + c];
        }
}

static void rows_are_the_same_in_every_order_and_type(void **state)
{
    (void)state;
    static const dele_row_order orders[] = {DELE_ROWS_PLAIN, DELE_ROWS_PAIRED, DELE_ROWS_TRANSPOSED,
                                            DELE_ROWS_BY_THREE, DELE_ROWS_PLUS_ONE};
    static const size_t steps[] = {0, HEAD, ROWS, HEAD, 0};
    static const dele_dtype types[] = {DELE_DTYPE_F32, DELE_DTYPE_BF16};
    static float plain[3 * ROWS * COLS], rows[ROWS * COLS];
    static uint8_t stored[3 * ROWS * COLS * 4 + 1];
    fill();
    /* with 1 added, which bf16 rounds elsewhere */
    for (size_t i = 0; i < ROWS * COLS; i++) weights[i] = roundf(weights[i] * 32) / 32 + 0.0f;
    for (size_t o = 0; o < 5; o++)
        for (size_t t = 0; t < 2; t++) {
            uint8_t *odd = stored + 1; /* a file promises no alignment */
            for (size_t i = 0; i < 3 * ROWS * COLS; i++) plain[i] = NAN;
            reorder(plain, orders[o]);
            dele_dtype_write(odd, plain, types[t], 3 * ROWS * COLS); /* NaN where nothing is */
            const dele_matrix_part part = {odd, types[t], ROWS, orders[o], steps[o]};
            assert_true(dele_part_finite(&part, COLS));
            dele_part_rows(rows, &part, COLS, 0, ROWS);
            assert_memory_equal(rows, weights, sizeof weights);
            dele_part_rows(rows, &part, COLS, 37, 101);
            assert_memory_equal(rows, weights + 37 * COLS, 101 * COLS * sizeof *weights);
        }
}

/* Three parts of different types, one below the other; wide: the same in float32. */
static void make(dele_matrix *mixed, dele_matrix *wide, uint8_t *stored, float *floats)
{
    static const dele_dtype types[] = {DELE_DTYPE_BF16, DELE_DTYPE_Q8_0, DELE_DTYPE_F32};
    const size_t rows[] = {300, 172, 128};
    *mixed = (dele_matrix){.rows = ROWS, .cols = COLS, .n_parts = 3};
    for (size_t i = 0, first = 0; i < 3; first += rows[i++]) {
        const size_t n = rows[i] * COLS;
        assert_true(dele_dtype_write(stored, weights + first * COLS, types[i], n));
        mixed->part[i] = (dele_matrix_part){stored, types[i], rows[i], DELE_ROWS_PLAIN, 0};
        assert_true(dele_dtype_read(floats + first * COLS, stored, types[i], n));
        stored += n / dele_dtype_of(types[i])->items * dele_dtype_of(types[i])->bytes;
    }
    *wide = (dele_matrix){.rows = ROWS, .cols = COLS, .n_parts = 1, .wide = floats};
    wide->part[0] = (dele_matrix_part){floats, DELE_DTYPE_F32, ROWS, DELE_ROWS_PLAIN, 0};
    assert_null(dele_matrix_plain(mixed));
    assert_ptr_equal(dele_matrix_plain(wide), floats);
}

static void near(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - b[i]) <= 1e-5 * (1 + fabs((double)b[i]))))
            fail_msg("item %zu: %g and %g", i, (double)a[i], (double)b[i]);
}

static void products_from_tiles_equal_products_in_float32(void **state)
{
    (void)state;
    static uint8_t stored[ROWS * COLS * 4];
    static float floats[ROWS * COLS], x[N * COLS], y[2][N * ROWS], dx[2][N * COLS],
        tile[ROWS * COLS];
    dele_matrix mixed, wide;
    fill();
    make(&mixed, &wide, stored, floats);
    assert_int_equal(linear_tile(&wide), 0);
    assert_true(linear_tile(&mixed) > 0 && linear_tile(&mixed) < ROWS * COLS);
    for (size_t i = 0; i < N * COLS; i++) x[i] = (float)sin((double)i);
    for (size_t i = 0; i < N * ROWS; i++) y[0][i] = y[1][i] = (float)cos((double)i);
    linear_forward(y[0], ROWS, 1, x, COLS, N, &mixed, tile);
    linear_forward(y[1], ROWS, 1, x, COLS, N, &wide, NULL);
    near(y[0], y[1], N * ROWS);
    linear_backward(dx[0], COLS, y[1], ROWS, N, &mixed, tile);
    linear_backward(dx[1], COLS, y[1], ROWS, N, &wide, NULL);
    for (size_t i = 0; i < N * COLS; i++) dx[0][i] /= 100, dx[1][i] /= 100; /* sums of 600 */
    near(dx[0], dx[1], N * COLS);
    linear_rows_forward(y[0], ROWS, 0, x, COLS, N, &mixed, 250, 300, tile); /* over a part's end */
    linear_forward(y[1], ROWS, 0, x, COLS, N, &wide, NULL);
    for (size_t i = 0; i < N; i++) near(y[0] + i * ROWS, y[1] + i * ROWS + 250, 300);
}

static void a_file_with_one_number_that_is_not_finite_is_found(void **state)
{
    (void)state;
    static uint8_t stored[ROWS * COLS * 2];
    const uint16_t infinite = 0x7f80;
    fill();
    assert_true(dele_dtype_write(stored, weights, DELE_DTYPE_BF16, ROWS * COLS));
    assert_true(dele_dtype_finite(stored, DELE_DTYPE_BF16, ROWS * COLS));
    memcpy(stored + sizeof stored - 2, &infinite, 2);
    assert_false(dele_dtype_finite(stored, DELE_DTYPE_BF16, ROWS * COLS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_same_in_every_order_and_type),
        cmocka_unit_test(products_from_tiles_equal_products_in_float32),
        cmocka_unit_test(a_file_with_one_number_that_is_not_finite_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
