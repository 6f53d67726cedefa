/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/feed.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"

#define NODE_RANGES  8	/* of a node; more become a row */
#define LAST4_RANGES 16 /* of a /24; a row is another line to be read */
#define BITS_A_KEY                                                                                 \
	16 /* at least: one of 16 questions is answered wrongly with yes, and costs one more */
#define MAX_ROWS    (1U << 24)
#define MAX_ENTRIES (1U << 27)
#define ATTEMPTS    64

static const struct {
	uint32_t room; /* of a line */
	uint32_t mean; /* that is used of it */
} tables[FEED_TABLES] = {
	[FEED_LAST4] = {FEED_RANGES, 7},
	[FEED_NODES] = {FEED_ITEMS, 3},
};

/* Entries of the same class have their nodes at the same depth. */
#define CLASS_TABLE16 0
#define CLASS_IP4     1 /* and depth 16, 24 */
#define CLASS_IP6     8 /* and depth 0, 8 ... */

#define LAST4_DEPTH   24

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

static unsigned int depth_of(const struct feed_entry *e)
{
	if (e->family == 4 && e->len == LAST4_DEPTH)
		return LAST4_DEPTH;
	return e->len ? (e->len - 1U) / 8 * 8 : 0;
}

static unsigned int class_of(const struct feed_entry *e)
{
	if (e->family == 6)
		return CLASS_IP6 + depth_of(e) / 8;
	return e->len <= 16 ? CLASS_TABLE16 : CLASS_IP4 + depth_of(e) / 8;
}

#define COMPARE(a, b)                                                                              \
	do {                                                                                       \
		if ((a) != (b))                                                                    \
			return (a) < (b) ? -1 : 1;                                                 \
	} while (0)

static int compare(const void *left, const void *right)
{
	const struct feed_entry *a = left, *b = right;

	COMPARE(class_of(a), class_of(b));
	COMPARE(a->hi, b->hi);
	COMPARE(a->lo, b->lo);
	COMPARE(a->len, b->len);
	COMPARE(a->set, b->set);
	return 0;
}

static bool same_prefix(const struct feed_entry *a, const struct feed_entry *b)
{
	return a->hi == b->hi && a->lo == b->lo && a->len == b->len && a->family == b->family;
}

static void sort(struct feed_entries *e)
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

/* Entries of one node, or all of CLASS_TABLE16: from begin to end. */
struct node {
	const struct feed_entry *begin;
	const struct feed_entry *end;
	unsigned int depth;
	unsigned int class;
};

static bool node_next(const struct feed_entries *e, struct node *node)
{
	const struct feed_entry *end = e->items + e->n, *i = node->end;

	if (i == end)
		return false;
	node->begin = i;
	node->class = class_of(i);
	node->depth = node->class == CLASS_TABLE16 ? 0 : depth_of(i);
	while (i < end && class_of(i) == node->class && same_bits(node->begin, i, node->depth))
		i++;
	node->end = i;
	return true;
}

#define for_each_node(n, e) for (struct node n = {.end = (e)->items}; node_next(e, &(n));)

static bool is_last4(const struct node *node)
{
	return node->class == CLASS_IP4 + LAST4_DEPTH / 8;
}

static bool is_row(const struct node *node)
{
	return node->end - node->begin > (is_last4(node) ? LAST4_RANGES : NODE_RANGES);
}

static uint64_t key_of(const struct node *node, uint64_t seed)
{
	const struct feed_entry *e = node->begin;

	if (e->family == 4)
		return feed_key4(node->depth, (uint32_t)(e->hi >> 32));
	if (node->depth < 64)
		return feed_key6(node->depth, e->hi, 0);
	return feed_key6_deep(node->depth, e->hi, e->lo, seed, 0);
}

static uint64_t hint_of(const struct feed_entry *e, unsigned int depth, uint64_t seed)
{
	if (depth < 64)
		return feed_key6(depth, e->hi, FEED_KEY_HINT);
	return feed_key6_deep(depth, e->hi, 0, seed, FEED_KEY_HINT);
}

/* The depths at which a look-up asks whether to go on. */
static const unsigned int hint_depths[] = {32, 48, 64};

#define N_HINTS (sizeof(hint_depths) / sizeof(hint_depths[0]))

/* Whether a node is the first of its class below a hint. */
static bool needs_hint(const struct feed_entries *e, const struct node *node, unsigned int hint)
{
	const struct feed_entry *before = node->begin - 1;

	if (node->depth < hint)
		return false;
	return node->begin == e->items || class_of(before) != node->class ||
	       !same_bits(before, node->begin, hint);
}

/* The values of an entry in a table whose index ends with bit `bits` of the address. */
static uint32_t first_of(const struct feed_entry *e, unsigned int bits)
{
	return bits <= 64 ? (uint32_t)(e->hi >> (64 - bits)) : (uint32_t)(e->lo >> (128 - bits));
}

/* Who is told of everything that goes into a hash table. */
struct sink {
	void (*put)(struct sink *sink, enum feed_table table, uint64_t key, struct feed_item item);
};

static void put_entry(const struct node *node, const struct feed_entry *e, uint64_t key,
		      uint8_t number, struct sink *sink)
{
	unsigned int bits = node->depth + 8;
	uint8_t first = (uint8_t)first_of(e, bits);
	uint8_t last = (uint8_t)(first + (1U << (bits - e->len)) - 1);
	struct feed_item item = {FEED_RANGE, first, last, number};

	sink->put(sink, is_last4(node) ? FEED_LAST4 : FEED_NODES, key, item);
}

static struct feed_item row_item(uint32_t row)
{
	return (struct feed_item){FEED_ROW, (uint8_t)row, (uint8_t)(row >> 8),
				  (uint8_t)(row >> 16)};
}

/* Of a node most specific first. Rows are numbered as they come. */
static void put_all(const struct feed_entries *e, uint64_t seed, const uint8_t *numbers,
		    struct sink *sink)
{
	const struct feed_item crowd = {FEED_RANGE, 0, 255, 0};
	uint32_t row = 0;

	for_each_node(node, e)
	{
		uint64_t key = key_of(&node, seed);

		if (node.class == CLASS_TABLE16)
			continue;
		if (is_row(&node)) {
			sink->put(sink, FEED_NODES, key, row_item(row++));
			if (is_last4(&node))
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

/* The /32s that an entry of /25 to /32 touches begin with the prefix and end with this. */
#define WIDE6_DEPTH 24

static uint32_t wide6_last(const struct feed_entry *e)
{
	return e->len < 32 ? (1U << (32 - e->len)) - 1 : 0;
}

/* How many /32s the entries of a node of WIDE6_DEPTH touch, at most. */
static size_t wide6_of(const struct node *node)
{
	size_t n = 0;

	for (const struct feed_entry *i = node->begin; i < node->end; i++)
		n += wide6_last(i) + 1;
	return n;
}

struct counts {
	struct sink sink;
	bool any4;
	bool any16; /* a node of depth 16 */
	bool table16;
	size_t items[FEED_TABLES];
	size_t rows;
	size_t bits6;
	size_t wide6;
};

static void count_item(struct sink *sink, enum feed_table table, uint64_t key,
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

	put_all(e, h->seed, NULL, &c.sink);
	for_each_node(node, e)
	{
		uint16_t depth = (uint16_t)(1U << node.depth / 8);

		if (node.class < CLASS_IP6) {
			c.any4 = true;
			c.any16 |= node.depth == 16;
			c.table16 |= node.class == CLASS_TABLE16;
			continue;
		}
		h->depths6 |= depth;
		c.wide6 += node.depth == WIDE6_DEPTH ? wide6_of(&node) : needs_hint(e, &node, 32);
		c.bits6++;
		for (size_t i = 0; i < N_HINTS; i++)
			c.bits6 += needs_hint(e, &node, hint_depths[i]);
	}
	return c;
}

/* How many items have their home in each line of each table. */
struct homes {
	struct sink sink;
	const struct feed_header *h;
	uint32_t *n[FEED_TABLES];
};

static void count_home(struct sink *sink, enum feed_table table, uint64_t key,
		       struct feed_item item)
{
	const struct homes *homes = (struct homes *)sink;

	(void)item;
	homes->n[table][feed_home(feed_hash(key, homes->h->seed), homes->h->table[table].n)]++;
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
		put_all(e, h->seed, NULL, &homes.sink);
	for (int t = 0; t < FEED_TABLES; t++) {
		if (found >= 0 && !fits(homes.n[t], h->table[t].n, tables[t].room))
			found |= 1 << t;
		free(homes.n[t]);
	}
	return found;
}

/* Another seed, and after a few a little more room, until it fits. */
static int place(const struct feed_entries *e, const struct counts *c, struct feed_header *h)
{
	for (int t = 0; t < FEED_TABLES; t++)
		h->table[t].n = (uint32_t)((c->items[t] + tables[t].mean - 1) / tables[t].mean);
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

static uint32_t bits_for(size_t keys)
{
	uint32_t bits = FEED_LINE_BITS;

	while (bits / BITS_A_KEY < keys)
		bits *= 2;
	return bits;
}

static void lay_out(const struct counts *c, struct feed_header *h)
{
	uint32_t at = 1;

	if (c->any4) {
		h->bits4 = at;
		at += (FEED_BITS4 + FEED_WIDE4) / FEED_LINE_BITS;
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
		at += (bits_for(c->bits6) + bits_for(c->wide6)) / FEED_LINE_BITS;
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
	sort(e);
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
			const struct node *node, union feed_any *memory)
{
	set_hash(h, memory, key_of(node, h->seed));
	for (size_t i = 0; i < N_HINTS; i++)
		if (needs_hint(e, node, hint_depths[i]))
			set_hash(h, memory, hint_of(node->begin, hint_depths[i], h->seed));
	if (needs_hint(e, node, 32))
		set_wide6(h, memory, node->begin->hi);
	for (const struct feed_entry *i = node->begin; node->depth == WIDE6_DEPTH && i < node->end;
	     i++)
		for (uint64_t n = 0; n <= wide6_last(i); n++)
			set_wide6(h, memory, i->hi | n << 32);
}

/* The bits by which a look-up finds the node. */
static void write_bits(const struct feed_header *h, const struct feed_entries *e,
		       const struct node *node, union feed_any *memory)
{
	if (node->class >= CLASS_IP6) {
		write_bits6(h, e, node, memory);
		return;
	}
	for (const struct feed_entry *i = node->begin; i < node->end; i++) {
		set_bits4(memory + h->bits4, i, 24);
		set_bits4(memory + h->bits4 + FEED_BITS4 / FEED_LINE_BITS, i, 21);
		if (node->depth == 16)
			set_bits4(memory + h->bits16, i, 16);
	}
}

/* Less specific ones first, so that others replace them. */
static void write_table(const struct node *node, unsigned int bits, uint32_t mask,
			const uint8_t *numbers, uint8_t *table)
{
	for (unsigned int len = node->depth; len <= bits; len++)
		for (const struct feed_entry *i = node->begin; i < node->end; i++)
			if (i->len == len)
				memset(table + (first_of(i, bits) & mask), numbers[i->set],
				       1U << (bits - len));
}

/* All but the hash tables. */
static void write_nodes(const struct feed_header *h, const struct feed_entries *e,
			const uint8_t *numbers, union feed_any *lines)
{
	uint32_t row = h->rows;

	for_each_node(node, e)
	{
		write_bits(h, e, &node, lines);
		if (node.class == CLASS_TABLE16) {
			write_table(&node, 16, 0xffff, numbers, lines[h->table16].bytes);
		} else if (is_row(&node)) {
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
	struct sink sink;
	const struct feed_header *h;
	struct placed *items;
	size_t n;
};

static void place_item(struct sink *sink, enum feed_table table, uint64_t key,
		       struct feed_item item)
{
	struct placing *p = (struct placing *)sink;
	uint32_t home = feed_home(feed_hash(key, p->h->seed), p->h->table[table].n);

	p->items[p->n++] = (struct placed){key, item, home, table};
}

static int by_home(const void *left, const void *right)
{
	const struct placed *a = *(const struct placed *const *)left;
	const struct placed *b = *(const struct placed *const *)right;

	COMPARE(a->table, b->table);
	COMPARE(a->home, b->home);
	COMPARE(a, b); /* as they came: a node's ranges stay together, most specific first */
	return 0;
}

static void pour_one(const struct placed *p, uint32_t at, uint32_t slot, union feed_any *lines)
{
	if (p->table == FEED_NODES) {
		lines[at].line.key[slot] = p->key;
		lines[at].line.item[slot] = p->item;
		for (uint32_t i = p->home; i < at; i++)
			lines[i].line.more = 1;
	} else {
		lines[at].last4.first[slot] = (uint32_t)(p->key >> 32) | p->item.first;
		lines[at].last4.span[slot] = p->item.last - p->item.first;
		lines[at].last4.set[slot] = p->item.set;
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
		} else if (used == tables[p->table].room) {
			at++;
			used = 0;
		}
		pour_one(p, at, used++, memory + h->table[p->table].first);
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
	put_all(e, h->seed, numbers, &placing.sink);
	for (size_t i = 0; i < placing.n; i++)
		sorted[i] = &items[i];
	qsort(sorted, placing.n, sizeof(*sorted), by_home);
	pour(h, sorted, placing.n, lines);
	return 0;
}
