/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds compiled: from any number of addresses and prefixes of both families to the lines that the packet program
 * reads (bpf/feed_format.h). Sans I/O: entries in, memory filled.
 */
#ifndef EDGE_FEED_H
#define EDGE_FEED_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "bpf/feed_format.h"

/* Bits behind the prefix are zero. */
struct feed_entry {
	uint64_t hi;	/* IPv6: the first 64 bits; IPv4: the address in the upper 32 */
	uint64_t lo;	/* IPv6: the others */
	uint8_t family; /* 4 or 6 */
	uint8_t len;
	uint8_t set; /* 0 to 254, in order: of two with the same prefix the first set has it */
};

struct feed_entries {
	struct feed_entry *items;
	size_t n;
	size_t room;
};

/* 0 or -ENOMEM. */
int feed_entries_add(struct feed_entries *e, const struct feed_entry *entry);

/* For _cleanup_, too. */
static inline void feed_entries_fini(struct feed_entries *e)
{
	free(e->items);
}

struct feed_plan {
	struct feed_header header;
	size_t n_items; /* of all hash tables */
};

/*
 * Sort the entries, drop repeated ones (e->n shrinks), and decide on a layout. The same entries and seed always give
 * the same one. -E2BIG: more than the format can hold; -ENOMEM.
 */
int feed_plan(struct feed_entries *e, uint64_t seed, struct feed_plan *ret, struct error *err);

/* Bytes that feed_write fills: a multiple of FEED_LINE. */
size_t feed_size(const struct feed_plan *plan);

/*
 * The planned entries into memory of feed_size bytes of zeros, aligned to 8. numbers: by what number the packet program
 * knows a set (1 to 255). 0 or -ENOMEM.
 */
int feed_write(const struct feed_plan *plan, const struct feed_entries *e,
	       const uint8_t numbers[FEED_SETS], void *memory);

#endif
