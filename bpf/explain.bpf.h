/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For sluice why, which runs an instance of its own on copies of what the guard writes: the buckets that a packet meets are
 * noted before it takes from them. In the attached program explain is false, and the verifier leaves nothing of this.
 */
#ifndef BPF_EXPLAIN_BPF_H
#define BPF_EXPLAIN_BPF_H

#include <stdbool.h>

#include "bpf/abi.h"

const volatile bool explain;

/* Bits of enum limit_class: of the source's own bucket, and, for an unverified one, of the port's. */
__u32 explained_own;
__u32 explained_port;
__u64 explained_own_full_at[LIMIT_CLASSES];
__u64 explained_port_full_at[LIMIT_CLASSES];
__u64 explained_now; /* the guard's time; 0: the packet did not come to the limits */
__u32 explained_tier;
bool explained_verified; /* the source was, before this packet */

static __always_inline void explain_source(__u64 now, __u32 tier)
{
	if (explain) {
		explained_now = now;
		explained_tier = tier;
	}
}

static __always_inline void explain_verified(void)
{
	if (explain)
		explained_verified = true;
}

static __always_inline void explain_own(enum limit_class class, __u64 full_at)
{
	if (explain && class < LIMIT_CLASSES) {
		explained_own |= 1U << class;
		explained_own_full_at[class] = full_at;
	}
}

static __always_inline void explain_port(enum limit_class class, __u64 full_at)
{
	if (explain && class < LIMIT_CLASSES) {
		explained_port |= 1U << class;
		explained_port_full_at[class] = full_at;
	}
}

#endif
