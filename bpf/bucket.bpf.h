/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Token buckets: one a source, shared by all CPUs, one cache line a packet.
 *
 * Bound: in any time t a source never gets more than burst + rate * (t + a tick of the clock) + E packets, E being
 * at most one for each CPU each time that CPUs claim a bucket for it at the same moment (a source that was not
 * seen for burst/rate), and one for each packet that lost CHARGE_TRIES compare-and-swaps in a row, which is
 * charged all the same.
 */
#ifndef BPF_BUCKET_BPF_H
#define BPF_BUCKET_BPF_H

#include "bpf/maps.bpf.h"

#define CHARGE_TRIES 4

/* Set by who loads the program: random, so that nobody can aim at a set. */
const volatile __u64 bucket_seed;

/* Take a token at now; false when there is none. */
static __always_inline bool bucket_charge(__u64 *full_at, __u64 now, __u64 interval, __u64 burst)
{
	__u64 depth = interval * burst;

#pragma unroll
	for (int i = 0; i < CHARGE_TRIES; i++) {
		__u64 old = *(volatile __u64 *)full_at;
		__u64 from = old > now ? old : now;

		if (from - now + interval > depth) {
			/* In debt for more than a bucket holds: the policy was another one then. */
			if (from - now > depth)
				__sync_val_compare_and_swap(full_at, old, now + depth);
			return false;
		}
		if (__sync_val_compare_and_swap(full_at, old, from + interval) == old)
			return true;
	}
	__sync_fetch_and_add(full_at, interval);
	return true;
}

static __always_inline __u64 bucket_hash(__u64 source)
{
	source = (source ^ bucket_seed) * 0x9e3779b97f4a7c15ULL;
	source = (source ^ (source >> 32)) * 0xd6e8feb86659fd93ULL;
	return source ^ (source >> 32);
}

/* The source's bucket; another's when all of its set are in use; NULL never happens. */
static __always_inline __u64 *bucket_find(__u64 source, __u64 now)
{
	__u64 hash = bucket_hash(source);
	__u32 key = hash & (BUCKET_SETS - 1);
	struct bucket_set *set = bpf_map_lookup_elem(&buckets, &key);

	if (!set)
		return 0;
#pragma unroll
	for (int i = 0; i < BUCKET_WAYS; i++)
		if (set->way[i].source == source)
			return &set->way[i].full_at;
#pragma unroll
	for (int i = 0; i < BUCKET_WAYS; i++) {
		struct bucket *b = &set->way[i];
		__u64 owner = *(volatile __u64 *)&b->source;

		if (b->full_at <= now &&
		    __sync_val_compare_and_swap(&b->source, owner, source) == owner)
			return &b->full_at;
	}
	return &set->way[(hash >> 60) & (BUCKET_WAYS - 1)].full_at;
}

static __always_inline bool bucket_take(__u64 source, __u64 now, const struct policy *policy)
{
	__u64 *full_at = bucket_find(source, now);

	return !full_at || bucket_charge(full_at, now, policy->interval, policy->burst);
}

#endif
