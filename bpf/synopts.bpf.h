/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a SYN offers, and how the kernel finds it again in the timestamp that the cookie's ACK echoes (Linux,
 * net/ipv4/syncookies.c: cookie_timestamp_decode). No maps, no packet: bytes in, options out.
 */
#ifndef BPF_SYNOPTS_BPF_H
#define BPF_SYNOPTS_BPF_H

#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/tcp.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"

#define TCP_MAX_HEAD	60
#define TCP_MAX_OPTIONS 40
#define TCP_MAX_WSCALE	14 /* RFC 7323, 2.3: a larger one means this one */

enum tcp_option {
	TCP_OPTION_END,
	TCP_OPTION_NOP,
	TCP_OPTION_MSS,
	TCP_OPTION_WSCALE,	   /* 3 bytes */
	TCP_OPTION_SACK,	   /* permitted; 2 bytes */
	TCP_OPTION_TIMESTAMPS = 8, /* 10 bytes */
};

/* What an answer needs to know of a SYN, whose bytes it overwrites. */
struct syn {
	union {
		struct tcphdr tcp;
		__be32 words[16];
		__u8 bytes[64]; /* with options; zeros behind them */
	};
	__u32 offered; /* its TSval */
	__u8 len;      /* of the header, 20 to 60 */
	__u8 at;       /* of the next option */
	__u8 offers;   /* bits of enum cookie_option */
	__u8 wscale;
	struct bpf_sock_tuple tuple; /* its addresses and ports */
	__u16 tcp_sum;		     /* of the header, folded */
	__u64 sum;		     /* of the addresses */
};

/* One option, read as the kernel reads them: the last of a kind counts, and nothing behind one that is cut short. 1: the end. */
static long synopts_step(__u32 index, void *context)
{
	struct syn *syn = context;
	__u32 at = syn->at, size;

	(void)index;
	/* The verifier wants to see both bounds, each on its own. */
	if (at >= TCP_MAX_HEAD || at >= syn->len)
		return 1;
	barrier_var(at);
	if (at < sizeof(syn->tcp) || syn->bytes[at] == TCP_OPTION_END)
		return 1;
	if (syn->bytes[at] == TCP_OPTION_NOP) {
		syn->at = at + 1;
		return 0;
	}
	size = syn->bytes[at + 1];
	if (size < 2 || at + size > syn->len)
		return 1;
	syn->at = at + size;
	if (syn->bytes[at] == TCP_OPTION_WSCALE && size == 3) {
		syn->offers |= COOKIE_WSCALE;
		syn->wscale = syn->bytes[at + 2];
	} else if (syn->bytes[at] == TCP_OPTION_SACK && size == 2) {
		syn->offers |= COOKIE_SACK;
	} else if (syn->bytes[at] == TCP_OPTION_TIMESTAMPS && size == 10 &&
		   at <= TCP_MAX_HEAD - 10) {
		syn->offers |= COOKIE_TIMESTAMPS;
		syn->offered = (__u32)syn->bytes[at + 2] << 24 | syn->bytes[at + 3] << 16 |
			       syn->bytes[at + 4] << 8 | syn->bytes[at + 5];
	}
	return 0;
}

/* The options as Linux sends them, without a walk: MSS, SACK permitted, timestamps, NOP, window scale. */
static __always_inline bool synopts_usual(struct syn *syn)
{
	if (syn->len != sizeof(syn->tcp) + 20 ||
	    (bpf_ntohl(syn->words[5]) >> 16) != (TCP_OPTION_MSS << 8 | 4) ||
	    bpf_ntohl(syn->words[6]) != 0x0402080a || bpf_ntohl(syn->words[9]) >> 8 != 0x010303)
		return false;
	syn->offers = COOKIE_TIMESTAMPS | COOKIE_SACK | COOKIE_WSCALE;
	syn->offered = bpf_ntohl(syn->words[7]);
	syn->wscale = bpf_ntohl(syn->words[9]);
	return true;
}

/*
 * The timestamp of the answer: the milliseconds of the kernel's own clock, in the lowest six bits what was agreed on. Never
 * in the future, because the connection's next one is the clock itself (RFC 7323, 5.3: it may not go back).
 */
static __always_inline __u32 synopts_timestamp(__u64 now, __u8 agreed, __u8 wscale)
{
	__u64 clock = now / 1000000;
	__u64 value = clock & ~63ULL;

	if (wscale > TCP_MAX_WSCALE)
		wscale = TCP_MAX_WSCALE;
	value |= agreed & COOKIE_WSCALE ? wscale : 15;
	if (agreed & COOKIE_SACK)
		value |= 16;
	return value > clock ? value - 64 : value;
}

#endif
