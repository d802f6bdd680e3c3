/* Large products by oneDNN, which generates kernels for the processor; small ones, of which
 * attention has thousands, by OpenBLAS, which has less overhead per call.  Compiled where oneDNN is
 * found (DELE_GEMM).
 *
 * Packed matrices are weights in an order that oneDNN's matmul chooses.  Kernel and descriptors of
 * a product are created in each call, which is fast, because oneDNN caches kernels by shape. */
#include <cblas.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/gemm.h"

enum { LARGE = 1 << 18 }; /* multiplications above which oneDNN's overhead per call pays off */

static void onednn_product(char ta, char tb, float *y, size_t ldy, const float *x, size_t ldx,
                           const float *w, size_t ldw, size_t m, size_t n, size_t k, float beta)
{
    if (m == 0 || n == 0) return;
    if (m * n * k >= LARGE &&
        dnnl_sgemm(ta, tb, (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1.0f, x, (dnnl_dim_t)ldx, w,
                   (dnnl_dim_t)ldw, beta, y, (dnnl_dim_t)ldy) == dnnl_success)
        return;
    cblas_sgemm(CblasRowMajor, ta == 'T' ? CblasTrans : CblasNoTrans,
                tb == 'T' ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, 1.0f, x,
                (blasint)ldx, w, (blasint)ldw, beta, y, (blasint)ldy);
}

void gemm_nt(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t m,
             size_t n, size_t k, float beta)
{
    onednn_product('N', 'T', y, ldy, x, ldx, w, ldw, m, n, k, beta);
}

void gemm_nn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t m,
             size_t n, size_t k, float beta)
{
    onednn_product('N', 'N', y, ldy, x, ldx, w, ldw, m, n, k, beta);
}

void gemm_tn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t m,
             size_t n, size_t k, float beta)
{
    onednn_product('T', 'N', y, ldy, x, ldx, w, ldw, m, n, k, beta);
}

/* ---- packed ---------------------------------------------------------------------------------- */

enum { TYPICAL_ROWS = 512 }; /* for which the order of the packed matrix is chosen */

struct gemm_packed {
    dnnl_engine_t engine;
    dnnl_memory_t memory;
    dnnl_memory_desc_t desc;
    size_t n, k;
};

/* y [m, n] = x [m, k] w + beta y, with leading dimensions ldx and ldy; w NULL: in an order that
 * oneDNN chooses. */
static dnnl_status_t describe(dnnl_primitive_desc_t *product, dnnl_engine_t engine, size_t m,
                              size_t n, size_t k, size_t ldx, size_t ldy,
                              const dnnl_memory_desc_t *w, float beta)
{
    dnnl_memory_desc_t xd, wd, yd;
    dnnl_matmul_desc_t what;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    const dnnl_dims_t x_dims = {(dnnl_dim_t)m, (dnnl_dim_t)k},
                      w_dims = {(dnnl_dim_t)k, (dnnl_dim_t)n},
                      y_dims = {(dnnl_dim_t)m, (dnnl_dim_t)n}, x_strides = {(dnnl_dim_t)ldx, 1},
                      y_strides = {(dnnl_dim_t)ldy, 1};
    dnnl_status_t status = dnnl_memory_desc_init_by_strides(&xd, 2, x_dims, dnnl_f32, x_strides);
    if (!status) status = dnnl_memory_desc_init_by_strides(&yd, 2, y_dims, dnnl_f32, y_strides);
    if (w)
        wd = *w;
    else if (!status)
        status = dnnl_memory_desc_init_by_tag(&wd, 2, w_dims, dnnl_f32, dnnl_format_tag_any);
    if (!status) status = dnnl_matmul_desc_init(&what, &xd, &wd, NULL, &yd);
    if (!status && beta != 0) status = dnnl_primitive_attr_create(&attr);
    if (!status && beta != 0) status = dnnl_post_ops_create(&ops);
    if (!status && beta != 0) status = dnnl_post_ops_append_sum(ops, beta);
    if (!status && beta != 0) status = dnnl_primitive_attr_set_post_ops(attr, ops);
    if (!status) status = dnnl_primitive_desc_create(product, &what, attr, engine, NULL);
    if (ops) dnnl_post_ops_destroy(ops);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return status;
}

/* Executes a primitive on up to three memories and waits for it. */
static dnnl_status_t carry_out(dnnl_primitive_desc_t what, dnnl_engine_t engine, int n,
                               const dnnl_exec_arg_t *args)
{
    dnnl_primitive_t primitive = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_status_t status = dnnl_primitive_create(&primitive, what);
    if (!status) status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    if (!status) status = dnnl_primitive_execute(primitive, stream, n, args);
    if (!status) status = dnnl_stream_wait(stream);
    if (stream) dnnl_stream_destroy(stream);
    if (primitive) dnnl_primitive_destroy(primitive);
    return status;
}

static dnnl_status_t rearrange(gemm_packed *p, const float *w)
{
    const dnnl_dims_t dims = {(dnnl_dim_t)p->k, (dnnl_dim_t)p->n};
    dnnl_memory_desc_t plain;
    dnnl_memory_t from = NULL;
    dnnl_primitive_desc_t reorder = NULL;
    dnnl_status_t status = dnnl_memory_desc_init_by_tag(&plain, 2, dims, dnnl_f32, dnnl_ba);
    if (!status) status = dnnl_memory_create(&from, &plain, p->engine, (void *)w);
    if (!status)
        status = dnnl_reorder_primitive_desc_create(&reorder, &plain, p->engine, &p->desc,
                                                    p->engine, NULL);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, p->memory}};
    if (!status) status = carry_out(reorder, p->engine, 2, args);
    if (reorder) dnnl_primitive_desc_destroy(reorder);
    if (from) dnnl_memory_destroy(from);
    return status;
}

/* Only oneDNN's batch-reduce kernels read a blocked order directly (AVX-512 in the tested
 * versions); others would reorder the copy in each call, or multiply in plain loops. */
static bool gains(dnnl_primitive_desc_t product)
{
    const char *kernel = "";
    return !dnnl_primitive_desc_query(product, dnnl_query_impl_info_str, 0, &kernel) &&
           !strncmp(kernel, "brg", 3);
}

/* The order that oneDNN chooses for w [n, k]. */
static dnnl_status_t choose_order(gemm_packed *p, size_t n, size_t k)
{
    dnnl_primitive_desc_t product = NULL;
    *p = (gemm_packed){.n = n, .k = k};
    dnnl_status_t status = dnnl_engine_create(&p->engine, dnnl_cpu, 0);
    if (!status) status = describe(&product, p->engine, TYPICAL_ROWS, n, k, k, n, NULL, 0);
    if (!status && !gains(product)) status = dnnl_unimplemented;
    if (!status) p->desc = *dnnl_primitive_desc_query_md(product, dnnl_query_weights_md, 0);
    if (product) dnnl_primitive_desc_destroy(product);
    return status;
}

gemm_packed *gemm_pack(const float *w, size_t n, size_t k)
{
    gemm_packed *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    dnnl_status_t status = choose_order(p, n, k);
    if (!status) status = dnnl_memory_create(&p->memory, &p->desc, p->engine, DNNL_MEMORY_ALLOCATE);
    if (!status) status = rearrange(p, w);
    if (!status) return p;
    gemm_packed_free(p);
    return NULL;
}

size_t gemm_packed_bytes(size_t n, size_t k)
{
    gemm_packed p;
    const dnnl_status_t status = choose_order(&p, n, k);
    if (p.engine) dnnl_engine_destroy(p.engine);
    return status ? 0 : dnnl_memory_desc_get_size(&p.desc);
}

void gemm_packed_free(gemm_packed *p)
{
    if (!p) return;
    if (p->memory) dnnl_memory_destroy(p->memory);
    if (p->engine) dnnl_engine_destroy(p->engine);
    free(p);
}

bool gemm_nt_packed(float *y, size_t ldy, const float *x, size_t ldx, const gemm_packed *w,
                    size_t m, float beta)
{
    dnnl_primitive_desc_t product = NULL;
    dnnl_memory_t from = NULL, to = NULL;
    if (!w || !m || describe(&product, w->engine, m, w->n, w->k, ldx, ldy, &w->desc, beta))
        return false;
    dnnl_status_t status = dnnl_memory_create(
        &from, dnnl_primitive_desc_query_md(product, dnnl_query_src_md, 0), w->engine, (void *)x);
    if (!status)
        status = dnnl_memory_create(
            &to, dnnl_primitive_desc_query_md(product, dnnl_query_dst_md, 0), w->engine, y);
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, from}, {DNNL_ARG_WEIGHTS, w->memory}, {DNNL_ARG_DST, to}};
    if (!status) status = carry_out(product, w->engine, 3, args);
    if (from) dnnl_memory_destroy(from);
    if (to) dnnl_memory_destroy(to);
    dnnl_primitive_desc_destroy(product);
    return !status;
}
