/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Somebody else's program, which shares an interface with the guard: it counts the IPv4 packets that it meets. */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} met SEC(".maps");

SEC("xdp")
int second(struct xdp_md *ctx)
{
	const struct ethhdr *eth = (void *)(long)ctx->data;
	__u32 key = 0;
	__u64 *n = bpf_map_lookup_elem(&met, &key);

	if (n && (void *)(long)ctx->data_end >= (void *)(eth + 1) &&
	    eth->h_proto == bpf_htons(ETH_P_IP))
		__sync_fetch_and_add(n, 1);
	return XDP_PASS;
}
