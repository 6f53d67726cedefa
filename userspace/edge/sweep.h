/* SPDX-License-Identifier: Apache-2.0 */
/* What has ended, of lists, rules and bans. It counts no more by itself; this makes room. */
#ifndef EDGE_SWEEP_H
#define EDGE_SWEEP_H

#include "edge/edge.h"

/* Whether an interface has entries that have ended: cheap, without the lock. */
bool edge_sweep_due(const char *name);

/* Remove entries that have ended, and forget bans. Their number, or -errno. Under the lock. */
int edge_sweep(const struct edge *e, struct error *err);

#endif
