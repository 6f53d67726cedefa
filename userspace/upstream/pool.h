/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of one worker to one endpoint: idle ones are kept and watched, new ones made up to a limit. */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/timer.h"
#include "conf/config.h"
#include "io/stream.h"

struct pool {
	struct ring *ring;
	const struct conf_endpoint *endpoint;
	uint64_t idle_timeout; /* ns */
	unsigned int max;      /* connections, idle and busy */
	unsigned int open;     /* connections, those being closed not counted */
	unsigned int alive;    /* objects, those being closed counted */
	struct list idle;      /* newest first */
	bool closing;	       /* keep none */
};

struct upstream_conn {
	struct stream stream;
	struct pool *pool;
	struct list node;   /* in pool.idle */
	struct timer timer; /* while idle */
	void *user;	    /* the borrower's */
	bool reused;	    /* has carried an exchange before */
	bool connected;
};

void pool_init(struct pool *p, struct ring *ring, const struct conf_endpoint *endpoint,
	       uint64_t idle_timeout, unsigned int max);

/* Close idle connections and keep none that comes back; the pool may be freed when alive is 0. */
void pool_close(struct pool *p);

/*
 * Borrow a connection: an idle one, or a new one whose connect has been started (its connected event follows). The
 * borrower's events must name upstream_conn_closed as closed. Output may be queued at once.
 * 0, -EBUSY at the limit, or what socket(2) says.
 */
int pool_get(struct pool *p, bool fresh, const struct stream_events *events, void *user,
	     struct upstream_conn **ret_conn);

/* Give back a connection on which the exchange ended cleanly, */
void pool_put(struct upstream_conn *u);

/* or one that cannot be used again. Neither makes further callbacks to the borrower. */
void pool_drop(struct upstream_conn *u);

void upstream_conn_closed(struct stream *s);

#endif
