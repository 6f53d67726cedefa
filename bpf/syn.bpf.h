/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SYN gate: SYNs to a local listener are answered with the kernel's own SYN cookies, so that the kernel
 * completes the handshake when the ACK comes (bpf-helpers(7): bpf_tcp_gen_syncookie, bpf_tcp_check_syncookie).
 * No state a connection: a spoofed SYN costs one reply and is forgotten.
 *
 * What looks at a frame are functions of their own (global ones): the verifier walks them once, whatever ways lead to
 * them. Such a function gets numbers and memory, no pointers into the frame.
 */
#ifndef BPF_SYN_BPF_H
#define BPF_SYN_BPF_H

#include "bpf/bogus.bpf.h"
#include "bpf/bucket.bpf.h"
#include "bpf/cookies.bpf.h"
#include "bpf/parse.bpf.h"
#include "bpf/stats.bpf.h"
#include "bpf/synopts.bpf.h"
#include "bpf/synreply.bpf.h"

#define TCP_LISTENING 10 /* BPF_TCP_LISTEN */
#define FAMILY_IP4    2	 /* AF_INET, AF_INET6: no header of the kernel's has them for both sides */
#define FAMILY_IP6    10
#define USUAL_LEN     40 /* of a SYN's header: Linux and its like */
#define SYN_RENEW_NSEC                                                                             \
	500000000ULL /* how long SYNs are not counted after the threshold was exceeded */

/* SYN_AUTO goes on with cookies for a while. Written once a tick of the clock, not once a SYN. */
static __always_inline void syn_hold(struct syn_state *state, __u64 now)
{
	if (state->cookies_until != now + SYN_HOLD_NSEC)
		state->cookies_until = now + SYN_HOLD_NSEC;
}

/* Whether the kernel is to be asked about the packet. A SYN counts against the threshold. */
static __always_inline bool syn_active(const struct policy *policy, bool is_syn, __u64 now)
{
	__u32 key = 0;
	struct syn_state *state;
	__u64 interval;

	if (policy->syn_mode != SYN_AUTO)
		return policy->syn_mode == SYN_ALWAYS;
	state = bpf_map_lookup_elem(&syn_state, &key);
	if (!state || !policy->syn_threshold)
		return true;
	if (is_syn) {
		/* Exceeded a moment ago: the bucket's line is every CPU's. */
		if (state->cookies_until > now + SYN_HOLD_NSEC - SYN_RENEW_NSEC)
			return true;
		interval = 1000000000ULL / policy->syn_threshold;
		if (!bucket_charge(&state->full_at, now, interval, policy->syn_threshold))
			syn_hold(state, now);
		if (policy->cookie_options & COOKIE_WHEN_FULL)
			return true;
	}
	return now < state->cookies_until;
}

/* n bytes of the frame, or NULL. */
static __always_inline void *frame_at(const struct xdp_md *ctx, __u32 offset, __u32 n)
{
	void *at = (void *)(long)ctx->data + offset;

	return at + n > (void *)(long)ctx->data_end ? 0 : at;
}

/* Of addresses of others that stand on the interface: few frames are for them. */
__noinline int syn_other_mac(const struct policy *policy, __u64 mac)
{
	if (!policy)
		return 0;
	for (__u32 i = 1; i < LOCAL_MACS && i < policy->local.macs; i++)
		if (*(const __u64 *)&policy->local.mac[i] == mac)
			return 1;
	return 0;
}

/* Not one that is bridged, or for a machine or container behind this one. */
static __always_inline bool is_frame_for_host(const struct xdp_md *ctx, const struct policy *policy)
{
	const __u64 *frame = frame_at(ctx, 0, ETH_HLEN);
	__u64 mac;

	if (!frame || !policy->local.macs)
		return frame != 0;
	mac = *frame & bpf_cpu_to_be64(0xffffffffffff0000ULL);
	return mac == *(const __u64 *)&policy->local.mac[0] || syn_other_mac(policy, mac);
}

static __always_inline bool routed_here(struct xdp_md *ctx, const struct segment *at, __u32 ifindex,
					const __u32 ip_len)
{
	struct bpf_fib_lookup fib = {.l4_protocol = IPPROTO_TCP, .ifindex = ifindex};
	const void *ip = frame_at(ctx, at->ip & 31, ip_len);
	long way;

	if (!ip)
		return false;
	if (ip_len == sizeof(struct iphdr)) {
		const struct iphdr *ip4 = ip;

		fib.family = FAMILY_IP4;
		fib.ipv4_src = ip4->saddr;
		fib.ipv4_dst = ip4->daddr;
	} else {
		const struct ipv6hdr *ip6 = ip;

		fib.family = FAMILY_IP6;
		__builtin_memcpy(fib.ipv6_src, ip6->saddr.s6_addr32, 16);
		__builtin_memcpy(fib.ipv6_dst, ip6->daddr.s6_addr32, 16);
	}
	way = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	return way == BPF_FIB_LKUP_RET_NOT_FWDED || way == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

__noinline int syn_routed_here(struct xdp_md *ctx, const struct segment *at, __u32 ifindex)
{
	if (!at)
		return 0;
	return at->family == 4 ? routed_here(ctx, at, ifindex, sizeof(struct iphdr))
			       : routed_here(ctx, at, ifindex, sizeof(struct ipv6hdr));
}

/*
 * Whether a packet's destination is this host's, where others' packets are forwarded: those are not the gate's, though a listener of
 * any address seems to be for them. What the routes send nowhere counts as this host's.
 */
static __always_inline bool is_here(struct xdp_md *ctx, const struct segment *at,
				    const struct policy *policy)
{
	__u32 ifindex = at->family == 4 ? policy->local.route4 : policy->local.route6;

	return !ifindex || syn_routed_here(ctx, at, ifindex);
}

/* Addresses and ports, which lie side by side in either header. */
static __always_inline void syn_tuple(const void *ip, const __u32 ip_len, const __u32 *ports,
				      struct bpf_sock_tuple *tuple)
{
	if (ip_len == sizeof(struct iphdr)) {
		const struct iphdr *ip4 = ip;

		tuple->ipv4.saddr = ip4->saddr;
		tuple->ipv4.daddr = ip4->daddr;
		__builtin_memcpy(&tuple->ipv4.sport, ports, 4);
	} else {
		const struct ipv6hdr *ip6 = ip;

		__builtin_memcpy(tuple->ipv6.saddr, ip6->saddr.s6_addr32, 16);
		__builtin_memcpy(tuple->ipv6.daddr, ip6->daddr.s6_addr32, 16);
		__builtin_memcpy(&tuple->ipv6.sport, ports, 4);
	}
}

/* The socket that a segment is for, to be released, or NULL. */
static __always_inline struct bpf_sock *syn_socket(struct xdp_md *ctx, const __u32 ip_len,
						   struct bpf_sock_tuple *tuple)
{
	if (ip_len == sizeof(struct iphdr))
		return bpf_skc_lookup_tcp(ctx, tuple, sizeof(tuple->ipv4), BPF_F_CURRENT_NETNS, 0);
	return bpf_skc_lookup_tcp(ctx, tuple, sizeof(tuple->ipv6), BPF_F_CURRENT_NETNS, 0);
}

/*
 * Loopback's from elsewhere, multicast and broadcast: a listener of any address is found for them, too, and the kernel takes none off
 * the wire. So are IPv4 in IPv6's clothes.
 */
static __always_inline bool may_be_local(const struct xdp_md *ctx,
					 const struct bpf_sock_tuple *tuple, const __u32 ip_len)
{
	const __u8 *to = (const void *)tuple->ipv6.daddr;
	__u8 first;

	if (ip_len == sizeof(struct ipv6hdr))
		return tuple->ipv6.daddr[0] || tuple->ipv6.daddr[1] ? *to != 0xff
								    : on_loopback(ctx);
	first = *(const __u8 *)&tuple->ipv4.daddr;
	if ((__u8)(first - 1) < 223 && first != 127)
		return true;
	return first == 127 ? on_loopback(ctx) : first >= 240 && ~tuple->ipv4.daddr;
}

/*
 * A listener's, or NULL. Established and closing connections, and those that the kernel is already opening,
 * are not the gate's.
 */
static __always_inline struct bpf_sock *syn_listener(struct xdp_md *ctx, const __u32 ip_len,
						     struct bpf_sock_tuple *tuple)
{
	struct bpf_sock *sk = may_be_local(ctx, tuple, ip_len) ? syn_socket(ctx, ip_len, tuple) : 0;

	if (!sk)
		return 0;
	if (sk->state != TCP_LISTENING) {
		bpf_sk_release(sk);
		return 0;
	}
	return sk;
}

/* Of a client, its port and the cookie, or the number, that it acknowledges. Its bits are as good as random. */
static __always_inline __u64 handshake_digest(const struct bpf_sock_tuple *tuple,
					      const __u32 ip_len, __be32 ack)
{
	__u64 digest = bucket_key(ack, LIMIT_PACKETS);

	if (ip_len == sizeof(struct iphdr))
		return bucket_key(digest ^ tuple->ipv4.saddr ^ (__u64)tuple->ipv4.sport << 32,
				  LIMIT_PACKETS);
#pragma unroll
	for (int i = 0; i < 4; i++)
		digest = bucket_key(digest ^ tuple->ipv6.saddr[i], LIMIT_PACKETS);
	return bucket_key(digest ^ tuple->ipv6.sport, LIMIT_PACKETS);
}

static __always_inline __u64 *handshake_at(__u32 key)
{
	return bpf_map_lookup_elem(&handshakes, &key);
}

static __always_inline __u64 *handshake_of(__u64 digest)
{
	return handshake_at(HANDSHAKE_ENDING + 1 + (digest >> 32) % (HANDSHAKES - 1));
}

/* The first data have not come yet. */
#define HANDSHAKE_FRESH 1ULL

static __always_inline bool handshake_counted(__u64 digest)
{
	const __u64 *last = handshake_of(digest);

	return last && (*last | HANDSHAKE_FRESH) == (digest | HANDSHAKE_FRESH);
}

/* This packet may end a handshake: the meter has the word. */
static __always_inline void handshake_ending(__u64 digest, bool fresh)
{
	__u64 *ending = handshake_at(HANDSHAKE_ENDING);

	if (ending)
		*ending = fresh ? digest | HANDSHAKE_FRESH : digest & ~HANDSHAKE_FRESH;
}

/* It was counted, and has passed. */
static __always_inline void handshake_ended(void)
{
	const __u64 *ending = handshake_at(HANDSHAKE_ENDING);
	__u64 *last = ending ? handshake_of(*ending) : 0;

	if (last)
		*last = *ending;
}

/* Whether these are the first data behind an ACK; once. */
static __always_inline bool handshake_data(__u64 digest)
{
	__u64 *last = handshake_of(digest);

	if (!last || *last != (digest | HANDSHAKE_FRESH))
		return false;
	*last &= ~HANDSHAKE_FRESH;
	return true;
}

/*
 * The client's first data come right behind its ACK, and meet the guard before the kernel has made the connection, when the
 * driver hands over both at once. They acknowledge the same cookie: it is remembered, on the CPU that sees all of a flow, once the
 * handshake has been counted. It is valid in the first data, too, and in no later ones. An ACK alone is a handshake each
 * time, for it can be sent again when the connection has been reset.
 */
static __always_inline enum reason behind_ack(__u64 digest, bool valid, bool alone)
{
	if (!valid)
		return handshake_counted(digest) ? REASON_PASSED : REASON_COOKIE_INVALID;
	if (!alone && handshake_data(digest))
		return REASON_PASSED;
	handshake_ending(digest, alone);
	return REASON_COOKIE_VALID;
}

/* The segment of an ACK that a listener got: does it carry a cookie of the kernel's? */
static __always_inline enum reason check_ack(struct xdp_md *ctx, const struct segment *at,
					     const __u32 ip_len)
{
	void *ip = frame_at(ctx, at->ip & 31, ip_len);
	struct tcphdr *tcp = frame_at(ctx, at->l4 & OFFSET_MAX, sizeof(*tcp));
	struct bpf_sock_tuple tuple;
	struct bpf_sock *sk;
	bool valid;

	if (!ip || !tcp)
		return REASON_PASSED;
	syn_tuple(ip, ip_len, (void *)tcp, &tuple);
	sk = syn_listener(ctx, ip_len, &tuple);
	if (!sk)
		return REASON_PASSED;
	valid = !bpf_tcp_check_syncookie(sk, ip, ip_len, tcp, sizeof(*tcp));
	bpf_sk_release(sk);
	return behind_ack(handshake_digest(&tuple, ip_len, tcp->ack_seq), valid,
			  !tcp->fin && at->l4_len == tcp->doff * 4);
}

__noinline int syn_check(struct xdp_md *ctx, const struct segment *at)
{
	if (!at)
		return REASON_PASSED;
	return at->family == 4 ? check_ack(ctx, at, sizeof(struct iphdr))
			       : check_ack(ctx, at, sizeof(struct ipv6hdr));
}

/* The routes are asked last: most segments meet a connection's socket, not a listener. */
static __always_inline enum reason check_here(struct xdp_md *ctx, const struct segment *at,
					      const struct policy *policy)
{
	enum reason reason = syn_check(ctx, at);

	return reason == REASON_PASSED || is_here(ctx, at, policy) ? reason : REASON_PASSED;
}

/*
 * Of the IPv4 header. Only of what the guard answers itself: everything else meets the kernel's own check, and there is
 * nothing that a wrong sum gets past the guard or charges that a right one would not.
 */
static __always_inline bool ip4_checksum_ok(const struct xdp_md *ctx, const __be32 *words)
{
	__u32 n = ((const struct iphdr *)words)->ihl;
	__u64 sum = sum_words(words, 5);

	for (__u32 i = 5; i < 15; i++) {
		if (i >= n || (void *)(words + i + 1) > (void *)(long)ctx->data_end)
			break;
		sum += words[i];
	}
	return sum_fold(sum) == 0xffff;
}

/* False for a SYN that the kernel would not have taken either. */
static __always_inline bool tcp_checksum_ok(const struct segment *at, const struct syn *syn)
{
	__u64 sum = sum_pseudo(syn, at->l4_len);

	if (at->l4_len != syn->len)
		return true; /* carries data: rare, and too long to add up here */
	if (sum_fold(sum + syn->tcp_sum) == 0xffff)
		return true;
	/* From a neighbour on this machine: its network stack left the sum of the TCP bytes to the card. */
	return syn->tcp.check == sum_fold(sum);
}

/* Fill in what the answer needs. False when the header is not all there. */
static __always_inline bool syn_load(struct xdp_md *ctx, const struct segment *at, const void *ip,
				     const __u32 ip_len, struct syn *syn)
{
	struct tcphdr *tcp = frame_at(ctx, at->l4 & OFFSET_MAX, sizeof(*tcp));
	void *usual = frame_at(ctx, at->l4 & OFFSET_MAX, USUAL_LEN);
	__u32 len;

	if (!tcp)
		return false;
	len = tcp->doff * 4;
	barrier_var(len); /* or the compiler removes the bounds that the verifier wants to see */
	if (len > TCP_MAX_HEAD)
		return false;
	barrier_var(len); /* each on its own, says Linux 6.1 */
	if (len < sizeof(*tcp))
		return false;
	syn_tuple(ip, ip_len, (void *)tcp, &syn->tuple);
	syn->sum = ip_len == sizeof(struct iphdr) ? sum_words(&syn->tuple.ipv4.saddr, 2)
						  : sum_words(syn->tuple.ipv6.saddr, 8);
	syn->len = len;
	syn->at = sizeof(*tcp);
	if (len == USUAL_LEN && usual) {
		__builtin_memcpy(syn->words, (__be32 *)usual, USUAL_LEN);
		syn->tcp_sum = sum_fold(sum_words(syn->words, USUAL_LEN / 4));
		return true;
	}
	if (bpf_xdp_load_bytes(ctx, at->l4, syn->bytes, len))
		return false;
	syn->tcp_sum = sum_fold(sum_words(syn->words, TCP_MAX_HEAD / 4));
	return true;
}

/*
 * The kernel's word on a SYN: its cookie and, above 32 bits, the MSS that goes with it (the options count). Negative:
 * nobody listens, no cookies in the kernel, or room in the listener's queue where net.ipv4.tcp_syncookies is 1.
 */
static __always_inline __s64 syn_ask(struct xdp_md *ctx, void *ip, const __u32 ip_len,
				     struct syn *syn)
{
	struct bpf_sock *sk = syn_listener(ctx, ip_len, &syn->tuple);
	__u32 len = syn->len;
	__s64 cookie = -1;

	if (!sk)
		return -1;
	/* It is one of these lengths; the verifier wants to see both bounds, each on its own. */
	barrier_var(len);
	if (len < sizeof(syn->tcp))
		len = sizeof(syn->tcp);
	barrier_var(len);
	if (len <= TCP_MAX_HEAD)
		cookie = bpf_tcp_gen_syncookie(sk, ip, ip_len, &syn->tcp, len);
	bpf_sk_release(sk);
	return cookie;
}

/* What of the SYN's offer the connection can have. Without timestamps there is nowhere to keep it. */
static __always_inline void syn_agree(const struct policy *policy, struct syn *syn, __u64 now,
				      struct reply *r)
{
	if (!(policy->cookie_options & COOKIE_TIMESTAMPS) || syn->len == sizeof(syn->tcp))
		return;
	if (!synopts_usual(syn))
		bpf_loop(TCP_MAX_OPTIONS, synopts_step, syn, 0);
	r->agreed = syn->offers & policy->cookie_options;
	if (!(r->agreed & COOKIE_TIMESTAMPS))
		return;
	r->wscale = policy->cookie_wscale;
	r->timestamp = synopts_timestamp(now, r->agreed, syn->wscale);
}

static __always_inline enum reason answer_syn(struct xdp_md *ctx, const struct segment *at,
					      const struct policy *policy, __u64 now,
					      const __u32 ip_len)
{
	void *ip = frame_at(ctx, at->ip & 31, ip_len);
	struct syn syn = {};
	struct reply r = {};
	__s64 cookie;
	bool sent;

	if (!ip || !syn_load(ctx, at, ip, ip_len, &syn))
		return REASON_PASSED;
	if ((ip_len == sizeof(struct iphdr) && !ip4_checksum_ok(ctx, ip)) ||
	    !tcp_checksum_ok(at, &syn))
		return REASON_BAD_CHECKSUM;
	cookie = syn_ask(ctx, ip, ip_len, &syn);
	if (cookie < 0)
		return REASON_PASSED;
	if (policy->mode == GUARD_SHADOW)
		return REASON_COOKIE_SENT;
	r.cookie = cookie;
	r.mss = cookie >> 32;
	syn_agree(policy, &syn, now, &r);
	if (r.agreed & COOKIE_TIMESTAMPS)
		sent = syn_reply(ctx, at, &syn, &r, ip_len, REPLY_LONGER);
	else
		sent = syn_reply(ctx, at, &syn, &r, ip_len, REPLY_BARE);
	return sent ? REASON_COOKIE_SENT : REASON_PASSED;
}

__noinline int syn_answer(struct xdp_md *ctx, const struct segment *at, const struct policy *policy,
			  __u64 now)
{
	if (!at || !policy)
		return REASON_PASSED;
	return at->family == 4 ? answer_syn(ctx, at, policy, now, sizeof(struct iphdr))
			       : answer_syn(ctx, at, policy, now, sizeof(struct ipv6hdr));
}

/* A cookie that net.ipv4.tcp_syncookies=1 gave means a full queue: ACKs are checked for a while. */
static __always_inline void syn_was_full(const struct policy *policy, __u64 now)
{
	__u32 key = 0;
	struct syn_state *state = bpf_map_lookup_elem(&syn_state, &key);

	if (state && policy->syn_mode == SYN_AUTO && policy->cookie_options & COOKIE_WHEN_FULL)
		syn_hold(state, now);
}

/* Whether cookies may run out. In shadow mode, and where the kernel says which SYN gets one, they do not. */
static __always_inline bool syn_budgeted(const struct policy *policy)
{
	return policy->cookies.interval && policy->mode != GUARD_SHADOW &&
	       !(policy->cookie_options & COOKIE_WHEN_FULL);
}

/* The gate's word on a TCP packet to a protected port: PASSED when it is not the gate's business. */
static __always_inline enum reason syn_gate(struct xdp_md *ctx, const struct packet *p,
					    const struct policy *policy, __u64 now)
{
	struct segment at = {p->bytes, p->ip, p->l4, p->l4_len, p->family, 0};
	bool is_syn = p->tcp_flags == TCP_SYN;
	enum reason reason;

	if (!policy->syn_mode || p->protocol != IPPROTO_TCP)
		return REASON_PASSED;
	if (is_syn)
		tally(TALLY_SYNS_SEEN);
	else if ((p->tcp_flags & (TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK)
		return REASON_PASSED;
	if (!syn_active(policy, is_syn, now) || !is_frame_for_host(ctx, policy))
		return REASON_PASSED;
	/* In shadow mode no handshake has begun with a cookie. */
	if (!is_syn)
		return policy->mode == GUARD_SHADOW ? REASON_PASSED : check_here(ctx, &at, policy);
	if (!is_here(ctx, &at, policy))
		return REASON_PASSED;
	if (syn_budgeted(policy) &&
	    !cookies_allow(policy, bucket_key(source_of(p, policy), LIMIT_PACKETS),
			   (__u32)p->source_port << 16 | p->port, now))
		return REASON_SYN_EXCESS;
	reason = syn_answer(ctx, &at, policy, now);
	if (reason == REASON_COOKIE_SENT)
		syn_was_full(policy, now);
	return reason;
}

#endif
