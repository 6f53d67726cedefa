/* SPDX-License-Identifier: Apache-2.0 */
/* What an attached interface has in the kernel, and what this kernel has for it. */
#ifndef EDGE_INVENTORY_H
#define EDGE_INVENTORY_H

#include "edge/edge.h"

/* A pinned map. */
struct edge_map_size {
	char name[16];
	const char *type; /* as bpftool calls it: "lpm_trie" */
	bool counted;	  /* entries come and go; an array has all of its own always */
	uint32_t entries;
	uint32_t max_entries;
	uint64_t bytes; /* of the kernel's memory, maps within it included */
};

/* All of them, by name; free by free. */
int edge_map_sizes(const char *name, struct edge_map_size **ret, size_t *ret_n, struct error *err);

struct edge_feature {
	const char *name; /* "bpf_loop" */
	const char *use;  /* what the guard does by it, a few words */
	bool found;
};

/*
 * Asked of the kernel by trying, some milliseconds. Ended by one without a name. Features that the guard can't do without are there, too:
 * they say why it does not load.
 */
const struct edge_feature *edge_features(void);

/*
 * What the attached program has run; counted while somebody holds bpf_enable_stats(). The kernel counts a dispatcher with all of
 * its programs, and nothing for one of them, a shared guard.
 */
struct edge_run {
	uint32_t program_id;
	uint64_t count; /* packets */
	uint64_t nsec;
};

int edge_run(const struct edge *e, struct edge_run *ret, struct error *err);

#endif
