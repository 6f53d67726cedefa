/* SPDX-License-Identifier: Apache-2.0 */
#include "upstream/pool.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

/* Hard maximum of an output buffer: the high-water mark, and what one receive adds in the worst chunk framing. */
#define OUT_MAX (STREAM_HIGH_WATER + 8 * RING_BUF_SIZE)

static void idle_data(struct stream *s, struct slice bytes)
{
	/* An answer to no request: the next exchange would take it for its own. */
	(void)bytes;
	pool_drop(container_of(s, struct upstream_conn, stream));
}

static void idle_end(struct stream *s, int error)
{
	(void)error;
	pool_drop(container_of(s, struct upstream_conn, stream));
}

static void idle_drained(struct stream *s)
{
	(void)s;
}

static void idle_connected(struct stream *s, int error)
{
	(void)s;
	(void)error;
}

static const struct stream_events idle_events = {
	.data = idle_data,
	.end = idle_end,
	.drained = idle_drained,
	.connected = idle_connected,
	.closed = upstream_conn_closed,
};

void upstream_conn_closed(struct stream *s)
{
	struct upstream_conn *u = container_of(s, struct upstream_conn, stream);

	u->pool->alive--;
	timer_fini(&u->timer);
	free(u);
}

static void idle_expired(struct timer *t, uint64_t now)
{
	(void)now;
	pool_drop(container_of(t, struct upstream_conn, timer));
}

/* Room for a connection of this pool, if need be in the place of an idle one of another. */
static bool has_room(const struct pool *p)
{
	return p->limit->open < p->limit->max || !list_empty(&p->limit->idle);
}

/*
 * Whoever waits is called from the loop, not by the one who makes room: that one is in the middle of something. Until
 * then newcomers wait behind.
 */
static void wake(struct pool_limit *l)
{
	if (l->waking || list_empty(&l->waiters))
		return;
	l->waking = true;
	io_uring_prep_nop(ring_sqe(l->ring, &l->wake_op));
}

static void woken(struct io_op *op, int res, unsigned int flags)
{
	struct pool_limit *l = container_of(op, struct pool_limit, wake_op);

	(void)res;
	(void)flags;
	l->waking = false;
	while (!list_empty(&l->waiters)) {
		struct pool_waiter *w = container_of(l->waiters.next, struct pool_waiter, node);

		if (!has_room(w->pool))
			return;
		pool_wait_cancel(w);
		w->ready(w);
	}
}

void pool_limit_init(struct pool_limit *l, struct ring *ring, unsigned int max,
		     unsigned int max_pending)
{
	*l = (struct pool_limit){
		.ring = ring,
		.max = max,
		.max_pending = max_pending,
		.wake_op.done = woken,
	};
	list_init(&l->idle);
	list_init(&l->waiters);
}

void pool_init(struct pool *p, struct pool_limit *limit, const struct conf_endpoint *endpoint,
	       uint64_t idle_timeout)
{
	*p = (struct pool){
		.limit = limit,
		.endpoint = endpoint,
		.idle_timeout = idle_timeout,
	};
	list_init(&p->idle);
}

int pool_wait(struct pool *p, struct pool_waiter *w)
{
	struct pool_limit *l = p->limit;

	if (l->n_pending >= l->max_pending)
		return -EBUSY;
	l->n_pending++;
	w->pool = p;
	list_add_tail(&l->waiters, &w->node);
	return 0;
}

void pool_wait_cancel(struct pool_waiter *w)
{
	if (!w->pool)
		return;
	w->pool->limit->n_pending--;
	w->pool = NULL;
	list_del(&w->node);
}

void pool_close(struct pool *p)
{
	struct list *node, *tmp;

	p->closing = true;
	list_for_each (node, tmp, &p->idle)
		pool_drop(container_of(node, struct upstream_conn, node));
}

static int open_conn(struct pool *p, const struct stream_events *events,
		     struct upstream_conn **ret_conn)
{
	const struct conf_sockaddr *addr = &p->endpoint->address;
	struct upstream_conn *u;
	int one = 1;
	int fd;

	fd = socket(addr->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	u = calloc(1, sizeof(*u));
	if (!u) {
		close(fd);
		return -ENOMEM;
	}
	u->pool = p;
	list_init(&u->node);
	list_init(&u->shared);
	timer_init(&u->timer, idle_expired);
	stream_init(&u->stream, p->limit->ring, fd, OUT_MAX, events);
	p->limit->open++;
	p->alive++;
	stream_connect(&u->stream, (const struct sockaddr *)&addr->ss, addr->len);
	*ret_conn = u;
	return 0;
}

int pool_get(struct pool *p, enum pool_want want, const struct stream_events *events, void *user,
	     struct upstream_conn **ret_conn)
{
	struct pool_limit *l = p->limit;
	struct upstream_conn *u = NULL;
	struct list *node;
	int rc;

	if (!has_room(p) || (want == POOL_ANY && !list_empty(&l->waiters)))
		return -EBUSY;
	node = want == POOL_FRESH ? NULL : list_pop(&p->idle);
	if (node) {
		u = container_of(node, struct upstream_conn, node);
		list_del(&u->shared);
		timer_stop(&u->timer);
		u->reused = true;
		u->stream.events = events;
	} else {
		/* At the limit with an idle connection: the one that has been for longest makes room. */
		if (l->open >= l->max)
			pool_drop(container_of(l->idle.prev, struct upstream_conn, shared));
		rc = open_conn(p, events, &u);
		if (rc < 0)
			return rc;
	}
	u->user = user;
	*ret_conn = u;
	return 0;
}

void pool_put(struct upstream_conn *u)
{
	struct pool *p = u->pool;

	if (p->closing || u->stream.ended || !stream_idle(&u->stream)) {
		pool_drop(u);
		return;
	}
	u->user = NULL;
	u->stream.events = &idle_events;
	list_add(&p->idle, &u->node);
	list_add(&p->limit->idle, &u->shared);
	timer_set(&p->limit->ring->timers, &u->timer, p->limit->ring->now + p->idle_timeout);
	wake(p->limit);
	/* Reading goes on, so that the peer's close is seen. */
	stream_resume(&u->stream);
}

void pool_drop(struct upstream_conn *u)
{
	if (u->stream.closing)
		return;
	u->pool->limit->open--;
	u->user = NULL;
	u->stream.events = &idle_events;
	list_del(&u->node);
	list_del(&u->shared);
	timer_stop(&u->timer);
	stream_close(&u->stream);
	wake(u->pool->limit);
}
