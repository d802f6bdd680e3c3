/* Several models as one: their next-token logits are combined into one distribution (ensemble.h,
 * proxy_tuning.h). */
#ifndef DELE_JOINT_H
#define DELE_JOINT_H

#include "nudge/nudge_types.h"

enum { DELE_JOINT_MOST = 3 };

/* to [vocab]: log-probabilities, normalised or not, from the models' logits z [n_models][vocab]. */
typedef void dele_combine(double *to, const float *const *z, size_t vocab);

typedef struct {
    dele_completer model[DELE_JOINT_MOST]; /* [n_models] */
    int n_models;
    dele_combine *combine;
    bool one_vocabulary; /* of all models */
    size_t vocab;        /* ids that all models have */
} dele_joint;

/* The models and layouts (NULL: none) [n_models] must outlive it.  Release accepts a zeroed one. */
dele_status dele_joint_init(dele_joint *j, const dele_model *const *models,
                            const dele_layout *const *layouts, int n_models, dele_combine *combine,
                            dele_err *err);
void dele_joint_release(dele_joint *j);

/* Forgets what the models keep of earlier texts. */
void dele_joint_forget(dele_joint *j);

/* The most likely token after the models' contexts ids [n_models], of one vocabulary. */
dele_status dele_joint_next(int *id, dele_joint *j, const dele_ids *ids, dele_err *err);

/* log P of the last n_scored of id [n], and whether each is the most likely token.  Models of
 * different vocabularies are an error. */
dele_status dele_joint_logp(double *logp, bool *greedy, dele_joint *j, const int *id, size_t n,
                            size_t n_scored, dele_err *err);

#endif
