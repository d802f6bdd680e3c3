/* Tables and text on the routes of a trace of a mixture of experts. */
#ifndef DELE_TRACE_ROUTE_TABLES_H
#define DELE_TRACE_ROUTE_TABLES_H

#include "trace/report/table_parts.h"

/* experts.tsv, routes.tsv, unchanged_experts.tsv, mask_experts.json and
 * plots/unchanged_experts.tsv; nothing where the model is no mixture. */
dele_status dele_save_routes(const dele_saving *to);

/* For the terminal: the experts of mask_experts.json, the table of two by two, and the experts that
 * were left; of the one fact, where only (may be NULL) is given, also its experts at the last
 * subject token. */
void dele_routes_print(FILE *to, const dele_trace *trace, const dele_trace_stats *stats,
                       const dele_traced *only);

#endif
