/* The decoders of `deleatur eval`: nudging and its baselines, in place of one model
 * (score/decoder.h).
 *
 *   nudge      nudge.h: base and nudger
 *   ensemble   ensemble.h: base and tuned model
 *   proxy      proxy_tuning.h: base, tuned and untuned model
 *
 * A question gets the prompts of Nudging's program (prompt.h): the plain one for base and untuned
 * model, the chat layout of the tuned model for that.  A prompt that is no question is taken as it
 * is by base and untuned model, and as the user's turn by the tuned one. */
#ifndef DELE_DECODERS_H
#define DELE_DECODERS_H

#include "nudge/prompt.h"
#include "option/option.h"
#include "score/decoder.h"
#include "text/chat.h"

typedef enum {
    DELE_DECODER_NONE,
    DELE_DECODER_NUDGE,
    DELE_DECODER_ENSEMBLE,
    DELE_DECODER_PROXY
} dele_decoder_kind;
extern const char *const dele_decoder_name[]; /* "none", "nudge", ...; NULL at the end */

typedef struct {
    dele_decoder_kind kind;
    const char *with, *untuned; /* paths of the tuned model (the nudger) and the untuned one */
    dele_chat chat;             /* the tuned model's layout */
    const char *system;
    double gamma;
} dele_decoder_options;

/* clang-format off */
#define DELE_DECODER_DEFAULTS                                                                      \
    {                                                                                              \
        .chat = DELE_CHAT_AUTO, .system = DELE_NUDGE_SYSTEM, .gamma = 0.3                          \
    }
/* A command's rows for them; o is a dele_decoder_options. */
#define DELE_DECODER_ROWS(o)                                                                       \
    DELE_CHOICE("decoder", &(o).kind, dele_decoder_name,                                           \
                "how texts are generated: none, by MODEL alone; nudge (Nudging), ensemble or "     \
                "proxy (proxy tuning), by MODEL and others"),                                      \
    DELE_OPT("with", &(o).with,                                                                    \
             "nudge, ensemble, proxy: the other model, which was tuned (the nudger)"),             \
    DELE_OPT("proxy-base", &(o).untuned, "proxy: the model of --with before it was tuned"),        \
    DELE_CHOICE("with-chat", &(o).chat, dele_chat_name,                                            \
                "chat layout of --with: auto, its own template if it has one"),                    \
    DELE_OPT("system", &(o).system, "nudge, ensemble, proxy: the system text of both prompts"),    \
    DELE_OPT("gamma", &(o).gamma,                                                                  \
             "nudge: the nudger writes where the base's top-1 probability is below")
/* clang-format on */

/* Which models the options ask for: refuses one that is missing, and one that the kind does not
 * use. */
dele_status dele_decoder_check(const dele_decoder_options *o, dele_err *err);

/* The decoder over loaded models, which must outlive it; untuned: NULL unless the kind is proxy.
 * base_chat: the base's layout.  The arena owns it until dele_decoder_close, which accepts a zeroed
 * one. */
dele_status dele_decoder_open(dele_decoder *decoder, const dele_decoder_options *o,
                              const dele_model *base, const dele_model *with,
                              const dele_model *untuned, dele_chat base_chat, dele_arena *arena,
                              dele_err *err);
void dele_decoder_close(dele_decoder *decoder);

#endif
