/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lists that are kept by hand: allow before deny. */
#ifndef BPF_ACL_BPF_H
#define BPF_ACL_BPF_H

#include <bpf/bpf_core_read.h>

#include "bpf/clock.bpf.h"
#include "bpf/maps.bpf.h"
#include "bpf/parse.bpf.h"

/* Whether an entry counts now; of a value that begins so, too. */
static __always_inline bool acl_counts(const struct list_value *v, enum batch batch)
{
	__u32 until = v->until;

	if (v->stage) {
		if (v->stage == STAGE_CHANGING)
			until = batch == BATCH_COMMITTED ? v->next_until : until;
		else if ((v->stage == STAGE_ADDING) != (batch == BATCH_COMMITTED))
			return false;
	}
	return !until || clock_seconds() < until;
}

enum acl_list { ACL_ALLOW4, ACL_ALLOW6, ACL_DENY4, ACL_DENY6, ACL_TIERS4, ACL_TIERS6 };

/*
 * A look-up among shorter and shorter prefixes. The length is kept in a byte off the words' bounds, of which the verifier
 * remembers nothing: what it remembers keeps it from seeing that one turn is like the next.
 */
struct acl_walk {
	struct prefix6 key; /* prefix4 is its beginning */
	enum acl_list list;
	enum batch batch;
	bool match;
	__u8 prefixlen;
	__u16 note; /* of the entry that matches */
};

static __always_inline const struct list_value *acl_find(enum acl_list list, const void *key)
{
	switch (list) {
	case ACL_ALLOW4:
		return bpf_map_lookup_elem(&allow4, key);
	case ACL_ALLOW6:
		return bpf_map_lookup_elem(&allow6, key);
	case ACL_DENY4:
		return bpf_map_lookup_elem(&deny4, key);
	case ACL_DENY6:
		return bpf_map_lookup_elem(&deny6, key);
	case ACL_TIERS4:
		return bpf_map_lookup_elem(&tiers4, key);
	default:
		return bpf_map_lookup_elem(&tiers6, key);
	}
}

/* One turn; 1 ends the walk. */
static long acl_step(__u64 turn __attribute__((unused)), struct acl_walk *walk)
{
	const struct list_value *v;
	__u32 len = walk->prefixlen;

	walk->key.prefixlen = len;
	v = acl_find(walk->list, &walk->key);
	if (!v)
		return 1;
	walk->match = acl_counts(v, walk->batch);
	if (walk->match) {
		walk->note = v->stage == STAGE_CHANGING && walk->batch == BATCH_COMMITTED
				     ? v->next_note
				     : v->note;
		return 1;
	}
	if (v->prefixlen && v->prefixlen < len)
		len = v->prefixlen;
	walk->prefixlen = len - 1;
	return len == 0;
}

/*
 * The longest prefix does not count: one that is shorter may. A turn a length at most. Global, so that the verifier looks at it
 * once and not once a way that leads here. The note of the entry that does, or -1.
 */
__noinline int acl_shorter(const struct prefix6 *key, enum acl_list list, enum batch batch)
{
	struct acl_walk walk = {.list = list, .batch = batch};

	if (!key)
		return -1;
	walk.key = *key;
	walk.prefixlen = key->prefixlen;
	bpf_loop(129, acl_step, &walk, 0);
	return walk.match ? walk.note : -1;
}

/* Whether a trie is known to have no entry; a kernel that counts them otherwise is asked by a look-up. */
struct lpm_trie {
	size_t n_entries;
} __attribute__((preserve_access_index));

static __always_inline bool acl_empty(const void *map)
{
	const struct lpm_trie *trie = map;

	return bpf_core_field_exists(trie->n_entries) && !trie->n_entries;
}

static __always_inline bool acl_match(const struct packet *p, enum acl_list list, const void *map)
{
	const struct list_value *v;

	if (acl_empty(map))
		return false;
	v = acl_find(list, &p->source6);
	if (!v)
		return false;
	return (!v->stage && !v->until) || acl_shorter(&p->source6, list, p->batch) >= 0;
}

static __always_inline bool acl_allowed(const struct packet *p)
{
	return p->family == 4 ? acl_match(p, ACL_ALLOW4, &allow4)
			      : acl_match(p, ACL_ALLOW6, &allow6);
}

static __always_inline bool acl_denied(const struct packet *p)
{
	return p->family == 4 ? acl_match(p, ACL_DENY4, &deny4) : acl_match(p, ACL_DENY6, &deny6);
}

static __always_inline __u32 acl_note(const struct packet *p, enum acl_list list)
{
	const struct list_value *v = acl_find(list, &p->source6);
	int note;

	if (!v)
		return 0;
	if (!v->stage && !v->until)
		return v->note;
	note = acl_shorter(&p->source6, list, p->batch);
	return note < 0 ? 0 : note;
}

/* The number of the source's tier; without one TIER_EVERYBODY. */
static __always_inline __u32 acl_tier(const struct packet *p)
{
	return p->family == 4 ? acl_note(p, ACL_TIERS4) : acl_note(p, ACL_TIERS6);
}

#endif
