/* deleatur plot DIR -- draw a result's pictures again: the tables in DIR/plots, DIR/deleatur/plots
 * or DIR itself through gnuplot, and of a trace its page, from trace.json, facts.jsonl and traces/.
 * No model is needed. */

#include "cli/cmd.h"

#include "base/file.h"
#include "base/former.h"
#include "base/text_out.h"
#include "option/option.h"
#include "plots/gnuplot.h"
#include "trace/record.h"
#include "trace/report/page.h"

/* A page that cannot be made is said and borne: older results lack what it needs, and their tables
 * can still be drawn. */
static bool make_page(const char *dir, dele_err *trouble)
{
    char path[1200];
    dele_trace trace;
    dele_trace_stats stats;
    dele_arena arena = {0};
    dele_err err = {0};
    snprintf(path, sizeof path, "%s/trace.json", dir);
    if (!dele_path_exists(path)) return false;
    bool made = !dele_trace_load(&trace, dir, &arena, &err) &&
                !dele_trace_statistics(&stats, &trace, &arena, &err) &&
                !dele_trace_page(&trace, &stats, dir, &err);
    if (!made) dele_fail(trouble, err.code, "no page.html: %s", err.msg);
    dele_arena_release(&arena);
    return made;
}

/* Draws every table for pictures of a result, in the first of the places where results have them,
 * and the page where the result is a trace's.  A page that cannot be made is reported after the
 * pictures are drawn. */
static dele_status plot(const char *dir, const dele_common *common, dele_err *err)
{
    static const char *const places[] = {"/plots", "/deleatur/plots", ""};
    char path[1200];
    dele_drawn drawn = {0};
    if (!dele_path_is_dir(dir))
        return dele_fail(err, DELE_ERR_FILE, "%s is not a directory; give a result's", dir);
    if (dele_former_refuse(dir, err)) return err->code;
    dele_err no_page = {0}; /* the pictures are drawn all the same */
    bool page = make_page(dir, &no_page);
    for (size_t i = 0; i < 3 && !drawn.n; i++) {
        snprintf(path, sizeof path, "%s%s", dir, places[i]);
        if (dele_path_is_dir(path) && dele_plots_draw(path, &drawn, err)) return err->code;
    }
    if (!drawn.n && !page)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s: no tables for pictures (.tsv beginning \"# plot\") in it or in its "
                         "plots/",
                         dir);
    if (no_page.code) return dele_fail(err, no_page.code, "%s", no_page.msg);
    if (common->json) {
        printf("{\"drawn\": %zu, \"page\": %s}\n", drawn.n, page ? "true" : "false");
        return DELE_OK;
    }
    dele_text_line(
        stdout, "%zu pictures drawn in %s, as %s", drawn.n, path,
        drawn.no_pdf
            ? ".svg and .png (this gnuplot was built without its pdfcairo terminal: no .pdf)"
            : ".svg, .png and .pdf");
    if (page) dele_text_line(stdout, "and all in one: %s/page.html, for a browser", dir);
    return DELE_OK;
}

int cmd_plot(int argc, char **argv)
{
    const char *dir = NULL;
    /* clang-format off */
    const dele_option options[] = {
        {0}};
    /* clang-format on */
    const dele_usage usage = {.command = "plot",
                              .summary = "draw a result's plots again from its tables",
                              .synopsis = "DIR",
                              .example = "deleatur plot trace-olmo",
                              .options = options,
                              .positional = &dir,
                              .n_positional = 1};
    dele_arena arena = {0};
    dele_err err = {0};
    dele_common common = {0};
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help)
        plot(dir, &common, &err);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
