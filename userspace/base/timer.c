/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timer.h"

#include <assert.h>

#define SLOT_MASK (TIMER_SLOTS - 1)
/* Beyond the wheel's span a timer waits in the last slot that it reaches and is placed anew from there. */
#define SPAN_TICKS ((1ULL << (TIMER_LEVELS * TIMER_SLOT_BITS)) - 1)

static unsigned int shift_of(unsigned int level)
{
	return level * TIMER_SLOT_BITS;
}

void timer_wheel_init(struct timer_wheel *w, uint64_t now)
{
	*w = (struct timer_wheel){.tick = now / TIMER_TICK_NSEC};
	for (unsigned int l = 0; l < TIMER_LEVELS; l++)
		for (unsigned int s = 0; s < TIMER_SLOTS; s++)
			list_init(&w->slots[l][s]);
}

static void place(struct timer_wheel *w, struct timer *t)
{
	/* Round up: never early. The tick in progress has been handled, so the next is the first possible. */
	uint64_t due = t->deadline / TIMER_TICK_NSEC + 1;
	unsigned int level = 0;
	unsigned int slot;
	uint64_t delta;

	if (due <= w->tick)
		due = w->tick + 1;
	delta = due - w->tick;
	if (delta > SPAN_TICKS - (1ULL << shift_of(TIMER_LEVELS - 1)))
		due = w->tick + SPAN_TICKS - (1ULL << shift_of(TIMER_LEVELS - 1));
	delta = due - w->tick;
	while (delta >= 1ULL << shift_of(level + 1))
		level++;
	slot = (due >> shift_of(level)) & SLOT_MASK;
	t->slot_tick = due;
	list_add_tail(&w->slots[level][slot], &t->node);
	w->busy[level] |= 1ULL << slot;
}

void timer_set(struct timer_wheel *w, struct timer *t, uint64_t deadline)
{
	assert(deadline != 0);
	t->deadline = deadline;
	if (!list_empty(&t->node)) {
		/* Later than the wheel will look anyway: it will be placed anew then. */
		if (deadline / TIMER_TICK_NSEC + 1 >= t->slot_tick)
			return;
		list_del(&t->node);
	}
	place(w, t);
}

static void run_slot(struct timer_wheel *w, unsigned int level, unsigned int slot, uint64_t now)
{
	struct list due = LIST_INIT(due);
	struct list *node;

	list_splice_tail(&due, &w->slots[level][slot]);
	w->busy[level] &= ~(1ULL << slot);
	while ((node = list_pop(&due))) {
		struct timer *t = container_of(node, struct timer, node);

		if (t->deadline == 0)
			continue;
		if (t->deadline > now || t->deadline / TIMER_TICK_NSEC >= w->tick) {
			place(w, t);
			continue;
		}
		t->deadline = 0;
		t->fire(t, now);
	}
}

void timer_advance(struct timer_wheel *w, uint64_t now)
{
	uint64_t target = now / TIMER_TICK_NSEC;

	while (w->tick < target) {
		uint64_t any = 0;

		for (unsigned int l = 0; l < TIMER_LEVELS; l++)
			any |= w->busy[l];
		if (!any) {
			w->tick = target;
			return;
		}
		w->tick++;
		/* When a level's index wraps, the next level's current slot is spread over the lower ones. */
		for (unsigned int l = TIMER_LEVELS - 1; l > 0; l--)
			if ((w->tick & ((1ULL << shift_of(l)) - 1)) == 0)
				run_slot(w, l, (w->tick >> shift_of(l)) & SLOT_MASK, now);
		run_slot(w, 0, w->tick & SLOT_MASK, now);
	}
}

uint64_t timer_next(const struct timer_wheel *w, uint64_t now)
{
	uint64_t best = UINT64_MAX;

	for (unsigned int l = 0; l < TIMER_LEVELS; l++) {
		unsigned int at = (w->tick >> shift_of(l)) & SLOT_MASK;
		uint64_t bits = w->busy[l];
		uint64_t rotated;
		uint64_t tick;

		if (!bits)
			continue;
		/* Slots in the order in which the wheel reaches them, the one after the current first. */
		at = (at + 1) & SLOT_MASK;
		rotated = at ? (bits >> at) | (bits << (TIMER_SLOTS - at)) : bits;
		tick = ((w->tick >> shift_of(l)) + 1 + (uint64_t)__builtin_ctzll(rotated))
		       << shift_of(l);
		if (tick < best)
			best = tick;
	}
	if (best == UINT64_MAX)
		return best;
	best *= TIMER_TICK_NSEC;
	return best > now ? best - now : 0;
}
