/* Corruption: how strong, and the very numbers.
 *
 *   x  =  (float)((double)x + sigma z)        z ~ N(0, 1) from numpy's RandomState(seed), in C order of [S, n, dim]
 *
 * The sum is made in double and rounded once, as torch's in-place add of a float64 array does; with that the published
 * programs' corrupted embeddings come out bit for bit.  Every fact with the same subject length meets the same noise:
 * that is how the original works, and why intervals over facts leave the noise's own share out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "trace/trace.h"

/* Sum of (x - shift)^power over the embeddings of every subject, each encoded alone; *n counts entries. */
static lac_status subject_moment(double *sum, double *n, double shift, int power, const lac_model *model,
                                 const lac_facts *facts, lac_arena *scratch, lac_err *err)
{
    size_t dim = (size_t)model->config.dim;
    *sum = *n = 0;
    for (size_t i = 0; i < facts->n; i++) {
        lac_ids ids;
        const char *subject = facts->fact[i].subject;
        lac_arena_reset(scratch);
        if (lac_encode(&ids, model->tokenizer, subject, strlen(subject), true, scratch, err)) return err->code;
        for (size_t t = 0; t < ids.n; t++) {
            const float *x = model->embed + (size_t)ids.id[t] * dim;
            for (size_t c = 0; c < dim; c++) {
                double v = x[c] - shift;
                *sum += power == 1 ? v : v * v;
            }
        }
        *n += (double)(ids.n * dim);
    }
    return LAC_OK;
}

lac_status lac_noise_sigma(double *sigma, const char *noise, const lac_model *model, const lac_facts *facts,
                           lac_err *err)
{
    char *end;
    bool relative = noise[0] == 's';
    const char *digits = noise + relative;
    double factor = relative && !*digits ? 1.0 : strtod(digits, &end);
    if ((*digits && (end == digits || *end)) || (!*digits && !relative) || !isfinite(factor) || factor < 0)
        return lac_fail(err, LAC_ERR_USAGE, "--noise \"%s\" is neither a number nor s with a number, as in s3", noise);
    *sigma = factor;
    if (!relative) return LAC_OK;

    lac_arena scratch = {0};
    double sum, squares, n;
    lac_status status = subject_moment(&sum, &n, 0, 1, model, facts, &scratch, err);
    if (!status && n < 2)
        status = lac_fail(err, LAC_ERR_DATA, "%s: no subjects to measure the embeddings' spread on", facts->path);
    if (!status) status = subject_moment(&squares, &n, sum / n, 2, model, facts, &scratch, err);
    lac_arena_release(&scratch);
    if (!status) *sigma = factor * sqrt(squares / (n - 1));
    return status;
}

void lac_noise_embed(float *out, const lac_model *model, const int *ids, int n, int n_samples, double sigma,
                     uint64_t seed)
{
    size_t dim = (size_t)model->config.dim;
    lac_numpy_rng rng;
    lac_numpy_seed(&rng, (uint32_t)seed);
    for (int s = 0; s < n_samples; s++)
        for (int t = 0; t < n; t++, out += dim) {
            const float *x = model->embed + (size_t)ids[t] * dim;
            for (size_t c = 0; c < dim; c++) {
                double z = lac_numpy_randn(&rng), step = sigma * z;
                out[c] = (float)((double)x[c] + step);
            }
        }
}
