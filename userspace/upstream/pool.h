/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of one worker to the endpoints of a service: idle ones are kept and watched, new ones made up to a limit. */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/timer.h"
#include "conf/config.h"
#include "io/stream.h"

/* What the pools of one service have in common. */
struct pool_limit {
	struct ring *ring;
	unsigned int max;  /* connections, idle and busy */
	unsigned int open; /* connections, those being closed not counted */
	unsigned int max_pending;
	unsigned int n_pending;
	struct list idle;    /* of all pools, newest first */
	struct list waiters; /* first come, first served */
	struct io_op wake_op;
	bool waking; /* wake_op is in flight */
};

struct pool {
	struct pool_limit *limit;
	const struct conf_endpoint *endpoint;
	uint64_t idle_timeout; /* ns */
	unsigned int alive;    /* objects, those being closed counted */
	struct list idle;      /* newest first */
	bool closing;	       /* keep none */
};

struct upstream_conn {
	struct stream stream;
	struct pool *pool;
	struct list node;   /* in pool.idle */
	struct list shared; /* in pool_limit.idle */
	struct timer timer; /* while idle */
	void *user;	    /* the borrower's */
	bool reused;	    /* has carried an exchange before */
	bool connected;
};

struct pool_waiter;
typedef void pool_ready_fn(struct pool_waiter *w);

/* Someone who waits for a connection. Zeroed before the first use. */
struct pool_waiter {
	struct list node;
	struct pool *pool; /* NULL: does not wait */
	pool_ready_fn
		*ready; /* it does not wait any more: there is room, and it may call pool_get */
};

enum pool_want {
	POOL_ANY,
	POOL_WAITED, /* the same for one whose turn it is: others that wait do not count */
	POOL_FRESH,  /* a new one, in the place of one that has just been dropped: likewise */
};

void pool_limit_init(struct pool_limit *l, struct ring *ring, unsigned int max,
		     unsigned int max_pending);

/* The limit must outlive its pools and, while it is waking, stay. */
void pool_init(struct pool *p, struct pool_limit *limit, const struct conf_endpoint *endpoint,
	       uint64_t idle_timeout);

/* Close idle connections and keep none that comes back; the pool may be freed when alive is 0. */
void pool_close(struct pool *p);

/*
 * Borrow a connection: an idle one, or a new one whose connect has been started (its connected event follows). The
 * borrower's events must name upstream_conn_closed as closed. Output may be queued at once.
 * 0, -EBUSY at the limit or when others wait, or what socket(2) says.
 */
int pool_get(struct pool *p, enum pool_want want, const struct stream_events *events, void *user,
	     struct upstream_conn **ret_conn);

/* Give back a connection on which the exchange ended cleanly, */
void pool_put(struct upstream_conn *u);

/* or one that cannot be used again. Neither makes further callbacks to the borrower. */
void pool_drop(struct upstream_conn *u);

/* Wait for a connection after -EBUSY. 0, or -EBUSY when too many do. */
int pool_wait(struct pool *p, struct pool_waiter *w);

/* Harmless when it does not wait. */
void pool_wait_cancel(struct pool_waiter *w);

void upstream_conn_closed(struct stream *s);

#endif
