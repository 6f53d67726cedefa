/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Limits. A source that is known to be where it says has a place with buckets of its own, which nothing that a flood forges
 * can take away. All others are metered in a table of fixed size, a cache line a limit, and together by the port that they
 * send to.
 *
 * Bound: in any time t a source never gets more than burst + rate * (t + a tick of the clock) + E units of a limit, E being
 * at most one for each CPU each time that CPUs claim a bucket for it at the same moment (a source that was not
 * seen for burst/rate), and one for each packet that lost CHARGE_TRIES compare-and-swaps in a row, which is
 * charged all the same. Once, when it is verified by a cookie, its buckets begin full.
 *
 * Error of the table: of the unverified sources one that comes when all four ways of its set are in use shares one of them,
 * and may get less than its limit. With n sources whose buckets are not full that is the probability of four or more in one
 * of 16,384 sets: 0.2 % with 8,192, 2 % with 16,384, 14 % with 32,768, 57 % with 65,536. Who shares forgives no debt,
 * unless each way of the set owes more than the newcomer's burst: he would get nothing. The owner of a way waits for no
 * more than his own burst, whatever others owe there.
 */
#ifndef BPF_METER_BPF_H
#define BPF_METER_BPF_H

#include "bpf/acl.bpf.h"
#include "bpf/bucket.bpf.h"
#include "bpf/explain.bpf.h"
#include "bpf/known.bpf.h"
#include "bpf/parse.bpf.h"
#include "bpf/stats.bpf.h"
#include "bpf/syn.bpf.h"

#define CLASS(id) (1U << LIMIT_##id)

/* Of enum in bpf-helpers(7), BPF_TCP_*. */
#define TCP_STATE_REQUEST 12 /* a handshake that the kernel holds open */
#define TCP_STATE_COUNTED 32 /* the same, and an ACK of it has been counted and passed */
#define TCP_STATES_OF_PEERS                                                                        \
	(1U << 1 | 1U << 4 | 1U << 5 | 1U << 6 | 1U << 8 | 1U << 9 |                               \
	 1U << 11) /* established, closing */

/*
 * ICMPv6 that only neighbours send (RFC 4890, 4.4.1), as bits from type 128 on: neighbour discovery and SEND with a hop limit of
 * 255, which no router leaves; groups and multicast routers with 1, and from a link-local address, which none forwards.
 */
#define ICMP6_TYPE(type) (1U << ((type)-128))
#define ICMP6_DISCOVERY                                                                            \
	(ICMP6_TYPE(133) | ICMP6_TYPE(134) | ICMP6_TYPE(135) | ICMP6_TYPE(136) | ICMP6_TYPE(137) | \
	 ICMP6_TYPE(141) | ICMP6_TYPE(142) | ICMP6_TYPE(148) | ICMP6_TYPE(149))
#define ICMP6_GROUPS                                                                               \
	(ICMP6_TYPE(130) | ICMP6_TYPE(131) | ICMP6_TYPE(132) | ICMP6_TYPE(143) | ICMP6_TYPE(151) | \
	 ICMP6_TYPE(152) | ICMP6_TYPE(153))
#define LINK_LOCAL 0x3fa /* the first ten bits: fe80::/10 */

/* What the meter knows of a packet. On the stack, without pointers, so that global functions can take it. */
struct meter {
	__u64 source;
	__u64 now;
	__u32 bytes;
	__u32 classes; /* that the packet counts as */
	__u32 port;
	__u8 tier;
	__u8 segment;		      /* of TCP, and a connection may be behind it */
	__u8 stranger;		      /* what follows is of such */
	__u8 own;		      /* the source had a bucket of packets in the table already */
	__u64 full_at[LIMIT_CLASSES]; /* its own buckets there; 0: none */
};

static __always_inline __u64 cost_of(enum limit_class class, const struct limit *limit, __u32 bytes)
{
	return class == LIMIT_BYTES ? (limit->interval * bytes) >> LIMIT_BYTES_SHIFT
				    : limit->interval;
}

static __always_inline bool spend(__u64 *full_at, const struct meter *m, enum limit_class class,
				  const struct limit *limit)
{
	return bucket_spend(full_at, m->now, cost_of(class, limit, m->bytes),
			    limit->interval * limit->burst);
}

static __always_inline const struct limit *limit_of(const struct policy *rules,
						    const struct meter *m, enum limit_class class)
{
	return &rules->tier[m->tier & (TIERS - 1)].limit[class];
}

/* The reason by a verified source's own buckets. */
static __always_inline int meter_verified(struct verified *v, const struct meter *m,
					  const struct policy *rules)
{
	explain_verified();
	/* Not more often than once a second: the line is every CPU's. */
	if (v->idle_at < m->now + VERIFIED_HOLD_NSEC - 1000000000ULL)
		v->idle_at = m->now + VERIFIED_HOLD_NSEC;
	for (int i = 0; i < LIMIT_CLASSES; i++) {
		__u32 classes = *(volatile const __u32 *)&m->classes >> i;
		const struct limit *limit = limit_of(rules, m, i);

		if (!classes)
			break;
		if (!(classes & 1) || !limit->interval)
			continue;
		explain_own(i, v->full_at[i]);
		if (!spend(&v->full_at[i], m, i, limit))
			return REASON_LIMITED + i;
	}
	return REASON_PASSED;
}

static __always_inline int meter_port(const struct meter *m, const struct policy *rules)
{
	__u32 port = m->port;
	struct port_sum *sum = bpf_map_lookup_elem(&port_sums, &port);

	for (int i = 0; sum && i < LIMIT_CLASSES; i++) {
		__u32 classes = *(volatile const __u32 *)&m->classes >> i;
		const struct limit *limit = &rules->port[i];

		if (!classes)
			break;
		if (!(classes & 1) || !limit->interval)
			continue;
		explain_port(i, sum->full_at[i]);
		if (!spend(&sum->full_at[i], m, i, limit))
			return REASON_LIMITED_PORT;
	}
	return REASON_PASSED;
}

/* The reason by what the source shares with others: a way of the table, perhaps, and the port. */
static __always_inline int meter_unverified(struct meter *m, __u64 key, const struct policy *rules)
{
	for (int i = 0; i < LIMIT_CLASSES; i++) {
		__u32 classes = *(volatile __u32 *)&m->classes >> i;
		const struct limit *limit = limit_of(rules, m, i);
		__u64 *full_at;
		bool own, within;

		if (!classes)
			break;
		if (!(classes & 1) || (!limit->interval && (i != LIMIT_PACKETS || !m->segment)))
			continue;
		full_at = bucket_find(i == LIMIT_PACKETS ? key : bucket_key(m->source, i), m->now,
				      limit->interval * limit->burst, &own);
		if (!full_at)
			continue;
		if (limit->interval)
			explain_own(i, *full_at);
		within = !limit->interval || spend(full_at, m, i, limit);
		if (own)
			m->full_at[i] = *full_at;
		if (own && i == LIMIT_PACKETS)
			m->own = 1;
		if (!within)
			return REASON_LIMITED + i;
	}
	return rules->port_metered ? meter_port(m, rules) : REASON_PASSED;
}

/* The reason by the source's own buckets or, stranger is set then, by those of all others. */
__noinline int meter_charge(struct meter *m, const struct policy *rules)
{
	struct known_set *set;
	struct verified *v;
	__u64 key;
	int way;

	if (!m || !rules)
		return REASON_PASSED;
	key = bucket_key(m->source, LIMIT_PACKETS);
	set = known_of(key);
	way = set ? known_way(set, key) : -1;
	v = way < 0 ? 0 : verified_of(key, way);
	if (v)
		return meter_verified(v, m, rules);
	m->stranger = 1;
	return meter_unverified(m, key, rules);
}

/* Whether a place may be given to another source. */
static __always_inline bool is_idle(const struct verified *v, __u64 now)
{
	if (v->idle_at > now)
		return false;
	for (int i = 0; i < LIMIT_CLASSES; i++)
		if (v->full_at[i] > now)
			return false;
	return true;
}

/* The way of the set that has been idle for longest; -1: none is idle. */
static __always_inline int oldest_way(__u64 key, __u64 now, __u64 *ret_idle_at)
{
	__u64 oldest = ~0ULL;
	int way = -1;

	for (int i = 0; i < VERIFIED_WAYS; i++) {
		const struct verified *v = verified_of(key, i);

		if (v && v->idle_at < oldest && is_idle(v, now)) {
			oldest = v->idle_at;
			way = i;
		}
	}
	*ret_idle_at = oldest;
	return way;
}

enum place {
	PLACE_NONE,
	PLACE_NEW,
	PLACE_OLD,
};

/* Give the source a place of its own, with what is left of its buckets, if it has none. */
__noinline enum place meter_admit(const struct meter *m)
{
	struct known_set *set;
	struct verified *v;
	__u64 key, idle_at;
	int way;

	if (!m)
		return PLACE_NONE;
	key = bucket_key(m->source, LIMIT_PACKETS);
	set = known_of(key);
	if (!set)
		return PLACE_NONE;
	if (known_way(set, key) >= 0)
		return PLACE_OLD;
	way = oldest_way(key, m->now, &idle_at);
	v = verified_of(key, way);
	/* Whoever moves the time has the place. */
	if (way < 0 || !v ||
	    __sync_val_compare_and_swap(&v->idle_at, idle_at, m->now + VERIFIED_HOLD_NSEC) !=
		    idle_at) {
		tally(TALLY_VERIFIED_REFUSED);
		return PLACE_NONE;
	}
	for (int i = 0; i < LIMIT_CLASSES; i++)
		v->full_at[i] = m->full_at[i];
	*(volatile __u64 *)&set->key[way & (VERIFIED_WAYS - 1)] = key;
	tally(TALLY_VERIFIED);
	return PLACE_NEW;
}

static __always_inline int state_of(struct xdp_md *ctx, const struct segment *at,
				    const __u32 ip_len)
{
	void *ip = frame_at(ctx, at->ip & 31, ip_len);
	struct tcphdr *tcp = frame_at(ctx, at->l4 & OFFSET_MAX, sizeof(*tcp));
	struct bpf_sock_tuple tuple;
	struct bpf_sock *sk;
	__u64 digest;
	int state;

	if (!ip || !tcp)
		return 0;
	syn_tuple(ip, ip_len, (void *)tcp, &tuple);
	sk = syn_socket(ctx, ip_len, &tuple);
	if (!sk)
		return 0;
	state = sk->state;
	/* Of a cookie of its own the kernel holds nothing open. */
	if (state == TCP_LISTENING && !bpf_tcp_check_syncookie(sk, ip, ip_len, tcp, sizeof(*tcp)))
		state = TCP_STATE_REQUEST;
	bpf_sk_release(sk);
	if (state == TCP_STATE_REQUEST) {
		digest = handshake_digest(&tuple, ip_len, tcp->ack_seq);
		if (handshake_counted(digest))
			return TCP_STATE_COUNTED;
		handshake_ending(digest, true);
	}
	return state;
}

/* The state of the socket that a segment is for, as bpf-helpers(7) has it; 0: there is none. Costs about 80 ns. */
__noinline int meter_socket(struct xdp_md *ctx, const struct segment *at)
{
	if (!at)
		return 0;
	return at->family == 4 ? state_of(ctx, at, sizeof(struct iphdr))
			       : state_of(ctx, at, sizeof(struct ipv6hdr));
}

static __always_inline int socket_of(struct xdp_md *ctx, const struct packet *p)
{
	struct segment at = {p->bytes, p->ip, p->l4, p->l4_len, p->family, 0};

	return meter_socket(ctx, &at);
}

static __always_inline bool is_peer(int state)
{
	return state >= 0 && state < 32 && TCP_STATES_OF_PEERS >> state & 1;
}

/*
 * Whether a stranger shows that it is where it says. The socket is looked up, for segments of a connection, when the source
 * has sent before, so that who comes again becomes known while there is peace, and when the packet would be dropped, so that
 * no crowd can starve a connection. What is forged at random comes from a source only once, and passes without it.
 */
static __always_inline bool meter_recognise(struct xdp_md *ctx, const struct packet *p,
					    const struct meter *m, int reason, int state)
{
	if (!m->stranger || !m->segment || (reason == REASON_PASSED && !m->own))
		return false;
	return is_peer(state < 0 ? socket_of(ctx, p) : state) && meter_admit(m) != PLACE_NONE;
}

/* Whether an ICMPv6 message comes from the link itself, and has to. Global, so that the verifier looks at it once. */
__noinline bool meter_is_neighbours(__u32 type, __u32 hop_limit, __u64 network)
{
	if (type < 128 || type > 159)
		return false;
	if (ICMP6_TYPE(type) & ICMP6_DISCOVERY)
		return hop_limit == 255;
	return ICMP6_TYPE(type) & ICMP6_GROUPS && hop_limit == 1 && network >> 54 == LINK_LOCAL;
}

static __always_inline bool is_of_neighbours(const struct packet *p)
{
	const struct ipv6hdr *ip = packet_ip(p, sizeof(*ip));

	return ip && p->family == 6 && meter_is_neighbours(p->icmp_type, ip->hop_limit, p->source);
}

/* What the packet counts as; 0: the meter has no business with it. */
static __always_inline __u32 meter_classes(const struct packet *p, bool is_protected)
{
	__u32 classes = p->more_fragments || p->fragment_offset ? CLASS(FRAGMENTS) : 0;

	if (p->fragment_offset)
		return classes;
	if (p->protocol == IPPROTO_ICMP || (p->protocol == IPPROTO_ICMPV6 && !is_of_neighbours(p)))
		classes |= CLASS(ICMP);
	if (!is_protected)
		return classes;
	classes |= CLASS(PACKETS) | CLASS(BYTES);
	if (p->protocol == IPPROTO_UDP)
		classes |= CLASS(UDP);
	else if (p->protocol == IPPROTO_TCP && p->tcp_flags == TCP_SYN)
		classes |= CLASS(SYNS);
	return classes;
}

/* The limits' word on a packet that everything else lets pass, for so_far: PASSED, FRAGMENT or COOKIE_VALID. */
static __always_inline enum reason meter(struct xdp_md *ctx, const struct packet *p,
					 const struct policy *rules, __u64 now, __u32 classes,
					 enum reason so_far)
{
	struct meter m = {
		.source = source_of(p, rules),
		.now = now,
		.bytes = p->bytes,
		.port = p->port,
		.segment = p->protocol == IPPROTO_TCP &&
			   (p->tcp_flags & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK,
	};
	int state = -1, reason;

	if (rules->tiers)
		m.tier = acl_tier(p);
	explain_source(now, m.tier);
	if (so_far == REASON_COOKIE_VALID) {
		classes |= CLASS(CONNECTIONS);
		cookies_return(rules, meter_admit(&m) == PLACE_OLD ? COOKIES_KNOWN : COOKIES_FIRST,
			       bucket_key(m.source, LIMIT_PACKETS), now);
	} else if (rules->metered & CLASS(CONNECTIONS) && classes & CLASS(PACKETS) && m.segment) {
		/* FIN, too: to the kernel it ends a handshake as well as a bare ACK. */
		state = socket_of(ctx, p);
		if (state == TCP_STATE_REQUEST)
			classes |= CLASS(CONNECTIONS);
	}
	m.classes = classes & (rules->metered | (m.segment ? CLASS(PACKETS) : 0));
	reason = meter_charge(&m, rules);
	if (meter_recognise(ctx, p, &m, reason, state) && reason != REASON_PASSED)
		reason = meter_charge(&m, rules);
	if (reason != REASON_PASSED)
		return reason;
	if (so_far == REASON_COOKIE_VALID || state == TCP_STATE_REQUEST)
		handshake_ended();
	return so_far;
}

#endif
