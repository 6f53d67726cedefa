/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rules with a port: who may speak to it, by hash look-ups. */
#ifndef BPF_RULE_BPF_H
#define BPF_RULE_BPF_H

#include "bpf/acl.bpf.h"
#include "bpf/prefix.bpf.h"

static __always_inline bool rule_look(const struct rule_key *key, enum batch batch,
				      enum rule_action *ret)
{
	const struct rule_value *v = bpf_map_lookup_elem(&rules, key);

	if (!v || !acl_counts((const struct list_value *)v, batch))
		return false;
	*ret = v->stage == STAGE_CHANGING && batch == BATCH_COMMITTED ? v->next_action : v->action;
	return true;
}

/* The longest prefix decides, then what is said of all others; nothing said: allowed. Global, so that the verifier looks at it once. */
__noinline enum rule_action rule_find(const struct rule_key *whole, __u64 loaded, enum batch batch)
{
	enum rule_action action = RULE_ALLOW;
	struct prefix_lengths in_use;
	struct rule_key key __attribute__((aligned(8)));
	struct address source;

	if (!whole)
		return RULE_ALLOW;
	key = *whole;
	__builtin_memcpy(&in_use, &loaded, sizeof(in_use));
	__builtin_memcpy(&source, whole->addr, sizeof(source));
	for (__u32 i = 0; i < LENGTHS_MAX && i < in_use.n; i++) {
		struct address cut = prefix_cut(&source, in_use.length[i]);

		key.prefixlen = in_use.length[i];
		__builtin_memcpy(key.addr, &cut, sizeof(cut));
		if (rule_look(&key, batch, &action))
			return action;
	}
	key.family = 0;
	key.prefixlen = 0;
	__builtin_memset(key.addr, 0, sizeof(key.addr));
	return rule_look(&key, batch, &action) && action != RULE_ALLOW ? RULE_DENY : RULE_ALLOW;
}

/* Of a packet with ports. */
static __always_inline bool rule_denies(const struct packet *p)
{
	__u8 protocol = p->protocol == IPPROTO_TCP ? RULES_TCP : RULES_UDP;
	__u32 zero = 0;
	const struct lengths *l = bpf_map_lookup_elem(&lengths, &zero);
	struct rule_key key __attribute__((aligned(8))) = {
		.family = p->family,
		.protocol = p->protocol,
		.port = p->port,
	};
	const struct port_value *port;
	__u64 in_use4, in_use6;
	__u32 number = p->port;

	if (!l)
		return false;
	in_use4 = prefix_load(&l->rule4);
	in_use6 = prefix_load(&l->rule6);
	if (prefix_none(in_use4) && prefix_none(in_use6))
		return false;
	port = bpf_map_lookup_elem(&ports, &number);
	if (!port || !(port->rules & protocol))
		return false;
	__builtin_memcpy(key.addr, p->source6.addr, sizeof(key.addr));
	return rule_find(&key, p->family == 4 ? in_use4 : in_use6, p->batch) == RULE_DENY;
}

#endif
