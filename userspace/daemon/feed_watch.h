/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the files of the feeds have changed since they were loaded; by looking at them, which works on every file system. */
#ifndef DAEMON_FEED_WATCH_H
#define DAEMON_FEED_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/config.h"

struct feed_watch_file;

struct feed_watch {
	struct feed_watch_file
		*files; /* in the order of the configuration; NULL: nothing to watch */
};

/* Before the feeds are loaded: what is written meanwhile is a change. */
void feed_watch_init(struct feed_watch *w, const struct config *cfg);

/* Every second, say. True, once, for a file that differs from when it was loaded, and no longer from the last look. */
bool feed_watch_changed(struct feed_watch *w, const struct config *cfg);

void feed_watch_fini(struct feed_watch *w);

#endif
