/* Tables of the pictures (plots/gnuplot.h) of a routing study, as the paper's figures:
 *
 *   specialisation_layer_L      DS of each expert in each domain, against k / E: bars
 *   specialisation_DOMAIN       the same of all layers: a map of layer by expert
 *   coactivation_layer_L        the experts with the largest co-activation: a map
 *   distance, entropy           of the domains' loads, layer by layer, with the shuffled control
 *   vocabulary                  vocabulary specialisation layer by layer, with chance
 *   vocabulary_layer_L          the same of each expert: bars
 *   saturation, shift           of other models against the first
 *
 * L: the first, the middle and the last layer with experts.  DOMAIN is its number, from 0.  With
 * other models, bars and maps show the first of them beside the model, before and after; of
 * distance, entropy and vocabulary there is a second picture on the same scale, NAME_after. */
#ifndef DELE_ROUTING_PICTURES_H
#define DELE_ROUTING_PICTURES_H

#include "routing/study/results.h"

/* Into dir, which exists. */
dele_status dele_routing_save_pictures(const dele_routing_study *s, const char *dir, dele_err *err);

#endif
