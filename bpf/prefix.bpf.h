/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses cut to their prefixes, for look-ups in hash maps by the lengths that are in use. */
#ifndef BPF_PREFIX_BPF_H
#define BPF_PREFIX_BPF_H

#include <stdbool.h>

#include <linux/types.h>

#include <bpf/bpf_endian.h>

#include "bpf/abi.h"

/* Either family's: of IPv4 the first four bytes. In network order. */
struct address {
	__u64 high;
	__u64 low;
};

static __always_inline __u64 prefix_bits(__u32 length)
{
	return bpf_cpu_to_be64(length > 63 ? ~0ULL : ~(~0ULL >> length));
}

static __always_inline struct address prefix_cut(const struct address *a, __u32 length)
{
	return (struct address){
		.high = a->high & prefix_bits(length),
		.low = length > 64 ? a->low & prefix_bits(length - 64) : 0,
	};
}

/* The lengths in one load: another CPU's change is seen whole or not at all. */
static __always_inline __u64 prefix_load(const struct prefix_lengths *in_use)
{
	return *(const volatile __u64 *)in_use;
}

/* None in use. */
static __always_inline bool prefix_none(__u64 loaded)
{
	struct prefix_lengths in_use;

	__builtin_memcpy(&in_use, &loaded, sizeof(in_use));
	return !in_use.n;
}

#endif
