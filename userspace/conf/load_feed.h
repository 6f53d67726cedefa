/* SPDX-License-Identifier: Apache-2.0 */
/* The option tables of deny: and feeds:, lists that the file names instead of saying them. */
#ifndef CONF_LOAD_FEED_H
#define CONF_LOAD_FEED_H

#include "conf/schema.h"

extern const struct conf_table conf_feed_table;	 /* an item of deny: that is a map */
extern const struct conf_table conf_feeds_table; /* feeds: */

/* Fills deny and deny_feeds of a struct conf_edge. */
void conf_parse_deny(struct conf_parse *p, const struct conf_node *node, void *out);

#endif
