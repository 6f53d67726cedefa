/* SPDX-License-Identifier: Apache-2.0 */
/* A real ring for tests, turned until something holds. Include after cmocka.h. */
#ifndef TESTS_IO_LOOP_H
#define TESTS_IO_LOOP_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/ring.h"

static struct ring ring;

static void loop_tick(struct timer *t, uint64_t now)
{
	timer_set(&ring.timers, t, now + 5 * NSEC_PER_MSEC);
}

static struct timer loop_timer;

static inline int loop_setup(void **state)
{
	struct error err;

	(void)state;
	if (ring_init(&ring, &err) < 0)
		fail_msg("%s", err.text);
	/* So that a turn never waits for long. */
	timer_init(&loop_timer, loop_tick);
	loop_tick(&loop_timer, ring.now);
	return 0;
}

static inline int loop_teardown(void **state)
{
	(void)state;
	ring_fini(&ring);
	return 0;
}

/* Turn the ring until the condition holds; it must within ten seconds. */
#define LOOP_UNTIL(condition)                                                                      \
	do {                                                                                       \
		uint64_t end_ = clock_mono() + 10 * NSEC_PER_SEC;                                  \
                                                                                                   \
		while (!(condition)) {                                                             \
			assert_int_equal(ring_turn(&ring), 0);                                     \
			if (clock_mono() > end_)                                                   \
				fail_msg("never: %s", #condition);                                 \
		}                                                                                  \
	} while (0)

/* Some turns in which nothing is expected to happen. */
static inline void loop_turns(int n)
{
	while (n--)
		assert_int_equal(ring_turn(&ring), 0);
}

/* A listening socket on a free port of the loopback. */
static inline int loop_listen(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	*addr = (struct sockaddr_in){.sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)addr, sizeof(*addr)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)addr, &len), 0);
	return fd;
}

#endif
