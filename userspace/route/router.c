/* SPDX-License-Identifier: Apache-2.0 */
#include "route/router.h"

#include <errno.h>

#include "route/match.h"
#include "route/tree.h"

struct find {
	const struct router *router;
	const struct http_head *head;
	uint32_t best; /* rank found so far: only better ones are looked at */
	unsigned int allowed;
};

int router_new(const struct config *cfg, struct arena *arena, struct error *err,
	       struct router **ret_router)
{
	struct router *r = arena_new(arena, struct router);

	if (!r || tree_build(cfg, arena, r) < 0)
		return error_set(err, ENOMEM, "out of memory for the routes");
	*ret_router = r;
	return 0;
}

static bool takes_method(const struct tree_route *t, const struct http_head *head)
{
	if (head->method == HTTP_OTHER_METHOD)
		return match_method(t->match, head->method_name);
	return t->methods >> head->method & 1;
}

static void try_ranks(struct find *f, const struct tree_list *list)
{
	const uint32_t *ranks = f->router->ranks + list->start;

	for (uint32_t i = 0; i < list->n && ranks[i] < f->best; i++) {
		const struct tree_route *t = &f->router->routes[ranks[i]];

		if (t->conditional && !match_conditions(t->match, f->head))
			continue;
		if (takes_method(t, f->head)) {
			f->best = ranks[i];
			return;
		}
		f->allowed |= t->methods & TREE_ALLOWED;
	}
}

/* A place in a tree: a node and how much of its label has been read. */
struct cursor {
	const struct radix_node *node;
	uint32_t used;
};

static bool feed(const struct radix *t, struct cursor *c, struct slice bytes, bool fold)
{
	for (size_t i = 0; i < bytes.len; i++) {
		unsigned char byte = (unsigned char)bytes.ptr[i];

		if (fold && byte >= 'A' && byte <= 'Z')
			byte |= 0x20;
		if (c->used == c->node->label_len) {
			uint32_t child = radix_child(t, c->node, byte);

			if (child == RADIX_NONE)
				return false;
			*c = (struct cursor){.node = &t->nodes[child], .used = 1};
		} else if ((unsigned char)t->text[c->node->label + c->used++] != byte) {
			return false;
		}
	}
	return true;
}

static void try_end(struct find *f, const struct cursor *c)
{
	if (c->used == c->node->label_len && c->node->exact != RADIX_NONE)
		try_ranks(f, &f->router->lists[c->node->exact]);
}

static void try_pair(struct find *f, uint32_t root, bool cookie, struct slice name,
		     struct slice value)
{
	const struct radix *t = &f->router->radix;
	struct cursor any = {.node = &t->nodes[root]};
	struct cursor exact = any;

	if (feed(t, &any, cookie ? SLICE("C") : SLICE("H"), false) && feed(t, &any, name, !cookie))
		try_end(f, &any);
	if (feed(t, &exact, cookie ? SLICE("c") : SLICE("h"), false) &&
	    feed(t, &exact, name, !cookie) && feed(t, &exact, slice_make("", 1), false) &&
	    feed(t, &exact, value, false))
		try_end(f, &exact);
}

/* What the request has is looked up among the conditions, not the conditions in the request. */
static void try_index(struct find *f, uint32_t root)
{
	for (size_t i = 0; i < f->head->n_fields; i++) {
		const struct http_field *field = &f->head->fields[i];
		struct slice cookies = field->value;

		try_pair(f, root, false, field->name, field->value);
		while (field->id == HTTP_NAME_COOKIE && cookies.len) {
			struct slice value = slice_trim(slice_cut(&cookies, ';'));
			struct slice name = slice_cut(&value, '=');

			try_pair(f, root, true, name, value);
		}
	}
}

static void try_list(struct find *f, uint32_t id)
{
	const struct tree_list *list = &f->router->lists[id];

	try_ranks(f, list);
	if (list->index != RADIX_NONE && f->router->radix.nodes[list->index].best < f->best)
		try_index(f, list->index);
}

static bool match_params(const struct radix *t, const struct radix_node *n, struct slice *path)
{
	for (size_t i = 0; i < n->label_len; i++) {
		char want = t->text[n->label + i];
		size_t len = 1;

		if (path->len == 0)
			return false;
		if (want == RADIX_PARAM)
			len = slice_index(*path, '/');
		else if (want != path->ptr[0])
			return false;
		if (len == 0)
			return false;
		*path = slice_skip(*path, len);
	}
	return true;
}

/*
 * Down one tree of paths. Only where a segment is named by one route and a parameter of another do both ways have to
 * be gone, and no node is ever seen twice. outer: the prefixes from there upwards are the caller's to try.
 */
static void walk(struct find *f, uint32_t at, struct slice path, uint32_t outer)
{
	const struct radix *t = &f->router->radix;
	uint32_t last = outer;

	while (at != RADIX_NONE && t->nodes[at].best < f->best) {
		const struct radix_node *n = &t->nodes[at];
		uint32_t literal;

		if (!(n->has_param ? match_params(t, n, &path) : radix_match(t, n, &path)))
			break;
		if (n->prefix != RADIX_NONE)
			last = at;
		if (path.len == 0) {
			if (n->exact != RADIX_NONE)
				try_list(f, n->exact);
			break;
		}
		literal = radix_child(t, n, (unsigned char)path.ptr[0]);
		at = literal;
		if (n->n_children && t->first[n->children] == RADIX_PARAM) {
			if (literal != RADIX_NONE)
				walk(f, literal, path, last);
			at = n->children;
		}
	}
	/* The longest first: where it matches, the others mostly need no look. */
	for (; last != outer; last = t->nodes[last].up)
		try_list(f, t->nodes[last].prefix);
}

/* The trees of paths of all that matches the host, the most specific first. */
static void walk_hosts(struct find *f, struct slice host, struct slice path)
{
	const struct radix *t = &f->router->radix;
	uint32_t at = f->router->hosts;
	uint32_t last = RADIX_NONE;
	char text[TREE_MAX_HOST];
	struct slice rest = slice_make(text, host.len);

	if (host.len > sizeof(text))
		return;
	for (size_t i = 0; i < host.len; i++)
		text[i] = host.ptr[host.len - 1 - i];
	while (at != RADIX_NONE) {
		const struct radix_node *n = &t->nodes[at];

		if (!radix_match(t, n, &rest))
			break;
		if (rest.len == 0) {
			if (n->exact != RADIX_NONE)
				walk(f, n->exact, path, RADIX_NONE);
			break;
		}
		if (n->prefix != RADIX_NONE)
			last = at;
		at = radix_child(t, n, (unsigned char)rest.ptr[0]);
	}
	for (; last != RADIX_NONE; last = t->nodes[last].up)
		walk(f, t->nodes[last].prefix, path, RADIX_NONE);
}

enum router_status router_find(const struct router *r, const struct http_head *head,
			       struct slice host, struct slice path, struct router_match *ret_match)
{
	struct find f = {.router = r, .head = head, .best = RADIX_NONE};

	walk_hosts(&f, host, path);
	walk(&f, r->any, path, RADIX_NONE);
	ret_match->allowed = f.allowed;
	if (f.best == RADIX_NONE)
		return f.allowed ? ROUTER_METHOD : ROUTER_NONE;
	ret_match->route = r->routes[f.best].index;
	return ROUTER_FOUND;
}
