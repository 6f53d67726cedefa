/* SPDX-License-Identifier: Apache-2.0 */
/* The packet plane as the daemon sees it: brought in line with the file, never in the way of serving. */
#ifndef DAEMON_PLANE_H
#define DAEMON_PLANE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "conf/config.h"
#include "daemon/feed_watch.h"
#include "edge/local.h"

struct plane_interface {
	char name[IF_NAMESIZE];
	unsigned int index; /* 0: it is not there */
	bool guarded;
	unsigned int retry; /* in so many seconds what failed is tried again; 0: nothing has */
	struct local local; /* what the SYN gate takes for this host's */
};

/* What was there when last looked at. */
struct plane {
	struct plane_interface *seen; /* the file's, in its order */
	size_t n;
	uint64_t settings; /* edge_sysctl_digest's */
	struct feed_watch feeds;
	bool starting; /* true before the first plane_sync */
	bool due;      /* one waits until another command gives the lock back */
};

/*
 * Attach the guard to the file's interfaces, or apply the file's policy where it is attached already; when starting, also
 * put this build's program in the place of an older one. What is not
 * possible is logged with its reason, and requests are served without. A command that keeps the lock is not waited for:
 * plane_watch goes on when it ends.
 */
void plane_sync(struct plane *p, const struct config *cfg);

/*
 * Attach to what has come back, or has come at last, since the last call, and try again what failed; load feeds whose files
 * changed, follow the kernel's settings that the SYN gate depends on, and tell when a guard has gone. To be called every second.
 */
void plane_watch(struct plane *p, const struct config *cfg);

void plane_fini(struct plane *p);

/* The file's interfaces for Prometheus: whether each is guarded, and its packets by what became of them. */
void plane_metrics(const struct config *cfg, struct buf *out);

/* A JSON array of the file's interfaces, guarded or not. */
void plane_status(const struct config *cfg, struct buf *out);

#endif
