/* SPDX-License-Identifier: Apache-2.0 */
/* Time as nanoseconds in 64 bits. Workers read the clock once a loop turn and pass it on. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NSEC_PER_USEC 1000ULL
#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_SEC  1000000000ULL

static inline uint64_t clock_read(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* For deadlines and durations. */
static inline uint64_t clock_mono(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

/* As entries of the packet plane's maps note their ends. */
static inline uint32_t clock_seconds(void)
{
	return (uint32_t)(clock_mono() / NSEC_PER_SEC);
}

/* For what people and tokens see; may jump. */
static inline uint64_t clock_wall(void)
{
	return clock_read(CLOCK_REALTIME);
}

#endif
