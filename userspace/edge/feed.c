/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/feed.h"

#include <errno.h>

#include "edge/feed_nodes.h"

#define BITS_A_KEY                                                                                 \
	16 /* at least: one of 16 questions is answered wrongly with yes, and costs one more */
#define MAX_BITS    (1U << 31)
#define MAX_ROWS    (1U << 24)
#define MAX_ENTRIES (1U << 27)
#define ATTEMPTS    64

static const struct {
	uint32_t mean; /* of what a line has room for */
	uint32_t min;  /* lines */
} tables[FEED_TABLES] = {
	[FEED_LAST4] = {12, FEED_LAST4_LINES},
	[FEED_NODES] = {3, 1},
};

int feed_entries_add(struct feed_entries *e, const struct feed_entry *entry)
{
	if (e->n == e->room) {
		size_t room = e->room ? e->room * 2 : 64;
		void *grown = reallocarray(e->items, room, sizeof(*e->items));

		if (!grown)
			return -ENOMEM;
		e->items = grown;
		e->room = room;
	}
	e->items[e->n++] = *entry;
	return 0;
}

/* How many /32s the entries of a node of FEED_WIDE6_DEPTH touch, at most. */
static size_t wide6_of(const struct feed_node *node)
{
	size_t n = 0;

	for (const struct feed_entry *i = node->begin; i < node->end; i++)
		n += feed_wide6_last(i) + 1;
	return n;
}

struct counts {
	struct feed_sink sink;
	bool any4;
	bool any16; /* a node of depth 16 */
	bool table16;
	size_t items[FEED_TABLES];
	size_t rows;
	size_t bits6;
	size_t wide6;
};

static void count_item(struct feed_sink *sink, enum feed_table table, uint64_t key,
		       struct feed_item item)
{
	struct counts *c = (struct counts *)sink;

	(void)key;
	c->items[table]++;
	c->rows += item.kind == FEED_ROW;
}

static struct counts count(const struct feed_entries *e, struct feed_header *h)
{
	struct counts c = {.sink.put = count_item};

	feed_put_all(e, h->seed, NULL, &c.sink);
	feed_each_node(node, e)
	{
		uint16_t depth = (uint16_t)(1U << node.depth / 8);

		if (node.class < FEED_CLASS_IP6) {
			c.any4 = true;
			c.any16 |= node.depth == 16;
			c.table16 |= node.class == FEED_CLASS_TABLE16;
			continue;
		}
		h->depths6 |= depth;
		c.wide6 += node.depth == FEED_WIDE6_DEPTH ? wide6_of(&node)
							  : feed_node_hinted(e, &node, 32);
		c.bits6++;
		for (size_t i = 0; i < FEED_HINTS; i++)
			c.bits6 += feed_node_hinted(e, &node, feed_hint_depths[i]);
	}
	return c;
}

/* How many items have their home in each line of each table. */
struct homes {
	struct feed_sink sink;
	const struct feed_header *h;
	uint32_t *n[FEED_TABLES];
};

static void count_home(struct feed_sink *sink, enum feed_table table, uint64_t key,
		       struct feed_item item)
{
	const struct homes *homes = (struct homes *)sink;

	(void)item;
	homes->n[table][feed_home_of(homes->h, table, key)]++;
}

/* Whether every item is less than FEED_PROBES lines from home. */
static bool fits(const uint32_t *homes, uint32_t n, uint32_t room)
{
	uint32_t waiting = 0;

	for (uint32_t i = 0; i < n; i++) {
		waiting += homes[i];
		if (waiting > FEED_PROBES * room)
			return false;
		waiting -= waiting < room ? waiting : room;
	}
	return true;
}

/* The tables that are too small, or with this seed too uneven, a bit each. */
static int misfits(const struct feed_entries *e, const struct feed_header *h)
{
	struct homes homes = {.sink.put = count_home, .h = h};
	int found = 0;

	for (int t = 0; t < FEED_TABLES; t++) {
		homes.n[t] = calloc(h->table[t].n + 1, sizeof(*homes.n[t]));
		if (!homes.n[t])
			found = -ENOMEM;
	}
	if (found == 0)
		feed_put_all(e, h->seed, NULL, &homes.sink);
	for (int t = 0; t < FEED_TABLES; t++) {
		if (found >= 0 && !fits(homes.n[t], h->table[t].n, feed_room[t]))
			found |= 1 << t;
		free(homes.n[t]);
	}
	return found;
}

/* Another seed, and after a few a little more room, until it fits. */
static int place(const struct feed_entries *e, const struct counts *c, struct feed_header *h)
{
	for (int t = 0; t < FEED_TABLES; t++) {
		uint32_t n = (uint32_t)((c->items[t] + tables[t].mean - 1) / tables[t].mean);

		h->table[t].n = n && n < tables[t].min ? tables[t].min : n;
	}
	for (int i = 0; i < ATTEMPTS; i++) {
		int rc = misfits(e, h);

		if (rc <= 0)
			return rc;
		h->seed = feed_mix(h->seed + 1);
		for (int t = 0; t < FEED_TABLES && i % 4 == 3; t++)
			if (rc >> t & 1)
				h->table[t].n += h->table[t].n / 8 + 1;
	}
	return -E2BIG;
}

/* A power of two; of more keys than the greatest has room for, more questions are answered wrongly. */
static uint32_t bits_for(size_t keys)
{
	uint32_t bits = FEED_LINE_BITS;

	while (bits < MAX_BITS && bits / BITS_A_KEY < keys)
		bits *= 2;
	return bits;
}

static uint32_t bits4_len(const struct counts *c)
{
	uint32_t len = (uint32_t)__builtin_ctz(bits_for(c->items[FEED_LAST4]));

	return len < 16 ? 16 : len > 24 ? 24 : len;
}

static void lay_out(const struct counts *c, struct feed_header *h)
{
	uint32_t at = 1;

	if (c->any4) {
		h->bits4 = at;
		h->bits4_len = bits4_len(c);
		at += (1U << h->bits4_len) / FEED_LINE_BITS;
	}
	if (c->any16) {
		h->bits16 = at;
		at += 65536 / FEED_LINE_BITS;
	}
	if (c->table16) {
		h->table16 = at;
		at += 65536 / FEED_LINE;
	}
	if (c->bits6) {
		h->bits6 = at;
		h->bits6_mask = bits_for(c->bits6) - 1;
		h->wide6 = (uint8_t)__builtin_ctz(bits_for(c->wide6));
		at += bits_for(c->bits6) / FEED_LINE_BITS + bits_for(c->wide6) / FEED_LINE_BITS;
	}
	for (int t = 0; t < FEED_TABLES; t++) {
		h->table[t].first = at;
		at += h->table[t].n ? h->table[t].n + FEED_PROBES - 1 : 0;
	}
	h->rows = at;
	h->lines = at + (uint32_t)c->rows * FEED_ROW_LINES;
}

int feed_plan(struct feed_entries *e, uint64_t seed, struct feed_plan *ret, struct error *err)
{
	struct feed_plan plan = {.header.seed = seed};
	struct counts c;
	int rc;

	if (e->n > MAX_ENTRIES)
		return error_set(err, E2BIG, "more than %u entries", MAX_ENTRIES);
	feed_sort(e);
	c = count(e, &plan.header);
	if (c.rows > MAX_ROWS)
		return error_set(err, E2BIG, "more than %u crowded networks", MAX_ROWS);
	rc = place(e, &c, &plan.header);
	if (rc == -E2BIG)
		return error_set(err, E2BIG, "these entries can't be spread evenly");
	if (rc < 0)
		return error_sys(err, -rc, "feeds");
	lay_out(&c, &plan.header);
	for (int t = 0; t < FEED_TABLES; t++)
		plan.n_items += c.items[t];
	*ret = plan;
	return 0;
}
