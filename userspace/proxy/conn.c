/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a client connection: heads in, requests one after the other, an orderly end. */
#include "proxy/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/h1.h"

#define OUT_MAX	     (STREAM_HIGH_WATER + 8 * RING_BUF_SIZE)
#define PIPELINE_MAX 16384 /* bytes of later requests that are held while one is answered */
#define ARENA_CHUNK  4096
#define ARENA_MAX    262144
#define IDLE_BUF     4096 /* an idle connection keeps no larger input buffer */
#define LINGER_NSEC  (2 * NSEC_PER_SEC)

static struct conn *conn_of(struct stream *s)
{
	return container_of(s, struct conn, stream);
}

static void set_deadline(struct conn *c, uint64_t nsec)
{
	timer_set(&c->proxy->ring->timers, &c->timer, c->proxy->ring->now + nsec);
}

void conn_progress(struct conn *c)
{
	set_deadline(c, c->limits.idle);
}

static void end_request(struct conn *c)
{
	if (!c->snapshot)
		return;
	account_request(c);
	proxy_snapshot_unref(c->proxy, c->snapshot);
	c->snapshot = NULL;
}

void conn_close(struct conn *c)
{
	if (c->stream.closing)
		return;
	forward_abort(c);
	end_request(c);
	timer_stop(&c->timer);
	stream_close(&c->stream);
}

static void closed(struct stream *s)
{
	struct conn *c = conn_of(s);

	list_del(&c->node);
	metrics_set(&c->proxy->count->connections, --c->proxy->n_conns);
	c->listener->n_conns--;
	proxy_listener_unref(c->listener);
	timer_fini(&c->timer);
	buf_fini(&c->in);
	buf_fini(&c->up_in);
	buf_fini(&c->up_head);
	arena_fini(&c->arena);
	free(c);
}

/*
 * All is written. Closing now would reset the connection if the peer is still sending, and the reset could overtake
 * the answer (RFC 9112, section 9.6): send FIN, discard what comes for a while.
 */
static void linger(struct conn *c)
{
	if (c->input_ended) {
		conn_close(c);
		return;
	}
	c->state = CONN_LINGER;
	buf_clear(&c->in);
	stream_shutdown(&c->stream);
	set_deadline(c, LINGER_NSEC);
	stream_resume(&c->stream);
}

void conn_finish(struct conn *c, bool keep)
{
	struct proxy *p = c->proxy;

	if (c->stream.closing)
		return;
	end_request(c);
	c->answered = false;
	arena_reset(&c->arena);
	buf_clear(&c->up_head);
	buf_clear(&c->up_in);
	stream_flush(&c->stream);
	if (!keep || c->input_ended || p->draining) {
		c->state = CONN_FLUSH;
		conn_progress(c);
		if (stream_idle(&c->stream))
			linger(c);
		return;
	}
	c->state = CONN_HEAD;
	c->scanned = 0;
	set_deadline(c, c->limits.idle);
	conn_run(c);
}

/* False: nothing can be done before more comes. */
static bool read_head(struct conn *c)
{
	struct slice in = buf_slice(&c->in);
	enum h1_status rc = H1_PARTIAL;
	size_t used;

	/* Most heads come in one piece: try at once, count pieces only when that failed. */
	if (c->scanned == 0 || h1_complete(in, &c->scanned))
		rc = h1_parse_request(&c->proxy->request, in, &used);
	switch (rc) {
	case H1_OK:
		if (used > c->limits.max_head) {
			request_refuse(c, 431, "head_too_large");
			return true;
		}
		c->scanned = 0;
		c->state = CONN_BUSY;
		request_start(c);
		/* The head's slices point into the buffer: used only now. */
		if (!c->stream.closing && c->state != CONN_LINGER)
			buf_consume(&c->in, used);
		return true;
	case H1_PARTIAL:
		if (c->scanned == 0) {
			h1_complete(in, &c->scanned);
			set_deadline(c, c->limits.headers);
		}
		if (in.len <= c->limits.max_head)
			return false;
		request_refuse(c, 431, "head_too_large");
		return true;
	case H1_FIELDS:
		request_refuse(c, 431, "too_many_fields");
		return true;
	case H1_URI:
		request_refuse(c, 414, "uri_too_long");
		return true;
	case H1_VERSION:
		request_refuse(c, 505, "http_version");
		return true;
	case H1_UNSUPPORTED:
		request_refuse(c, 501, "transfer_coding");
		return true;
	case H1_BAD:
		break;
	}
	request_refuse(c, 400, "bad_request");
	return true;
}

/* Hand request body bytes to the upstream. False: no room there, or nothing to hand over. */
static bool move_body(struct conn *c, struct slice *in)
{
	size_t before = in->len;
	int rc;

	if (!c->up || stream_full(&c->up->stream))
		return false;
	rc = body_move(&c->request_body, in, stream_outq(&c->up->stream));
	if (rc == -EBADMSG && !c->answered) {
		request_refuse(c, 400, "bad_body");
		return false;
	}
	if (rc < 0) {
		c->verdict = "bad_body";
		conn_close(c);
		return false;
	}
	stream_flush(&c->up->stream);
	if (c->answered)
		conn_progress(c);
	return in->len < before;
}

/* Whether and where to read on: backpressure is nothing but not asking for more. */
static void pump(struct conn *c)
{
	bool want = false;

	if (c->stream.closing)
		return;
	switch (c->state) {
	case CONN_HEAD:
	case CONN_LINGER:
		want = true;
		break;
	case CONN_BUSY:
		/* With nowhere to write it to, reading goes on a little: to see the client go away. */
		want = c->request_body.done || c->waiter.pool
			       ? buf_len(&c->in) < PIPELINE_MAX
			       : buf_len(&c->in) == 0 && c->up && !stream_full(&c->up->stream);
		break;
	case CONN_FLUSH:
		break;
	}
	if (want)
		stream_resume(&c->stream);
	else
		stream_pause(&c->stream);
	if (!c->up || !c->up->connected)
		return;
	if (stream_full(&c->stream))
		stream_pause(&c->up->stream);
	else
		stream_resume(&c->up->stream);
}

void conn_run(struct conn *c)
{
	if (c->running)
		return;
	c->running = true;
	while (!c->stream.closing && buf_len(&c->in)) {
		struct slice in = buf_slice(&c->in);

		if (c->state == CONN_HEAD) {
			if (!read_head(c))
				break;
		} else if (c->state == CONN_BUSY && !c->request_body.done) {
			bool moved = move_body(c, &in);

			if (c->stream.closing || c->state != CONN_BUSY)
				break;
			buf_consume(&c->in, buf_len(&c->in) - in.len);
			if (!moved)
				break;
		} else {
			break;
		}
	}
	c->running = false;
	if (c->state == CONN_HEAD && buf_len(&c->in) == 0 && c->in.cap > IDLE_BUF)
		buf_fini(&c->in);
	pump(c);
}

static void client_data(struct stream *s, struct slice bytes)
{
	struct conn *c = conn_of(s);

	if (c->state == CONN_LINGER || c->state == CONN_FLUSH)
		return;
	if (c->state == CONN_BUSY && !c->request_body.done && buf_len(&c->in) == 0)
		move_body(c, &bytes);
	if (c->stream.closing || c->state == CONN_LINGER || c->state == CONN_FLUSH)
		return;
	if (buf_put(&c->in, bytes) < 0) {
		c->verdict = "no_room";
		conn_close(c);
		return;
	}
	conn_run(c);
}

static void client_end(struct stream *s, int error)
{
	struct conn *c = conn_of(s);

	c->input_ended = true;
	/*
	 * A client may close its sending side and still want the answer to a request that is complete. Few do, and where
	 * others wait for their turn nothing is done for one that has probably gone.
	 */
	if (error == 0 && !c->waiter.pool &&
	    (c->state == CONN_FLUSH || (c->state == CONN_BUSY && c->request_body.done)))
		return;
	c->verdict = "client_closed";
	conn_close(c);
}

static void client_drained(struct stream *s)
{
	struct conn *c = conn_of(s);

	if (c->state == CONN_FLUSH) {
		conn_progress(c);
		if (stream_idle(s))
			linger(c);
		return;
	}
	if (c->state == CONN_BUSY && c->answered)
		conn_progress(c);
	pump(c);
}

static void client_connected(struct stream *s, int error)
{
	(void)s;
	(void)error;
}

static const struct stream_events client_events = {
	.data = client_data,
	.end = client_end,
	.drained = client_drained,
	.connected = client_connected,
	.closed = closed,
};

static void expired(struct timer *t, uint64_t now)
{
	struct conn *c = container_of(t, struct conn, timer);

	(void)now;
	metrics_add(&c->proxy->count->timeouts, 1);
	if (c->state == CONN_BUSY)
		forward_timeout(c);
	else if (c->state == CONN_HEAD && buf_len(&c->in))
		request_refuse(c, 408, "head_timeout");
	else
		conn_close(c);
}

/* As text once: the upstream's head of every request wants it. */
static void write_client(struct conn *c)
{
	const struct sockaddr *peer = (const struct sockaddr *)&c->peer;
	const void *addr = peer->sa_family == AF_INET
				   ? (const void *)&((const struct sockaddr_in *)peer)->sin_addr
				   : (const void *)&((const struct sockaddr_in6 *)peer)->sin6_addr;

	c->client =
		slice_str(inet_ntop(peer->sa_family, addr, c->client_text, sizeof(c->client_text)));
}

void proxy_accept(struct proxy *p, int fd, struct proxy_listener *listener)
{
	socklen_t len = sizeof(struct sockaddr_storage);
	struct conn *c;
	int one = 1;

	c = listener->n_conns < listener->limits.max_conns ? calloc(1, sizeof(*c)) : NULL;
	if (!c || getpeername(fd, (struct sockaddr *)&c->peer, &len) < 0) {
		metrics_add(&p->count->refused, 1);
		free(c);
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->proxy = p;
	c->listener = listener;
	listener->refs++;
	listener->n_conns++;
	c->limits.headers = listener->limits.headers;
	c->limits.idle = listener->limits.idle;
	c->limits.max_head = listener->limits.max_head;
	c->limits.max_requests = listener->limits.max_requests;
	c->port = ntohs(((const struct sockaddr_in *)&listener->address)->sin_port);
	write_client(c);
	buf_init(&c->in, c->limits.max_head + 2 * RING_BUF_SIZE + STREAM_READ_AHEAD);
	buf_init(&c->up_in, 2 * RING_BUF_SIZE);
	buf_init(&c->up_head, 2 * c->limits.max_head + 65536);
	arena_init(&c->arena, ARENA_CHUNK, ARENA_MAX);
	timer_init(&c->timer, expired);
	stream_init(&c->stream, p->ring, fd, OUT_MAX, &client_events);
	list_add(&p->conns, &c->node);
	metrics_set(&p->count->connections, ++p->n_conns);
	metrics_add(&p->count->accepted, 1);
	set_deadline(c, c->limits.headers);
	stream_resume(&c->stream);
}
