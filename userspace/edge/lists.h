/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of addresses and prefixes of an attached interface. Changes count from the next packet. */
#ifndef EDGE_LISTS_H
#define EDGE_LISTS_H

#include <stdlib.h>

#include "edge/batch.h"

enum edge_list { EDGE_ALLOW, EDGE_DENY, EDGE_NEVER, EDGE_TIERS };

struct edge_entry {
	struct conf_cidr cidr; /* first: see conf_cidr_index */
	enum origin origin;
	uint32_t until; /* seconds of CLOCK_MONOTONIC; 0: no end */
	uint32_t
		held; /* the file's: when the operator's of this prefix ends, which comes back without the file's; 0: there is none */
	uint16_t note; /* for edge_note_read, 0: none; of EDGE_TIERS the number of the tier */
};

struct edge_entries {
	struct edge_entry *items;
	size_t n;
};

/* For _cleanup_, too. */
static inline void edge_entries_fini(struct edge_entries *e)
{
	free(e->items);
}

/*
 * Replaces an entry of the same prefix. 1: that one has no end, and one that has does not take its place; nothing has changed.
 * -ENOSPC: the list is full.
 */
int edge_list_add(struct edge_batch *b, enum edge_list list, const struct edge_entry *entry,
		  struct error *err);

/* -ENOENT: not on the list as such (a wider prefix that holds it is another entry). */
int edge_list_del(struct edge_batch *b, enum edge_list list, const struct conf_cidr *cidr,
		  struct error *err);

/* All entries that count, IPv4 first. Entries that others change meanwhile may be missing or be there twice. */
int edge_list_read(const struct edge *e, enum edge_list list, struct edge_entries *ret,
		   struct error *err);

/* The longest prefix that holds the address; NULL: none does. */
const struct edge_entry *edge_entries_match(const struct edge_entries *entries,
					    const struct conf_cidr *address);

/*
 * Make the file's entries those of cidrs: add what is missing, remove what an earlier file has put there. The operator's stay: one
 * with an end has none while the file names it, and its own again afterwards.
 */
int edge_list_follow_file(struct edge_batch *b, enum edge_list list, const struct conf_cidrs *cidrs,
			  struct error *err);

/* The same of entries that say more than a prefix: those of other notes are given theirs. */
int edge_list_follow(struct edge_batch *b, enum edge_list list, const struct edge_entries *wanted,
		     struct error *err);

/*
 * The number of a note with these texts, made what text_clean makes of them: one that is there or, when entries no longer use
 * it, another's. -ENOSPC: there are too many.
 */
int edge_note_make(const struct edge *e, const char *by, const char *why, uint16_t *ret,
		   struct error *err);

/* Empty texts for 0 and what can't be read. */
void edge_note_read(const struct edge *e, uint16_t number, struct note *ret);

#endif
