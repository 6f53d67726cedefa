/* SPDX-License-Identifier: Apache-2.0 */
/* Durations in buckets of 1, 2.5 and 5 to the decade, from 25 microseconds to 10 seconds. */
#ifndef METRICS_HISTOGRAM_H
#define METRICS_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 19 /* the last one has no bound */

struct histogram {
	uint64_t buckets[HISTOGRAM_BUCKETS]; /* each alone, not cumulative */
	uint64_t sum;			     /* ns */
};

/* Inclusive upper bounds in ns, and as Prometheus writes them in seconds. */
extern const uint64_t histogram_bounds[HISTOGRAM_BUCKETS];
extern const char *const histogram_le[HISTOGRAM_BUCKETS];

/* By the highest bit of a value: the first bucket that one of them may be in. */
extern const uint8_t histogram_first[64];

/* Bounds are at least a factor of two apart, so it is the first candidate or the one after it. */
static inline unsigned int histogram_bucket(uint64_t nsec)
{
	unsigned int i = histogram_first[63 - __builtin_clzll(nsec | 1)];

	return i + (nsec > histogram_bounds[i]);
}

#endif
