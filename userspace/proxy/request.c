/* SPDX-License-Identifier: Apache-2.0 */
/* From a parsed head to the decision what becomes of it: route, filters, forward or answer. */
#include <stdio.h>

#include "base/codec.h"
#include "http/uri.h"
#include "proxy/conn.h"
#include "proxy/head.h"
#include "route/strip.h"

#define TARGET_MAX 65536

static void identify(struct conn *c)
{
	uint64_t id[2] = {proxy_random(c->proxy), proxy_random(c->proxy)};

	codec_hex((const unsigned char *)id, sizeof(id), c->request_id);
}

static bool idempotent(enum http_method m)
{
	return m == HTTP_GET || m == HTTP_HEAD || m == HTTP_OPTIONS || m == HTTP_PUT ||
	       m == HTTP_DELETE;
}

/* What is said of it, by its route or by the lack of one. */
static const struct access_log *log_of(const struct conn *c)
{
	const struct snapshot *snap = c->snapshot->snap;
	size_t i = c->route ? (size_t)(c->route - snap->cfg->routes) : snap->cfg->n_routes;

	return snap->plans[i].log;
}

/* What every request has, also one that could not be read. */
static void begin(struct conn *c)
{
	c->n_requests++;
	c->snapshot = proxy_snapshot_ref(c->proxy);
	c->started = c->proxy->ring->now;
	c->route = NULL;
	c->service = NULL;
	c->verdict = NULL;
	c->consumer = slice_make(NULL, 0);
	c->log = NULL;
	c->response_body.bytes = 0;
	c->up_failed = false;
	c->up_retried = false;
	c->answered = false;
	c->status = 0;
	identify(c);
}

void request_refuse(struct conn *c, unsigned int status, const char *verdict)
{
	metrics_add(&c->proxy->count->bad_requests, 1);
	if (!c->snapshot) {
		begin(c);
		account_log(c, log_of(c), NULL);
	}
	c->keep_alive = false;
	c->is_head = false;
	body_init(&c->request_body, BODY_NONE, 0, false);
	reply_error(c, status, verdict);
}

static void read_framing(struct conn *c, const struct http_head *h)
{
	enum body_kind kind = h->chunked ? BODY_CHUNKED : h->has_length ? BODY_LENGTH : BODY_NONE;

	c->client_10 = h->minor == 0;
	c->is_head = h->method == HTTP_HEAD;
	c->keep_alive = h->keep_alive && !c->proxy->draining && !c->listener->leaving &&
			(c->limits.max_requests == 0 || c->n_requests < c->limits.max_requests);
	body_init(&c->request_body, kind, h->length, h->chunked);
	c->may_retry = c->request_body.done && idempotent(h->method);
	c->trailers = !c->client_10 && head_takes_trailers(h);
}

/* A trailer says nothing that the gateway or a filter of the route has said or taken away in the head. */
static bool request_trailer(const struct body *b, struct slice name)
{
	const struct conn *c = container_of(b, struct conn, request_body);
	const struct snapshot *snap = c->snapshot->snap;
	const struct route_plan *plan = &snap->plans[c->route - snap->cfg->routes];

	if (memchr(name.ptr, '_', name.len))
		return false;
	for (size_t i = 0; i < plan->n_filters; i++) {
		const struct plan_filter *f = &plan->filters[i];

		if (f->type->owns && f->type->owns(f->filter, name))
			return false;
	}
	return true;
}

/* False: a filter answered. */
static bool run_filters(struct conn *c, struct http_head *h, const struct route_plan *plan)
{
	struct filter_request req = {
		.head = h,
		.arena = &c->arena,
		.peer = (const struct sockaddr *)&c->peer,
		.now = c->proxy->ring->now,
		.wall = c->proxy->ring->wall,
		.tokens = c->proxy->tokens,
	};

	for (size_t i = 0; i < plan->n_filters; i++) {
		const struct plan_filter *f = &plan->filters[i];

		if (f->type->request(f->filter, &req) == FILTER_NEXT)
			continue;
		c->consumer = req.consumer;
		c->verdict = req.verdict;
		reply_send(c, req.reply.status, req.reply.body, req.reply.fields,
			   req.reply.n_fields);
		return false;
	}
	c->consumer = req.consumer;
	return true;
}

/* The normal path and the target to forward: "path?query". Answers and returns false when there is none. */
static bool normalize(struct conn *c, const struct http_head *h, struct slice *ret_path)
{
	char *out = arena_alloc(&c->arena, h->path.len + 1);

	if (!out) {
		reply_error(c, 414, "uri_too_long");
		return false;
	}
	switch (uri_normalize(h->path, out, ret_path)) {
	case URI_SAME:
		*ret_path = h->path;
		return true;
	case URI_CHANGED:
		return true;
	case URI_BAD:
		break;
	}
	reply_error(c, 400, "bad_path");
	return false;
}

static void no_route(struct conn *c, enum router_status rc, unsigned int allowed)
{
	static const struct {
		enum http_method method;
		const char *name;
	} names[] = {
		{HTTP_GET, "GET"},	   {HTTP_HEAD, "HEAD"},	    {HTTP_POST, "POST"},
		{HTTP_PUT, "PUT"},	   {HTTP_DELETE, "DELETE"}, {HTTP_PATCH, "PATCH"},
		{HTTP_OPTIONS, "OPTIONS"},
	};
	struct http_field allow = {.name = SLICE_INIT("Allow")};
	char text[64] = "";
	size_t len = 0;

	if (rc != ROUTER_METHOD) {
		reply_error(c, 404, "no_route");
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (allowed & 1U << names[i].method)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
						len ? ", " : "", names[i].name);
	allow.value = slice_make(text, len);
	c->verdict = "method_not_allowed";
	reply_send(c, 405, slice_make(NULL, 0), &allow, 1);
}

void request_start(struct conn *c)
{
	struct http_head *h = &c->proxy->request;
	const struct snapshot *snap;
	struct router_match match;
	enum router_status rc;
	struct slice host, path, target;
	char *host_text;

	begin(c);
	read_framing(c, h);
	snap = c->snapshot->snap;
	account_log(c, log_of(c), h);
	if (h->method == HTTP_CONNECT || h->method == HTTP_TRACE) {
		reply_error(c, 405, "method_refused");
		return;
	}
	if (!h->path.len || h->path.ptr[0] != '/') {
		reply_error(c, 404, "no_route");
		return;
	}
	if (!normalize(c, h, &path))
		return;
	host_text = arena_alloc(&c->arena, h->host.len + 1);
	if (!host_text) {
		reply_error(c, 431, "head_too_large");
		return;
	}
	host = uri_host(h->host, host_text);
	rc = router_find(snap->router, h, host, path, &match);
	if (rc != ROUTER_FOUND) {
		no_route(c, rc, match.allowed);
		return;
	}
	c->route = &snap->cfg->routes[match.route];
	account_log(c, log_of(c), h);
	/* Before the filters: what a client names in Connection must not take away what they add. */
	head_strip_hop(h);
	if (h->chunked)
		c->request_body.trailer = request_trailer;
	else
		http_head_remove(h, HTTP_NAME_TRAILER);
	if (!run_filters(c, h, &snap->plans[match.route]))
		return;
	target = strip_target(c->route, path, h->query, &c->arena);
	if (!target.ptr) {
		reply_error(c, 414, "uri_too_long");
		return;
	}
	if (h->expect_continue && !c->request_body.done && !c->client_10) {
		buf_puts(stream_out(&c->stream), "HTTP/1.1 100 Continue\r\n\r\n");
		stream_flush(&c->stream);
	}
	forward_start(c, target);
}
