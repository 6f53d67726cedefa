/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hierarchical timing wheel (Varghese and Lauck, 1987) for one thread: deadlines of connections, most of
 * which are moved forward again and again and never expire. Setting one later than it stands is a store.
 */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define TIMER_TICK_NSEC                                                                            \
	4194304ULL /* 2^22 ns, about 4 ms: the resolution; timers fire late, never early */
#define TIMER_LEVELS	4
#define TIMER_SLOT_BITS 6
#define TIMER_SLOTS	(1 << TIMER_SLOT_BITS)

struct timer;
typedef void timer_fn(struct timer *t, uint64_t now);

struct timer {
	struct list node;  /* in a slot while queued */
	uint64_t deadline; /* CLOCK_MONOTONIC ns; 0: not armed */
	uint64_t
		slot_tick; /* tick at which the wheel looks at it next, never after the deadline's */
	timer_fn *fire;
};

struct timer_wheel {
	uint64_t tick;		     /* ticks processed */
	uint64_t busy[TIMER_LEVELS]; /* a bit for each slot that is not empty */
	struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};

void timer_wheel_init(struct timer_wheel *w, uint64_t now);

static inline void timer_init(struct timer *t, timer_fn *fire)
{
	list_init(&t->node);
	t->deadline = 0;
	t->slot_tick = 0;
	t->fire = fire;
}

static inline bool timer_armed(const struct timer *t)
{
	return t->deadline != 0;
}

/* (Re)arm for deadline (ns, > 0). A deadline in the past fires at the next advance. */
void timer_set(struct timer_wheel *w, struct timer *t, uint64_t deadline);

/* Disarm without touching the wheel: the node leaves its slot when the wheel comes by. */
static inline void timer_stop(struct timer *t)
{
	t->deadline = 0;
}

/* Disarm and unlink: before the object that embeds the timer is freed. */
static inline void timer_fini(struct timer *t)
{
	t->deadline = 0;
	list_del(&t->node);
}

/* Fire all that is due. Callbacks may set, stop and free any timer, their own too. */
void timer_advance(struct timer_wheel *w, uint64_t now);

/* ns from now until the wheel must be advanced again; UINT64_MAX when it is empty. */
uint64_t timer_next(const struct timer_wheel *w, uint64_t now);

#endif
