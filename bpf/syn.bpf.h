/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SYN gate: SYNs to a local listener are answered with the kernel's own SYN cookies, so that the kernel
 * completes the handshake when the ACK comes (bpf-helpers(7): bpf_tcp_gen_syncookie, bpf_tcp_check_syncookie).
 * No state a connection: a spoofed SYN costs one reply and is forgotten.
 */
#ifndef BPF_SYN_BPF_H
#define BPF_SYN_BPF_H

#include "bpf/bucket.bpf.h"
#include "bpf/parse.bpf.h"

#define TCP_LISTENING 10 /* BPF_TCP_LISTEN */
#define TCP_MAX_HEAD  60
#define MSS_OPTION    4 /* bytes; the reply's only option */

#ifndef REPLY_TTL
#define REPLY_TTL 64
#endif

/* Whether cookies are being sent now. A SYN counts against the threshold. */
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
		interval = 1000000000ULL / policy->syn_threshold;
		if (!bucket_charge(&state->full_at, now, interval, policy->syn_threshold))
			state->cookies_until = now + SYN_HOLD_NSEC;
	}
	return now < state->cookies_until;
}

static __always_inline __u32 sum_add(__u32 sum, __u32 word)
{
	sum += word;
	return sum + (sum < word);
}

static __always_inline __u16 sum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Of addresses, protocol and length; n 32-bit words of addresses. */
static __always_inline __u32 sum_pseudo(const __be32 *addresses, int n, __u32 tcp_len)
{
	__u32 sum = bpf_htonl(IPPROTO_TCP);

#pragma unroll
	for (int i = 0; i < n; i++)
		sum = sum_add(sum, addresses[i]);
	return sum_add(sum, bpf_htonl(tcp_len));
}

/* Both addresses, which lie side by side in either header. */
static __always_inline __u32 sum_addresses(const struct packet *p, void *ip, __u32 tcp_len)
{
	if (p->family == 4)
		return sum_pseudo(ip + offsetof(struct iphdr, saddr), 2, tcp_len);
	return sum_pseudo(ip + offsetof(struct ipv6hdr, saddr), 8, tcp_len);
}

/*
 * A listener's, or NULL. Established and closing connections, and those that the kernel is already opening,
 * are not the gate's.
 */
static __always_inline struct bpf_sock *syn_listener(struct xdp_md *ctx, const struct packet *p,
						     const struct tcphdr *tcp)
{
	struct bpf_sock_tuple tuple;
	struct bpf_sock *sk;
	__u32 size;

	if (p->family == 4) {
		struct iphdr *ip = packet_ip(p, sizeof(*ip));

		if (!ip)
			return 0;
		tuple.ipv4.saddr = ip->saddr;
		tuple.ipv4.daddr = ip->daddr;
		tuple.ipv4.sport = tcp->source;
		tuple.ipv4.dport = tcp->dest;
		size = sizeof(tuple.ipv4);
		sk = bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	} else {
		struct ipv6hdr *ip = packet_ip(p, sizeof(*ip));

		if (!ip)
			return 0;
		__builtin_memcpy(tuple.ipv6.saddr, &ip->saddr, sizeof(ip->saddr));
		__builtin_memcpy(tuple.ipv6.daddr, &ip->daddr, sizeof(ip->daddr));
		tuple.ipv6.sport = tcp->source;
		tuple.ipv6.dport = tcp->dest;
		size = sizeof(tuple.ipv6);
		sk = bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return 0;
	if (sk->state != TCP_LISTENING) {
		bpf_sk_release(sk);
		return 0;
	}
	return sk;
}

/* What a reply needs to know of the SYN, whose bytes it overwrites. */
struct syn {
	union {
		struct tcphdr tcp;
		__u8 bytes[TCP_MAX_HEAD]; /* with options; zeros behind them */
	};
	__u32 len;
	__be32 address[8]; /* source, destination: 2 or 8 words */
};

/* False for a SYN that the kernel would not have taken either. */
static __always_inline bool syn_checksum_ok(const struct packet *p, struct syn *syn)
{
	__u32 sum = p->family == 4 ? sum_pseudo(syn->address, 2, p->l4_len)
				   : sum_pseudo(syn->address, 8, p->l4_len);

	if (p->l4_len != syn->len)
		return true; /* carries data: rare, and too long to add up here */
	/* From a neighbour on this machine: its network stack left the sum of the TCP bytes to the card. */
	if (syn->tcp.check == sum_fold(sum))
		return true;
	sum = bpf_csum_diff(0, 0, (__be32 *)syn->bytes, sizeof(syn->bytes), sum);
	return sum_fold(sum) == 0xffff;
}

/*
 * Of the IPv4 header. Only of what the guard answers itself: everything else meets the kernel's own check, and there is
 * nothing that a wrong sum gets past the guard or charges that a right one would not.
 */
static __always_inline bool syn_ip_checksum_ok(const struct packet *p)
{
	void *ip = packet_ip(p, sizeof(struct iphdr));
	__be32 *word = ip;
	__u32 n, sum = 0;

	if (!ip)
		return false;
	n = ((struct iphdr *)ip)->ihl;
	for (__u32 i = 0; i < 15; i++) {
		if (i >= n || (void *)(word + i + 1) > p->end)
			break;
		sum = sum_add(sum, word[i]);
	}
	return sum_fold(sum) == 0xffff;
}

static __always_inline bool syn_load(struct xdp_md *ctx, const struct packet *p, struct syn *syn)
{
	void *ip;
	__u32 len;

	__builtin_memset(syn, 0, sizeof(*syn));
	if (p->family == 4) {
		ip = packet_ip(p, sizeof(struct iphdr));
		if (!ip)
			return false;
		__builtin_memcpy(syn->address, ip + offsetof(struct iphdr, saddr), 8);
	} else {
		ip = packet_ip(p, sizeof(struct ipv6hdr));
		if (!ip)
			return false;
		__builtin_memcpy(syn->address, ip + offsetof(struct ipv6hdr, saddr), 32);
	}
	if (bpf_xdp_load_bytes(ctx, p->l4, syn->bytes, sizeof(syn->tcp)))
		return false;
	len = syn->tcp.doff * 4;
	if (len < sizeof(syn->tcp) || len > TCP_MAX_HEAD)
		return false;
	syn->len = len;
	return len == sizeof(syn->tcp) || !bpf_xdp_load_bytes(ctx, p->l4, syn->bytes, len);
}

static __always_inline void reply_tcp(const struct packet *p, const struct syn *syn,
				      struct tcphdr *tcp, __u32 cookie, __u16 mss)
{
	__be32 *words = (void *)tcp;
	__u32 sum;

	tcp->source = syn->tcp.dest;
	tcp->dest = syn->tcp.source;
	tcp->seq = bpf_htonl(cookie);
	tcp->ack_seq = bpf_htonl(bpf_ntohl(syn->tcp.seq) + 1);
	words[3] = 0;
	words[4] = 0;
	tcp->doff = (sizeof(*tcp) + MSS_OPTION) / 4;
	tcp->syn = 1;
	tcp->ack = 1;
	tcp->window = bpf_htons(65535);
	words[5] = bpf_htonl(2 << 24 | MSS_OPTION << 16 | mss);
	sum = p->family == 4 ? sum_pseudo(syn->address, 2, sizeof(*tcp) + MSS_OPTION)
			     : sum_pseudo(syn->address, 8, sizeof(*tcp) + MSS_OPTION);
#pragma unroll
	for (int i = 0; i < 6; i++)
		sum = sum_add(sum, words[i]);
	tcp->check = ~sum_fold(sum);
}

static __always_inline void reply_ip4(const struct syn *syn, struct iphdr *ip)
{
	__be32 *words = (void *)ip;
	__u32 sum = 0;

	words[0] = bpf_htonl(0x45000000 | (sizeof(*ip) + sizeof(syn->tcp) + MSS_OPTION));
	words[1] = bpf_htonl(0x4000); /* don't fragment */
	words[2] = bpf_htonl(REPLY_TTL << 24 | IPPROTO_TCP << 16);
	words[3] = syn->address[1];
	words[4] = syn->address[0];
#pragma unroll
	for (int i = 0; i < 5; i++)
		sum = sum_add(sum, words[i]);
	ip->check = ~sum_fold(sum);
}

static __always_inline void reply_ip6(const struct syn *syn, struct ipv6hdr *ip)
{
	__be32 *words = (void *)ip;

	words[0] = bpf_htonl(0x60000000);
	words[1] = bpf_htonl((sizeof(syn->tcp) + MSS_OPTION) << 16 | IPPROTO_TCP << 8 | REPLY_TTL);
	__builtin_memcpy(words + 2, syn->address + 4, 16);
	__builtin_memcpy(words + 6, syn->address, 16);
}

/* Turn the frame into its SYN-ACK. False, and the frame as it was, when the driver has no room for it. */
static __always_inline bool syn_reply(struct xdp_md *ctx, const struct packet *p,
				      const struct syn *syn, __u32 cookie, __u16 mss)
{
	__u32 ip_len = p->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	__u32 at = p->ip & 31;
	__u8 mac[ETH_ALEN];
	struct ethhdr *eth;
	void *ip, *end;

	if (bpf_xdp_adjust_tail(ctx,
				(int)(at + ip_len + sizeof(syn->tcp) + MSS_OPTION) - (int)p->bytes))
		return false;
	eth = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	ip = (void *)eth + at;
	if ((void *)(eth + 1) > end)
		return false;
	if (p->family == 4) {
		struct iphdr *ip4 = ip;

		if (ip + sizeof(*ip4) + sizeof(syn->tcp) + MSS_OPTION > end)
			return false;
		reply_ip4(syn, ip4);
		reply_tcp(p, syn, (void *)(ip4 + 1), cookie, mss);
	} else {
		struct ipv6hdr *ip6 = ip;

		if (ip + sizeof(*ip6) + sizeof(syn->tcp) + MSS_OPTION > end)
			return false;
		reply_ip6(syn, ip6);
		reply_tcp(p, syn, (void *)(ip6 + 1), cookie, mss);
	}
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	return true;
}

/*
 * The kernel's word: for a SYN its cookie and, above 32 bits, the MSS that goes with it (the options count); for an
 * ACK 0 when it carries a valid cookie. Negative: without cookies in the kernel, with room in the listener's
 * queue, or not a cookie.
 */
static __always_inline __s64 syn_ask(struct bpf_sock *sk, const struct packet *p, __u32 ip_len,
				     struct syn *syn, bool is_syn)
{
	void *ip = packet_ip(p, ip_len);
	__u32 len = syn->len;

	barrier_var(len); /* or the compiler removes the bounds that the verifier wants to see */
	if (!ip || len < sizeof(syn->tcp) || len > TCP_MAX_HEAD)
		return -1;
	return is_syn ? bpf_tcp_gen_syncookie(sk, ip, ip_len, &syn->tcp, len)
		      : bpf_tcp_check_syncookie(sk, ip, ip_len, &syn->tcp, sizeof(syn->tcp));
}

/* The gate's word on a TCP packet to a protected port: PASSED when it is not the gate's business. */
static __always_inline enum reason syn_gate(struct xdp_md *ctx, const struct packet *p,
					    const struct policy *policy, __u64 now)
{
	struct bpf_sock *sk;
	struct syn syn;
	bool is_syn;
	__s64 cookie;

	if (!policy->syn_mode || p->protocol != IPPROTO_TCP)
		return REASON_PASSED;
	is_syn = p->tcp_flags == TCP_SYN;
	if (!is_syn && p->tcp_flags != TCP_ACK)
		return REASON_PASSED;
	if (!syn_active(policy, is_syn, now) || !syn_load(ctx, p, &syn))
		return REASON_PASSED;
	if (is_syn && !((p->family == 6 || syn_ip_checksum_ok(p)) && syn_checksum_ok(p, &syn)))
		return REASON_BAD_CHECKSUM;
	sk = syn_listener(ctx, p, &syn.tcp);
	if (!sk)
		return REASON_PASSED;
	cookie = p->family == 4 ? syn_ask(sk, p, sizeof(struct iphdr), &syn, is_syn)
				: syn_ask(sk, p, sizeof(struct ipv6hdr), &syn, is_syn);
	bpf_sk_release(sk);
	if (!is_syn)
		return cookie ? REASON_COOKIE_INVALID : REASON_COOKIE_VALID;
	if (cookie >= 0 && syn_reply(ctx, p, &syn, (__u32)cookie, (__u16)(cookie >> 32)))
		return REASON_COOKIE_SENT;
	return REASON_PASSED;
}

#endif
