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

void pool_init(struct pool *p, struct ring *ring, const struct conf_endpoint *endpoint,
	       uint64_t idle_timeout, unsigned int max)
{
	*p = (struct pool){
		.ring = ring,
		.endpoint = endpoint,
		.idle_timeout = idle_timeout,
		.max = max,
	};
	list_init(&p->idle);
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

	if (p->open >= p->max)
		return -EBUSY;
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
	timer_init(&u->timer, idle_expired);
	stream_init(&u->stream, p->ring, fd, OUT_MAX, events);
	p->open++;
	p->alive++;
	stream_connect(&u->stream, (const struct sockaddr *)&addr->ss, addr->len);
	*ret_conn = u;
	return 0;
}

int pool_get(struct pool *p, bool fresh, const struct stream_events *events, void *user,
	     struct upstream_conn **ret_conn)
{
	struct list *node = fresh ? NULL : list_pop(&p->idle);
	struct upstream_conn *u = NULL;
	int rc;

	if (node) {
		u = container_of(node, struct upstream_conn, node);
		timer_stop(&u->timer);
		u->reused = true;
		u->stream.events = events;
	} else {
		/* At the limit with an idle connection: that one makes room. */
		if (p->open >= p->max && !list_empty(&p->idle))
			pool_drop(container_of(p->idle.prev, struct upstream_conn, node));
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
	timer_set(&p->ring->timers, &u->timer, p->ring->now + p->idle_timeout);
	/* Reading goes on, so that the peer's close is seen. */
	stream_resume(&u->stream);
}

void pool_drop(struct upstream_conn *u)
{
	if (u->stream.closing)
		return;
	u->pool->open--;
	u->user = NULL;
	u->stream.events = &idle_events;
	list_del(&u->node);
	timer_stop(&u->timer);
	stream_close(&u->stream);
}
