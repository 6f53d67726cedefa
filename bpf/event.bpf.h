/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Samples of packets for sluice watch, while it holds a lease: without one they cost a load a dropped packet. */
#ifndef BPF_EVENT_BPF_H
#define BPF_EVENT_BPF_H

#include "bpf/bucket.bpf.h"
#include "bpf/clock.bpf.h"
#include "bpf/maps.bpf.h"
#include "bpf/parse.bpf.h"

/* A frame as it is when the guard has done with it: of an answered SYN it is the answer. */
static __always_inline void event_fill(struct xdp_md *ctx, const struct event_head *head,
				       struct event *e)
{
	__u32 bytes = bpf_xdp_get_buff_len(ctx);
	__u32 n = bytes < EVENT_FRAME ? bytes : EVENT_FRAME;

	e->head = *head;
	e->time = bpf_ktime_get_ns();
	e->ifindex = ctx->ingress_ifindex;
	e->bytes = bytes;
	/*
	 * The verifier wants to see both bounds, each on its own, and Linux 6.1 learns nothing of "not 0"; a frame has at
	 * least its Ethernet header.
	 */
	barrier_var(n);
	if (n < ETH_HLEN)
		n = ETH_HLEN;
	barrier_var(n);
	if (n > EVENT_FRAME || bpf_xdp_load_bytes(ctx, 0, e->frame, n))
		n = 0;
	e->captured = n;
}

/* Global, so that the verifier looks at it once. */
__noinline int event_send(struct xdp_md *ctx, const struct event_head *head)
{
	__u32 key = 0;
	struct watch *w = bpf_map_lookup_elem(&watch, &key);
	struct watch_counts *counts = bpf_map_lookup_elem(&watch_counts, &key);
	__u64 until, now = clock_coarse();
	struct event *e;

	if (!w || !counts || !head || !(w->reasons >> (head->reason & 63) & 1))
		return 0;
	until = *(volatile __u64 *)&w->until;
	if (now >= until) {
		__sync_val_compare_and_swap(&w->until, until, 0);
		return 0;
	}
	if (!bucket_charge(&w->full_at, now, w->interval, w->burst)) {
		counts->suppressed++;
		return 0;
	}
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		counts->lost++;
		return 0;
	}
	event_fill(ctx, head, e);
	bpf_ringbuf_submit(e, 0);
	counts->sent++;
	return 0;
}

static __always_inline void event_offer(struct xdp_md *ctx, const struct packet *p,
					enum reason reason)
{
	__u32 key = 0;
	const struct watch *w = bpf_map_lookup_elem(&watch, &key);

	if (w && w->until) {
		struct event_head head = {
			.reason = reason,
			.family = p->family,
			.protocol = p->protocol,
			.set = reason == REASON_LISTED ? p->set : 0,
			.ip = p->ip,
		};

		event_send(ctx, &head);
	}
}

#endif
