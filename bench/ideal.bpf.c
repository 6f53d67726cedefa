/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A filter that can't be had: it knows the flood's prefix, and drops it by one comparison. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bench/flood.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("xdp.frags")
int ideal(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	return (ip->saddr & bpf_htonl(FLOOD_MASK)) == bpf_htonl(FLOOD_PREFIX) ? XDP_DROP : XDP_PASS;
}
