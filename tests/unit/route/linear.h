/* SPDX-License-Identifier: Apache-2.0 */
/* The model of the router: routes in a list, best first, each tried in full. Slow, and plain to see that it is right. */
#ifndef TESTS_ROUTE_LINEAR_H
#define TESTS_ROUTE_LINEAR_H

#include <stdint.h>
#include <stdlib.h>

#include "route/router.h"

struct candidate {
	const struct conf_route *route;
	size_t index;
	size_t host_rank; /* SIZE_MAX exact, else the wildcard's length, 0 any */
	size_t path_rank; /* likewise: exact, parameters, length of the prefix */
	size_t conditions;
};

struct linear {
	struct candidate *candidates; /* best first, so that the first that matches is the answer */
	size_t n;
};

static bool is_prefix(struct slice path)
{
	return path.len && path.ptr[path.len - 1] == '*';
}

static bool has_params(struct slice path)
{
	return slice_index(path, '{') < path.len;
}

static size_t rank_host(const struct conf_match *m)
{
	size_t rank = m->hosts.n ? SIZE_MAX : 0;

	for (size_t i = 0; i < m->hosts.n; i++)
		if (m->hosts.items[i].len && m->hosts.items[i].ptr[0] == '*' &&
		    m->hosts.items[i].len < rank)
			rank = m->hosts.items[i].len;
	return rank;
}

static size_t rank_path(const struct conf_match *m)
{
	if (is_prefix(m->path))
		return m->path.len;
	return has_params(m->path) ? SIZE_MAX - 1 : SIZE_MAX;
}

static int descending(size_t a, size_t b)
{
	return a < b ? 1 : a > b ? -1 : 0;
}

static int compare(const void *left, const void *right)
{
	const struct candidate *a = left;
	const struct candidate *b = right;
	int rc;

	if (a->route->priority != b->route->priority)
		return a->route->priority < b->route->priority ? 1 : -1;
	rc = descending(a->host_rank, b->host_rank);
	if (rc == 0)
		rc = descending(a->path_rank, b->path_rank);
	if (rc == 0)
		rc = descending(a->conditions, b->conditions);
	return rc ? rc : descending(b->index, a->index);
}

static inline void linear_init(struct linear *r, const struct config *cfg)
{
	r->candidates = calloc(cfg->n_routes + 1, sizeof(*r->candidates));
	if (!r->candidates)
		abort();
	for (size_t i = 0; i < cfg->n_routes; i++) {
		const struct conf_match *m = &cfg->routes[i].match;

		r->candidates[i] = (struct candidate){
			.route = &cfg->routes[i],
			.index = i,
			.host_rank = rank_host(m),
			.path_rank = rank_path(m),
			.conditions = (m->methods.n != 0) + m->headers.n + m->cookies.n,
		};
	}
	r->n = cfg->n_routes;
	qsort(r->candidates, r->n, sizeof(*r->candidates), compare);
}

static inline void linear_fini(struct linear *r)
{
	free(r->candidates);
}

static bool match_host(const struct conf_match *m, struct slice host)
{
	for (size_t i = 0; i < m->hosts.n; i++) {
		struct slice want = m->hosts.items[i];

		if (slice_eq(want, host))
			return true;
		if (want.len < 2 || want.ptr[0] != '*')
			continue;
		want = slice_skip(want, 1);
		if (host.len > want.len && slice_eq(slice_skip(host, host.len - want.len), want))
			return true;
	}
	return m->hosts.n == 0;
}

/* "/prefix/" of "/prefix/ *" takes what is below it and "/prefix" itself. */
static bool match_prefix(struct slice prefix, struct slice path)
{
	if (slice_starts(path, prefix))
		return true;
	return prefix.len > 1 && slice_eq(slice_first(prefix, prefix.len - 1), path);
}

static bool match_segments(struct slice want, struct slice path)
{
	while (want.len && path.len) {
		struct slice w, p;

		want = slice_skip(want, 1);
		path = slice_skip(path, 1);
		w = slice_first(want, slice_index(want, '/'));
		p = slice_first(path, slice_index(path, '/'));
		if (w.len && w.ptr[0] == '{' ? p.len == 0 : !slice_eq(w, p))
			return false;
		want = slice_skip(want, w.len);
		path = slice_skip(path, p.len);
	}
	return want.len == 0 && path.len == 0;
}

static bool match_path(struct slice want, struct slice path)
{
	if (is_prefix(want))
		return match_prefix(slice_first(want, want.len - 1), path);
	return has_params(want) ? match_segments(want, path) : slice_eq(want, path);
}

static bool match_header(const struct conf_pair *want, const struct http_head *head)
{
	enum http_name id = http_name_id(want->name);

	for (size_t i = 0; i < head->n_fields; i++) {
		const struct http_field *f = &head->fields[i];

		if (f->id == id && (id != HTTP_NAME_OTHER || slice_ieq(f->name, want->name)) &&
		    (want->any || slice_eq(f->value, want->value)))
			return true;
	}
	return false;
}

static bool match_conditions(const struct conf_match *m, const struct http_head *head)
{
	for (size_t i = 0; i < m->headers.n; i++)
		if (!match_header(&m->headers.items[i], head))
			return false;
	for (size_t i = 0; i < m->cookies.n; i++) {
		const struct conf_pair *want = &m->cookies.items[i];
		struct slice value;

		if (!http_head_cookie(head, want->name, &value) ||
		    (!want->any && !slice_eq(value, want->value)))
			return false;
	}
	return true;
}

static bool match_method(const struct conf_match *m, struct slice method)
{
	for (size_t i = 0; i < m->methods.n; i++)
		if (slice_eq(m->methods.items[i], method))
			return true;
	return m->methods.n == 0;
}

static unsigned int method_bits(const struct conf_match *m)
{
	static const struct slice names[] = {
		[HTTP_GET] = SLICE_INIT("GET"),	      [HTTP_HEAD] = SLICE_INIT("HEAD"),
		[HTTP_POST] = SLICE_INIT("POST"),     [HTTP_PUT] = SLICE_INIT("PUT"),
		[HTTP_DELETE] = SLICE_INIT("DELETE"), [HTTP_OPTIONS] = SLICE_INIT("OPTIONS"),
		[HTTP_PATCH] = SLICE_INIT("PATCH"),
	};
	unsigned int bits = 0;

	for (size_t i = HTTP_GET; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].len && match_method(m, names[i]))
			bits |= 1U << i;
	return bits;
}

static inline enum router_status linear_find(const struct linear *r, const struct http_head *head,
					     struct slice host, struct slice path,
					     struct router_match *ret_match)
{
	ret_match->allowed = 0;
	for (size_t i = 0; i < r->n; i++) {
		const struct conf_match *m = &r->candidates[i].route->match;

		if (!match_host(m, host) || !match_path(m->path, path) ||
		    !match_conditions(m, head))
			continue;
		if (match_method(m, head->method_name)) {
			ret_match->route = r->candidates[i].index;
			return ROUTER_FOUND;
		}
		ret_match->allowed |= method_bits(m);
	}
	return ret_match->allowed ? ROUTER_METHOD : ROUTER_NONE;
}

#endif
