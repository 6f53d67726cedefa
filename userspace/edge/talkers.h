/* SPDX-License-Identifier: Apache-2.0 */
/* The sources that send the most, as the guard has sampled them: bpf/talk.bpf.h. */
#ifndef EDGE_TALKERS_H
#define EDGE_TALKERS_H

#include <stdlib.h>

#include "conf/cidr.h"
#include "edge/edge.h"

/* Estimates: what was sampled, times TALK_SAMPLE. */
struct edge_talker {
	uint64_t source; /* an IPv4 address, marked, or an IPv6 /64: bpf/abi.h */
	uint64_t packets;
	uint64_t dropped;
	uint64_t bytes;
	uint32_t seen; /* seconds of CLOCK_MONOTONIC */
	uint32_t dropped_at;
	enum reason reason; /* of the last one dropped; REASON_PASSED: none was */
};

struct edge_talkers {
	struct edge_talker *items; /* by source */
	size_t n;
};

/* For _cleanup_, too. */
static inline void edge_talkers_fini(struct edge_talkers *t)
{
	free(t->items);
}

/* Of all CPUs together. */
int edge_talkers_read(const struct edge *e, struct edge_talkers *ret, struct error *err);

/* The same of n sets as they were read. -ENOMEM. */
int edge_talkers_merge(const struct talker_set *sets, size_t n, struct edge_talkers *ret);

/*
 * What was sent between two readings, in place of the totals in now; who sent nothing goes. Most first, by packets. A source that lost
 * its place meanwhile has what came after.
 */
void edge_talkers_since(struct edge_talkers *now, const struct edge_talkers *before);

/* NULL: the guard has not kept it. */
const struct edge_talker *edge_talkers_find(const struct edge_talkers *t, uint64_t source);

/* "192.0.2.7", "2001:db8::/64", and the other way: of an address, the source that it belongs to. */
void edge_source_format(uint64_t source, char ret[CONF_CIDR_TEXT]);
uint64_t edge_source_of(const struct conf_cidr *address);

#endif
