/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who sends the most: one packet in TALK_SAMPLE looks its source up in a small table of this CPU. Within a set this is
 * Misra and Gries' rule: a stranger takes weight off the lightest source, and its place when nothing is left. So a flood
 * of sources that come once goes through the lightest places, and who comes often keeps one.
 */
#ifndef BPF_TALK_BPF_H
#define BPF_TALK_BPF_H

#include "bpf/bucket.bpf.h"
#include "bpf/clock.bpf.h"
#include "bpf/maps.bpf.h"

/* What is left of a weight; of a source that was not seen for a while nothing. */
static __always_inline __u32 talk_weight(const struct talker *t, __u32 now)
{
	return now - t->seen > TALK_FORGET_SEC ? 0 : t->weight;
}

/* The source's place, its own or one that it has just got; NULL: none. */
static __always_inline struct talker *talk_place(struct talker_set *set, __u64 source, __u32 now)
{
	struct talker *lightest = &set->way[0];

#pragma unroll
	for (int i = 0; i < TALK_WAYS; i++) {
		struct talker *t = &set->way[i];

		if (t->source == source)
			return t;
		if (talk_weight(t, now) < talk_weight(lightest, now))
			lightest = t;
	}
	if (talk_weight(lightest, now) > 1) {
		lightest->weight--;
		return 0;
	}
	*lightest = (struct talker){.source = source};
	return lightest;
}

/* Global, so that the verifier looks at it once. */
__noinline int talk(__u64 source, __u32 bytes, enum reason reason, bool dropped)
{
	__u32 key = (source ^ bucket_seed) * 0x9e3779b97f4a7c15ULL >> (64 - TALK_SET_BITS);
	struct talker_set *set = bpf_map_lookup_elem(&talkers, &key);
	__u32 now = clock_seconds();
	struct talker *t;

	if (!set)
		return 0;
	t = talk_place(set, source, now);
	if (!t)
		return 0;
	t->packets++;
	t->bytes += bytes;
	t->seen = now;
	if (t->weight < TALK_WEIGHT_MAX)
		t->weight++;
	if (dropped) {
		t->dropped++;
		t->dropped_at = now;
		t->reason = reason;
	}
	return 0;
}

#endif
