/* SPDX-License-Identifier: Apache-2.0 */
/* The option tables of edge:, what the packet plane does. */
#ifndef CONF_LOAD_EDGE_H
#define CONF_LOAD_EDGE_H

#include "conf/schema.h"

/* Fills a struct conf_edge. */
extern const struct conf_table conf_edge_table;

/* Why the packet plane can't guard an interface of this name; NULL: it can. */
const char *conf_interface_check(struct slice name);

/* Once the rest of the file is read: what is not said follows from it (ports are the public listeners'). */
void conf_edge_resolve(struct conf_parse *p, struct config *cfg);

#endif
