/* SPDX-License-Identifier: Apache-2.0 */
/* The option tables of what edge: limits: each source, each port, tiers. */
#ifndef CONF_LOAD_LIMITS_H
#define CONF_LOAD_LIMITS_H

#include "conf/schema.h"

/* A list of addresses and prefixes into a struct conf_cidrs; conf_option.parse. */
void conf_parse_cidrs(struct conf_parse *p, const struct conf_node *node, void *field);

/* Fill edge.limits, edge.rate_limit and one of edge.tiers. */
extern const struct conf_table conf_limits_table;
extern const struct conf_table conf_rate_limit_table;
extern const struct conf_table conf_tier_table;

/* Once edge is filled: rate_limit goes into limits; what contradicts itself is an error. */
void conf_limits_check(struct conf_parse *p, const struct conf_node *node, struct conf_edge *edge);

#endif
