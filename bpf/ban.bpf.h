/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bans: prefixes that are kept away for a while, in a hash map. */
#ifndef BPF_BAN_BPF_H
#define BPF_BAN_BPF_H

#include "bpf/acl.bpf.h"
#include "bpf/prefix.bpf.h"

/* The key as the map has it, so aligned that an address is two words. */
struct ban_probe {
	__u32 unused;
	struct ban_key key;
} __attribute__((aligned(8)));

/* Whether there may be a ban of this prefix. */
static __always_inline bool ban_may_be(const struct address *cut, __u32 length)
{
	__u32 bit = ban_hash(cut->high, cut->low, length);
	__u32 word = bit / 64;
	const __u64 *bits = bpf_map_lookup_elem(&ban_filter, &word);

	return !bits || *bits >> bit % 64 & 1;
}

/* Global, so that the verifier looks at it once. */
__noinline bool ban_find(const struct ban_probe *whole, __u64 loaded, __u64 filtered,
			 enum batch batch)
{
	struct prefix_lengths in_use;
	struct ban_probe probe;
	struct address source;

	if (!whole)
		return false;
	probe = *whole;
	__builtin_memcpy(&source, whole->key.addr, sizeof(source));
	__builtin_memcpy(&in_use, &loaded, sizeof(in_use));
	for (__u32 i = 0; i < LENGTHS_MAX && i < in_use.n; i++) {
		struct address cut = prefix_cut(&source, in_use.length[i]);
		const struct ban_value *v;

		if (filtered && !ban_may_be(&cut, in_use.length[i]))
			continue;
		probe.key.prefixlen = in_use.length[i];
		__builtin_memcpy(probe.key.addr, &cut, sizeof(cut));
		v = bpf_map_lookup_elem(&bans, &probe.key);
		if (v && acl_counts((const struct list_value *)v, batch))
			return true;
	}
	return false;
}

static __always_inline bool ban_match(const struct packet *p)
{
	__u32 zero = 0;
	const struct lengths *l = bpf_map_lookup_elem(&lengths, &zero);
	struct ban_probe probe = {.key.family = p->family};
	__u64 in_use;

	if (!l)
		return false;
	in_use = prefix_load(p->family == 4 ? &l->ban4 : &l->ban6);
	if (prefix_none(in_use))
		return false;
	__builtin_memcpy(probe.key.addr, p->source6.addr, sizeof(probe.key.addr));
	return ban_find(&probe, in_use, l->filtered, p->batch);
}

static __always_inline bool ban_is_shadow(const struct packet *p)
{
	__u32 key = p->generation & 1;
	const struct policy *rules = bpf_map_lookup_elem(&policy, &key);

	return rules && rules->ban_mode == BAN_SHADOW;
}

/*
 * A byte that is neither 0 nor at a word's beginning: of that the verifier remembers nothing on the stack, so that it looks at
 * what comes next once, and not once more for a packet that goes on in shadow mode.
 */
#define BAN_NONE 1
#define BAN_SEEN 2

static __always_inline void ban_mark(struct packet *p, __u8 mark)
{
	*(volatile __u8 *)&p->shadow_ban = mark;
}

static __always_inline bool ban_marked(const struct packet *p)
{
	return *(const volatile __u8 *)&p->shadow_ban == BAN_SEEN;
}

/* Whether the packet ends here. */
static __always_inline bool ban_holds(struct packet *p)
{
	ban_mark(p, BAN_NONE);
	if (!ban_match(p))
		return false;
	if (!ban_is_shadow(p))
		return true;
	ban_mark(p, BAN_SEEN);
	return false;
}

#endif
