/* SPDX-License-Identifier: Apache-2.0 */
/* The wheel against a list of deadlines: never early, late by two ticks at most, each once. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>

#include "base/timer.h"

#define TIMERS 200

struct entry {
	struct timer timer;
	uint64_t due; /* 0: must not fire */
	unsigned int fired;
};

static uint64_t last_advance;

static void fire(struct timer *t, uint64_t now)
{
	struct entry *e = container_of(t, struct entry, timer);

	assert_true(e->due != 0);
	assert_true(now >= e->due);
	/* It was not due at the advance before, give or take the resolution. */
	assert_true(e->due + 2 * TIMER_TICK_NSEC > last_advance);
	e->due = 0;
	e->fired++;
}

static uint64_t random_below(uint64_t n)
{
	return (((uint64_t)random() << 31) ^ (uint64_t)random()) % n;
}

static void test_random(void **state)
{
	static struct entry entries[TIMERS];
	struct timer_wheel wheel;
	uint64_t now = 123456789;

	(void)state;
	srandom(1);
	timer_wheel_init(&wheel, now);
	last_advance = now;
	for (size_t i = 0; i < TIMERS; i++)
		timer_init(&entries[i].timer, fire);
	for (int turn = 0; turn < 20000; turn++) {
		struct entry *e = &entries[random_below(TIMERS)];
		uint64_t span = 1ULL << (20 + random_below(24));
		uint64_t earliest = UINT64_MAX;

		if (random_below(4) == 0) {
			timer_stop(&e->timer);
			e->due = 0;
		} else {
			e->due = now + 1 + random_below(span);
			timer_set(&wheel, &e->timer, e->due);
		}
		for (size_t i = 0; i < TIMERS; i++)
			if (entries[i].due && entries[i].due < earliest)
				earliest = entries[i].due;
		/* Whoever sleeps as long as it is told does not oversleep the first deadline. */
		if (earliest != UINT64_MAX && earliest > now)
			assert_true(timer_next(&wheel, now) <=
				    earliest - now + 2 * TIMER_TICK_NSEC);
		now += random_below(1ULL << (18 + random_below(16)));
		timer_advance(&wheel, now);
		last_advance = now;
	}
	for (size_t i = 0; i < TIMERS; i++)
		if (entries[i].due)
			assert_true(timer_armed(&entries[i].timer));
	now += 1ULL << 46;
	last_advance = 0;
	timer_advance(&wheel, now);
	for (size_t i = 0; i < TIMERS; i++)
		assert_int_equal(entries[i].due, 0);
	assert_true(timer_next(&wheel, now) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
