/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of many list entries as one: packets and readers meet none of them or all of them, and so does the next command
 * when this one is killed. Under the lock, one batch an interface at a time. bpf/abi.h says how entries are staged.
 */
#ifndef EDGE_BATCH_H
#define EDGE_BATCH_H

#include "edge/edge.h"

/* Of any map whose entries can be staged. */
union edge_key {
	struct prefix4 prefix4;
	struct prefix6 prefix6;
	struct ban_key ban;
	struct rule_key rule;
	uint8_t bytes[sizeof(struct rule_key)];
};

/* Each begins like a list_value. */
union edge_value {
	struct list_value list;
	struct ban_value ban;
	struct rule_value rule;
};

struct edge_staged;

struct edge_batch {
	const struct edge *edge;
	struct edge_staged *items;
	size_t n;
	bool rules; /* some of them are rules: the guard is told where to look when the batch ends */
};

/* Also ends a batch that a killed command left. */
int edge_batch_begin(struct edge_batch *b, const struct edge *e, struct error *err);

/*
 * Put an entry into a map, or give the one that is there what value says (its prefixlen, of a list, is the key's).
 * -ENOSPC: the map is full; -ENOMEM.
 */
int edge_batch_put(struct edge_batch *b, int map, const union edge_key *key,
		   const union edge_value *value);

/* The entry of this key, as it will be once the batch is committed; false: there is none. */
bool edge_batch_look(const struct edge_batch *b, int map, const union edge_key *key,
		     union edge_value *ret);

/* -ENOENT: there is no such entry. */
int edge_batch_del(struct edge_batch *b, int map, const union edge_key *key);

/* All counts from here on; policy: so does the other half of policy and ports. Ends the batch. */
void edge_batch_commit(struct edge_batch *b, bool policy);

/*
 * The same of one batch an interface, all or none, also when this is killed between them. Ends them all; on failure
 * everything is taken back.
 */
int edge_batch_commit_all(struct edge_batch *batches, size_t n, bool policy, struct error *err);

/* Let a staged batch count that a killed command had decided to commit. */
void edge_batch_resume(const struct edge *e, bool policy);

/* Take everything back. Ends the batch; nothing to do after a commit. */
void edge_batch_abort(struct edge_batch *b);

/*
 * What a reader sees of an entry of a map now: false when it does not count, else with next_* in their places. What is left in
 * next_until is the end of an operator's entry that the file's holds the place of, 0: of none.
 */
bool edge_entry_view(const struct edge *e, int map, union edge_value *value);

/* The same with what is staged committed, and whether it has ended or not. */
bool edge_entry_next(const struct edge *e, int map, union edge_value *value);

/* Call fn for every entry of the lists and every rule, whatever its stage; it may remove that one. 0 or -errno. */
typedef void edge_entry_fn(const struct edge *e, int map, const union edge_key *key, void *arg);
int edge_entries_each(const struct edge *e, edge_entry_fn *fn, void *arg);

#endif
