/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/feed_nodes.h"

#define NODE_RANGES  8	/* of a node; more become a row */
#define LAST4_RANGES 16 /* of a /24; a row is another line to be read */
#define LAST4_DEPTH  24

const unsigned int feed_hint_depths[FEED_HINTS] = {32, 48, 64};
const uint32_t feed_room[FEED_TABLES] = {[FEED_LAST4] = FEED_LASTS, [FEED_NODES] = FEED_ITEMS};

static unsigned int depth_of(const struct feed_entry *e)
{
	if (e->family == 4 && e->len == LAST4_DEPTH)
		return LAST4_DEPTH;
	return e->len ? (e->len - 1U) / 8 * 8 : 0;
}

static unsigned int class_of(const struct feed_entry *e)
{
	if (e->family == 6)
		return FEED_CLASS_IP6 + depth_of(e) / 8;
	return e->len <= 16 ? FEED_CLASS_TABLE16 : FEED_CLASS_IP4 + depth_of(e) / 8;
}

static int compare(const void *left, const void *right)
{
	const struct feed_entry *a = left, *b = right;

	FEED_COMPARE(class_of(a), class_of(b));
	FEED_COMPARE(a->hi, b->hi);
	FEED_COMPARE(a->lo, b->lo);
	FEED_COMPARE(a->len, b->len);
	FEED_COMPARE(a->set, b->set);
	return 0;
}

static bool same_prefix(const struct feed_entry *a, const struct feed_entry *b)
{
	return a->hi == b->hi && a->lo == b->lo && a->len == b->len && a->family == b->family;
}

void feed_sort(struct feed_entries *e)
{
	size_t n = 0;

	if (e->n)
		qsort(e->items, e->n, sizeof(*e->items), compare);
	for (size_t i = 0; i < e->n; i++)
		if (n == 0 || !same_prefix(&e->items[n - 1], &e->items[i]))
			e->items[n++] = e->items[i];
	e->n = n;
}

/* Whether the first bits, 0 to 128, are the same. */
static bool same_bits(const struct feed_entry *a, const struct feed_entry *b, unsigned int bits)
{
	if (bits < 64)
		return ((a->hi ^ b->hi) & feed_mask(bits)) == 0;
	return a->hi == b->hi && (bits == 128 || ((a->lo ^ b->lo) & feed_mask(bits - 64)) == 0);
}

bool feed_node_next(const struct feed_entries *e, struct feed_node *node)
{
	const struct feed_entry *end = e->items + e->n, *i = node->end;

	if (i == end)
		return false;
	node->begin = i;
	node->class = class_of(i);
	node->depth = node->class == FEED_CLASS_TABLE16 ? 0 : depth_of(i);
	while (i < end && class_of(i) == node->class && same_bits(node->begin, i, node->depth))
		i++;
	node->end = i;
	return true;
}

bool feed_node_last4(const struct feed_node *node)
{
	return node->class == FEED_CLASS_IP4 + LAST4_DEPTH / 8;
}

bool feed_node_row(const struct feed_node *node)
{
	return node->end - node->begin > (feed_node_last4(node) ? LAST4_RANGES : NODE_RANGES);
}

uint64_t feed_node_key(const struct feed_node *node, uint64_t seed)
{
	const struct feed_entry *e = node->begin;

	if (e->family == 4)
		return feed_key4(node->depth, (uint32_t)(e->hi >> 32));
	if (node->depth < 64)
		return feed_key6(node->depth, e->hi, 0);
	return feed_key6_deep(node->depth, e->hi, e->lo, seed, 0);
}

uint64_t feed_hint_key(const struct feed_entry *e, unsigned int depth, uint64_t seed)
{
	if (depth < 64)
		return feed_key6(depth, e->hi, FEED_KEY_HINT);
	return feed_key6_deep(depth, e->hi, 0, seed, FEED_KEY_HINT);
}

bool feed_node_hinted(const struct feed_entries *e, const struct feed_node *node, unsigned int hint)
{
	const struct feed_entry *before = node->begin - 1;

	if (node->depth < hint)
		return false;
	return node->begin == e->items || class_of(before) != node->class ||
	       !same_bits(before, node->begin, hint);
}

uint32_t feed_first_of(const struct feed_entry *e, unsigned int bits)
{
	return bits <= 64 ? (uint32_t)(e->hi >> (64 - bits)) : (uint32_t)(e->lo >> (128 - bits));
}

uint32_t feed_home_of(const struct feed_header *h, enum feed_table table, uint64_t key)
{
	uint32_t n = h->table[table].n;

	return table == FEED_LAST4 ? feed_home24(feed_mix24((uint32_t)(key >> 32), h->seed), n)
				   : feed_home(feed_hash(key, h->seed), n);
}

static void put_entry(const struct feed_node *node, const struct feed_entry *e, uint64_t key,
		      uint8_t number, struct feed_sink *sink)
{
	unsigned int bits = node->depth + 8;
	uint8_t first = (uint8_t)feed_first_of(e, bits);
	uint8_t last = (uint8_t)(first + (1U << (bits - e->len)) - 1);
	struct feed_item item = {FEED_RANGE, first, last, number};

	sink->put(sink, feed_node_last4(node) ? FEED_LAST4 : FEED_NODES, key, item);
}

static struct feed_item row_item(uint32_t row)
{
	return (struct feed_item){FEED_ROW, (uint8_t)row, (uint8_t)(row >> 8),
				  (uint8_t)(row >> 16)};
}

void feed_put_all(const struct feed_entries *e, uint64_t seed, const uint8_t *numbers,
		  struct feed_sink *sink)
{
	const struct feed_item crowd = {FEED_RANGE, 0, 255, 0};
	uint32_t row = 0;

	feed_each_node(node, e)
	{
		uint64_t key = feed_node_key(&node, seed);

		if (node.class == FEED_CLASS_TABLE16)
			continue;
		if (feed_node_row(&node)) {
			sink->put(sink, FEED_NODES, key, row_item(row++));
			if (feed_node_last4(&node))
				sink->put(sink, FEED_LAST4, key, crowd);
			continue;
		}
		for (unsigned int len = node.depth + 9; len-- > node.depth;)
			for (const struct feed_entry *i = node.begin; i < node.end; i++)
				if (i->len == len)
					put_entry(&node, i, key, numbers ? numbers[i->set] : 0,
						  sink);
	}
}

uint32_t feed_wide6_last(const struct feed_entry *e)
{
	return e->len < 32 ? (1U << (32 - e->len)) - 1 : 0;
}
