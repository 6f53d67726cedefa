/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One frame in, a burst of SYNs out: amplify, at the interface where user space writes the template, sends a copy of it to each place
 * of the map, all of which are the same interface; forge gives each a source, port and sequence number of its own.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bench/flood.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, FLOOD_BURST);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} out SEC(".maps");

__u64 random_state = 88172645463325252ULL;

static __always_inline __u64 random64(void)
{
	__u64 x = random_state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	random_state = x;
	return x;
}

static __always_inline __u32 halves(__u32 word)
{
	return (word & 0xffff) + (word >> 16);
}

/* Add to what a checksum sums up (RFC 1624). */
static __always_inline void check_add(__u16 *check, __u32 sum)
{
	sum = halves(sum + (__u16) ~*check);
	*check = ~halves(sum);
}

SEC("xdp")
int amplify(struct xdp_md *ctx)
{
	(void)ctx;
	return bpf_redirect_map(&out, 0, BPF_F_BROADCAST);
}

SEC("xdp/devmap")
int forge(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	__u64 r = random64();

	if ((void *)(tcp + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	/* All three were zeros. */
	ip->saddr = bpf_htonl(FLOOD_PREFIX | (__u32)(r >> 40));
	tcp->source = bpf_htons(1024 + (r >> 16) % 64000);
	tcp->seq = random64() >> 32;
	check_add(&ip->check, halves(ip->saddr));
	check_add(&tcp->check, halves(ip->saddr) + halves(tcp->seq) + tcp->source);
	return XDP_PASS;
}
