/* The page of a routing study: texts, tables, pictures, published numbers. */
#ifndef DELE_ROUTING_PAGE_H
#define DELE_ROUTING_PAGE_H

#include "routing/study/results.h"

/* Writes dir/routing.html, with the pictures that are in dir/plots. */
dele_status dele_routing_page(const dele_routing_study *s, const char *dir, dele_err *err);

#endif
