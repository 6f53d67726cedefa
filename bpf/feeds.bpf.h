/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The source in the compiled feeds: whether a set lists it, and that set's counter. */
#ifndef BPF_FEEDS_BPF_H
#define BPF_FEEDS_BPF_H

#include "bpf/maps.bpf.h"
#include "bpf/parse.bpf.h"

static __always_inline union feed_any *feed_at(__u64 slot, __u32 n)
{
	__u32 chunk = (__u32)slot * FEED_CHUNKS + n / FEED_CHUNK_LINES;
	__u32 line = n % FEED_CHUNK_LINES;
	void *lines = bpf_map_lookup_elem(&feeds, &chunk);

	return lines ? bpf_map_lookup_elem(lines, &line) : NULL;
}

#include "bpf/feed.bpf.h"

/* Which of the two compiled feeds counts now. */
static __always_inline __u64 feed_slot(__u32 generation)
{
	__u32 key = 0;
	const struct feed_state *state = bpf_map_lookup_elem(&feed_state, &key);

	return state ? state->slot[generation & 1] & (FEED_SLOTS - 1) : 0;
}

static __always_inline const struct feed_header *feed_header(__u64 slot)
{
	union feed_any *first = feed_at(slot, 0);

	return first ? &first->header : NULL;
}

/*
 * Global functions: the verifier looks at each once, not once for every way that leads there. A clean source costs no call.
 * All of a look-up happens in the same compiled feeds, whatever takes their place meanwhile.
 */
__noinline int feeds_find4(__u64 slot, __u32 addr)
{
	const struct feed_header *h = feed_header(slot);

	return h ? feed_find4(slot, h, addr) : 0;
}

__noinline int feeds_find6(__u64 slot, __u64 hi, __u64 lo)
{
	const struct feed_header *h = feed_header(slot);

	return h ? feed_find6(slot, h, hi, lo) : 0;
}

static __always_inline __u32 feeds_find(const struct packet *p)
{
	__u64 slot = feed_slot(p->generation);
	const struct feed_header *h = feed_header(slot);
	__u64 half[2];
	__u32 addr;

	if (!h)
		return 0;
	if (p->family == 4) {
		__builtin_memcpy(&addr, p->source4.addr, sizeof(addr));
		addr = bpf_ntohl(addr);
		if (!feed_maybe4(slot, h, addr))
			return 0;
		return feed_surely4(slot, h, addr) ?: feeds_find4(slot, addr);
	}
	__builtin_memcpy(half, p->source6.addr, sizeof(half));
	half[0] = bpf_be64_to_cpu(half[0]);
	if (!feed_maybe6(slot, h, half[0]))
		return 0;
	return feeds_find6(slot, half[0], bpf_be64_to_cpu(half[1]));
}

static __always_inline bool feeds_listed(struct packet *p)
{
	__u32 set = feeds_find(p);
	struct counter *hits;

	if (!set)
		return false;
	p->set = set;
	hits = bpf_map_lookup_elem(&set_hits, &set);
	if (hits) {
		hits->packets++;
		hits->bytes += p->bytes;
	}
	return true;
}

#endif
