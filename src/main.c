/* deleatur: locate where a language model stores a fact, unlearn it, measure what else changed.
 *
 * This file is the table of commands and nothing else.  Each command is in the module that does its
 * work. */
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "base/process.h"
#include "base/text_out.h"
#include "cli/cmd.h"

typedef struct {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
    const char *summary;
} command;

/* A line without `run` is a heading of --help. */
static const command commands[] = {
    {"locate and unlearn", NULL, NULL},
    {"trace", cmd_trace, "locate facts by causal tracing (activation patching)"},
    {"finetune", cmd_finetune, "finetune a model on rows or plain text, or train one from scratch"},
    {"unlearn", cmd_unlearn, "unlearn a forget set, retain the rest, by training a few layers"},
    {"measure", NULL, NULL},
    {"eval", cmd_eval, "score a model: MMLU, LUME, TOFU, membership inference, facts"},
    {"compare", cmd_compare, "compare two results of eval"},
    {"depth", cmd_depth, "unlearning depth (UDS): facts removed, or only not generated?"},
    {"routing", cmd_routing, "to which experts a mixture sends what, before and after unlearning"},
    {"attack", cmd_attack, "attack an unlearned model: quantise, relearn, paraphrase, prefix"},
    {"whole studies", NULL, NULL},
    {"run", cmd_run, "run a whole study from a recipe: stages, tables, one report"},
    {"demo", cmd_demo, "the whole pipeline on the embedded model, offline"},
    {"plot", cmd_plot, "draw a result's plots again from its tables"},
    {"data", NULL, NULL},
    {"facts", cmd_facts, "find facts that a model knows, and split them by subject"},
    {"rows", cmd_rows, "filter rows of JSONL files, and concatenate files"},
    {"subset", cmd_subset, "sample a smaller LUME by document, with a holdout set"},
    {"models", NULL, NULL},
    {"info", cmd_info, "print a model's architecture, and the memory that each job needs"},
    {"generate", cmd_generate, "continue a prompt by greedy decoding"},
    {"nudge", cmd_nudge, "two models, one answer: a small one nudges a base model"},
    {"parity", cmd_parity, "compare a model's states with stored ones of another program"},
    {"diff", cmd_diff, "print the change between two models, tensor by tensor"},
    {"convert", cmd_convert, "write a model as a Hugging Face directory, or as a GGUF"},
    {"upcycle", cmd_upcycle, "make a mixture of experts of a dense model"},
    {NULL, NULL, NULL},
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] - 1 };

static int print_help(void)
{
    puts("deleatur " DELE_VERSION " -- machine unlearning: locate facts, unlearn them, measure\n"
         "\n"
         "  deleatur COMMAND ...          deleatur COMMAND --help lists its options");
    for (const command *c = commands; c->name; c++)
        if (c->run)
            printf("  %-10s %s\n", c->name, c->summary);
        else
            printf("\n%s\n", c->name);
    return 0;
}

static const command *find(const char *name)
{
    for (const command *c = commands; c->name; c++)
        if (c->run && !strcmp(c->name, name)) return c;
    return NULL;
}

static int fail_unknown(const char *name)
{
    const char *names[N_COMMANDS + 1] = {0};
    size_t n = 0;
    for (const command *c = commands; c->name; c++)
        if (c->run) names[n++] = c->name;
    const char *near = dele_nearest(name, names, n);
    if (near)
        dele_note("no command \"%s\"; did you mean %s?", name, near);
    else
        dele_note("no command \"%s\" (deleatur --help lists them)", name);
    return 2;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_help();
        return 2;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--version") || !strcmp(name, "version"))
        return puts("deleatur " DELE_VERSION) < 0;
    bool help = !strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help");
    if (help && argc == 2) return print_help();
    if (help) name = argv[2];

    const command *c = find(name);
    if (!c) return fail_unknown(name);
    if (!help) return c->run(argc - 1, argv + 1);
    char dashes[] = "--help",
         *ask[] = {argv[2], dashes, NULL}; /* deleatur help trace: as deleatur trace --help */
    return c->run(2, ask);
}

int main(int argc, char **argv)
{
    dele_process_begin(argv);
    return dele_process_end(dispatch(argc, argv));
}
