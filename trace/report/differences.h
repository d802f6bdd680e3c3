/* Differences between charts. */
#ifndef DELE_TRACE_DIFFERENCES_H
#define DELE_TRACE_DIFFERENCES_H

#include "trace/report/table_parts.h"

dele_status dele_save_differences(const dele_saving *to); /* differences.tsv */

#endif
