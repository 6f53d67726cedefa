/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Token buckets: one word each, shared by all CPUs. */
#ifndef BPF_BUCKET_BPF_H
#define BPF_BUCKET_BPF_H

#include "bpf/maps.bpf.h"
#include "bpf/parse.bpf.h"

#define CHARGE_TRIES 4

/* Set by who loads the program: random, so that nobody can aim at a set. */
const volatile __u64 bucket_seed;

/* Take what the cost buys from a bucket of this depth, both in nanoseconds; false when that is not there. */
static __always_inline bool bucket_spend(__u64 *full_at, __u64 now, __u64 cost, __u64 depth)
{
	if (cost > depth)
		cost = depth;
#pragma unroll
	for (int i = 0; i < CHARGE_TRIES; i++) {
		__u64 old = *(volatile __u64 *)full_at;
		__u64 from = old > now ? old : now;

		if (from - now + cost > depth) {
			/* In debt for more than a bucket holds: the policy was another one then. */
			if (from - now > depth)
				__sync_val_compare_and_swap(full_at, old, now + depth);
			return false;
		}
		if (__sync_val_compare_and_swap(full_at, old, from + cost) == old)
			return true;
	}
	__sync_fetch_and_add(full_at, cost);
	return true;
}

/* Take a token at now; false when there is none. */
static __always_inline bool bucket_charge(__u64 *full_at, __u64 now, __u64 interval, __u64 burst)
{
	return bucket_spend(full_at, now, interval, interval * burst);
}

/* The packet's source, as buckets know it under these rules. */
static __always_inline __u64 source_of(const struct packet *p, const struct policy *rules)
{
	__u64 ignored = p->family == 6 ? rules->ipv6_ignored
				       : (1ULL << (rules->ipv4_ignored & 31)) - 1;

	return p->source & ~ignored;
}

/* Of a source and a limit; no two have the same. Its bits are as good as random. */
static __always_inline __u64 bucket_key(__u64 source, enum limit_class class)
{
	__u64 key = (source ^ bucket_seed) + class * 0xc2b2ae3d27d4eb4fULL;

	key *= 0x9e3779b97f4a7c15ULL;
	key = (key ^ (key >> 32)) * 0xd6e8feb86659fd93ULL;
	return key ^ (key >> 32);
}

/*
 * The key's bucket, of this depth; another's when all of its set are in use; NULL never happens. ret_own: it was the key's before
 * this packet.
 */
static __always_inline __u64 *bucket_find(__u64 key, __u64 now, __u64 depth, bool *ret_own)
{
	__u32 index = key & (BUCKET_SETS - 1);
	__u32 way = key >> 60;
	struct bucket_set *set = bpf_map_lookup_elem(&buckets, &index);

	*ret_own = false;
	if (!set)
		return 0;
#pragma unroll
	for (int i = 0; i < BUCKET_WAYS; i++) {
		if (set->way[i].key == key) {
			*ret_own = true;
			return &set->way[i].full_at;
		}
	}
#pragma unroll
	for (int i = 0; i < BUCKET_WAYS; i++) {
		struct bucket *b = &set->way[i];
		__u64 owner = *(volatile __u64 *)&b->key;

		if (b->full_at <= now && __sync_val_compare_and_swap(&b->key, owner, key) == owner)
			return &b->full_at;
	}
	/*
	 * What is deeper in debt than this bucket can be is of another limit or tier: bucket_spend would forgive it. The last
	 * one is taken all the same, or a newcomer would get nothing. No branches: the verifier walks each.
	 */
#pragma unroll
	for (int i = 1; i < BUCKET_WAYS; i++)
		way += (now + depth - set->way[way & (BUCKET_WAYS - 1)].full_at) >> 63;
	return &set->way[way & (BUCKET_WAYS - 1)].full_at;
}

#endif
