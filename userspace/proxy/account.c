/* SPDX-License-Identifier: Apache-2.0 */
/* What remains of a request once it is over: what it counts, and its line in the access log. */
#include "proxy/conn.h"

static void count_service(const struct conn *c)
{
	const struct snapshot *snap = c->snapshot->snap;
	size_t i = (size_t)(c->service - snap->cfg->services);
	struct metrics_service *m = metrics_service(snap->service_rows[i], c->proxy->index);

	metrics_code(&m->requests, c->answered ? c->status : 0);
	if (c->answered)
		metrics_observe(&m->duration, c->up_answered - c->up_started);
	if (c->up_failed)
		metrics_add(&m->errors, 1);
	if (c->up_retried)
		metrics_add(&m->retries, 1);
}

/* Copies into the memory at *at. */
static struct slice keep(char **at, struct slice s)
{
	struct slice copy = slice_make(*at, s.len);

	if (s.len)
		memcpy(*at, s.ptr, s.len);
	*at += s.len;
	return copy;
}

void account_log(struct conn *c, const struct access_log *l, struct http_head *h)
{
	const struct http_field *agent;
	struct slice path;
	struct conn_head *head;
	char *at;

	/* Most routes are logged as requests without one are: what is known already is enough. */
	if (l == c->log || (l && c->log && l->query == c->log->query)) {
		c->log = l;
		return;
	}
	c->log = l;
	c->log_head = NULL;
	if (!l || !h)
		return;
	agent = http_head_find(h, HTTP_NAME_USER_AGENT);
	path = l->query ? h->target : slice_first(h->target, slice_index(h->target, '?'));
	head = arena_alloc(&c->arena, sizeof(*head) + h->method_name.len + path.len + h->host.len +
					      (agent ? agent->value.len : 0));
	if (!head)
		return;
	at = (char *)(head + 1);
	head->method = keep(&at, h->method_name);
	head->path = keep(&at, path);
	head->host = keep(&at, h->host);
	head->user_agent = agent ? keep(&at, agent->value) : slice_make(NULL, 0);
	c->log_head = head;
}

static void write_log(const struct conn *c)
{
	const struct ring *ring = c->proxy->ring;
	struct access_record r = {
		.wall = ring->wall,
		.client = c->client,
		.client_port = ntohs(((const struct sockaddr_in *)&c->peer)->sin_port),
		.request_id = slice_make(c->request_id, sizeof(c->request_id)),
		.consumer = c->consumer,
		.verdict = slice_str(c->verdict),
		.status = c->status,
		.bytes_in = c->request_body.bytes,
		.bytes_out = c->response_body.bytes,
		.duration = ring->now - c->started,
	};

	if (c->log_head) {
		r.method = c->log_head->method;
		r.path = c->log_head->path;
		r.host = c->log_head->host;
		r.user_agent = c->log_head->user_agent;
	}
	if (c->route)
		r.route = c->route->name;
	if (c->service) {
		r.service = c->service->name;
		r.upstream = c->endpoint->authority;
		r.forwarded = true;
		r.upstream_time = (c->answered ? c->up_answered : ring->now) - c->up_started;
	}
	access_log_write(c->log, c->proxy->log, &r);
}

void account_request(struct conn *c)
{
	const struct snapshot *snap = c->snapshot->snap;
	const struct config *cfg = snap->cfg;
	size_t i = c->route ? (size_t)(c->route - cfg->routes) : cfg->n_routes;
	struct metrics_route *m = metrics_route(snap->route_rows[i], c->proxy->index);

	metrics_code(&m->requests, c->status);
	metrics_observe(&m->duration, c->proxy->ring->now - c->started);
	if (c->request_body.bytes)
		metrics_add(&m->received, c->request_body.bytes);
	if (c->response_body.bytes)
		metrics_add(&m->sent, c->response_body.bytes);
	if (c->service)
		count_service(c);
	if (c->log)
		write_log(c);
}
