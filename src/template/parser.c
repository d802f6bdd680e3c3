/* A template's tokens as a tree: the grammar of jinja2's parser, in its order of precedence.
 *
 *   choice   or [if or [else choice]]            compare  math {== != < <= > >= in, not in  math}
 *   or       and {or and}                        math     concat {+ - concat}
 *   and      not {and not}                       concat   term {~ term}
 *   not      not not | compare                   term     power {* / // % power}
 *                                                power    unary {** unary}
 *   unary    - unary | + unary | primary, then .name [item] (call), then | filter and is test
 */
#include "template/syntax.h"

#include <string.h>

typedef struct {
    jinja_run *run;
    const jinja_token *at;
    int in_loop; /* loops around the statement, within its macro */
    bool has_date;
    unsigned mentions; /* within the body that is read */
    jinja_node none;
} parser;

static jinja_node *expression(parser *p);
static jinja_node *choice(parser *p, bool with_if);

/* ---- tokens ---------------------------------------------------------------------------------- */

static bool is_operator(const parser *p, const char *text)
{
    return p->at->kind == JINJA_T_OPERATOR && !strcmp(p->at->text, text);
}

static bool at_word(const parser *p, const char *name)
{
    return p->at->kind == JINJA_T_NAME && !strcmp(p->at->text, name);
}

static void next(parser *p)
{
    if (p->at->kind != JINJA_T_END) p->at++;
    p->run->line = p->at->line;
}

static bool skip_operator(parser *p, const char *text)
{
    if (!is_operator(p, text)) return false;
    next(p);
    return true;
}

static bool skip_word(parser *p, const char *name)
{
    if (!at_word(p, name)) return false;
    next(p);
    return true;
}

static const char *token_text(const jinja_token *t)
{
    switch (t->kind) {
    case JINJA_T_NAME:
    case JINJA_T_OPERATOR:
        return t->text;
    case JINJA_T_STRING:
        return "a string";
    case JINJA_T_INT:
    case JINJA_T_FLOAT:
        return "a number";
    case JINJA_T_END:
        return "the end of the template";
    case JINJA_T_PRINT_END:
        return "}}";
    case JINJA_T_BLOCK_END:
        return "%}";
    default:
        return "text";
    }
}

static void unexpected(parser *p, const char *wanted)
{
    jinja_fail(p->run, DELE_ERR_FORMAT, "%s is expected, and %s is there", wanted,
               token_text(p->at));
}

static void expect_operator(parser *p, const char *text)
{
    if (!skip_operator(p, text)) unexpected(p, text);
}

static void expect_end(parser *p, jinja_token_kind kind)
{
    if (p->at->kind == kind)
        next(p);
    else
        unexpected(p, kind == JINJA_T_BLOCK_END ? "%}" : "}}");
}

static const char *expect_name(parser *p)
{
    const char *name = p->at->text;
    if (p->at->kind != JINJA_T_NAME) {
        unexpected(p, "a name");
        return "";
    }
    next(p);
    return name;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

/* A failed parse still needs nodes to point to: p->none, which is never written. */
static jinja_node *node(parser *p, jinja_node_kind kind)
{
    jinja_node *n = jinja_alloc(p->run, 1, sizeof *n);
    if (!n) return &p->none;
    n->kind = kind;
    n->line = p->at->line;
    return n;
}

static jinja_node *with(parser *p, jinja_node_kind kind, jinja_node *a, jinja_node *b)
{
    jinja_node *n = node(p, kind);
    if (p->run->status) return n;
    n->a = a;
    n->b = b;
    return n;
}

typedef struct {
    jinja_node **item;
    size_t n, cap;
} node_list;

static void push(parser *p, node_list *list, jinja_node *n)
{
    if (list->n == list->cap) {
        const size_t cap = list->cap ? 2 * list->cap : 4;
        jinja_node **more = jinja_alloc(p->run, cap, sizeof *more);
        if (!more) return;
        if (list->n) memcpy(more, list->item, list->n * sizeof *more);
        list->item = more;
        list->cap = cap;
    }
    list->item[list->n++] = n;
}

static jinja_node *listed(parser *p, jinja_node_kind kind, const node_list *list)
{
    jinja_node *n = node(p, kind);
    if (p->run->status) return n;
    n->list = list->item;
    n->n = list->n;
    return n;
}

static bool deeper(parser *p)
{
    if (p->run->status) return false;
    if (p->run->depth < JINJA_DEPTH) {
        p->run->depth++;
        return true;
    }
    jinja_fail(p->run, DELE_ERR_UNSUPPORTED, "nested more than %d deep", JINJA_DEPTH);
    return false;
}

/* ---- primaries ------------------------------------------------------------------------------- */

static bool at_tuple_end(const parser *p, const char *stop)
{
    return p->at->kind == JINJA_T_PRINT_END || p->at->kind == JINJA_T_BLOCK_END ||
           is_operator(p, ")") || (stop && at_word(p, stop));
}

static jinja_node *primary(parser *p, bool target);

/* One expression, or several with commas: a tuple.  target: names and attributes to be set; stop:
 * a word that ends it; empty: () is a tuple. */
static jinja_node *tuple(parser *p, bool target, bool with_if, const char *stop, bool empty)
{
    node_list list = {0};
    bool is_tuple = false;
    while (!p->run->status) {
        if (list.n) expect_operator(p, ",");
        if (at_tuple_end(p, stop)) break;
        push(p, &list, target ? primary(p, true) : choice(p, with_if));
        if (!is_operator(p, ",")) break;
        is_tuple = true;
    }
    if (!is_tuple && list.n) return list.item[0];
    if (!is_tuple && !empty) unexpected(p, "an expression");
    return listed(p, JINJA_N_TUPLE, &list);
}

static jinja_node *list_or_dict(parser *p, bool dict)
{
    node_list list = {0};
    const char *close = dict ? "}" : "]";
    next(p);
    while (!p->run->status && !is_operator(p, close)) {
        if (list.n) expect_operator(p, ",");
        if (is_operator(p, close)) break;
        push(p, &list, expression(p));
        if (!dict) continue;
        expect_operator(p, ":");
        push(p, &list, expression(p));
    }
    expect_operator(p, close);
    return listed(p, dict ? JINJA_N_DICT : JINJA_N_LIST, &list);
}

static jinja_node *constant(parser *p, jinja_value value)
{
    jinja_node *n = node(p, JINJA_N_CONSTANT);
    if (!p->run->status) n->value = value;
    return n;
}

static jinja_node *name_or_word(parser *p, bool target)
{
    const char *name = expect_name(p);
    jinja_node *n;
    if (!strcmp(name, "true") || !strcmp(name, "True")) return constant(p, jinja_bool(true));
    if (!strcmp(name, "false") || !strcmp(name, "False")) return constant(p, jinja_bool(false));
    if (!strcmp(name, "none") || !strcmp(name, "None")) return constant(p, jinja_none());
    const bool attribute = target && skip_operator(p, ".");
    n = node(p, attribute ? JINJA_N_NAMESPACE : JINJA_N_NAME);
    const char *second = attribute ? expect_name(p) : NULL;
    if (p->run->status) return n;
    n->text = name;
    n->text2 = second;
    static const char *const special[] = {"loop", "varargs", "kwargs", "caller"};
    for (unsigned i = 0; i < 4; i++) p->mentions |= strcmp(name, special[i]) ? 0 : 1u << i;
    p->has_date |= !strcmp(name, "strftime_now");
    return n;
}

/* Strings side by side are one. */
static jinja_node *strings(parser *p)
{
    jinja_text t = {0};
    for (; p->at->kind == JINJA_T_STRING; next(p)) jinja_add(p->run, &t, p->at->text, p->at->n);
    return constant(p, jinja_text_value(&t));
}

static jinja_node *primary(parser *p, bool target)
{
    const jinja_token *t = p->at;
    if (t->kind == JINJA_T_NAME) return name_or_word(p, target);
    if (t->kind == JINJA_T_STRING) return strings(p);
    if (t->kind == JINJA_T_INT || t->kind == JINJA_T_FLOAT) {
        next(p);
        return constant(p, t->number);
    }
    if (is_operator(p, "[")) return list_or_dict(p, false);
    if (is_operator(p, "{")) return list_or_dict(p, true);
    if (!is_operator(p, "(")) {
        unexpected(p, "an expression");
        return constant(p, jinja_none());
    }
    next(p);
    jinja_node *n = tuple(p, false, true, NULL, true);
    expect_operator(p, ")");
    return n;
}

/* ---- after a primary ------------------------------------------------------------------------ */

static bool is_argument_name(const parser *p)
{
    return p->at->kind == JINJA_T_NAME && p->at[1].kind == JINJA_T_OPERATOR &&
           !strcmp(p->at[1].text, "=");
}

/* (a, b, name=c, *d, **e) into n->args.  What stands by position comes before what is named. */
static void arguments(parser *p, jinja_node *n)
{
    jinja_argument *args = NULL;
    size_t n_args = 0, cap = 0;
    expect_operator(p, "(");
    bool named = false;
    while (!p->run->status && !is_operator(p, ")")) {
        if (n_args) expect_operator(p, ",");
        if (is_operator(p, ")")) break;
        jinja_argument a = {.star = skip_operator(p, "*") ? 1 : skip_operator(p, "**") ? 2 : 0};
        if (!a.star && is_argument_name(p)) {
            a.name = expect_name(p);
            next(p);
        } else if (named && !a.star) {
            unexpected(p, "a named argument");
        }
        named |= a.name != NULL || a.star;
        a.value = expression(p);
        if (n_args == cap) {
            cap = cap ? 2 * cap : 4;
            jinja_argument *more = jinja_alloc(p->run, cap, sizeof *more);
            if (!more) return;
            if (n_args) memcpy(more, args, n_args * sizeof *more);
            args = more;
        }
        args[n_args++] = a;
    }
    expect_operator(p, ")");
    if (p->run->status) return;
    n->args = args;
    n->n_args = n_args;
}

/* [i] or [from:to:step]. */
static jinja_node *subscript(parser *p, jinja_node *of)
{
    jinja_node *part[3] = {NULL};
    int k = 0;
    next(p);
    for (; !p->run->status && k < 3; k++) {
        if (!is_operator(p, ":") && !is_operator(p, "]")) part[k] = expression(p);
        if (!is_operator(p, ":")) break;
        if (k == 2) unexpected(p, "]");
        next(p);
    }
    if (is_operator(p, ","))
        jinja_fail(p->run, DELE_ERR_UNSUPPORTED, "a subscript with a comma is not supported");
    if (!k && !part[0]) unexpected(p, "an expression");
    expect_operator(p, "]");
    if (!k) return with(p, JINJA_N_ITEM, of, part[0]);
    node_list list = {0};
    for (int i = 0; i < 3; i++) push(p, &list, part[i]);
    jinja_node *n = listed(p, JINJA_N_SLICE, &list);
    if (!p->run->status) n->a = of;
    return n;
}

static jinja_node *attribute(parser *p, jinja_node *of)
{
    next(p);
    if (p->at->kind == JINJA_T_INT) {
        const jinja_value number = p->at->number;
        next(p);
        return with(p, JINJA_N_ITEM, of, constant(p, number));
    }
    const char *name = expect_name(p);
    jinja_node *n = with(p, JINJA_N_ATTRIBUTE, of, NULL);
    if (!p->run->status) n->text = name;
    return n;
}

static jinja_node *call(parser *p, jinja_node *of)
{
    jinja_node *n = with(p, JINJA_N_CALL, of, NULL);
    arguments(p, n);
    return n;
}

static jinja_node *postfix(parser *p, jinja_node *n)
{
    while (!p->run->status) {
        if (is_operator(p, "."))
            n = attribute(p, n);
        else if (is_operator(p, "["))
            n = subscript(p, n);
        else if (is_operator(p, "("))
            n = call(p, n);
        else
            break;
    }
    return n;
}

/* | name(...) after an operand; NULL: the text of a block. */
static jinja_node *filter(parser *p, jinja_node *of)
{
    const char *name = expect_name(p);
    jinja_node *n = with(p, JINJA_N_FILTER, of, NULL);
    if (is_operator(p, "(")) arguments(p, n);
    if (!p->run->status) n->text = name;
    return n;
}

static bool begins_argument(const parser *p)
{
    switch (p->at->kind) {
    case JINJA_T_NAME:
        return !at_word(p, "else") && !at_word(p, "or") && !at_word(p, "and");
    case JINJA_T_STRING:
    case JINJA_T_INT:
    case JINJA_T_FLOAT:
        return true;
    default:
        return is_operator(p, "[") || is_operator(p, "{");
    }
}

/* is [not] name, is name(...), is name operand. */
static jinja_node *test(parser *p, jinja_node *of)
{
    next(p);
    const bool negated = skip_word(p, "not");
    const char *name = expect_name(p);
    jinja_node *n = with(p, JINJA_N_TEST, of, NULL);
    if (is_operator(p, "(")) {
        arguments(p, n);
    } else if (begins_argument(p)) {
        if (at_word(p, "is")) unexpected(p, "the end of the test");
        jinja_argument *a = jinja_alloc(p->run, 1, sizeof *a);
        jinja_node *value = postfix(p, primary(p, false));
        if (p->run->status) return n;
        a->value = value;
        n->args = a;
        n->n_args = 1;
    }
    if (!p->run->status) n->text = name;
    return negated ? with(p, JINJA_N_NOT, n, NULL) : n;
}

static jinja_node *filters_and_tests(parser *p, jinja_node *n)
{
    while (!p->run->status) {
        if (skip_operator(p, "|"))
            n = filter(p, n);
        else if (at_word(p, "is"))
            n = test(p, n);
        else if (is_operator(p, "("))
            n = call(p, n);
        else
            break;
    }
    return n;
}

/* ---- operators ------------------------------------------------------------------------------- */

static jinja_node *unary(parser *p, bool with_filter)
{
    jinja_node *n;
    if (!deeper(p)) return node(p, JINJA_N_CONSTANT);
    if (skip_operator(p, "-"))
        n = with(p, JINJA_N_NEGATIVE, unary(p, false), NULL);
    else if (skip_operator(p, "+"))
        n = with(p, JINJA_N_POSITIVE, unary(p, false), NULL);
    else
        n = primary(p, false);
    n = postfix(p, n);
    if (with_filter) n = filters_and_tests(p, n);
    p->run->depth--;
    return n;
}

static jinja_node *concatenation(parser *p);

/* A level of operators that group from the left: 0 addition, 1 multiplication, 2 powers. */
static jinja_node *binary(parser *p, int level)
{
    static const char *const at_level[3][5] = {{"+", "-"}, {"*", "/", "//", "%"}, {"**"}};
    jinja_node *n = NULL;
    for (const char *found = NULL;; found = NULL) {
        for (int i = 0; n && at_level[level][i] && !found; i++)
            if (is_operator(p, at_level[level][i])) found = at_level[level][i];
        if (n && (!found || p->run->status)) return n;
        if (n) next(p);
        jinja_node *operand = level == 0   ? concatenation(p)
                              : level == 1 ? binary(p, 2)
                                           : unary(p, true);
        if (!n) {
            n = operand;
            continue;
        }
        n = with(p, JINJA_N_BINARY, n, operand);
        if (!p->run->status) n->text = found;
    }
}

static jinja_node *concatenation(parser *p)
{
    node_list list = {0};
    jinja_node *first = binary(p, 1);
    if (!is_operator(p, "~")) return first;
    push(p, &list, first);
    while (!p->run->status && skip_operator(p, "~")) push(p, &list, binary(p, 1));
    return listed(p, JINJA_N_CONCAT, &list);
}

/* The operator of a comparison at this token, which is skipped; NULL: there is none. */
static const char *comparison(parser *p)
{
    static const char *const all[] = {"==", "!=", "<=", ">=", "<", ">"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (skip_operator(p, all[i])) return all[i];
    if (skip_word(p, "in")) return "in";
    if (!at_word(p, "not") || p->at[1].kind != JINJA_T_NAME || strcmp(p->at[1].text, "in"))
        return NULL;
    next(p);
    next(p);
    return "not in";
}

static jinja_node *compare(parser *p)
{
    node_list list = {0};
    jinja_node *first = binary(p, 0);
    for (const char *what; !p->run->status && (what = comparison(p));) {
        jinja_node *operand = with(p, JINJA_N_OPERAND, binary(p, 0), NULL);
        if (!p->run->status) operand->text = what;
        push(p, &list, operand);
    }
    if (!list.n) return first;
    jinja_node *n = listed(p, JINJA_N_COMPARE, &list);
    if (!p->run->status) n->a = first;
    return n;
}

static jinja_node *negation(parser *p)
{
    if (!at_word(p, "not") || !deeper(p)) return compare(p);
    next(p);
    jinja_node *n = with(p, JINJA_N_NOT, negation(p), NULL);
    p->run->depth--;
    return n;
}

static jinja_node *conjunction(parser *p)
{
    jinja_node *n = negation(p);
    while (!p->run->status && skip_word(p, "and")) n = with(p, JINJA_N_AND, n, negation(p));
    return n;
}

static jinja_node *disjunction(parser *p)
{
    jinja_node *n = conjunction(p);
    while (!p->run->status && skip_word(p, "or")) n = with(p, JINJA_N_OR, n, conjunction(p));
    return n;
}

/* with_if: a following `if` belongs to the expression. */
static jinja_node *choice(parser *p, bool with_if)
{
    if (!deeper(p)) return node(p, JINJA_N_CONSTANT);
    jinja_node *n = disjunction(p);
    while (with_if && !p->run->status && skip_word(p, "if")) {
        jinja_node *condition = disjunction(p);
        jinja_node *otherwise = skip_word(p, "else") ? choice(p, true) : NULL;
        n = with(p, JINJA_N_CHOICE, n, condition);
        if (!p->run->status) n->c = otherwise;
    }
    p->run->depth--;
    return n;
}

static jinja_node *expression(parser *p) { return choice(p, true); }

/* ---- statements ------------------------------------------------------------------------------ */

static jinja_node *statement(parser *p);

/* Text, {{ }} and statements up to a tag whose name is one of `ends` (NULL-terminated; NULL: up to
 * the end of the template); the next token is that name. */
static jinja_node *body(parser *p, const char *const *ends)
{
    node_list list = {0};
    while (!p->run->status && p->at->kind != JINJA_T_END) {
        if (p->at->kind == JINJA_T_DATA) {
            jinja_node *n = node(p, JINJA_N_DATA);
            if (!p->run->status) n->value = jinja_string(p->at->text, p->at->n);
            push(p, &list, n);
            next(p);
        } else if (p->at->kind == JINJA_T_PRINT) {
            next(p);
            push(p, &list, with(p, JINJA_N_OUTPUT, tuple(p, false, true, NULL, false), NULL));
            expect_end(p, JINJA_T_PRINT_END);
        } else {
            next(p);
            for (int i = 0; ends && ends[i]; i++)
                if (at_word(p, ends[i])) return listed(p, JINJA_N_BODY, &list);
            push(p, &list, statement(p));
            expect_end(p, JINJA_T_BLOCK_END);
        }
    }
    if (ends && !p->run->status)
        jinja_fail(p->run, DELE_ERR_FORMAT, "the template ends before {%% %s %%}", ends[0]);
    return listed(p, JINJA_N_BODY, &list);
}

/* The rest of an opening tag, the body, and the closing tag's name. */
static jinja_node *body_to(parser *p, const char *end)
{
    const char *const ends[] = {end, NULL};
    skip_operator(p, ":");
    expect_end(p, JINJA_T_BLOCK_END);
    jinja_node *n = body(p, ends);
    if (!p->run->status) next(p);
    return n;
}

static void check_target(parser *p, const jinja_node *n, bool namespaces)
{
    if (p->run->status || n->kind == JINJA_N_NAME) return;
    if (n->kind == JINJA_N_TUPLE) {
        for (size_t i = 0; i < n->n; i++) check_target(p, n->list[i], namespaces);
        return;
    }
    if (n->kind != JINJA_N_NAMESPACE || !namespaces)
        jinja_fail(p->run, DELE_ERR_FORMAT, "a value is set for what is no name");
}

/* for TARGET in VALUES [if CONDITION]: the body, and what runs where no turn came to its end. */
static jinja_node *for_statement(parser *p)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    node_list parts = {0};
    next(p);
    jinja_node *n = node(p, JINJA_N_FOR);
    jinja_node *target = tuple(p, true, false, "in", false);
    check_target(p, target, false);
    if (!skip_word(p, "in")) unexpected(p, "in");
    jinja_node *over = tuple(p, false, false, "recursive", false);
    jinja_node *condition = skip_word(p, "if") ? expression(p) : NULL;
    if (at_word(p, "recursive"))
        jinja_fail(p->run, DELE_ERR_UNSUPPORTED, "a recursive loop is not supported");
    skip_operator(p, ":");
    expect_end(p, JINJA_T_BLOCK_END);
    const unsigned outside = p->mentions;
    p->mentions = 0;
    p->in_loop++;
    push(p, &parts, body(p, ends));
    p->in_loop--;
    const unsigned mentions = p->mentions;
    p->mentions |= outside;
    const bool has_else = at_word(p, "else");
    if (!p->run->status) next(p);
    push(p, &parts, has_else ? body_to(p, "endfor") : NULL);
    if (p->run->status) return n;
    n->a = target;
    n->b = over;
    n->c = condition;
    n->mentions = mentions;
    n->list = parts.item;
    n->n = parts.n;
    return n;
}

/* elif is the `else` of the one before: a chain that the evaluator walks. */
static jinja_node *if_statement(parser *p)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    jinja_node *first = NULL, *last = NULL;
    while (!p->run->status) {
        next(p); /* if, elif */
        jinja_node *n = node(p, JINJA_N_IF);
        jinja_node *condition = tuple(p, false, false, NULL, false);
        skip_operator(p, ":");
        expect_end(p, JINJA_T_BLOCK_END);
        jinja_node *then = body(p, ends);
        if (p->run->status) break;
        n->a = condition;
        n->b = then;
        if (last) last->c = n;
        if (!first) first = n;
        last = n;
        if (at_word(p, "elif")) continue;
        const bool has_else = at_word(p, "else");
        next(p);
        if (has_else) {
            jinja_node *otherwise = body_to(p, "endif");
            if (!p->run->status) last->c = otherwise;
        }
        break;
    }
    return first ? first : node(p, JINJA_N_BODY);
}

static jinja_node *filters(parser *p)
{
    jinja_node *n = NULL;
    while (!p->run->status && skip_operator(p, "|")) n = filter(p, n);
    return n;
}

static jinja_node *set_statement(parser *p)
{
    next(p);
    jinja_node *target = tuple(p, true, false, NULL, false);
    check_target(p, target, true);
    if (skip_operator(p, "="))
        return with(p, JINJA_N_SET, target, tuple(p, false, true, NULL, false));
    jinja_node *n = with(p, JINJA_N_SET_BLOCK, target, filters(p));
    jinja_node *text = body_to(p, "endset");
    if (!p->run->status) n->c = text;
    return n;
}

/* (a, b=default) into n->args. */
static void parameters(parser *p, jinja_node *n)
{
    jinja_argument *args = jinja_alloc(p->run, 64, sizeof *args);
    size_t n_args = 0;
    bool defaults = false;
    expect_operator(p, "(");
    while (!p->run->status && !is_operator(p, ")")) {
        if (n_args) expect_operator(p, ",");
        jinja_argument a = {.name = expect_name(p)};
        if (skip_operator(p, "=")) a.value = expression(p);
        if (defaults && !a.value) unexpected(p, "a parameter with a default");
        defaults |= a.value != NULL;
        if (n_args == 64)
            jinja_fail(p->run, DELE_ERR_UNSUPPORTED, "a macro of more than 64 parameters");
        if (p->run->status) return;
        args[n_args++] = a;
    }
    expect_operator(p, ")");
    if (p->run->status) return;
    n->args = args;
    n->n_args = n_args;
}

/* The body of a macro: loops outside of it are not its own.  of->mentions is what it reads. */
static jinja_node *macro_body(parser *p, jinja_node *of, const char *end)
{
    const int loops = p->in_loop;
    const unsigned outside = p->mentions;
    p->in_loop = 0;
    p->mentions = 0;
    jinja_node *n = body_to(p, end);
    if (!p->run->status) of->mentions = p->mentions;
    p->mentions |= outside;
    p->in_loop = loops;
    return n;
}

static jinja_node *macro_statement(parser *p)
{
    next(p);
    jinja_node *n = node(p, JINJA_N_MACRO);
    const char *name = expect_name(p);
    parameters(p, n);
    jinja_node *text = macro_body(p, n, "endmacro");
    if (p->run->status) return n;
    n->text = name;
    n->a = text;
    return n;
}

static jinja_node *call_statement(parser *p)
{
    next(p);
    jinja_node *n = node(p, JINJA_N_CALL_BLOCK);
    if (is_operator(p, "(")) parameters(p, n);
    jinja_node *called = expression(p);
    if (!p->run->status && called->kind != JINJA_N_CALL) unexpected(p, "a call");
    jinja_node *text = macro_body(p, n, "endcall");
    if (p->run->status) return n;
    n->text = "caller";
    n->a = called;
    n->b = text;
    return n;
}

static jinja_node *filter_statement(parser *p)
{
    next(p);
    jinja_node *first = filter(p, NULL);
    while (!p->run->status && skip_operator(p, "|")) first = filter(p, first);
    jinja_node *n = with(p, JINJA_N_FILTER_BLOCK, NULL, first);
    jinja_node *text = body_to(p, "endfilter");
    if (!p->run->status) n->c = text;
    return n;
}

static jinja_node *with_statement(parser *p)
{
    node_list list = {0};
    next(p);
    while (!p->run->status && p->at->kind != JINJA_T_BLOCK_END) {
        if (list.n) expect_operator(p, ",");
        jinja_node *target = primary(p, false);
        check_target(p, target, false);
        push(p, &list, target);
        expect_operator(p, "=");
        push(p, &list, expression(p));
    }
    jinja_node *text = body_to(p, "endwith"), *n = listed(p, JINJA_N_WITH, &list);
    if (!p->run->status) n->a = text;
    return n;
}

static jinja_node *generation_statement(parser *p)
{
    next(p);
    jinja_node *n = node(p, JINJA_N_SCOPE), *text = macro_body(p, n, "endgeneration");
    if (!p->run->status) n->a = text;
    return n;
}

static jinja_node *loop_control(parser *p)
{
    const jinja_node_kind kind = at_word(p, "break") ? JINJA_N_BREAK : JINJA_N_CONTINUE;
    if (!p->in_loop)
        jinja_fail(p->run, DELE_ERR_FORMAT, "%s stands outside of a loop", p->at->text);
    next(p);
    return node(p, kind);
}

static jinja_node *statement(parser *p)
{
    static const struct {
        const char *name;
        jinja_node *(*parse)(parser *);
    } all[] = {{"for", for_statement},   {"if", if_statement},
               {"set", set_statement},   {"macro", macro_statement},
               {"call", call_statement}, {"filter", filter_statement},
               {"with", with_statement}, {"generation", generation_statement},
               {"break", loop_control},  {"continue", loop_control}};
    jinja_node *n = NULL;
    if (p->at->kind != JINJA_T_NAME) unexpected(p, "the name of a tag");
    if (!deeper(p)) return node(p, JINJA_N_BODY);
    for (size_t i = 0; i < sizeof all / sizeof *all && !n; i++)
        if (at_word(p, all[i].name)) n = all[i].parse(p);
    if (!n)
        jinja_fail(p->run, DELE_ERR_UNSUPPORTED, "the tag {%% %s %%} is not supported here",
                   p->at->text);
    p->run->depth--;
    return n ? n : node(p, JINJA_N_BODY);
}

const jinja_node *jinja_parse(jinja_run *r, const char *text, size_t n, bool *has_date)
{
    parser p = {.run = r, .at = jinja_tokens(r, text, n)};
    if (!p.at) return NULL;
    r->line = 1;
    const jinja_node *tree = body(&p, NULL);
    *has_date = p.has_date;
    return r->status ? NULL : tree;
}
