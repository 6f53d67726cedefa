/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Internet checksums, and the SYN-ACK that takes the place of a SYN in its frame. */
#ifndef BPF_SYNREPLY_BPF_H
#define BPF_SYNREPLY_BPF_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/synopts.bpf.h"

#ifndef REPLY_TTL
#define REPLY_TTL 64
#endif

#define REPLY_BARE 24 /* bytes of the TCP header: with the MSS */
#define REPLY_LONGER                                                                               \
	40 /* with timestamps, SACK permitted and window scale, or padding in their places */

/* Where a segment is: what the gate has to know of a frame. */
struct segment {
	__u32 bytes;  /* of the whole frame */
	__u16 ip;     /* offset of the IP header */
	__u16 l4;     /* offset of TCP's */
	__u16 l4_len; /* bytes from l4 to the end of the IP packet */
	__u8 family;  /* 4, 6 */
	__u8 unused;
};

/* What the answer says. */
struct reply {
	__u32 cookie;
	__u16 mss;
	__u8 agreed; /* bits of enum cookie_option */
	__u8 wscale; /* ours */
	__u32 timestamp;
};

/* n 32-bit words, which add up without overflow. */
static __always_inline __u64 sum_words(const __be32 *words, int n)
{
	__u64 sum = 0;

#pragma unroll
	for (int i = 0; i < n; i++)
		sum += words[i];
	return sum;
}

/* Halves are added crosswise, so that the upper one gets the carry of the lower. */
static __always_inline __u16 sum_fold(__u64 sum)
{
	__u32 half;

	sum += sum << 32 | sum >> 32;
	half = sum >> 32;
	half += half << 16 | half >> 16;
	return half >> 16;
}

/* Of addresses, protocol and length (RFC 9293, 3.1; RFC 8200, 8.1). */
static __always_inline __u64 sum_pseudo(const struct syn *syn, __u32 tcp_len)
{
	return syn->sum + bpf_htonl(IPPROTO_TCP) + bpf_htonl(tcp_len);
}

/* Write a word and add it to the checksum. */
static __always_inline void put(__be32 *at, __be32 word, __u64 *sum)
{
	*at = word;
	*sum += word;
}

static __always_inline void reply_tcp(const struct syn *syn, const struct reply *r, __be32 *words,
				      const __u32 tcp_len)
{
	__u32 ports = bpf_ntohl(syn->words[0]);
	__u64 sum = sum_pseudo(syn, tcp_len);

	put(&words[0], bpf_htonl(ports << 16 | ports >> 16), &sum);
	put(&words[1], bpf_htonl(r->cookie), &sum);
	put(&words[2], bpf_htonl(bpf_ntohl(syn->tcp.seq) + 1), &sum);
	put(&words[3], bpf_htonl(tcp_len << 26 | 0x12 << 16 | 65535), &sum); /* SYN, ACK, window */
	put(&words[5], bpf_htonl(TCP_OPTION_MSS << 24 | 4 << 16 | r->mss), &sum);
	if (tcp_len == REPLY_LONGER) {
		__u32 sack = r->agreed & COOKIE_SACK ? TCP_OPTION_SACK << 8 | 2 : 0x0101;
		__u32 wscale = r->agreed & COOKIE_WSCALE
				       ? TCP_OPTION_WSCALE << 16 | 3 << 8 | r->wscale
				       : 0x010101;

		put(&words[6], bpf_htonl(sack << 16 | TCP_OPTION_TIMESTAMPS << 8 | 10), &sum);
		put(&words[7], bpf_htonl(r->timestamp), &sum);
		put(&words[8], bpf_htonl(syn->offered), &sum);
		put(&words[9], bpf_htonl(TCP_OPTION_NOP << 24 | wscale), &sum);
	}
	words[4] = (__u16)~sum_fold(sum); /* and no urgent pointer */
}

static __always_inline void reply_ip4(const struct syn *syn, __be32 *words, const __u32 tcp_len)
{
	__u64 sum = syn->sum;

	put(&words[0], bpf_htonl(0x45000000 | (sizeof(struct iphdr) + tcp_len)), &sum);
	put(&words[1], bpf_htonl(0x4000), &sum); /* don't fragment */
	put(&words[2], bpf_htonl(REPLY_TTL << 24 | IPPROTO_TCP << 16), &sum);
	((struct iphdr *)words)->check = ~sum_fold(sum);
	words[3] = syn->tuple.ipv4.daddr;
	words[4] = syn->tuple.ipv4.saddr;
}

static __always_inline void reply_ip6(const struct syn *syn, __be32 *words, const __u32 tcp_len)
{
	words[0] = bpf_htonl(0x60000000);
	words[1] = bpf_htonl(tcp_len << 16 | IPPROTO_TCP << 8 | REPLY_TTL);
	__builtin_memcpy(words + 2, syn->tuple.ipv6.daddr, 16);
	__builtin_memcpy(words + 6, syn->tuple.ipv6.saddr, 16);
}

/* From whom it came to whom it went: in words, which the header's own type would have copied by bytes. */
static __always_inline void reply_ethernet(__u16 *words)
{
#pragma unroll
	for (int i = 0; i < ETH_ALEN / 2; i++) {
		__u16 word = words[i];

		words[i] = words[i + ETH_ALEN / 2];
		words[i + ETH_ALEN / 2] = word;
	}
}

/* Turn the frame into its SYN-ACK. False, and the frame as it was, when the driver has no room for it. */
static __always_inline bool syn_reply(struct xdp_md *ctx, const struct segment *at,
				      const struct syn *syn, const struct reply *r,
				      const __u32 ip_len, const __u32 tcp_len)
{
	__u32 offset = at->ip & 31;
	int grow = (int)(offset + ip_len + tcp_len) - (int)at->bytes;
	struct ethhdr *eth;
	void *ip;

	if (grow && bpf_xdp_adjust_tail(ctx, grow))
		return false;
	eth = (void *)(long)ctx->data;
	ip = (void *)eth + offset;
	if ((void *)(eth + 1) > (void *)(long)ctx->data_end ||
	    ip + ip_len + tcp_len > (void *)(long)ctx->data_end)
		return false;
	if (ip_len == sizeof(struct iphdr))
		reply_ip4(syn, ip, tcp_len);
	else
		reply_ip6(syn, ip, tcp_len);
	reply_tcp(syn, r, ip + ip_len, tcp_len);
	reply_ethernet((__u16 *)eth);
	return true;
}

#endif
