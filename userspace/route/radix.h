/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Static radix trees over byte strings (Morrison, 1968): built once from sorted keys, many trees in one pair of
 * arrays. A node is half a cache line; its children lie side by side, and so do their first bytes, so that a
 * step down is one search in a few bytes. Two or more nodes on a way differ by a byte of a key at least: the
 * cost of a walk is bounded by what is looked up, never by the number of keys.
 */
#ifndef ROUTE_RADIX_H
#define ROUTE_RADIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

#define RADIX_NONE  UINT32_MAX
#define RADIX_PARAM '\0' /* in a key: one path segment, whatever it is */

struct radix_node {
	uint32_t label; /* offset into text */
	uint32_t label_len;
	uint32_t children; /* the first of them */
	uint16_t n_children;
	uint16_t has_param; /* the label holds RADIX_PARAM */
	uint32_t best;	    /* lowest rank here and below */
	uint32_t exact;	    /* value of the key that ends here, or RADIX_NONE */
	uint32_t
		prefix; /* value of the key that stands for all that starts with it, or RADIX_NONE */
	uint32_t up;	/* the nearest node above that has a prefix, or RADIX_NONE */
};

struct radix {
	const struct radix_node *nodes;
	const unsigned char *first; /* of each node's label */
	const char *text;
};

/* Index of the child whose label begins with this byte, or RADIX_NONE. */
static inline uint32_t radix_child(const struct radix *t, const struct radix_node *n,
				   unsigned char byte)
{
	const unsigned char *first = t->first + n->children;
	uint32_t i;

	if (n->n_children == 0)
		return RADIX_NONE;
	/* Neighbours such as the ten digits are often complete. */
	i = (uint32_t)byte - first[0];
	if (i < n->n_children && first[i] == byte)
		return n->children + i;
	if (n->n_children > 16) {
		const unsigned char *hit = memchr(first, byte, n->n_children);

		return hit ? (uint32_t)(hit - t->first) : RADIX_NONE;
	}
	for (i = 0; i < n->n_children; i++)
		if (first[i] == byte)
			return n->children + i;
	return RADIX_NONE;
}

/* Take a node's label, which holds no RADIX_PARAM, off the bytes. */
static inline bool radix_match(const struct radix *t, const struct radix_node *n,
			       struct slice *bytes)
{
	const char *label = t->text + n->label;
	size_t len = n->label_len;

	if (bytes->len < len)
		return false;
	/* Most are of a few bytes, less than a call is worth. */
	if (len > 16) {
		if (memcmp(bytes->ptr, label, len) != 0)
			return false;
	} else {
		for (size_t i = 0; i < len; i++)
			if (bytes->ptr[i] != label[i])
				return false;
	}
	*bytes = slice_skip(*bytes, len);
	return true;
}

/* While building: on the heap, growing. Zero-initialised. */
struct radix_builder {
	struct radix_node *nodes;
	unsigned char *first;
	size_t n_nodes;
	size_t cap_nodes;
	char *text;
	size_t text_len;
	size_t text_cap;
};

struct radix_key {
	uint32_t text; /* from radix_text */
	uint32_t len;
	uint32_t value;
	uint32_t rank; /* the lowest behind the value */
	bool prefix;
};

/* Append bytes to the text. False: no memory. */
bool radix_text(struct radix_builder *b, struct slice bytes);

/* Order of bytes, a prefix before what it begins, then exact before prefix. */
int radix_key_compare(const struct radix_builder *b, const struct radix_key *x,
		      const struct radix_key *y);

/* A tree of keys (at least one, sorted, no two equal). 0 with its root, or -ENOMEM. */
int radix_build(struct radix_builder *b, const struct radix_key *keys, size_t n,
		uint32_t *ret_root);

/* Copy all into the arena. 0 or -ENOMEM. */
int radix_finish(struct radix_builder *b, struct arena *arena, struct radix *ret_radix);
void radix_builder_fini(struct radix_builder *b);

#endif
