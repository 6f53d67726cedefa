/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* At the far end of the gateway's cable: answers to the flood go away, as on a wire; everything else is the client's. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bench/flood.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("xdp.frags")
int wire(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	return (ip->daddr & bpf_htonl(FLOOD_MASK)) == bpf_htonl(FLOOD_PREFIX) ? XDP_DROP : XDP_PASS;
}
