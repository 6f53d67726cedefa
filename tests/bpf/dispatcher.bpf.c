/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program with the name of the one by which libxdp lets several share an interface. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("xdp")
int xdp_dispatcher(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}
