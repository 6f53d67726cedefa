/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The pinned maps. bpf/abi.h says what their keys and values mean. */
#ifndef BPF_MAPS_BPF_H
#define BPF_MAPS_BPF_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"
#include "bpf/feed_format.h"

#define LIST_MAX  65536
#define BANS_MAX  65536 /* bans.capacity says otherwise */
#define RULES_MAX 65536

#define DEFINE_LIST(list, prefix)                                                                  \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);                                               \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__uint(max_entries, LIST_MAX);                                                     \
		__type(key, struct prefix);                                                        \
		__type(value, struct list_value);                                                  \
	} list SEC(".maps")

DEFINE_LIST(allow4, prefix4);
DEFINE_LIST(allow6, prefix6);
DEFINE_LIST(deny4, prefix4);
DEFINE_LIST(deny6, prefix6);
DEFINE_LIST(tiers4, prefix4); /* note: the tier's number */
DEFINE_LIST(tiers6, prefix6);
DEFINE_LIST(never4, prefix4); /* never4, never6: for who bans; the guard does not look there */
DEFINE_LIST(never6, prefix6);

#define DEFINE_ARRAY(name, kind, n, value_type) DEFINE_FLAGGED(name, kind, 0, n, value_type)
#define DEFINE_FLAGGED(name, kind, flags, n, value_type)                                           \
	struct {                                                                                   \
		__uint(type, kind);                                                                \
		__uint(map_flags, flags);                                                          \
		__uint(max_entries, n);                                                            \
		__type(key, __u32);                                                                \
		__type(value, value_type);                                                         \
	} name SEC(".maps")

DEFINE_FLAGGED(state, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, 1, struct state);
DEFINE_ARRAY(policy, BPF_MAP_TYPE_ARRAY, 2, struct policy);
DEFINE_ARRAY(ports, BPF_MAP_TYPE_ARRAY, 65536, struct port_value);
/* The values of what can be mapped begin with a page, so that a set is a cache line and no more. */
DEFINE_FLAGGED(buckets, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, BUCKET_SETS, struct bucket_set);
DEFINE_FLAGGED(known, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, VERIFIED_SETS, struct known_set);
DEFINE_FLAGGED(verified, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, VERIFIED_SETS *VERIFIED_WAYS,
	       struct verified);
DEFINE_FLAGGED(port_sums, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, 65536, struct port_sum);
DEFINE_ARRAY(syn_state, BPF_MAP_TYPE_ARRAY, 1, struct syn_state);
DEFINE_ARRAY(cookies, BPF_MAP_TYPE_PERCPU_ARRAY, 1, struct cookie_budgets);
DEFINE_FLAGGED(waiting, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, WAITING_SETS, struct waiting_set);
DEFINE_ARRAY(handshakes, BPF_MAP_TYPE_PERCPU_ARRAY, HANDSHAKES, __u64);

struct {
	__uint(type,
	       BPF_MAP_TYPE_HASH); /* with room from the start: a ban is refused or has its place */
	__uint(max_entries, BANS_MAX);
	__type(key, struct ban_key);
	__type(value, struct ban_value);
} bans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, RULES_MAX);
	__type(key, struct rule_key);
	__type(value, struct rule_value);
} rules SEC(".maps");

DEFINE_FLAGGED(ban_filter, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, BAN_FILTER_WORDS, __u64);
DEFINE_FLAGGED(lengths, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, 1, struct lengths);

DEFINE_ARRAY(notes, BPF_MAP_TYPE_ARRAY, NOTE_MAX, struct note); /* for people only */

DEFINE_ARRAY(counters, BPF_MAP_TYPE_PERCPU_ARRAY, 1, struct counters);
DEFINE_ARRAY(tallies, BPF_MAP_TYPE_PERCPU_ARRAY, 1, struct tallies);

DEFINE_ARRAY(talkers, BPF_MAP_TYPE_PERCPU_ARRAY, 1 << TALK_SET_BITS, struct talker_set);

DEFINE_FLAGGED(watch, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, 1, struct watch);
DEFINE_ARRAY(watch_counts, BPF_MAP_TYPE_PERCPU_ARRAY, 1, struct watch_counts);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENT_RING);
} events SEC(".maps");

DEFINE_ARRAY(sets, BPF_MAP_TYPE_ARRAY, FEED_SETS, struct set);
DEFINE_ARRAY(set_hits, BPF_MAP_TYPE_PERCPU_ARRAY, FEED_SETS, struct counter);

DEFINE_ARRAY(feed_state, BPF_MAP_TYPE_ARRAY, 1, struct feed_state);

/* By slot and chunk; a chunk is filled through mmap before it is put here. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, FEED_SLOTS *FEED_CHUNKS);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(map_flags, BPF_F_MMAPABLE);
			__uint(max_entries, FEED_CHUNK_LINES);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(union feed_any));
		});
} feeds SEC(".maps");

#endif
