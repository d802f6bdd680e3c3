/* A family of models as data: its block, the keys of its config, its tensors.
 *
 * A family is one file in this folder and one row in families.h.  Everything else asks the struct:
 * no other code names a family.  The order of the tensors is that of the model's table
 * (model/model.h), of saved files and of random initialisation. */
#ifndef DELE_FAMILY_H
#define DELE_FAMILY_H

#include <stdbool.h>
#include <stddef.h>

typedef struct dele_family dele_family;

enum { DELE_MAX_ENDS = 32, DELE_MAX_LAYERS = 1024, DELE_MAX_EXPERTS = 1024 };

/* How the angles of the rotation follow from its base (transformers' modeling_rope_utils.py). */
typedef enum {
    DELE_ROPE_DEFAULT,
    DELE_ROPE_LINEAR,
    DELE_ROPE_DYNAMIC,
    DELE_ROPE_LLAMA3,
    DELE_ROPE_YARN
} dele_rope_type;

/* The rotation of queries and keys.  Fields that its type does not use are 0. */
typedef struct {
    float theta;
    dele_rope_type type;
    float factor;
    int original_context;                    /* llama3, yarn, dynamic: the positions trained on */
    float low_freq_factor, high_freq_factor; /* llama3 */
    float beta_fast, beta_slow;              /* yarn */
    float attention_factor;                  /* yarn: multiplies cos and sin; 0: from factor */
    float mscale, mscale_all_dim;            /* yarn; 0: none */
    bool no_truncate;                        /* yarn: the correction range is not rounded */
} dele_rope;

typedef enum {
    DELE_SILU,
    DELE_GELU,     /* x Φ(x), by erf */
    DELE_GELU_TANH /* its approximation by tanh: gelu_new, gelu_pytorch_tanh */
} dele_activation;

/* What differs from layer to layer. */
enum {
    DELE_LAYER_SLIDING = 1, /* attention sees the last `window` keys; rotated by rope[1] */
    DELE_LAYER_UNROTATED = 2,
    DELE_LAYER_SPARSE = 4 /* its MLP is a mixture of experts (sublayers/moe.h) */
};

/* PERFT's adapters in the sparse layers of a model (sublayers/perft.h).  They are no part of a
 * family's config: a model gets them when it is loaded or trained (model/attach.h). */
typedef enum {
    DELE_PERFT_NONE,
    DELE_PERFT_R, /* among themselves routed by a gate of their own */
    DELE_PERFT_E, /* one for each expert, under the model's routes */
    DELE_PERFT_D, /* every one for every row */
    DELE_PERFT_S, /* one */
    DELE_N_PERFT
} dele_perft_variant;

typedef struct {
    dele_perft_variant variant;
    int rank, adapters, top_k; /* adapters: n_experts with E, 1 with S; top_k: of R */
    bool parallel;             /* SiLU between the two matrices; else LoRA */
    bool compat;               /* as the released code of the model's family */
    bool block_weights;        /* R: multiplied by the block's weights; of that code (settled) */
    double alpha;              /* LoRA: its factor is alpha / rank */
    double scale;              /* lambda: multiplies all that the adapters add */
    float dropout;             /* in training */
} dele_perft;

/* A model's architecture, read from config.json or a GGUF header (model/config.h). */
typedef struct {
    const dele_family *family;
    int n_layers, hidden_size, intermediate_size, n_heads, n_kv_heads, head_dim, vocab, context;
    float norm_eps, clip_qkv; /* clip_qkv 0: none */
    dele_rope rope[2];        /* of full-attention layers, of sliding ones (theta 0: as [0]) */
    int rotary_dim;           /* a head's first channels, which are rotated; 0: all */
    int window; /* keys that a row of a sliding layer sees, its own included; 0: all */
    unsigned char layer_kind[DELE_MAX_LAYERS]; /* DELE_LAYER_... of each layer */
    dele_activation activation;
    float embed_scale;                 /* factor on the embedding; 0: none */
    float attn_scale;                  /* of scores; 0: 1 / sqrt(head_dim) */
    bool attn_scale_by_layer;          /* and divided by the layer's number, from 1 */
    float attn_softcap, logit_softcap; /* s := c tanh(s / c); 0: none */
    bool parallel_residual;            /* x + attention(norm x) + MLP(norm x) */
    bool tied;                         /* the head is the embedding */
    bool attention_bias, mlp_bias;     /* of families whose config has the key */
    int n_experts, top_k;              /* of a sparse layer; 0: the model has none */
    int expert_size, shared_size;      /* intermediate size of an expert (0: intermediate_size),
                                        * of the shared expert (0: none) */
    bool norm_topk_prob;               /* the weights of the chosen experts add up to 1 */
    float router_aux_coef;             /* the model's own factor of the balancing loss, which
                                        * transformers adds where output_router_logits is true */
    bool output_router_logits;
    dele_perft perft;                /* zeroed: the model has no such adapters */
    int bos, eos, pad;               /* -1: none; eos: the first, which training appends */
    int ends[DELE_MAX_ENDS], n_ends; /* generation stops at any of these; none: at eos */
} dele_config;

static inline size_t dele_rotary_dim(const dele_config *c)
{
    return (size_t)(c->rotary_dim ? c->rotary_dim : c->head_dim);
}
/* Positions of the longest sequence: the context, or what dynamic scaling extends it to.  A
 * sequence beyond the context cannot continue a cache there (model/forward.h). */
static inline int dele_longest(const dele_config *c)
{
    const float factor = c->rope[0].type == DELE_ROPE_DYNAMIC ? c->rope[0].factor : 1;
    const double n = (double)c->context * factor;
    return n < 1 << 28 ? (int)n : 1 << 28;
}
static inline size_t dele_expert_size(const dele_config *c)
{
    return (size_t)(c->expert_size ? c->expert_size : c->intermediate_size);
}
static inline size_t dele_q_dim(const dele_config *c)
{
    return (size_t)c->n_heads * (size_t)c->head_dim;
}
static inline size_t dele_kv_dim(const dele_config *c)
{
    return (size_t)c->n_kv_heads * (size_t)c->head_dim;
}

/* ---- tensors --------------------------------------------------------------------------------- */

typedef enum {
    DELE_PART_EMBED,
    DELE_PART_ATTN,
    DELE_PART_MLP, /* experts among it */
    DELE_PART_ROUTER,
    DELE_PART_NORM,
    DELE_PART_HEAD,
    DELE_PART_ADAPTER, /* of PERFT */
    DELE_N_PARTS
} dele_part;                                           /* the module that a mask selects */
extern const char *const dele_part_name[DELE_N_PARTS]; /* "embed", "attn", ... */

/* The tensor's role in the computation, in the order of computation: the slots of attention are
 * those from ATTN_NORM on and before MLP_NORM, and the backward pass goes by that. */
typedef enum {
    DELE_SLOT_EMBED,
    DELE_SLOT_POSITIONS, /* learned, added to the embedding; a family that has them rotates nothing
                          */
    DELE_SLOT_ATTN_NORM,
    DELE_SLOT_ATTN_NORM_BIAS,
    DELE_SLOT_Q,
    DELE_SLOT_K,
    DELE_SLOT_V,
    DELE_SLOT_Q_BIAS,
    DELE_SLOT_K_BIAS,
    DELE_SLOT_V_BIAS,
    DELE_SLOT_Q_NORM,
    DELE_SLOT_K_NORM,
    DELE_SLOT_O,
    DELE_SLOT_O_BIAS,
    DELE_SLOT_ATTN_POST_NORM, /* of attention's output, before it joins the stream */
    DELE_SLOT_MLP_NORM,
    DELE_SLOT_MLP_NORM_BIAS,
    DELE_SLOT_GATE,
    DELE_SLOT_UP,
    DELE_SLOT_GATE_BIAS,
    DELE_SLOT_UP_BIAS,
    DELE_SLOT_DOWN,
    DELE_SLOT_DOWN_BIAS,
    DELE_SLOT_ROUTER,
    DELE_SLOT_EXPERT_GATE, /* of each expert */
    DELE_SLOT_EXPERT_UP,
    DELE_SLOT_EXPERT_DOWN,
    DELE_SLOT_SHARED_GATE, /* of the shared expert */
    DELE_SLOT_SHARED_UP,
    DELE_SLOT_SHARED_DOWN,
    DELE_SLOT_SHARED_SCALE, /* its sigmoid multiplies the shared expert's output */
    DELE_SLOT_PERFT_GATE,
    DELE_SLOT_PERFT_DOWN, /* of each adapter */
    DELE_SLOT_PERFT_UP,
    DELE_SLOT_MLP_POST_NORM,
    DELE_SLOT_FINAL_NORM,
    DELE_SLOT_FINAL_NORM_BIAS,
    DELE_SLOT_HEAD,
    DELE_N_SLOTS
} dele_slot;

/* A dimension in terms of the config.  A tensor whose rows are DELE_DIM_ONE is a vector: one
 * dimension in files. */
typedef enum {
    DELE_DIM_ONE,
    DELE_DIM_VOCAB,
    DELE_DIM_MODEL, /* hidden_size */
    DELE_DIM_Q,     /* n_heads * head_dim */
    DELE_DIM_KV,    /* n_kv_heads * head_dim */
    DELE_DIM_FF,    /* intermediate_size */
    DELE_DIM_EXPERTS,
    DELE_DIM_EXPERT_FF, /* dele_expert_size */
    DELE_DIM_SHARED_FF, /* shared_size */
    DELE_DIM_HEAD,      /* head_dim */
    DELE_DIM_CONTEXT
} dele_dim;

/* Which configs of the family have the tensor, and which of their layers. */
typedef enum {
    DELE_ALWAYS,
    DELE_IF_UNTIED,
    DELE_IF_ATTENTION_BIAS,
    DELE_IF_MLP_BIAS,
    DELE_IF_DENSE, /* layers with an MLP */
    DELE_IF_SPARSE /* layers with experts */
} dele_when;

typedef enum {
    DELE_INIT_NORMAL, /* N(0, std) */
    DELE_INIT_OUTPUT, /* N(0, std / sqrt(2 n_layers)): projections into the residual stream */
    DELE_INIT_ONES,
    DELE_INIT_ZEROS
} dele_init;

/* How a file holds a tensor [rows, cols], where it is not row after row under its own name. */
typedef enum {
    DELE_FORM_PLAIN,
    DELE_FORM_ROW,        /* a vector as a matrix of one row (Qwen2-MoE's shared_expert_gate) */
    DELE_FORM_TRANSPOSED, /* [cols, rows] (GPT-2's Conv1D) */
    DELE_FORM_FUSED,      /* rows of a larger tensor: tensors with the same name follow one another
                           * in it, in the order of the table (Phi-3's qkv_proj) */
    DELE_FORM_FUSED_TRANSPOSED, /* both: columns of a larger tensor (GPT-2's c_attn) */
    DELE_FORM_BY_HEAD,          /* fused head by head: of each head its rows of the three tensors
                                 * (GPT-NeoX's query_key_value) */
    DELE_FORM_PAIRED,  /* the rows of a head interleaved for the other form of the rotation:
                        * row 2 i + s is row s hd/2 + i here (GGUF's llama) */
    DELE_FORM_PLUS_ONE /* a vector with 1 added (GGUF's Gemma) */
} dele_stored_form;

typedef struct {
    dele_slot slot;
    const char *hf, *gguf; /* names; the first %d: the layer, a second: the expert.  A name without
                            * %d is outside the layers.  gguf NULL: no GGUF has the tensor */
    dele_dim rows, cols;
    dele_part part;
    dele_init init;
    dele_when when;
    dele_stored_form hf_form, gguf_form;
} dele_tensor_row;

/* The name under which a directory has the tensors of the slot where it holds the experts of a
 * layer as one tensor: [n_experts, rows, cols], or with the rows of gate and up one below the other
 * where both have one name.  (The name in a GGUF is that of such a tensor in any case.)  A slot
 * that no expert has is there because its name is another in such a directory. */
typedef struct {
    dele_slot slot;
    const char *hf;
} dele_stacked_row;

/* Whether each expert of a layer has a tensor of the slot. */
static inline bool dele_slot_of_expert(dele_slot slot)
{
    return slot >= DELE_SLOT_EXPERT_GATE && slot <= DELE_SLOT_EXPERT_DOWN;
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* What a key holds.  The kinds from DELE_HOLDS_OTHER_ID on are checked and not stored. */
typedef enum {
    DELE_HOLDS_SIZE,             /* int, at least 1 */
    DELE_HOLDS_ROWS,             /* the same; in a GGUF the number of rows of the embedding */
    DELE_HOLDS_POSITIVE,         /* float */
    DELE_HOLDS_FACTOR,           /* float, at least 0 */
    DELE_HOLDS_POSITIVE_OR_NONE, /* float; 0: none, null in config.json */
    DELE_HOLDS_ROOT,             /* a size n: the float is 1 / sqrt(n) */
    DELE_HOLDS_ROTATION,         /* rope and rotary_dim, from all keys (config_rotation.c) */
    DELE_HOLDS_ROTATED,          /* a GGUF's number of rotated channels: rotary_dim */
    DELE_HOLDS_WINDOW,           /* int; 0: none, null in config.json */
    DELE_HOLDS_LAYERS,           /* layer_kind, from all keys (config_layers.c) */
    DELE_HOLDS_ACTIVATION,       /* activation, by name */
    DELE_HOLDS_FLAG,             /* bool */
    DELE_HOLDS_UNSCALED,         /* bool: false makes the float 1, true leaves it 0 */
    DELE_HOLDS_ID,               /* int: a token id or -1 */
    DELE_HOLDS_ENDS,             /* ids: eos, ends, n_ends */
    DELE_HOLDS_OTHER_ID,
    DELE_HOLDS_CONSTANT, /* only `value` is supported; stored where there is a field, a float */
    DELE_HOLDS_FALSE,    /* only false is */
    DELE_HOLDS_FIELD,    /* a size of a GGUF that repeats a field; only the field's value is */
    DELE_HOLDS_PART,     /* read with the rotation or the layers */
    DELE_HOLDS_RATE,     /* of dropout, 0 to below 1: training here has none */
    DELE_HOLDS_NOTHING   /* does not change the computation of this family */
} dele_key_kind;

/* What a field is where its key is absent or null. */
typedef enum {
    DELE_REQUIRED, /* an error */
    DELE_DEFAULT,  /* `value` */
    DELE_AS_OTHER, /* the int field `other`, times `value` where that is not 0 */
    DELE_PER_HEAD  /* hidden_size / n_heads */
} dele_absent;

/* Whether a config.json that is made anew has the key. */
typedef enum { DELE_JSON_ALWAYS, DELE_JSON_IF_NEEDED, DELE_JSON_NEVER } dele_in_json;

/* How a flag without a key in GGUF follows from the tensors of the file. */
typedef enum { DELE_TENSOR_NONE, DELE_TENSOR_PRESENT, DELE_TENSOR_ABSENT } dele_tensor_flag;

/* A key of the config, for reading and writing config.json and GGUF.  Keys are read and written in
 * the order of the table; a row that refers to a field stands after the row that reads it. */
typedef struct {
    const char *hf;    /* in config.json; NULL: none, the field is `value` */
    const char *alias; /* another name of it there, read and not written; NULL: none */
    const char *gguf;  /* in a GGUF, after "ARCH."; NULL: none, likewise */
    dele_key_kind kind;
    size_t field; /* DELE_FIELD(name); 0: none */
    dele_absent hf_absent, gguf_absent;
    double value;     /* the default, or the constant */
    size_t other;     /* DELE_FIELD(name) of DELE_AS_OTHER */
    const char *text; /* DELE_HOLDS_ACTIVATION: its name where the key is absent */
    const char *why;  /* ends the sentence that refuses another value: "is not supported" */
    dele_in_json in_json;
    bool told;       /* `info` names the key where its default was taken */
    bool not_null;   /* null is an error, not the absence of the key */
    bool gguf_first; /* written before the other sizes */
    dele_tensor_flag tensor;
    dele_slot slot; /* of `tensor` */
    int layers;     /* DELE_HOLDS_ROOT: the model of so many layers is another (gguf_config.c) */
} dele_key_row;

#define DELE_FIELD(name) offsetof(dele_config, name)

static inline void *dele_key_field(dele_config *c, const dele_key_row *row)
{
    return (char *)c + row->field;
}

/* ---- the block ------------------------------------------------------------------------------- */

/* The norms of a block.  Their parameters are tensors, which a family has or not: a sublayer's norm
 * stands before it where the family has ATTN_NORM and MLP_NORM or where no norm has parameters, and
 * after it, on what joins the stream, where the family has ATTN_POST_NORM and MLP_POST_NORM. */
typedef enum {
    DELE_RMSNORM,
    DELE_RMSNORM_PLUS_ONE, /* (1 + w) ⊙ x̂ */
    DELE_LAYERNORM         /* with weight and bias, or without both */
} dele_norm_type;

/* The norm of queries and keys, before the rotation: Q_NORM and K_NORM. */
typedef enum {
    DELE_QK_NORM_NONE,
    DELE_QK_NORM_WIDTH, /* over all heads of a row */
    DELE_QK_NORM_HEAD   /* over each head */
} dele_qk_norm;

/* A site in a layer, where states can be read and patched, in order of computation.  RESID_PRE is
 * the residual stream that enters the layer, HEAD_OUT one head's weighted sum of values (before the
 * output projection), RESID_MID the stream after attention, RESID_POST the stream after the MLP;
 * ATTN_OUT and MLP_OUT are what the two sublayers add to the stream: after the norm that stands
 * there, if one does.  A sparse layer has more before MLP_OUT: ROUTER_LOGITS [n_experts],
 * ADAPTER_LOGITS [adapters], of the router that PERFT-R's adapters have, EXPERT_OUT, what one
 * expert adds to the output, its weight included (0 where it is not chosen), and SHARED_OUT, the
 * same of the shared expert.  EMBED is what enters layer 0: the token's embedding, scaled, and the
 * learned position's.  A parallel residual has no state between its sublayers: no RESID_MID. */
typedef enum {
    DELE_EMBED,
    DELE_RESID_PRE,
    DELE_HEAD_OUT,
    DELE_ATTN_OUT,
    DELE_RESID_MID,
    DELE_ROUTER_LOGITS,
    DELE_ADAPTER_LOGITS,
    DELE_EXPERT_OUT,
    DELE_SHARED_OUT,
    DELE_MLP_OUT,
    DELE_RESID_POST
} dele_site;

/* The sites of a block whose two sublayers follow one another. */
#define DELE_SITES_SEQUENTIAL                                                                      \
    {                                                                                              \
        [DELE_EMBED] = true, [DELE_RESID_PRE] = true, [DELE_HEAD_OUT] = true,                      \
        [DELE_ATTN_OUT] = true, [DELE_RESID_MID] = true, [DELE_MLP_OUT] = true,                    \
        [DELE_RESID_POST] = true                                                                   \
    }

/* Names that begin with `name` may begin with `other` in a file. */
typedef struct {
    const char *name, *other;
} dele_prefix;

/* How configs of a family spell the rotation, where not as most do: rope_theta, or rope_parameters,
 * for whole heads in all layers. */
typedef struct {
    const char *fraction;   /* key for the rotated part of a head; NULL: heads are rotated whole */
    double fraction_absent; /* the part without the key */
    bool by_kind;           /* rope_parameters has an object for each kind of layer */
    const char *sliding;    /* transformers 4's key for the base in sliding layers; NULL: none */
    double sliding_absent;  /* the base in sliding layers without a key */
    unsigned types;         /* the types supported, as bits 1 << DELE_ROPE_...; 0: all */
} dele_rotation_keys;

/* What the authors of PERFT released for a family.  With the weights of the block, PERFT-R's k-th
 * adapter is multiplied by the k-th weight of the model's own router, and not by its own. */
typedef enum {
    DELE_PERFT_UNRELEASED,
    DELE_PERFT_WITH_OWN_WEIGHTS,
    DELE_PERFT_WITH_BLOCK_WEIGHTS
} dele_perft_code;

/* Which layers slide where layer_types does not say it. */
typedef enum {
    DELE_SLIDES_NEVER,    /* layer_types may name full attention alone */
    DELE_SLIDES_ALL,      /* where there is a window, all do, and layer_types may not differ */
    DELE_SLIDES_BETWEEN,  /* all but each n-th: `period`, or sliding_window_pattern */
    DELE_SLIDES_FROM,     /* those from max_window_layers on, where use_sliding_window is true */
    DELE_SLIDES_EVEN,     /* 0, 2, 4 .. below max_window_layers, likewise */
    DELE_SLIDES_UNROTATED /* those without rotation, where use_sliding_window is true */
} dele_slides;

struct dele_family {
    const char *hf;           /* model_type of config.json */
    const char *architecture; /* transformers' class, for a new config.json */
    const char *gguf;         /* general.architecture */
    const char *gguf_key;     /* after "ARCH.": only files that have it, and not as 0, are of this
                               * family, where several share an architecture; NULL: no key is
                               * needed */
    const char *source;       /* the paper and the reference implementation */
    const dele_family *upcycled; /* the mixture of experts whose block is this one but for the MLP,
                                  * with weights that can add up to 1; NULL: transformers has
                                  * none (model/upcycle.h) */
    dele_norm_type norm;
    const char *norm_text; /* for people */
    dele_qk_norm qk_norm;
    const dele_rotation_keys *rotation; /* NULL: as most spell it */
    dele_slides slides;
    int period;                     /* of DELE_SLIDES_BETWEEN */
    bool embed_scaled;              /* the embedding is multiplied by sqrt(hidden_size) */
    bool renormalises;              /* the weights of the chosen experts always add up to 1 */
    dele_perft_code perft;          /* the released code for it */
    bool site[DELE_RESID_POST + 1]; /* those that the block has */
    bool pad_row_trains; /* an embedding without torch's padding_idx: else the pad token's row has
                          * no gradient where it is looked up, as in transformers */
    bool gguf_divisors;  /* a GGUF may have the tensor rope_freqs.weight */
    bool gguf_pattern;   /* a GGUF lists the layers that slide */
    bool gguf_untied;    /* llama.cpp does not load its files without output.weight */
    bool gguf_forgets;   /* llama.cpp does not compute the window that its files say */
    bool
        gguf_renormalises; /* llama.cpp always lets the weights of the chosen experts add up to 1 */
    int gguf_unrotated;    /* in a GGUF each n-th layer is not rotated; 0: all are */
    const char
        *wrapper; /* model_type of a config whose text_config is of this family; NULL: none */
    const char *const *beside;   /* how names of its other parts begin, up to a NULL; NULL: none */
    const dele_prefix *prefixes; /* of names in directories */
    size_t n_prefixes;
    const dele_tensor_row *tensors;
    size_t n_tensors;
    const dele_stacked_row
        *stacked; /* of experts; NULL: each is a tensor of its own in directories */
    size_t n_stacked;
    const dele_key_row *keys;
    size_t n_keys;
};

static inline bool dele_layer_is_sparse(const dele_config *c, int layer)
{
    return c->layer_kind[layer] & DELE_LAYER_SPARSE;
}

/* Whether adapters of PERFT add anything to the model's blocks; whether they have a router. */
static inline bool dele_perft_adds(const dele_config *c)
{
    return c->perft.variant != DELE_PERFT_NONE && c->perft.scale != 0;
}
static inline bool dele_perft_routes(const dele_config *c)
{
    return c->perft.variant == DELE_PERFT_R && c->perft.scale != 0;
}

/* Whether a layer of the model has the site, and whether any does. */
static inline bool dele_layer_has_site(const dele_config *c, int layer, dele_site site)
{
    if (site == DELE_RESID_MID && c->parallel_residual) return false;
    if (site >= DELE_ROUTER_LOGITS && site <= DELE_SHARED_OUT)
        return dele_layer_is_sparse(c, layer) && (site != DELE_SHARED_OUT || c->shared_size > 0) &&
               (site != DELE_ADAPTER_LOGITS || dele_perft_routes(c));
    return c->family->site[site];
}
static inline bool dele_config_has_site(const dele_config *c, dele_site site)
{
    for (int l = 0; l < c->n_layers; l++)
        if (dele_layer_has_site(c, l, site)) return true;
    return false;
}

#endif
