/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sources that have shown that they are where they say, by the key that bucket_key makes of them. */
#ifndef BPF_KNOWN_BPF_H
#define BPF_KNOWN_BPF_H

#include "bpf/maps.bpf.h"

static __always_inline struct known_set *known_of(__u64 key)
{
	__u32 index = key & (VERIFIED_SETS - 1);

	return bpf_map_lookup_elem(&known, &index);
}

/* -1: the source is not known. */
static __always_inline int known_way(const struct known_set *set, __u64 key)
{
	int way = -1;

#pragma unroll
	for (int i = 0; i < VERIFIED_WAYS; i++)
		if (set->key[i] == key)
			way = i;
	return way;
}

static __always_inline bool is_known(__u64 key)
{
	const struct known_set *set = known_of(key);

	return set && known_way(set, key) >= 0;
}

static __always_inline struct verified *verified_of(__u64 key, int way)
{
	__u32 index = (key & (VERIFIED_SETS - 1)) * VERIFIED_WAYS + way;

	return bpf_map_lookup_elem(&verified, &index);
}

#endif
