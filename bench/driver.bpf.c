/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Runs a program under test on one frame after another: each is the template with the next source of a table, and with
 * the checksums that go with it. What this costs is part of every figure, the empty program's too, and goes away in the
 * difference.
 */
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include <bpf/bpf_helpers.h>

#include "bench/driver.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} program SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SOURCE_LINES);
	__type(key, __u32);
	__type(value, struct source_line);
} sources SEC(".maps");

__u8 frame[FRAME_LONG]; /* its source is 0, but for no sources */
__u32 frame_len;	/* one of the three */
__u32 family;		/* 4, 6 */
__u32 protocol;		/* IPPROTO_TCP has a checksum to be kept right */
__u32 first_line;	/* of the table of sources */
__u32 n_sources;	/* 0: the template's own */
__u32 turn;		/* the next one */

/* Add words that were 0 to what a checksum sums up (RFC 1624). */
static __always_inline void check_add(__u16 *check, const __u32 *words, int n)
{
	__u32 sum = (__u16) ~*check;

#pragma unroll
	for (int i = 0; i < n; i++)
		sum += (words[i] & 0xffff) + (words[i] >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	*check = ~((sum & 0xffff) + (sum >> 16));
}

static __always_inline void set_source4(void *data, const __u32 *word)
{
	struct iphdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp = (void *)(ip + 1);

	ip->saddr = *word;
	check_add(&ip->check, word, 1);
	if (protocol == IPPROTO_TCP)
		check_add(&tcp->check, word, 1);
}

static __always_inline void set_source6(void *data, const __u32 *words)
{
	struct ipv6hdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp = (void *)(ip + 1);

	__builtin_memcpy(&ip->saddr, words, 16);
	if (protocol == IPPROTO_TCP)
		check_add(&tcp->check, words, 4);
}

/* The next source's words; the frame's own when there is no table. */
static __always_inline const __u32 *next_source(int in_line)
{
	__u32 i = turn, key = first_line + i / in_line;
	struct source_line *line;

	if (!n_sources)
		return 0;
	turn = i + 1 < n_sources ? i + 1 : 0;
	line = bpf_map_lookup_elem(&sources, &key);
	return line ? &line->word[i % in_line * (LINE_WORDS / in_line)] : 0;
}

SEC("xdp.frags")
int driver(struct xdp_md *ctx)
{
	__u32 len = ctx->data_end - ctx->data;
	const __u32 *words;
	void *data, *end;

	/* The last one's program may have answered with a frame of another length. */
	if (len != frame_len && bpf_xdp_adjust_tail(ctx, (int)(frame_len - len)))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + FRAME_LONG <= end)
		__builtin_memcpy(data, frame, FRAME_LONG);
	else if (data + FRAME_MIDDLE <= end)
		__builtin_memcpy(data, frame, FRAME_MIDDLE);
	else if (data + FRAME_SHORT <= end)
		__builtin_memcpy(data, frame, FRAME_SHORT);
	else
		return XDP_ABORTED;
	if (family == 4) {
		words = next_source(LINE_SOURCES4);
		if (words)
			set_source4(data, words);
	} else if (data + FRAME_MIDDLE <= end) {
		words = next_source(LINE_SOURCES6);
		if (words)
			set_source6(data, words);
	}
	bpf_tail_call(ctx, &program, 0);
	return XDP_ABORTED;
}
