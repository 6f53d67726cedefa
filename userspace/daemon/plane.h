/* SPDX-License-Identifier: Apache-2.0 */
/* The packet plane as the daemon sees it: brought in line with the file, never in the way of serving. */
#ifndef DAEMON_PLANE_H
#define DAEMON_PLANE_H

#include <stdint.h>

#include "base/buf.h"
#include "conf/config.h"
#include "daemon/feed_watch.h"

/* What was there when last looked at. */
struct plane {
	unsigned int *seen; /* the file's interfaces in its order: their indexes, 0 for none */
	uint64_t settings;  /* edge_sysctl_digest's */
	struct feed_watch feeds;
};

/*
 * Attach the guard to the file's interfaces, or apply the file's policy where it is attached already; when starting, also
 * put this build's program in the place of an older one. What is not
 * possible is logged with its reason, and requests are served without.
 */
void plane_sync(struct plane *p, const struct config *cfg, bool starting);

/*
 * Attach to what has come back, or has come at last, since the last call, load feeds whose files changed, and follow the
 * kernel's settings that the SYN gate depends on; every second, say.
 */
void plane_watch(struct plane *p, const struct config *cfg);

void plane_fini(struct plane *p);

/* The file's interfaces for Prometheus: whether each is guarded, and its packets by what became of them. */
void plane_metrics(const struct config *cfg, struct buf *out);

/* A JSON array of the file's interfaces, guarded or not. */
void plane_status(const struct config *cfg, struct buf *out);

#endif
