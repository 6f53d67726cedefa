/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The floor for answering a SYN with the kernel's cookie: the helpers that it takes, and no answer. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SYN_LEN 40 /* a header with 20 bytes of options */

static __always_inline int answer(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u32 size,
				  void *ip, __u32 ip_len, struct tcphdr *tcp)
{
	struct bpf_sock *sk = bpf_skc_lookup_tcp(ctx, tuple, size, BPF_F_CURRENT_NETNS, 0);
	__s64 cookie;

	if (!sk)
		return XDP_PASS;
	cookie = bpf_tcp_gen_syncookie(sk, ip, ip_len, tcp, SYN_LEN);
	bpf_sk_release(sk);
	return cookie < 0 ? XDP_PASS : XDP_TX;
}

SEC("xdp.frags")
int cookie(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct iphdr *ip4 = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct bpf_sock_tuple tuple;
	struct tcphdr *tcp;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		tcp = (void *)(ip4 + 1);
		if ((void *)tcp + SYN_LEN > end)
			return XDP_PASS;
		__builtin_memcpy(&tuple.ipv4.saddr, &ip4->saddr, 8);
		__builtin_memcpy(&tuple.ipv4.sport, &tcp->source, 4);
		return answer(ctx, &tuple, sizeof(tuple.ipv4), ip4, sizeof(*ip4), tcp);
	}
	tcp = (void *)(ip6 + 1);
	if ((void *)tcp + SYN_LEN > end)
		return XDP_PASS;
	__builtin_memcpy(&tuple.ipv6.saddr, &ip6->saddr, 32);
	__builtin_memcpy(&tuple.ipv6.sport, &tcp->source, 4);
	return answer(ctx, &tuple, sizeof(tuple.ipv6), ip6, sizeof(*ip6), tcp);
}
