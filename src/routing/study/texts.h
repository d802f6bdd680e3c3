/* The texts whose routing is studied: files, each a domain, as windows of tokens.
 *
 *   a .jsonl or .json file    each row is a document: its "text", or its prompt and its output with
 *                             a blank between them (text/row_texts.h).  A document longer than a
 *                             window is cut into windows
 *   any other file            plain text, one stream of tokens; each window is a document
 *
 * A window is run by itself, from position 0 on; its last token has no next id.  The tokenizer's
 * own tokens (a BOS before each document, or before the stream) are run, and as all special tokens
 * not counted. */
#ifndef DELE_ROUTING_TEXTS_H
#define DELE_ROUTING_TEXTS_H

#include "model/model.h"
#include "routing/routed.h"

typedef struct {
    const char *name, *path;
    size_t n_documents, n_tokens; /* all of them */
    bool cut;                     /* the limit of tokens was reached before the file's end */
} dele_routing_domain;

typedef struct {
    size_t first; /* its tokens follow each other from there on */
    int n;
} dele_routing_window;

typedef struct {
    dele_routing_domain *domain; /* [n_domains] */
    const char **name;           /* [n_domains] the same names */
    size_t n_domains;
    dele_routing_window *window; /* [n_windows] */
    size_t n_windows, n_tokens;
    int *id, *document, *domain_of; /* [n_tokens]; domain_of -1: not counted */
} dele_routing_texts;

/* The domains of a list "NAME=PATH,PATH,...": a name is that of the file where none is given, and
 * two domains have different ones. */
dele_status dele_routing_texts_list(dele_routing_texts *texts, const char *list, dele_arena *arena,
                                    dele_err *err);

/* Reads and encodes the files.  window: tokens a window at most; limit: tokens a domain at most, 0
 * for all.  Memory is the arena's. */
dele_status dele_routing_texts_read(dele_routing_texts *texts, const dele_tokenizer *tokenizer,
                                    int window, size_t limit, dele_arena *arena, dele_err *err);

/* Tokens for a model's routes, with ids, documents, domains and next ids, routes not known yet. */
dele_status dele_routing_texts_routed(dele_routed *r, const dele_routing_texts *texts,
                                      const dele_config *config, dele_arena *arena, dele_err *err);

#endif
