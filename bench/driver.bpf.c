/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Runs a program under test on one frame after another: each is the template with a source of its own. What this
 * costs is part of every figure, the empty program's too, and goes away in the difference.
 */
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FRAME4 58 /* TCP with an MSS option; a SYN-ACK is as long */
#define FRAME6 74

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} program SEC(".maps");

__u8 frame[FRAME6];
__u32 source_bits; /* how many of the source address' last 32 (IPv6: of its /64's) differ */
__u64 turn;

static __always_inline __u32 scatter(__u64 n)
{
	n *= 0x9e3779b97f4a7c15ULL;
	n ^= n >> 29;
	n *= 0xbf58476d1ce4e5b9ULL;
	return n >> 32;
}

SEC("xdp.frags")
int driver(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u32 mask = source_bits ? ~0U >> (32 - source_bits) : 0;
	__u32 *word;

	if ((void *)(data + FRAME6) <= (void *)(long)ctx->data_end)
		__builtin_memcpy(data, frame, FRAME6);
	else if ((void *)(data + FRAME4) <= (void *)(long)ctx->data_end)
		__builtin_memcpy(data, frame, FRAME4);
	else
		return XDP_ABORTED;
	if (frame[12] == (ETH_P_IP >> 8) && frame[13] == (ETH_P_IP & 255))
		word = (void *)data + ETH_HLEN + offsetof(struct iphdr, saddr);
	else
		word = (void *)data + ETH_HLEN + offsetof(struct ipv6hdr, saddr) + 4;
	*word ^= bpf_htonl(scatter(turn++) & mask);
	bpf_tail_call(ctx, &program, 0);
	return XDP_ABORTED;
}
