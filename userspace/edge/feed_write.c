/* SPDX-License-Identifier: Apache-2.0 */
/* Planned feeds into memory: bits, tables, rows, and hash tables line by line (bpf/feed_format.h). */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "edge/feed_nodes.h"

size_t feed_size(const struct feed_plan *plan)
{
	return (size_t)plan->header.lines * FEED_LINE;
}

static void set_bit(union feed_any *region, uint32_t bit)
{
	region[bit / FEED_LINE_BITS].bits[bit / 64 % 8] |= 1ULL << bit % 64;
}

/* A bit for each network of so many bits that the entry touches. */
static void set_bits4(union feed_any *region, const struct feed_entry *e, unsigned int bits)
{
	uint32_t at = (uint32_t)(e->hi >> (64 - bits));
	uint32_t end = at + (e->len < bits ? 1U << (bits - e->len) : 1);

	while (at < end)
		if (at % 64 == 0 && end - at >= 64) {
			region[at / FEED_LINE_BITS].bits[at / 64 % 8] = ~0ULL;
			at += 64;
		} else {
			set_bit(region, at++);
		}
}

static void set_hash(const struct feed_header *h, union feed_any *memory, uint64_t key)
{
	set_bit(memory + h->bits6, feed_bit(feed_hash(key, h->seed), h->bits6_mask));
}

/* The /32 of these first bits. */
static void set_wide6(const struct feed_header *h, union feed_any *memory, uint64_t hi)
{
	uint64_t hash = feed_hash(feed_key6(32, hi, FEED_KEY_HINT), h->seed);

	set_bit(memory + h->bits6 + (h->bits6_mask + 1) / FEED_LINE_BITS,
		feed_bit(hash, (1U << h->wide6) - 1));
}

static void write_bits6(const struct feed_header *h, const struct feed_entries *e,
			const struct feed_node *node, union feed_any *memory)
{
	set_hash(h, memory, feed_node_key(node, h->seed));
	for (size_t i = 0; i < FEED_HINTS; i++)
		if (feed_node_hinted(e, node, feed_hint_depths[i]))
			set_hash(h, memory,
				 feed_hint_key(node->begin, feed_hint_depths[i], h->seed));
	if (feed_node_hinted(e, node, 32))
		set_wide6(h, memory, node->begin->hi);
	for (const struct feed_entry *i = node->begin;
	     node->depth == FEED_WIDE6_DEPTH && i < node->end; i++)
		for (uint64_t n = 0; n <= feed_wide6_last(i); n++)
			set_wide6(h, memory, i->hi | n << 32);
}

/* The bits by which a look-up finds the node. */
static void write_bits(const struct feed_header *h, const struct feed_entries *e,
		       const struct feed_node *node, union feed_any *memory)
{
	if (node->class >= FEED_CLASS_IP6) {
		write_bits6(h, e, node, memory);
		return;
	}
	for (const struct feed_entry *i = node->begin; i < node->end; i++) {
		set_bits4(memory + h->bits4, i, h->bits4_len);
		if (node->depth == 16)
			set_bits4(memory + h->bits16, i, 16);
	}
}

/* Less specific ones first, so that others replace them. */
static void write_table(const struct feed_node *node, unsigned int bits, uint32_t mask,
			const uint8_t *numbers, uint8_t *table)
{
	for (unsigned int len = node->depth; len <= bits; len++)
		for (const struct feed_entry *i = node->begin; i < node->end; i++)
			if (i->len == len)
				memset(table + (feed_first_of(i, bits) & mask), numbers[i->set],
				       1U << (bits - len));
}

/* All but the hash tables. */
static void write_nodes(const struct feed_header *h, const struct feed_entries *e,
			const uint8_t *numbers, union feed_any *lines)
{
	uint32_t row = h->rows;

	feed_each_node(node, e)
	{
		write_bits(h, e, &node, lines);
		if (node.class == FEED_CLASS_TABLE16) {
			write_table(&node, 16, 0xffff, numbers, lines[h->table16].bytes);
		} else if (feed_node_row(&node)) {
			write_table(&node, node.depth + 8, 0xff, numbers, lines[row].bytes);
			row += FEED_ROW_LINES;
		}
	}
}

struct placed {
	uint64_t key;
	struct feed_item item;
	uint32_t home;
	enum feed_table table;
};

struct placing {
	struct feed_sink sink;
	const struct feed_header *h;
	struct placed *items;
	size_t n;
};

static void place_item(struct feed_sink *sink, enum feed_table table, uint64_t key,
		       struct feed_item item)
{
	struct placing *p = (struct placing *)sink;

	p->items[p->n++] = (struct placed){key, item, feed_home_of(p->h, table, key), table};
}

static int by_home(const void *left, const void *right)
{
	const struct placed *a = *(const struct placed *const *)left;
	const struct placed *b = *(const struct placed *const *)right;

	FEED_COMPARE(a->table, b->table);
	FEED_COMPARE(a->home, b->home);
	FEED_COMPARE(a, b); /* as they came: a node's ranges stay together, most specific first */
	return 0;
}

static uint32_t last4_item(const struct feed_header *h, const struct placed *p)
{
	uint32_t addr = (uint32_t)(p->key >> 32) | p->item.first;
	uint32_t len = 24 + __builtin_popcount(p->item.first ^ p->item.last ^ 0xffU);

	return feed_last4_key(feed_mix24(addr, h->seed), addr, len) << 8 | p->item.set;
}

static void pour_one(const struct feed_header *h, const struct placed *p, uint32_t at,
		     uint32_t slot, union feed_any *lines)
{
	if (p->table == FEED_NODES) {
		lines[at].line.key[slot] = p->key;
		lines[at].line.item[slot] = p->item;
		for (uint32_t i = p->home; i < at; i++)
			lines[i].line.more = 1;
	} else {
		lines[at].last4.item[slot] = last4_item(h, p);
		for (uint32_t i = p->home; i < at; i++)
			lines[i].last4.more = 1;
	}
}

/* From home on into the first line that has room. */
static void pour(const struct feed_header *h, struct placed *const *sorted, size_t n,
		 union feed_any *memory)
{
	uint32_t at = 0, used = 0;

	for (size_t i = 0; i < n; i++) {
		const struct placed *p = sorted[i];

		if (i == 0 || p->table != sorted[i - 1]->table || p->home > at) {
			at = p->home;
			used = 0;
		} else if (used == feed_room[p->table]) {
			at++;
			used = 0;
		}
		pour_one(h, p, at, used++, memory + h->table[p->table].first);
	}
}

int feed_write(const struct feed_plan *plan, const struct feed_entries *e,
	       const uint8_t numbers[FEED_SETS], void *memory)
{
	const struct feed_header *h = &plan->header;
	_cleanup_free_ struct placed *items = calloc(plan->n_items + 1, sizeof(*items));
	_cleanup_free_ struct placed **sorted = calloc(plan->n_items + 1, sizeof(*sorted));
	struct placing placing = {.sink.put = place_item, .h = h, .items = items};
	union feed_any *lines = memory;

	if (!items || !sorted)
		return -ENOMEM;
	lines->header = *h;
	write_nodes(h, e, numbers, lines);
	feed_put_all(e, h->seed, numbers, &placing.sink);
	for (size_t i = 0; i < placing.n; i++)
		sorted[i] = &items[i];
	qsort(sorted, placing.n, sizeof(*sorted), by_home);
	pour(h, sorted, placing.n, lines);
	return 0;
}
