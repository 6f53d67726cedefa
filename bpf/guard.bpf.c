/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guard: what an interface lets through. Allow, deny, SYN gate, token bucket, pass, in this order; each is
 * one header. A packet is counted once, under the reason of its verdict.
 */
#include "bpf/acl.bpf.h"
#include "bpf/bogus.bpf.h"
#include "bpf/bucket.bpf.h"
#include "bpf/clock.bpf.h"
#include "bpf/maps.bpf.h"
#include "bpf/parse.bpf.h"
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

static __always_inline enum reason decide(struct xdp_md *ctx, struct packet *p)
{
	enum reason reason = parse(p);
	const struct policy *rules;
	__u64 now;
	__u32 key;

	if (reason != REASON_PASSED)
		return reason;
	if (bogus_source(ctx, p))
		return REASON_MARTIAN;
	meet_policy(p);
	if (acl_allowed(p))
		return REASON_ALLOWED;
	if (acl_denied(p))
		return REASON_DENIED;
	reason = parse_l4(p);
	if (reason != REASON_PASSED)
		return reason;
	if (has_ports(p)) {
		reason = bogus_segment(ctx, p);
		if (reason != REASON_PASSED)
			return reason;
	}
	key = p->generation & 1;
	rules = bpf_map_lookup_elem(&policy, &key);
	if (!rules || (!rules->syn_mode && !rules->interval) || !is_protected(p))
		return REASON_PASSED;
	now = clock_now(rules);
	reason = syn_gate(ctx, p, rules, now);
	if (reason != REASON_PASSED && reason != REASON_COOKIE_VALID)
		return reason;
	if (rules->interval && !bucket_take(p->source, now, rules))
		return REASON_LIMITED;
	return reason;
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

	return finish(ctx, &p, decide(ctx, &p));
}
