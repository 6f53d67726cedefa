/* SPDX-License-Identifier: Apache-2.0 */
#include "route/radix.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

/* Which keys a node stands for, until its children are made. */
struct span {
	size_t lo;
	size_t hi;
	uint32_t depth; /* bytes of them above the node */
	uint32_t up;
};

bool radix_text(struct radix_builder *b, struct slice bytes)
{
	size_t need = b->text_len + bytes.len;

	if (need >= RADIX_NONE)
		return false;
	if (need > b->text_cap) {
		size_t cap = need * 2;
		char *text = realloc(b->text, cap);

		if (!text)
			return false;
		b->text = text;
		b->text_cap = cap;
	}
	if (bytes.len)
		memcpy(b->text + b->text_len, bytes.ptr, bytes.len);
	b->text_len = need;
	return true;
}

int radix_key_compare(const struct radix_builder *b, const struct radix_key *x,
		      const struct radix_key *y)
{
	size_t len = x->len < y->len ? x->len : y->len;
	int rc = len ? memcmp(b->text + x->text, b->text + y->text, len) : 0;

	if (rc)
		return rc;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return (int)x->prefix - (int)y->prefix;
}

/* Room for n more nodes. */
static bool reserve(struct radix_builder *b, size_t n)
{
	size_t cap = (b->n_nodes + n) * 2;
	struct radix_node *nodes;
	unsigned char *first;

	if (b->n_nodes + n <= b->cap_nodes)
		return true;
	if (cap >= RADIX_NONE)
		return false;
	nodes = realloc(b->nodes, cap * sizeof(*nodes));
	if (nodes)
		b->nodes = nodes;
	first = realloc(b->first, cap);
	if (first)
		b->first = first;
	if (!nodes || !first)
		return false;
	b->cap_nodes = cap;
	return true;
}

static uint32_t common(const struct radix_builder *b, const struct radix_key *x,
		       const struct radix_key *y)
{
	uint32_t len = x->len < y->len ? x->len : y->len;
	uint32_t i = 0;

	while (i < len && b->text[x->text + i] == b->text[y->text + i])
		i++;
	return i;
}

/* Make node at from its span and append its children with theirs; false: no memory. */
static bool expand(struct radix_builder *b, const struct radix_key *keys, uint32_t root,
		   uint32_t at, struct span *spans)
{
	const struct span s = spans[at - root];
	const struct radix_key *k = &keys[s.lo];
	uint32_t end = common(b, k, &keys[s.hi - 1]);
	struct radix_node *node;
	size_t lo = s.lo;

	if (!reserve(b, 256))
		return false;
	node = &b->nodes[at];
	*node = (struct radix_node){
		.label = k->text + s.depth,
		.label_len = end - s.depth,
		.children = (uint32_t)b->n_nodes,
		.best = RADIX_NONE,
		.exact = RADIX_NONE,
		.prefix = RADIX_NONE,
		.up = s.up,
	};
	b->first[at] = node->label_len ? (unsigned char)b->text[node->label] : 0;
	node->has_param = node->label_len &&
			  memchr(b->text + node->label, RADIX_PARAM, node->label_len);
	for (; lo < s.hi && keys[lo].len == end; lo++) {
		*(keys[lo].prefix ? &node->prefix : &node->exact) = keys[lo].value;
		if (keys[lo].rank < node->best)
			node->best = keys[lo].rank;
	}
	while (lo < s.hi) {
		char byte = b->text[keys[lo].text + end];
		struct span *child = &spans[b->n_nodes - root];

		*child = (struct span){
			.lo = lo, .depth = end, .up = node->prefix == RADIX_NONE ? s.up : at};
		while (lo < s.hi && b->text[keys[lo].text + end] == byte)
			lo++;
		child->hi = lo;
		b->n_nodes++;
		node->n_children++;
	}
	return true;
}

int radix_build(struct radix_builder *b, const struct radix_key *keys, size_t n, uint32_t *ret_root)
{
	uint32_t root = (uint32_t)b->n_nodes;
	/* Each node but the root is where a key ends or two part. */
	_cleanup_free_ struct span *spans = malloc((2 * n + 1) * sizeof(*spans));

	if (!spans || !reserve(b, 1))
		return -ENOMEM;
	spans[0] = (struct span){.lo = 0, .hi = n, .up = RADIX_NONE};
	b->n_nodes++;
	for (uint32_t at = root; at < b->n_nodes; at++)
		if (!expand(b, keys, root, at, spans))
			return -ENOMEM;
	/* Children stand behind their parents. */
	for (uint32_t at = (uint32_t)b->n_nodes; at-- > root;) {
		struct radix_node *node = &b->nodes[at];

		for (uint32_t i = 0; i < node->n_children; i++)
			if (b->nodes[node->children + i].best < node->best)
				node->best = b->nodes[node->children + i].best;
	}
	*ret_root = root;
	return 0;
}

int radix_finish(struct radix_builder *b, struct arena *arena, struct radix *ret_radix)
{
	struct radix_node *nodes = arena_array(arena, struct radix_node, b->n_nodes + 1);
	unsigned char *first = arena_zalloc(arena, b->n_nodes + 1);
	struct slice text = arena_dup(arena, slice_make(b->text, b->text_len));

	if (!nodes || !first || !text.ptr)
		return -ENOMEM;
	if (b->n_nodes) {
		memcpy(nodes, b->nodes, b->n_nodes * sizeof(*nodes));
		memcpy(first, b->first, b->n_nodes);
	}
	*ret_radix = (struct radix){.nodes = nodes, .first = first, .text = text.ptr};
	return 0;
}

void radix_builder_fini(struct radix_builder *b)
{
	free(b->nodes);
	free(b->first);
	free(b->text);
	*b = (struct radix_builder){0};
}
