/* SPDX-License-Identifier: Apache-2.0 */
/* The option tables of edge.rules and edge.bans. */
#ifndef CONF_LOAD_RULES_H
#define CONF_LOAD_RULES_H

#include "conf/schema.h"

/* Fill a struct conf_rule, and the member bans of a struct conf_edge. */
extern const struct conf_table conf_rule_table;
extern const struct conf_table conf_ban_table;

/* Of one prefix and port there is one rule. */
void conf_check_rules(struct conf_parse *p, const struct conf_node *node,
		      const struct conf_edge *edge);

#endif
