/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From frame to the fields that the guard decides by: Ethernet, up to two VLAN tags, IPv4 with options, IPv6
 * with extension headers, fragments, TCP, UDP, ICMP. Plain pointers and no maps; one helper, which knows how long a frame
 * in several buffers is.
 */
#ifndef BPF_PARSE_BPF_H
#define BPF_PARSE_BPF_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"

#define IP_MAX		   65535 /* longer packets, merged by this host (BIG TCP), say 0 */
#define VLAN_TAGS	   2
#define IP6_EXTENSIONS	   5 /* no sender has a use for more */

#define TCP_FIN		   0x01
#define TCP_SYN		   0x02
#define TCP_RST		   0x04
#define TCP_ACK		   0x10
#define TCP_FLAGS	   (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK) /* those that say what a segment is for */

#define ICMP_ECHO_REQUEST  8
#define ICMP6_ECHO_REQUEST 128

#define IP_FRAGMENT_OFFSET 0x1fff
#define IP_MORE_FRAGMENTS  0x2000
#define IP6_MORE_FRAGMENTS 1

#define OFFSET_MAX	   0x3fff /* no header that is looked at begins later */

struct vlan_header {
	__be16 tci;
	__be16 type;
};

struct ip6_extension {
	__u8 next;
	__u8 len; /* 8 bytes each, without the first 8; of AH 4 bytes each, without the first 8 */
	__be16 fragment; /* IPPROTO_FRAGMENT: offset and flags */
};

struct icmp_head {
	__u8 type;
	__u8 code;
	__be16 checksum;
};

struct packet {
	struct xdp_md *ctx; /* NULL outside of the kernel */
	void *data;
	void *end;
	void *cursor;
	__u32 bytes; /* of the frame up to end, or of all of it where that counts: packet_measure */
	__u16 ip;    /* offset of the IP header */
	__u16 l4;    /* offset of TCP, UDP or ICMP */
	__u8 family; /* 4, 6; 0: neither */
	__u8 protocol;
	__u8 icmp_type;
	__u8 tcp_flags; /* TCP_FLAGS of them */
	bool more_fragments;
	/* Whether it is banned in shadow mode: it goes on, and is counted as banned when it passes. Not 0, see ban.bpf.h. */
	__u8 shadow_ban;
	__u16 fragment_offset; /* in 8 bytes; not 0: a later fragment, has no ports */
	__u16 l4_len;	       /* bytes from l4 to the end of the IP packet */
	__u16 port;	       /* destination, host order; TCP and UDP */
	__u16 source_port;
	__u32 set;	  /* of the feed that lists it */
	__u32 generation; /* of the policy that the packet meets */
	enum batch batch;
	__u64 source; /* as buckets know it */
	union {
		struct prefix6 source6;
		struct prefix4 source4;
	};
};

/* The next n bytes, or NULL when the frame ends before. */
static __always_inline void *take(struct packet *p, __u32 n)
{
	void *at = p->cursor;

	if (at + n > p->end)
		return 0;
	p->cursor = at + n;
	return at;
}

/* Skip n bytes, at most max; without the barrier the compiler removes the bound that the verifier wants to see. */
static __always_inline bool skip(struct packet *p, __u32 n, __u32 max)
{
	barrier_var(n);
	return n <= max && take(p, n);
}

/* The IP header again, or NULL: the verifier has forgotten that its n bytes are there. */
static __always_inline void *packet_ip(const struct packet *p, __u32 n)
{
	void *ip = p->data + (p->ip & 31); /* 14, 18 or 22 */

	return ip + n > p->end ? 0 : ip;
}

static __always_inline bool is_vlan(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/* PASSED for "go on", or the reason that ends it. */
static __always_inline enum reason parse_ethernet(struct packet *p)
{
	struct ethhdr *eth = take(p, sizeof(*eth));
	__be16 type;

	if (!eth)
		return REASON_MALFORMED;
	type = eth->h_proto;
#pragma unroll
	for (int i = 0; i < VLAN_TAGS; i++) {
		struct vlan_header *vlan;

		if (!is_vlan(type))
			break;
		vlan = take(p, sizeof(*vlan));
		if (!vlan)
			return REASON_MALFORMED;
		type = vlan->type;
	}
	/* Linux takes off any number of tags of VLAN 0: what is behind a third one would meet no list. */
	if (is_vlan(type))
		return REASON_MALFORMED;
	p->ip = p->cursor - p->data;
	if (type == bpf_htons(ETH_P_IP))
		p->family = 4;
	else if (type == bpf_htons(ETH_P_IPV6))
		p->family = 6;
	else
		return REASON_NOT_IP;
	return REASON_PASSED;
}

/*
 * Given the IP packet's length: when that is not what lies before end, the frame may go on in other buffers. Few do, and the
 * helper that knows costs as much as all of this parser. A short packet is padded, to at least ETH_ZLEN.
 */
static __always_inline void packet_measure(struct packet *p, __u32 len)
{
#ifdef __bpf__
	__u32 end = p->ip + len;
	__u32 more = end > p->bytes || (end < p->bytes && p->bytes > ETH_ZLEN);

	/* The verifier then meets any length first, and the one that it knows more of adds nothing. */
	barrier_var(more);
	if (__builtin_expect(more, true))
		p->bytes = bpf_xdp_get_buff_len(p->ctx);
#else
	(void)p, (void)len;
#endif
}

static __always_inline enum reason parse_ip4(struct packet *p)
{
	struct iphdr *ip = take(p, sizeof(*ip));
	__u32 header, total, fragment;

	if (!ip || ip->version != 4)
		return REASON_MALFORMED;
	header = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	packet_measure(p, total);
	if (!total && p->bytes > IP_MAX)
		total = IP_MAX;
	if (header < sizeof(*ip) || total < header || p->ip + total > p->bytes)
		return REASON_MALFORMED;
	if (!skip(p, header - sizeof(*ip), 40))
		return REASON_MALFORMED;
	p->source4.prefixlen = 32;
	__builtin_memcpy(p->source4.addr, &ip->saddr, sizeof(p->source4.addr));
	p->source = SOURCE4_MARK | bpf_ntohl(ip->saddr);
	p->protocol = ip->protocol;
	p->l4_len = total - header;
	fragment = bpf_ntohs(ip->frag_off);
	p->fragment_offset = fragment & IP_FRAGMENT_OFFSET;
	p->more_fragments = fragment & IP_MORE_FRAGMENTS;
	return REASON_PASSED;
}

/* Where a walk along extension headers stands. */
struct extensions {
	__u32 at;   /* offset of the next header */
	__u32 left; /* bytes from there to the end of the IP packet */
	__u16 fragment_offset;
	__u8 protocol;
	bool more_fragments;
};

static __always_inline bool is_extension(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
	       protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_FRAGMENT ||
	       protocol == IPPROTO_AH;
}

/* Up to a header that the guard knows, or does not. */
static __always_inline enum reason walk_extensions(void *data, void *end, struct extensions *x)
{
	for (int i = 0; i < IP6_EXTENSIONS; i++) {
		struct ip6_extension *ext = data + (x->at & OFFSET_MAX);
		__u32 len = 8;

		if ((void *)ext + 8 > end)
			return REASON_MALFORMED;
		if (x->protocol == IPPROTO_FRAGMENT) {
			x->fragment_offset = bpf_ntohs(ext->fragment) >> 3;
			/* Of several the kernel takes each for itself: one that is a fragment's is enough. */
			x->more_fragments |= bpf_ntohs(ext->fragment) & IP6_MORE_FRAGMENTS;
		} else if (x->protocol == IPPROTO_AH) {
			len = (ext->len + 2) * 4;
		} else {
			len = (ext->len + 1) * 8;
		}
		if (len > x->left || len < 8 || (void *)ext + len > end)
			return REASON_MALFORMED;
		x->at += len;
		x->left -= len;
		x->protocol = ext->next;
		if (x->fragment_offset || !is_extension(x->protocol))
			return REASON_PASSED;
	}
	return REASON_IP6_HEADERS;
}

#ifdef __bpf__
/* Global, so that the verifier looks at it once, and not at all that follows once a header. */
__noinline int parse_walk(struct xdp_md *ctx, struct extensions *x)
{
	if (!x)
		return REASON_MALFORMED;
	return walk_extensions((void *)(long)ctx->data, (void *)(long)ctx->data_end, x);
}
#endif

/* Move past extension headers, which few packets have. */
static __always_inline enum reason parse_extensions(struct packet *p)
{
	struct extensions x = {
		.at = p->cursor - p->data,
		.left = p->l4_len,
		.protocol = p->protocol,
	};
	enum reason reason;

	if (!is_extension(p->protocol))
		return REASON_PASSED;
#ifdef __bpf__
	reason = parse_walk(p->ctx, &x);
#else
	reason = walk_extensions(p->data, p->end, &x);
#endif
	p->fragment_offset = x.fragment_offset;
	p->more_fragments = x.more_fragments;
	p->protocol = x.protocol;
	p->l4_len = x.left;
	p->cursor = p->data + (x.at & OFFSET_MAX);
	return reason;
}

static __always_inline enum reason parse_ip6(struct packet *p)
{
	struct ipv6hdr *ip = take(p, sizeof(*ip));
	__be64 network;
	__u32 payload;

	if (!ip || ip->version != 6)
		return REASON_MALFORMED;
	payload = bpf_ntohs(ip->payload_len);
	packet_measure(p, payload + sizeof(*ip));
	if (!payload && p->bytes > IP_MAX)
		payload = IP_MAX - sizeof(*ip);
	if (p->ip + sizeof(*ip) + payload > p->bytes)
		return REASON_MALFORMED;
	p->source6.prefixlen = 128;
	__builtin_memcpy(p->source6.addr, &ip->saddr, sizeof(p->source6.addr));
	__builtin_memcpy(&network, &ip->saddr, sizeof(network));
	p->source = bpf_be64_to_cpu(network);
	p->protocol = ip->nexthdr;
	p->l4_len = payload;
	return parse_extensions(p);
}

static __always_inline enum reason parse_l4(struct packet *p)
{
	p->l4 = p->cursor - p->data;
	/* A second fragment that begins in the TCP header can change its flags (RFC 3128). */
	if (p->fragment_offset)
		return p->fragment_offset == 1 && p->protocol == IPPROTO_TCP ? REASON_TINY_FRAGMENT
									     : REASON_FRAGMENT;
	if (p->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = take(p, sizeof(*tcp));

		if (!tcp || tcp->doff * 4 < sizeof(*tcp) || tcp->doff * 4 > p->l4_len)
			return p->more_fragments ? REASON_TINY_FRAGMENT : REASON_MALFORMED;
		p->source_port = bpf_ntohs(tcp->source);
		p->port = bpf_ntohs(tcp->dest);
		p->tcp_flags = ((__u8 *)tcp)[13] & TCP_FLAGS;
	} else if (p->protocol == IPPROTO_UDP) {
		struct udphdr *udp = take(p, sizeof(*udp));

		if (!udp || p->l4_len < sizeof(*udp))
			return REASON_MALFORMED;
		p->source_port = bpf_ntohs(udp->source);
		p->port = bpf_ntohs(udp->dest);
	} else if (p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6) {
		struct icmp_head *icmp = take(p, sizeof(*icmp));

		if (!icmp || p->l4_len < sizeof(*icmp))
			return REASON_MALFORMED;
		p->icmp_type = icmp->type;
	}
	return REASON_PASSED;
}

#endif
