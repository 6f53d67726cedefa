/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of addresses and prefixes of an attached interface. Changes count from the next packet. */
#ifndef EDGE_LISTS_H
#define EDGE_LISTS_H

#include <stdlib.h>

#include "edge/edge.h"

enum edge_list { EDGE_ALLOW, EDGE_DENY };

struct edge_entry {
	struct conf_cidr cidr;
	enum origin origin;
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

/* Replaces an entry of the same prefix. -ENOSPC: the list is full. */
int edge_list_add(const struct edge *e, enum edge_list list, const struct conf_cidr *cidr,
		  enum origin origin, struct error *err);

/* -ENOENT: not on the list as such (a wider prefix that holds it is another entry). */
int edge_list_del(const struct edge *e, enum edge_list list, const struct conf_cidr *cidr,
		  struct error *err);

/* All entries, IPv4 first. Entries that others change meanwhile may be missing or be there twice. */
int edge_list_read(const struct edge *e, enum edge_list list, struct edge_entries *ret,
		   struct error *err);

/*
 * Add a file's entries that are not there yet; ret_added says of each whether it was missing. On failure nothing
 * was added.
 */
int edge_list_add_file(const struct edge *e, enum edge_list list, const struct conf_cidrs *cidrs,
		       bool *ret_added, struct error *err);

/* Take the first n back, as far as they were added. */
void edge_list_undo_file(const struct edge *e, enum edge_list list, const struct conf_cidrs *cidrs,
			 const bool *added, size_t n);

/* Remove what an earlier file has put there and this one does not name. */
int edge_list_keep_file(const struct edge *e, enum edge_list list, const struct conf_cidrs *cidrs,
			struct error *err);

#endif
