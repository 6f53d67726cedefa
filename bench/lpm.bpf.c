/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a deny list costs without the guard: an LPM trie for each family, which the kernel's own documentation suggests,
 * and as little around it as there can be.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define DEFINE_TRIE(name, prefix)                                                                  \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);                                               \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__uint(max_entries, 1 << 24);                                                      \
		__type(key, struct prefix);                                                        \
		__type(value, __u32);                                                              \
	} name SEC(".maps")

DEFINE_TRIE(trie4, prefix4);
DEFINE_TRIE(trie6, prefix6);

SEC("xdp.frags")
int lpm(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct iphdr *ip4 = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)(eth + 1);

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP) && (void *)(ip4 + 1) <= end) {
		struct prefix4 key = {.prefixlen = 32};

		__builtin_memcpy(key.addr, &ip4->saddr, sizeof(key.addr));
		return bpf_map_lookup_elem(&trie4, &key) ? XDP_DROP : XDP_PASS;
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6) && (void *)(ip6 + 1) <= end) {
		struct prefix6 key = {.prefixlen = 128};

		__builtin_memcpy(key.addr, &ip6->saddr, sizeof(key.addr));
		return bpf_map_lookup_elem(&trie6, &key) ? XDP_DROP : XDP_PASS;
	}
	return XDP_PASS;
}
