/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guard: what an interface lets through. Allow, ban, deny and feeds, port rules, SYN gate, limits, pass, in this order;
 * each is a header or two. A packet is counted once, under the reason of its verdict.
 */
#include "bpf/acl.bpf.h"
#include "bpf/ban.bpf.h"
#include "bpf/bogus.bpf.h"
#include "bpf/bucket.bpf.h"
#include "bpf/clock.bpf.h"
#include "bpf/feeds.bpf.h"
#include "bpf/maps.bpf.h"
#include "bpf/meter.bpf.h"
#include "bpf/parse.bpf.h"
#include "bpf/rule.bpf.h"
#include "bpf/stats.bpf.h"
#include "bpf/syn.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline enum reason parse(struct packet *p)
{
	enum reason reason = parse_ethernet(p);

	if (reason == REASON_PASSED)
		reason = p->family == 4 ? parse_ip4(p) : parse_ip6(p);
	if (reason != REASON_PASSED)
		p->bytes = bpf_xdp_get_buff_len(p->ctx);
	return reason;
}

static __always_inline bool has_ports(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP;
}

/* Whether the packet is one that the SYN gate and the buckets look after. */
static __always_inline bool is_protected(const struct packet *p)
{
	__u32 key = p->port;
	struct port_value *port;

	if (p->protocol == IPPROTO_ICMP)
		return p->icmp_type == ICMP_ECHO_REQUEST;
	if (p->protocol == IPPROTO_ICMPV6)
		return p->icmp_type == ICMP6_ECHO_REQUEST;
	if (!has_ports(p))
		return false;
	port = bpf_map_lookup_elem(&ports, &key);
	return port && port->state[p->generation & 1] == PORT_PROTECTED;
}

/* Which policy holds, in one load. */
static __always_inline void meet_policy(struct packet *p)
{
	__u32 key = 0;
	struct state *s = bpf_map_lookup_elem(&state, &key);
	__u64 both = s ? *(volatile __u64 *)s : 0;

	__builtin_memcpy(&p->generation, &both, sizeof(both));
}

/* SYN gate and limits. */
static __always_inline enum reason police(struct xdp_md *ctx, struct packet *p, enum reason reason)
{
	__u32 key = p->generation & 1;
	const struct policy *rules = bpf_map_lookup_elem(&policy, &key);
	__u32 classes;
	__u64 now;

	if (!rules || (!rules->syn_mode && !rules->metered))
		return reason;
	classes = meter_classes(p, reason != REASON_FRAGMENT && is_protected(p));
	if (!(classes & (CLASS(PACKETS) | rules->metered)))
		return reason;
	now = clock_now(rules);
	if (classes & CLASS(PACKETS)) {
		reason = syn_gate(ctx, p, rules, now);
		if (reason != REASON_PASSED && reason != REASON_COOKIE_VALID)
			return reason;
	}
	return meter(ctx, p, rules, now, classes, reason);
}

static __always_inline enum reason decide(struct xdp_md *ctx, struct packet *p)
{
	enum reason reason;

	meet_policy(p);
	reason = parse(p);
	if (reason != REASON_PASSED)
		return reason;
	if (bogus_source(ctx, p))
		return REASON_MARTIAN;
	if (acl_allowed(p))
		return REASON_ALLOWED;
	if (ban_holds(p))
		return REASON_BANNED;
	if (acl_denied(p))
		return REASON_DENIED;
	if (feeds_listed(p))
		return REASON_LISTED;
	reason = parse_l4(p);
	if (reason != REASON_PASSED && reason != REASON_FRAGMENT)
		return reason;
	if (reason == REASON_PASSED && has_ports(p)) {
		reason = bogus_segment(ctx, p);
		if (reason != REASON_PASSED)
			return reason;
		if (rule_denies(p))
			return REASON_PORT_DENIED;
	}
	return police(ctx, p, reason);
}

static __always_inline bool in_shadow(const struct packet *p)
{
	__u32 key = p->generation & 1;
	const struct policy *rules = bpf_map_lookup_elem(&policy, &key);

	return rules && rules->mode == GUARD_SHADOW;
}

SEC("xdp.frags")
int sluice_guard(struct xdp_md *ctx)
{
	struct packet p = {
		.data = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
		.cursor = (void *)(long)ctx->data,
		.bytes = ctx->data_end - ctx->data,
		.ctx = ctx,
	};

	int verdict = finish(ctx, &p, decide(ctx, &p));

	return verdict != XDP_PASS && in_shadow(&p) ? XDP_PASS : verdict;
}
