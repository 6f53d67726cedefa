/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The empty XDP program: what a peer of veth needs to take frames from XDP_TX, and what the guard's cost is compared with. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("xdp.frags")
int pass(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}
