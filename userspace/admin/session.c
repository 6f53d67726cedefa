/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/session.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/h1.h"
#include "io/stream.h"

#define MAX_SESSIONS 64
#define MAX_HEAD     16384
#define MAX_PAGE     (64U << 20)
#define KEEP_BODY    65536 /* the scratch buffer gives back what is larger */
#define HEAD_NSEC    (10 * NSEC_PER_SEC)
#define IDLE_NSEC    (60 * NSEC_PER_SEC)
#define WRITE_NSEC   (30 * NSEC_PER_SEC)
#define LINGER_NSEC  (2 * NSEC_PER_SEC)

struct session {
	struct stream stream;
	struct list node;
	struct session_host *host;
	struct timer timer;
	struct buf in;
	bool last;     /* no request after this one */
	bool shutdown; /* FIN was sent */
};

static void set_deadline(struct session *s, uint64_t nsec)
{
	timer_set(&s->host->ring->timers, &s->timer, s->host->ring->now + nsec);
}

static void close_session(struct session *s)
{
	timer_stop(&s->timer);
	stream_close(&s->stream);
}

/* The page of a path, or NULL. */
static const struct admin_page *find_page(const struct session_host *h, struct slice path)
{
	for (const struct admin_page *p = h->pages; p->path; p++)
		if (slice_eq(slice_str(p->path), path))
			return p;
	return NULL;
}

/* An answer other than a page. */
static unsigned int say(struct buf *body, unsigned int status)
{
	buf_clear(body);
	buf_printf(body, "{\"status\":%u,\"error\":\"%.*s\"}\n", status,
		   SLICE_FMT(http_reason(status)));
	return status;
}

static void answer(struct session *s, unsigned int status, const char *type, bool head_only)
{
	struct buf *out = stream_out(&s->stream);
	struct buf *body = &s->host->body;

	if (body->failed)
		status = say(body, 500);
	buf_printf(out,
		   "HTTP/1.1 %u %.*s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
		   "Cache-Control: no-store\r\n%s%s\r\n",
		   status, SLICE_FMT(http_reason(status)), type, buf_len(body),
		   status == 405 ? "Allow: GET, HEAD\r\n" : "",
		   s->last ? "Connection: close\r\n" : "");
	if (!head_only)
		buf_put(out, buf_slice(body));
	if (body->cap > KEEP_BODY)
		buf_fini(body);
	buf_clear(body);
	if (out->failed) {
		close_session(s);
		return;
	}
	set_deadline(s, WRITE_NSEC);
	stream_flush(&s->stream);
}

static void handle(struct session *s, const struct http_head *h)
{
	struct session_host *host = s->host;
	const struct admin_page *page = find_page(host, h->path);
	const char *type = "application/json";
	unsigned int status;

	/* A body is not for us, so it is not read. */
	s->last = !h->keep_alive || h->chunked || (h->has_length && h->length);
	if (!page) {
		status = say(&host->body, 404);
	} else if (h->method != HTTP_GET && h->method != HTTP_HEAD) {
		status = say(&host->body, 405);
	} else {
		type = page->type;
		status = page->render(host->user, &host->body);
	}
	answer(s, status, type, h->method == HTTP_HEAD);
}

/* Answer what has come, one after the other: the next one only when the answer before has been taken. */
static void serve(struct session *s)
{
	struct http_head *h = &s->host->head;
	size_t used = 0;

	while (!s->stream.closing && !s->last && buf_len(&s->in) && stream_idle(&s->stream)) {
		enum h1_status rc = h1_parse_request(h, buf_slice(&s->in), &used);

		if (rc == H1_PARTIAL)
			break;
		if (rc == H1_OK) {
			handle(s, h);
			if (!s->stream.closing)
				buf_consume(&s->in, used);
		} else {
			s->last = true;
			answer(s, say(&s->host->body, 400), "application/json", false);
		}
	}
	if (s->stream.closing)
		return;
	if (s->last || stream_idle(&s->stream))
		stream_resume(&s->stream);
	else
		stream_pause(&s->stream);
}

static void data(struct stream *stream, struct slice bytes)
{
	struct session *s = container_of(stream, struct session, stream);

	if (s->last)
		return;
	if (buf_len(&s->in) == 0)
		set_deadline(s, HEAD_NSEC);
	if (buf_put(&s->in, bytes) < 0)
		close_session(s);
	else
		serve(s);
}

static void end(struct stream *stream, int error)
{
	struct session *s = container_of(stream, struct session, stream);

	/* Half closed: what was asked is answered. */
	if (error == 0 && !stream_idle(stream))
		s->last = true;
	else
		close_session(s);
}

static void drained(struct stream *stream)
{
	struct session *s = container_of(stream, struct session, stream);

	if (!stream_idle(stream))
		return;
	if (!s->last) {
		set_deadline(s, buf_len(&s->in) ? HEAD_NSEC : IDLE_NSEC);
		serve(s);
	} else if (stream->ended) {
		close_session(s);
	} else if (!s->shutdown) {
		/* FIN first: closing now could reset the connection before the answer is read. */
		s->shutdown = true;
		stream_shutdown(stream);
		set_deadline(s, LINGER_NSEC);
		stream_resume(stream);
	}
}

static void connected(struct stream *stream, int error)
{
	(void)stream;
	(void)error;
}

static void closed(struct stream *stream)
{
	struct session *s = container_of(stream, struct session, stream);

	list_del(&s->node);
	s->host->n_sessions--;
	timer_fini(&s->timer);
	buf_fini(&s->in);
	free(s);
}

static const struct stream_events events = {
	.data = data,
	.end = end,
	.drained = drained,
	.connected = connected,
	.closed = closed,
};

static void expired(struct timer *t, uint64_t now)
{
	(void)now;
	close_session(container_of(t, struct session, timer));
}

void session_host_init(struct session_host *h, struct ring *ring)
{
	h->ring = ring;
	h->n_sessions = 0;
	list_init(&h->sessions);
	buf_init(&h->body, MAX_PAGE);
}

void session_host_fini(struct session_host *h)
{
	buf_fini(&h->body);
}

void session_open(struct session_host *h, int fd)
{
	struct session *s = h->n_sessions < MAX_SESSIONS ? calloc(1, sizeof(*s)) : NULL;

	if (!s) {
		close(fd);
		return;
	}
	s->host = h;
	buf_init(&s->in, MAX_HEAD + RING_BUF_SIZE + STREAM_READ_AHEAD);
	timer_init(&s->timer, expired);
	stream_init(&s->stream, h->ring, fd, MAX_PAGE + MAX_HEAD, &events);
	list_add(&h->sessions, &s->node);
	h->n_sessions++;
	set_deadline(s, HEAD_NSEC);
	stream_resume(&s->stream);
}

void session_close_all(struct session_host *h)
{
	struct list *node, *tmp;

	list_for_each (node, tmp, &h->sessions)
		close_session(container_of(node, struct session, node));
}
