/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every packet ends here: one reason, its counter, its verdict; some are looked at more closely. What happens on the way is
 * tallied.
 */
#ifndef BPF_STATS_BPF_H
#define BPF_STATS_BPF_H

#include "bpf/ban.bpf.h"
#include "bpf/event.bpf.h"
#include "bpf/maps.bpf.h"
#include "bpf/talk.bpf.h"

static __always_inline void tally(enum tally what)
{
	__u32 key = 0;
	__u64 *t = bpf_map_lookup_elem(&tallies, &key);

	if (t)
		t[what]++;
}

static __always_inline int verdict_of(enum reason reason)
{
	switch (reason) {
#define GUARD_REASON(id, name, verdict, help)                                                      \
	case REASON_##id:                                                                          \
		return XDP_##verdict;
		GUARD_REASONS(GUARD_REASON)
#undef GUARD_REASON
	default:
		return XDP_ABORTED;
	}
}

/* What passes in spite of a ban, for it is in shadow mode, is counted as banned. */
static __always_inline int finish(struct xdp_md *ctx, const struct packet *p, enum reason reason)
{
	int verdict = verdict_of(reason);
	__u32 key = 0;
	struct counter *c = bpf_map_lookup_elem(&counters, &key);
	bool sampled;

	if (verdict == XDP_PASS && ban_marked(p))
		reason = REASON_BANNED;
	barrier_var(reason); /* or the compiler checks another copy of it than it uses */
	if (!c || reason >= REASON_COUNT)
		return verdict;
	sampled = c[reason].packets++ % TALK_SAMPLE == 0;
	c[reason].bytes += p->bytes;
	if (sampled && p->source)
		talk(p->source, p->bytes, reason, verdict == XDP_DROP);
	if (sampled || verdict == XDP_DROP)
		event_offer(ctx, p, reason);
	return verdict;
}

#endif
