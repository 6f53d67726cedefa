/* SPDX-License-Identifier: Apache-2.0 */
/* From the routes of a configuration to a router's trees. Time is no matter here, what remains is compact. */
#include "route/tree.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "route/match.h"

/* Lists with more conditional routes than this get an index. */
#define INDEX_MIN 8

struct build {
	const struct config *cfg;
	struct radix_builder radix;
	struct tree_route *routes;
	struct radix_key *paths; /* of each rank; RADIX_NONE as text: it can match nothing */
	struct tree_list *lists;
	size_t n_lists;
	size_t cap_lists;
	uint32_t *ranks;
	size_t n_ranks;
	size_t cap_ranks;
};

struct candidate {
	const struct conf_route *route;
	size_t index;
	size_t host_rank; /* SIZE_MAX exact, else the wildcard's length, 0 any */
	size_t path_rank; /* likewise: exact, parameters, length of the prefix */
	size_t conditions;
};

static bool is_prefix(struct slice path)
{
	return path.len && path.ptr[path.len - 1] == '*';
}

static bool is_wildcard(struct slice host)
{
	return host.len && host.ptr[0] == '*';
}

static bool has_params(struct slice path)
{
	return slice_index(path, '{') < path.len;
}

static size_t rank_host(const struct conf_match *m)
{
	size_t rank = m->hosts.n ? SIZE_MAX : 0;

	for (size_t i = 0; i < m->hosts.n; i++)
		if (is_wildcard(m->hosts.items[i]) && m->hosts.items[i].len < rank)
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

static int compare_candidates(const void *left, const void *right)
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

static bool order_routes(struct build *b, struct arena *arena)
{
	size_t n = b->cfg->n_routes;
	_cleanup_free_ struct candidate *candidates = calloc(n + 1, sizeof(*candidates));

	b->routes = arena_array(arena, struct tree_route, n + 1);
	if (!candidates || !b->routes || n >= RADIX_NONE)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct conf_match *m = &b->cfg->routes[i].match;

		candidates[i] = (struct candidate){
			.route = &b->cfg->routes[i],
			.index = i,
			.host_rank = rank_host(m),
			.path_rank = rank_path(m),
			.conditions = (m->methods.n != 0) + m->headers.n + m->cookies.n,
		};
	}
	qsort(candidates, n, sizeof(*candidates), compare_candidates);
	for (size_t i = 0; i < n; i++) {
		const struct conf_match *m = &candidates[i].route->match;

		b->routes[i] = (struct tree_route){
			.match = m,
			.index = (uint32_t)candidates[i].index,
			.methods = (uint16_t)match_method_bits(m),
			.conditional = m->headers.n || m->cookies.n,
		};
	}
	return true;
}

/* Append a key's bytes to the text. */
static bool put_key(struct build *b, struct slice bytes, struct radix_key *key)
{
	key->text = (uint32_t)b->radix.text_len;
	key->len = (uint32_t)bytes.len;
	return radix_text(&b->radix, bytes);
}

/* "/users/{id}/posts" becomes "/users/", RADIX_PARAM, "/posts". */
static bool put_params(struct build *b, struct slice path, struct radix_key *key)
{
	key->text = (uint32_t)b->radix.text_len;
	while (path.len) {
		struct slice segment;

		if (!radix_text(&b->radix, slice_first(path, 1)))
			return false;
		path = slice_skip(path, 1);
		segment = slice_first(path, slice_index(path, '/'));
		path = slice_skip(path, segment.len);
		if (segment.len && segment.ptr[0] == '{')
			segment = slice_make("", 1);
		if (!radix_text(&b->radix, segment))
			return false;
	}
	key->len = (uint32_t)(b->radix.text_len - key->text);
	return true;
}

static bool put_paths(struct build *b)
{
	size_t n = b->cfg->n_routes;

	b->paths = calloc(n + 1, sizeof(*b->paths));
	if (!b->paths)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct slice path = b->routes[i].match->path;
		struct radix_key *key = &b->paths[i];

		*key = (struct radix_key){
			.value = (uint32_t)i, .rank = (uint32_t)i, .prefix = is_prefix(path)};
		if (slice_index(path, RADIX_PARAM) < path.len)
			key->text = RADIX_NONE;
		else if (key->prefix ? !put_key(b, slice_first(path, path.len - 1), key)
				     : !put_params(b, path, key))
			return false;
	}
	return true;
}

static int compare_keys(const void *left, const void *right, void *arg)
{
	const struct radix_key *x = left;
	const struct radix_key *y = right;
	int rc = radix_key_compare(arg, x, y);

	return rc ? rc : x->rank < y->rank ? -1 : x->rank > y->rank;
}

static void sort(struct build *b, struct radix_key *keys, size_t n)
{
	qsort_r(keys, n, sizeof(*keys), compare_keys, &b->radix);
}

/* How many of the sorted keys from the first on are the same. */
static size_t run(const struct build *b, const struct radix_key *keys, size_t n)
{
	size_t i = 1;

	while (i < n && radix_key_compare(&b->radix, &keys[0], &keys[i]) == 0)
		i++;
	return i;
}

static bool push_rank(struct build *b, struct tree_list *list, uint32_t rank)
{
	if (b->n_ranks == b->cap_ranks) {
		size_t cap = b->cap_ranks ? b->cap_ranks * 2 : 64;
		uint32_t *ranks = realloc(b->ranks, cap * sizeof(*ranks));

		if (!ranks)
			return false;
		b->ranks = ranks;
		b->cap_ranks = cap;
	}
	b->ranks[b->n_ranks++] = rank;
	list->n++;
	return true;
}

static bool push_list(struct build *b, const struct tree_list *list, uint32_t *ret_id)
{
	if (b->n_lists == b->cap_lists) {
		size_t cap = b->cap_lists ? b->cap_lists * 2 : 64;
		struct tree_list *lists = realloc(b->lists, cap * sizeof(*lists));

		if (!lists)
			return false;
		b->lists = lists;
		b->cap_lists = cap;
	}
	*ret_id = (uint32_t)b->n_lists;
	b->lists[b->n_lists++] = *list;
	return true;
}

static struct tree_list list_start(const struct build *b)
{
	return (struct tree_list){.start = (uint32_t)b->n_ranks, .index = RADIX_NONE};
}

static bool put_condition(struct build *b, const struct conf_pair *pair, bool cookie, uint32_t rank,
			  struct radix_key *key)
{
	char kind = cookie ? (pair->any ? TREE_COOKIE_ANY : TREE_COOKIE)
			   : (pair->any ? TREE_HEADER_ANY : TREE_HEADER);
	size_t start = b->radix.text_len;

	if (!radix_text(&b->radix, slice_make(&kind, 1)) || !radix_text(&b->radix, pair->name) ||
	    (!pair->any &&
	     (!radix_text(&b->radix, slice_make("", 1)) || !radix_text(&b->radix, pair->value))))
		return false;
	*key = (struct radix_key){.text = (uint32_t)start,
				  .len = (uint32_t)(b->radix.text_len - start),
				  .value = rank,
				  .rank = rank};
	return true;
}

static size_t n_conditions(const struct conf_match *m)
{
	return m->headers.n + m->cookies.n;
}

/* All conditions of all routes of a list as sorted keys. */
static struct radix_key *conditions(struct build *b, const struct radix_key *members, size_t n,
				    size_t *ret_n)
{
	struct radix_key *keys;
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += n_conditions(b->routes[members[i].rank].match);
	keys = calloc(total + 1, sizeof(*keys));
	*ret_n = 0;
	for (size_t i = 0; keys && i < n; i++) {
		const struct conf_match *m = b->routes[members[i].rank].match;

		for (size_t j = 0; j < n_conditions(m); j++) {
			bool cookie = j >= m->headers.n;
			const struct conf_pair *pair = cookie ? &m->cookies.items[j - m->headers.n]
							      : &m->headers.items[j];

			if (put_condition(b, pair, cookie, members[i].rank, &keys[(*ret_n)++]))
				continue;
			free(keys);
			return NULL;
		}
	}
	if (keys)
		sort(b, keys, *ret_n);
	return keys;
}

static size_t position(const struct radix_key *members, size_t n, uint32_t rank)
{
	size_t lo = 0;

	while (n > 1) {
		size_t half = n / 2;

		if (members[lo + half].rank <= rank)
			lo += half;
		n -= half;
	}
	return lo;
}

/* Each route goes under that condition of its own which the fewest others of its list have, too. */
static void choose(struct build *b, const struct radix_key *members, size_t n,
		   const struct radix_key *keys, size_t n_keys, size_t *choice, size_t *fewest)
{
	for (size_t i = 0; i < n; i++)
		fewest[i] = SIZE_MAX;
	for (size_t i = 0; i < n_keys;) {
		size_t same = run(b, keys + i, n_keys - i);

		for (size_t j = i; j < i + same; j++) {
			size_t at = position(members, n, keys[j].rank);

			if (same < fewest[at]) {
				fewest[at] = same;
				choice[at] = j;
			}
		}
		i += same;
	}
}

/* members are conditional routes, best first. */
static bool make_index(struct build *b, const struct radix_key *members, size_t n,
		       uint32_t *ret_root)
{
	size_t n_keys = 0;
	size_t n_out = 0;
	_cleanup_free_ struct radix_key *keys = conditions(b, members, n, &n_keys);
	_cleanup_free_ size_t *choice = calloc(n, sizeof(*choice));
	_cleanup_free_ size_t *fewest = calloc(n, sizeof(*fewest));

	if (!keys || !choice || !fewest)
		return false;
	choose(b, members, n, keys, n_keys, choice, fewest);
	for (size_t i = 0; i < n_keys;) {
		size_t end = i + run(b, keys + i, n_keys - i);
		struct tree_list list = list_start(b);
		struct radix_key out = keys[i];

		for (; i < end; i++) {
			if (choice[position(members, n, keys[i].rank)] != i)
				continue;
			if (list.n == 0)
				out.rank = keys[i].rank;
			if (!push_rank(b, &list, keys[i].rank))
				return false;
		}
		if (list.n == 0)
			continue;
		if (!push_list(b, &list, &out.value))
			return false;
		keys[n_out++] = out;
	}
	return radix_build(&b->radix, keys, n_out, ret_root) == 0;
}

/* members have the same host and path, best first. */
static bool make_list(struct build *b, const struct radix_key *members, size_t n, uint32_t *ret_id)
{
	_cleanup_free_ struct radix_key *indexed = calloc(n, sizeof(*indexed));
	struct tree_list list = list_start(b);
	size_t n_indexed = 0;

	if (!indexed)
		return false;
	for (size_t i = 0; i < n; i++)
		if (b->routes[members[i].rank].conditional)
			indexed[n_indexed++] = members[i];
	if (n_indexed <= INDEX_MIN)
		n_indexed = 0;
	for (size_t i = 0; i < n; i++) {
		bool plain = !n_indexed || !b->routes[members[i].rank].conditional;

		if (plain && !push_rank(b, &list, members[i].rank))
			return false;
	}
	if (n_indexed && !make_index(b, indexed, n_indexed, &list.index))
		return false;
	return push_list(b, &list, ret_id);
}

/* A tree of the paths of the ranks behind members, which have the same host, best first. */
static bool make_paths(struct build *b, const struct radix_key *members, size_t n,
		       uint32_t *ret_root)
{
	_cleanup_free_ struct radix_key *keys = calloc(2 * n + 1, sizeof(*keys));
	size_t n_keys = 0;
	size_t n_out = 0;

	*ret_root = RADIX_NONE;
	if (!keys)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct radix_key key = b->paths[members[i].rank];

		if (key.text == RADIX_NONE || (i && members[i].rank == members[i - 1].rank))
			continue;
		keys[n_keys++] = key;
		/* "/prefix/ *" takes "/prefix", too. */
		if (!key.prefix || key.len <= 1)
			continue;
		key.prefix = false;
		key.len--;
		keys[n_keys++] = key;
	}
	sort(b, keys, n_keys);
	for (size_t i = 0; i < n_keys; n_out++) {
		struct radix_key out = keys[i];
		size_t same = run(b, keys + i, n_keys - i);

		if (!make_list(b, keys + i, same, &out.value))
			return false;
		keys[n_out] = out;
		i += same;
	}
	return n_out == 0 || radix_build(&b->radix, keys, n_out, ret_root) == 0;
}

/* Hosts stand in the tree from their last letter to the first. */
static bool put_host(struct build *b, struct slice host, uint32_t rank, struct radix_key *key)
{
	char text[TREE_MAX_HOST];

	/* "*" alone is an ordinary name that nobody has. */
	*key = (struct radix_key){
		.value = rank, .rank = rank, .prefix = host.len > 1 && is_wildcard(host)};
	if (key->prefix)
		host = slice_skip(host, 1);
	for (size_t i = 0; i < host.len; i++)
		text[i] = host.ptr[host.len - 1 - i];
	return put_key(b, slice_make(text, host.len), key);
}

static bool make_hosts(struct build *b, struct router *r)
{
	_cleanup_free_ struct radix_key *any = calloc(b->cfg->n_routes + 1, sizeof(*any));
	_cleanup_free_ struct radix_key *keys = NULL;
	size_t total = 0;
	size_t n_any = 0;
	size_t n_keys = 0;
	size_t n_out = 0;

	for (size_t i = 0; i < b->cfg->n_routes; i++)
		total += b->cfg->routes[i].match.hosts.n;
	keys = calloc(total + 1, sizeof(*keys));
	if (!any || !keys)
		return false;
	for (uint32_t rank = 0; rank < b->cfg->n_routes; rank++) {
		const struct conf_strings *hosts = &b->routes[rank].match->hosts;

		if (hosts->n == 0)
			any[n_any++] = (struct radix_key){.rank = rank};
		for (size_t i = 0; i < hosts->n; i++)
			if (hosts->items[i].len <= TREE_MAX_HOST &&
			    !put_host(b, hosts->items[i], rank, &keys[n_keys++]))
				return false;
	}
	if (!make_paths(b, any, n_any, &r->any))
		return false;
	sort(b, keys, n_keys);
	for (size_t i = 0; i < n_keys;) {
		struct radix_key out = keys[i];
		size_t same = run(b, keys + i, n_keys - i);

		if (!make_paths(b, keys + i, same, &out.value))
			return false;
		i += same;
		if (out.value == RADIX_NONE)
			continue;
		out.rank = b->radix.nodes[out.value].best;
		keys[n_out++] = out;
	}
	r->hosts = RADIX_NONE;
	return n_out == 0 || radix_build(&b->radix, keys, n_out, &r->hosts) == 0;
}

static bool finish(struct build *b, struct arena *arena, struct router *r)
{
	struct tree_list *lists = arena_array(arena, struct tree_list, b->n_lists + 1);
	uint32_t *ranks = arena_array(arena, uint32_t, b->n_ranks + 1);

	if (!lists || !ranks || radix_finish(&b->radix, arena, &r->radix) < 0)
		return false;
	if (b->n_lists)
		memcpy(lists, b->lists, b->n_lists * sizeof(*lists));
	if (b->n_ranks)
		memcpy(ranks, b->ranks, b->n_ranks * sizeof(*ranks));
	r->routes = b->routes;
	r->lists = lists;
	r->ranks = ranks;
	return true;
}

int tree_build(const struct config *cfg, struct arena *arena, struct router *r)
{
	struct build b = {.cfg = cfg};
	bool ok = order_routes(&b, arena) && put_paths(&b) && make_hosts(&b, r) &&
		  finish(&b, arena, r);

	radix_builder_fini(&b.radix);
	free(b.paths);
	free(b.lists);
	free(b.ranks);
	return ok ? 0 : -ENOMEM;
}
