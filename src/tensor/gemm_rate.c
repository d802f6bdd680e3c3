
#include "tensor/gemm.h"

#include "base/arena.h"
#include "base/progress.h"

enum { TURNS = 8 };

double gemm_rate(size_t m, size_t n, size_t k)
{
    dele_arena arena = {0};
    float *x = dele_alloc(&arena, m * k, sizeof *x, NULL),
          *w = dele_alloc(&arena, n * k, sizeof *w, NULL);
    float *y = dele_alloc(&arena, m * n, sizeof *y, NULL);
    double best = 0;
    if (x && w && y) {
        for (size_t i = 0; i < m * k; i++) x[i] = (float)(i % 7) * 0.1f;
        for (size_t i = 0; i < n * k; i++) w[i] = (float)(i % 5) * 0.1f;
        for (int r = 0; r < TURNS; r++) {
            const double t = dele_now();
            gemm_nt(y, n, x, k, w, k, m, n, k, 0.0f);
            const double rate = 2.0 * (double)m * (double)n * (double)k / (dele_now() - t + 1e-9);
            if (rate > best) best = rate;
        }
    }
    dele_arena_release(&arena);
    return best;
}
