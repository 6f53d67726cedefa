/* SPDX-License-Identifier: Apache-2.0 */
/* What a name on the never-ban list means for bans that are in force already. */
#ifndef EDGE_NEVER_H
#define EDGE_NEVER_H

#include "edge/batch.h"

/*
 * Lift, with the batch, the bans of these prefixes and of all that lies within. How many, or -errno. One that is wider stays, and
 * warn, which may be NULL, is told which.
 */
int edge_never_lift(struct edge_batch *b, const struct conf_cidrs *never,
		    void (*warn)(const char *text), struct error *err);

#endif
