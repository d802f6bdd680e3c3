/* A template's tokens and its tree. */
#ifndef DELE_TEMPLATE_SYNTAX_H
#define DELE_TEMPLATE_SYNTAX_H

#include "template/value.h"

/* ---- tokens (lexer.c) ------------------------------------------------------------------------ */

typedef enum {
    JINJA_T_DATA,
    JINJA_T_PRINT,     /* {{ */
    JINJA_T_PRINT_END, /* }} */
    JINJA_T_BLOCK,     /* {% */
    JINJA_T_BLOCK_END, /* %} */
    JINJA_T_NAME,
    JINJA_T_STRING,
    JINJA_T_INT,
    JINJA_T_FLOAT,
    JINJA_T_OPERATOR,
    JINJA_T_END
} jinja_token_kind;

typedef struct {
    jinja_token_kind kind;
    int line;
    const char *text; /* data, name (terminated), string (unescaped), operator (terminated) */
    size_t n;
    jinja_value number;
} jinja_token;

/* The tokens of a template, ended by JINJA_T_END; in the run's arena.  NULL with the run failed. */
const jinja_token *jinja_tokens(jinja_run *r, const char *text, size_t n);

/* ---- the tree (parser.c) --------------------------------------------------------------------- */

typedef enum {
    /* expressions */
    JINJA_N_CONSTANT,
    JINJA_N_NAME,      /* text */
    JINJA_N_TUPLE,     /* list */
    JINJA_N_LIST,      /* list */
    JINJA_N_DICT,      /* list: key, value, key, ... */
    JINJA_N_ATTRIBUTE, /* a . text */
    JINJA_N_ITEM,      /* a [ b ] */
    JINJA_N_SLICE,     /* a [ list of 3: from, to, step; NULL where missing ] */
    JINJA_N_CALL,      /* a ( args ) */
    JINJA_N_FILTER,    /* a | text ( args ); a NULL: the text of a block */
    JINJA_N_TEST,      /* a is text ( args ) */
    JINJA_N_NOT,       /* a */
    JINJA_N_NEGATIVE,
    JINJA_N_POSITIVE,
    JINJA_N_AND, /* a, b */
    JINJA_N_OR,
    JINJA_N_BINARY,  /* a text b: + - * / // % ** */
    JINJA_N_CONCAT,  /* list */
    JINJA_N_COMPARE, /* a, then list of JINJA_N_OPERAND */
    JINJA_N_OPERAND, /* text: == != < <= > >= in notin; a */
    JINJA_N_CHOICE,  /* a if b else c; c may be NULL */
    /* statements */
    JINJA_N_BODY,         /* list */
    JINJA_N_DATA,         /* value */
    JINJA_N_OUTPUT,       /* a */
    JINJA_N_FOR,          /* for a in b if c; list of 2: body, else */
    JINJA_N_IF,           /* if a: b, else c */
    JINJA_N_SET,          /* a = b */
    JINJA_N_SET_BLOCK,    /* a = the text of c, through the filters b (may be NULL) */
    JINJA_N_NAMESPACE,    /* a target: text . text2 */
    JINJA_N_MACRO,        /* text, args: the parameters; a: body */
    JINJA_N_CALL_BLOCK,   /* args: the parameters of caller; a: the call; b: body */
    JINJA_N_FILTER_BLOCK, /* b: filters, c: body */
    JINJA_N_WITH,         /* list: target, value, ...; a: body */
    JINJA_N_SCOPE,        /* a: a body with variables of its own (the tag generation) */
    JINJA_N_BREAK,
    JINJA_N_CONTINUE
} jinja_node_kind;

typedef struct jinja_node jinja_node;

/* Names that a loop or a macro defines where its body reads them. */
enum { JINJA_SAYS_LOOP = 1, JINJA_SAYS_VARARGS = 2, JINJA_SAYS_KWARGS = 4, JINJA_SAYS_CALLER = 8 };

/* An argument of a call, or a parameter of a macro with its default. */
typedef struct {
    const char *name;  /* or NULL */
    jinja_node *value; /* or NULL: a parameter without a default */
    int star;          /* 1: *value, 2: **value */
} jinja_argument;

struct jinja_node {
    jinja_node_kind kind;
    int line;
    const char *text, *text2;
    jinja_value value;
    jinja_node *a, *b, *c;
    jinja_node **list;
    size_t n;
    jinja_argument *args;
    size_t n_args;
    unsigned mentions; /* of a macro's and a loop's body: the special names that it reads */
};

/* The tree of a template's text; *has_date: it names strftime_now.  NULL with the run failed. */
const jinja_node *jinja_parse(jinja_run *r, const char *text, size_t n, bool *has_date);

#endif
