/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin listener shows of the process: /metrics, /status and /ready, true at any moment. */
#ifndef DAEMON_STATUS_H
#define DAEMON_STATUS_H

#include <pthread.h>
#include <stdbool.h>

#include "admin/admin.h"
#include "proxy/snapshot.h"

struct status {
	pthread_mutex_t lock; /* the main thread writes, the admin thread reads */
	struct metrics *metrics;
	unsigned int n_workers;
	uint64_t started; /* CLOCK_MONOTONIC ns */
	uint64_t started_wall;
	const struct snapshot *snap; /* what is served now */
	bool draining;
	struct {
		uint64_t succeeded;
		uint64_t failed;
		uint64_t last_wall; /* of the last try, ns; 0: there was none */
		bool last_ok;
		char last_text[256]; /* why it failed */
	} reloads;
};

void status_init(struct status *s, struct metrics *m, unsigned int n_workers);
void status_fini(struct status *s);

/* From now on this is served; what was served before may be freed after the call. NULL: nothing any more. */
void status_serve(struct status *s, const struct snapshot *snap);

/* A reload ended: failure is why it failed, or NULL. */
void status_reloaded(struct status *s, const char *failure);
void status_drain(struct status *s);

/* The pages, with the struct status as user. */
extern const struct admin_page status_pages[];

#endif
