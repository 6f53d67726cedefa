/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorted entries as nodes, which planning (edge/feed.c) and writing (edge/feed_write.c) walk alike: what goes into which
 * table under which key (bpf/feed_format.h).
 */
#ifndef EDGE_FEED_NODES_H
#define EDGE_FEED_NODES_H

#include <stdbool.h>
#include <stdint.h>

#include "edge/feed.h"

/* For a function that qsort calls. */
#define FEED_COMPARE(a, b)                                                                         \
	do {                                                                                       \
		if ((a) != (b))                                                                    \
			return (a) < (b) ? -1 : 1;                                                 \
	} while (0)

/* Entries of the same class have their nodes at the same depth. */
#define FEED_CLASS_TABLE16 0
#define FEED_CLASS_IP4	   1 /* and depth 16, 24 */
#define FEED_CLASS_IP6	   8 /* and depth 0, 8 ... */

/* Entries of one node, or all of FEED_CLASS_TABLE16: from begin to end. */
struct feed_node {
	const struct feed_entry *begin;
	const struct feed_entry *end;
	unsigned int depth;
	unsigned int class;
};

/* So that those of a node are side by side; repeated ones go. */
void feed_sort(struct feed_entries *e);

bool feed_node_next(const struct feed_entries *e, struct feed_node *node);

#define feed_each_node(n, e)                                                                       \
	for (struct feed_node n = {.end = (e)->items}; feed_node_next(e, &(n));)

/* Whether it is one of table FEED_LAST4. */
bool feed_node_last4(const struct feed_node *node);

/* Whether it has so many entries that they are a row. */
bool feed_node_row(const struct feed_node *node);
uint64_t feed_node_key(const struct feed_node *node, uint64_t seed);

/* The depths at which a look-up asks whether to go on. */
#define FEED_HINTS 3
extern const unsigned int feed_hint_depths[FEED_HINTS];

uint64_t feed_hint_key(const struct feed_entry *e, unsigned int depth, uint64_t seed);

/* Whether a node is the first of its class below a hint. */
bool feed_node_hinted(const struct feed_entries *e, const struct feed_node *node,
		      unsigned int hint);

/* The values of an entry in a table whose index ends with bit `bits` of the address. */
uint32_t feed_first_of(const struct feed_entry *e, unsigned int bits);

/* The /32s that an entry of /25 to /32 touches begin with the prefix and end with this. */
#define FEED_WIDE6_DEPTH 24
uint32_t feed_wide6_last(const struct feed_entry *e);

/* Items of a line. */
extern const uint32_t feed_room[FEED_TABLES];

/* The line that a hash names. */
uint32_t feed_home_of(const struct feed_header *h, enum feed_table table, uint64_t key);

/* Who is told of everything that goes into a hash table. */
struct feed_sink {
	void (*put)(struct feed_sink *sink, enum feed_table table, uint64_t key,
		    struct feed_item item);
};

/* Of a node most specific first. Rows are numbered as they come. numbers: as feed_write has them, or NULL. */
void feed_put_all(const struct feed_entries *e, uint64_t seed, const uint8_t *numbers,
		  struct feed_sink *sink);

#endif
