/* SPDX-License-Identifier: Apache-2.0 */
/* One exchange with an upstream: its connection, the head and body there, the answer back. */
#include <errno.h>

#include "http/h1.h"
#include "proxy/conn.h"
#include "proxy/head.h"
#include "route/split.h"

static const struct stream_events upstream_events;

static struct conn *borrower(struct stream *s)
{
	struct upstream_conn *u = container_of(s, struct upstream_conn, stream);

	return u->user;
}

static void fail(struct conn *c, unsigned int status, const char *verdict)
{
	c->up_failed = true;
	reply_error(c, status, verdict);
}

void forward_abort(struct conn *c)
{
	struct upstream_conn *u = c->up;

	c->up = NULL;
	pool_wait_cancel(&c->waiter);
	if (u)
		pool_drop(u);
}

void forward_timeout(struct conn *c)
{
	/* The client is late to read or with its body, or the upstream with its answer. */
	if (c->answered && !stream_idle(&c->stream))
		reply_error(c, 408, "client_timeout");
	else if (!c->request_body.done && c->up && stream_idle(&c->up->stream) && c->up->connected)
		reply_error(c, 408, "body_timeout");
	else
		fail(c, 504, "upstream_timeout");
}

/* Smooth weighted choice: the fractional parts of multiples of the golden ratio spread evenly. */
static size_t pick_endpoint(const struct conf_service *s, uint64_t turn)
{
	uint64_t total = 0;
	uint64_t at;

	if (s->n_endpoints == 1)
		return 0;
	for (size_t i = 0; i < s->n_endpoints; i++)
		total += s->endpoints[i].weight;
	at = (uint64_t)(((unsigned __int128)(turn * 0x9e3779b97f4a7c15ULL) * total) >> 64);
	for (size_t i = 0; i < s->n_endpoints; i++) {
		if (at < s->endpoints[i].weight)
			return i;
		at -= s->endpoints[i].weight;
	}
	return 0;
}

static pool_ready_fn resume;

static void start(struct conn *c, struct pool *pool, enum pool_want want)
{
	struct ring *r = c->proxy->ring;
	uint64_t deadline = c->started + c->service->timeouts.request;
	uint64_t connect = r->now + c->service->timeouts.connect;
	int rc = pool_get(pool, want, &upstream_events, c, &c->up);

	c->pool = pool;
	c->waiter.ready = resume;
	if (rc == -EBUSY && pool_wait(pool, &c->waiter) == 0) {
		timer_set(&r->timers, &c->timer, deadline);
		return;
	}
	if (rc < 0) {
		if (rc == -EBUSY)
			fail(c, 503, "upstream_busy");
		else
			fail(c, 502, "upstream_connect");
		return;
	}
	if (!c->up->connected && connect < deadline)
		deadline = connect;
	timer_set(&r->timers, &c->timer, deadline);
	buf_put(stream_out(&c->up->stream), buf_slice(&c->up_head));
	stream_flush(&c->up->stream);
}

static void resume(struct pool_waiter *w)
{
	struct conn *c = container_of(w, struct conn, waiter);

	start(c, c->pool, POOL_WAITED);
	conn_run(c);
}

void forward_start(struct conn *c, struct slice target)
{
	struct worker_snapshot *w = c->snapshot;
	const struct config *cfg = w->snap->cfg;
	const struct http_head *h = &c->proxy->request;
	size_t route = (size_t)(c->route - cfg->routes);
	size_t service = split_pick(c->route, h, w->split_turns[route]++, &c->proxy->sticky_key);
	size_t endpoint;
	struct head_request q = {
		.route = c->route,
		.client = c->client,
		.target = target,
		.request_id = slice_make(c->request_id, sizeof(c->request_id)),
		.port = c->port,
		.chunked = h->chunked,
		.trailers = c->trailers,
	};

	c->service = &cfg->services[service];
	c->up_started = c->proxy->ring->now;
	endpoint = pick_endpoint(c->service, w->endpoint_turns[service]++);
	c->endpoint = &c->service->endpoints[endpoint];
	q.endpoint = c->endpoint;
	buf_clear(&c->up_head);
	head_write_request(&c->up_head, h, &q);
	if (c->up_head.failed) {
		reply_error(c, 431, "head_too_large");
		return;
	}
	c->up_scanned = 0;
	start(c, &w->pools[service][endpoint], POOL_ANY);
}

static void upstream_connected(struct stream *s, int error)
{
	struct upstream_conn *u = container_of(s, struct upstream_conn, stream);
	struct conn *c = u->user;
	struct ring *r = s->ring;

	if (error) {
		fail(c, 502, "upstream_connect");
		return;
	}
	u->connected = true;
	timer_set(&r->timers, &c->timer, c->started + c->service->timeouts.request);
	stream_flush(s);
	stream_resume(s);
	conn_run(c);
}

/* The exchange is over: keep both connections where both messages ended cleanly. */
static void complete(struct conn *c)
{
	struct upstream_conn *u = c->up;
	bool clean = c->request_body.done;

	c->up = NULL;
	if (clean && c->up_keep)
		pool_put(u);
	else
		pool_drop(u);
	conn_finish(c, c->keep_alive && clean);
}

static bool response_trailer(const struct body *b, struct slice name)
{
	(void)b;
	(void)name;
	return true;
}

static void start_response(struct conn *c, struct http_head *h)
{
	struct buf *out = stream_out(&c->stream);
	bool none = c->is_head || h->status == 204 || h->status == 304;
	enum body_kind kind = none	      ? BODY_NONE
			      : h->chunked    ? BODY_CHUNKED
			      : h->has_length ? BODY_LENGTH
					      : BODY_CLOSE;
	bool delimited = kind != BODY_CHUNKED && kind != BODY_CLOSE;

	c->up_keep = h->keep_alive && kind != BODY_CLOSE;
	/* HTTP/1.0 knows no chunks: the end of the connection ends the body. */
	if ((!delimited && c->client_10) || !c->request_body.done || c->proxy->draining)
		c->keep_alive = false;
	body_init(&c->response_body, kind, h->length, !delimited && !c->client_10);
	head_strip_hop(h);
	if (c->trailers && c->response_body.out_chunked)
		c->response_body.trailer = response_trailer;
	else
		http_head_remove(h, HTTP_NAME_TRAILER);
	if (h->status == 204)
		http_head_remove(h, HTTP_NAME_CONTENT_LENGTH);
	head_write_response(out, h, slice_make(c->request_id, sizeof(c->request_id)),
			    c->response_body.out_chunked, !c->keep_alive);
	if (c->keep_alive && c->client_10) {
		/* HTTP/1.0 asks for persistence, and is told (RFC 9112, appendix C.2.2). */
		out->tail -= 2;
		buf_puts(out, "Connection: keep-alive\r\n\r\n");
	}
	c->status = h->status;
	c->answered = true;
	c->up_answered = c->proxy->ring->now;
	buf_clear(&c->up_head);
}

/* Interim answers pass, the final one starts the response. 0: more is needed; 1: started; or -EBADMSG. */
static int read_response_head(struct conn *c, struct slice *in)
{
	struct http_head *h = &c->proxy->response;
	size_t used;

	for (;;) {
		switch (h1_parse_response(h, *in, &used)) {
		case H1_OK:
			break;
		case H1_PARTIAL:
			return 0;
		default:
			return -EBADMSG;
		}
		*in = slice_skip(*in, used);
		if (h->status >= 200) {
			start_response(c, h);
			return 1;
		}
		/* Upgrade is not forwarded, so nobody may switch protocols; 100 was answered already. */
		if (h->status == 101)
			return -EBADMSG;
		if (h->status != 100 && !c->client_10) {
			head_strip_hop(h);
			head_write_response(stream_out(&c->stream), h,
					    slice_make(c->request_id, sizeof(c->request_id)), false,
					    false);
		}
	}
}

/* Parse a head that may have come in pieces. As read_response_head. */
static int gather_head(struct conn *c, struct slice *in)
{
	struct slice all = *in;
	int rc;

	if (buf_len(&c->up_in)) {
		if (buf_put(&c->up_in, *in) < 0)
			return -EBADMSG;
		all = buf_slice(&c->up_in);
		if (!h1_complete(all, &c->up_scanned))
			return 0;
	}
	rc = read_response_head(c, &all);
	if (rc == 0) {
		size_t rest = all.len;

		if (buf_len(&c->up_in)) {
			buf_consume(&c->up_in, buf_len(&c->up_in) - rest);
			c->up_scanned = 0;
		} else if (buf_put(&c->up_in, all) < 0) {
			return -EBADMSG;
		}
	}
	*in = all;
	return rc;
}

static void upstream_data(struct stream *s, struct slice bytes)
{
	struct conn *c = borrower(s);
	int rc;

	if (!c->answered) {
		rc = gather_head(c, &bytes);
		if (rc < 0) {
			fail(c, 502, "upstream_protocol");
			return;
		}
		if (rc == 0) {
			stream_flush(&c->stream);
			return;
		}
	}
	rc = body_move(&c->response_body, &bytes, stream_outq(&c->stream));
	if (rc < 0) {
		c->up_failed = true;
		c->verdict = rc == -EBADMSG ? "upstream_protocol" : "no_room";
		conn_close(c);
		return;
	}
	if (!c->response_body.done) {
		stream_flush(&c->stream);
		conn_progress(c);
		conn_run(c);
		return;
	}
	/* Bytes after the end belong to no request. */
	if (bytes.len)
		c->up_keep = false;
	complete(c);
}

static void upstream_end(struct stream *s, int error)
{
	struct upstream_conn *u = container_of(s, struct upstream_conn, stream);
	struct conn *c = u->user;

	if (c->answered) {
		if (error == 0 && body_eof(&c->response_body, stream_outq(&c->stream)) == 0) {
			complete(c);
			return;
		}
		c->up_failed = true;
		c->verdict = "upstream_closed";
		conn_close(c);
		return;
	}
	/* A kept connection may have been closed while our request was on its way: that is nobody's error. */
	if (u->reused && c->may_retry && buf_len(&c->up_in) == 0) {
		struct pool *pool = u->pool;

		c->up = NULL;
		pool_drop(u);
		c->up_retried = true;
		start(c, pool, POOL_FRESH);
		return;
	}
	fail(c, 502, "upstream_closed");
}

static void upstream_drained(struct stream *s)
{
	struct conn *c = borrower(s);

	if (!c->answered && !c->request_body.done)
		timer_set(&s->ring->timers, &c->timer, s->ring->now + c->service->timeouts.request);
	conn_run(c);
}

static const struct stream_events upstream_events = {
	.data = upstream_data,
	.end = upstream_end,
	.drained = upstream_drained,
	.connected = upstream_connected,
	.closed = upstream_conn_closed,
};
