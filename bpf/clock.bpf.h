/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Time as the guard reads it, at most once a packet and by the cheapest clock that will do. */
#ifndef BPF_CLOCK_BPF_H
#define BPF_CLOCK_BPF_H

#include <stdbool.h>

#include "bpf/maps.bpf.h"

/* For tests, and for sluice why: time stands where test_now says. */
const volatile bool test_clock;
__u64 test_now;

/*
 * The coarse clock advances with the timer tick, 1 to 10 ms, and costs a third of the other. It does for buckets that are
 * deeper than two ticks: what they give is late by one tick at most, and never more in sum.
 */

static __always_inline __u64 clock_coarse(void)
{
	return test_clock ? test_now : bpf_ktime_get_coarse_ns();
}

static __always_inline __u64 clock_exact(void)
{
	return test_clock ? test_now : bpf_ktime_get_ns();
}

/* Fine enough for the buckets of these rules. */
static __always_inline __u64 clock_now(const struct policy *rules)
{
	return rules->exact_clock ? clock_exact() : clock_coarse();
}

static __always_inline __u32 clock_seconds(void)
{
	return clock_coarse() / 1000000000ULL;
}

#endif
