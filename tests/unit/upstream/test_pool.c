/* SPDX-License-Identifier: Apache-2.0 */
/* Upstream connections on a real ring and real sockets: kept, watched, limited, waited for in order. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>

#include "tests/unit/io/loop.h"
#include "upstream/pool.h"

#define IDLE (60 * NSEC_PER_SEC)

static struct pool_limit limit;
static struct pool pools[2];
static struct conf_endpoint endpoints[2];
static int listeners[2];
static unsigned int n_connected;
static unsigned int n_refused;

static void on_data(struct stream *s, struct slice bytes)
{
	(void)s;
	(void)bytes;
}

static void on_end(struct stream *s, int error)
{
	(void)s;
	(void)error;
}

static void on_drained(struct stream *s)
{
	(void)s;
}

static void on_connected(struct stream *s, int error)
{
	if (error) {
		n_refused++;
		return;
	}
	n_connected++;
	container_of(s, struct upstream_conn, stream)->connected = true;
}

static const struct stream_events events = {
	.data = on_data,
	.end = on_end,
	.drained = on_drained,
	.connected = on_connected,
	.closed = upstream_conn_closed,
};

static int setup(void **state)
{
	loop_setup(state);
	n_connected = 0;
	n_refused = 0;
	pool_limit_init(&limit, &ring, 2, 3);
	for (size_t i = 0; i < 2; i++) {
		struct conf_sockaddr *a = &endpoints[i].address;

		listeners[i] = loop_listen((struct sockaddr_in *)&a->ss);
		a->len = sizeof(struct sockaddr_in);
		pool_init(&pools[i], &limit, &endpoints[i], IDLE);
	}
	return 0;
}

static int teardown(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		pool_close(&pools[i]);
		LOOP_UNTIL(pools[i].alive == 0);
		close(listeners[i]);
	}
	LOOP_UNTIL(!limit.waking);
	assert_int_equal(limit.open, 0);
	assert_int_equal(limit.n_pending, 0);
	return loop_teardown(state);
}

/* A connected one. */
static struct upstream_conn *get(struct pool *p)
{
	struct upstream_conn *u = NULL;

	assert_int_equal(pool_get(p, POOL_ANY, &events, NULL, &u), 0);
	LOOP_UNTIL(u->connected);
	return u;
}

static int server_side(size_t i)
{
	int fd;

	LOOP_UNTIL((fd = accept(listeners[i], NULL, NULL)) >= 0);
	return fd;
}

static void test_reuse(void **state)
{
	struct upstream_conn *u, *v;

	(void)state;
	u = get(&pools[0]);
	assert_false(u->reused);
	pool_put(u);
	v = get(&pools[0]);
	assert_ptr_equal(u, v);
	assert_true(v->reused);
	assert_int_equal(n_connected, 1);
	/* Another endpoint's connection is another one. */
	u = get(&pools[1]);
	assert_ptr_not_equal(u, v);
	pool_put(u);
	pool_put(v);
	assert_int_equal(limit.open, 2);
	pool_drop(get(&pools[1]));
	pool_drop(get(&pools[0]));
	assert_int_equal(limit.open, 0);
	assert_int_equal(n_connected, 2);
}

static void test_newest_first(void **state)
{
	struct upstream_conn *u, *v;

	(void)state;
	u = get(&pools[0]);
	v = get(&pools[0]);
	pool_put(u);
	pool_put(v);
	assert_ptr_equal(get(&pools[0]), v);
	pool_drop(v);
}

/* What happens to a connection that nobody uses: the peer closes it or says something that nobody asked for. */
static void test_idle_is_watched(void **state)
{
	struct upstream_conn *u;
	int fd;

	(void)state;
	u = get(&pools[0]);
	fd = server_side(0);
	pool_put(u);
	close(fd);
	LOOP_UNTIL(pools[0].alive == 0);
	assert_int_equal(limit.open, 0);
	u = get(&pools[0]);
	fd = server_side(0);
	pool_put(u);
	assert_int_equal(write(fd, "HTTP/1.1 408", 12), 12);
	LOOP_UNTIL(pools[0].alive == 0);
	close(fd);
}

static void test_idle_timeout(void **state)
{
	(void)state;
	pools[0].idle_timeout = 20 * NSEC_PER_MSEC;
	pool_put(get(&pools[0]));
	assert_int_equal(limit.open, 1);
	LOOP_UNTIL(pools[0].alive == 0);
	assert_true(list_empty(&limit.idle));
}

static void test_broken_is_not_kept(void **state)
{
	struct upstream_conn *u;

	(void)state;
	u = get(&pools[0]);
	/* Something is still to be written: the exchange did not end cleanly. */
	buf_puts(stream_out(&u->stream), "x");
	pool_put(u);
	assert_true(list_empty(&pools[0].idle));
	u = get(&pools[0]);
	pool_close(&pools[0]);
	pool_put(u);
	assert_true(list_empty(&pools[0].idle));
}

static void test_refused(void **state)
{
	struct upstream_conn *u = NULL;

	(void)state;
	close(listeners[0]);
	assert_int_equal(pool_get(&pools[0], POOL_ANY, &events, NULL, &u), 0);
	LOOP_UNTIL(n_refused == 1);
	pool_drop(u);
	LOOP_UNTIL(pools[0].alive == 0);
	listeners[0] = -1;
}

static void test_limit(void **state)
{
	struct upstream_conn *u, *v, *none = NULL;

	(void)state;
	u = get(&pools[0]);
	v = get(&pools[1]);
	assert_int_equal(pool_get(&pools[0], POOL_ANY, &events, NULL, &none), -EBUSY);
	assert_int_equal(pool_get(&pools[1], POOL_FRESH, &events, NULL, &none), -EBUSY);
	/* An idle one of the other endpoint makes room. */
	pool_put(v);
	none = get(&pools[0]);
	assert_true(list_empty(&pools[1].idle));
	assert_int_equal(limit.open, 2);
	pool_drop(u);
	pool_drop(none);
}

struct request {
	struct pool_waiter waiter;
	struct pool *pool;
	struct upstream_conn *conn;
	unsigned int turn; /* the how-manyeth it was */
};

static unsigned int turns;

static void ready(struct pool_waiter *w)
{
	struct request *r = container_of(w, struct request, waiter);

	assert_null(w->pool);
	r->turn = ++turns;
	assert_int_equal(pool_get(r->pool, POOL_WAITED, &events, r, &r->conn), 0);
}

static int wait_for(struct request *r, size_t i)
{
	*r = (struct request){.waiter.ready = ready, .pool = &pools[i]};
	return pool_wait(r->pool, &r->waiter);
}

static void test_waiters_in_order(void **state)
{
	struct upstream_conn *u, *v, *none = NULL;
	struct request r[4];

	(void)state;
	turns = 0;
	u = get(&pools[0]);
	v = get(&pools[0]);
	assert_int_equal(wait_for(&r[0], 0), 0);
	assert_int_equal(wait_for(&r[1], 1), 0);
	assert_int_equal(wait_for(&r[2], 0), 0);
	assert_int_equal(wait_for(&r[3], 0), -EBUSY);
	assert_int_equal(limit.n_pending, 3);
	loop_turns(3);
	assert_int_equal(turns, 0);
	pool_put(u);
	/* Not called by the one who makes room, and nobody gets in between. */
	assert_int_equal(turns, 0);
	assert_int_equal(pool_get(&pools[0], POOL_ANY, &events, NULL, &none), -EBUSY);
	LOOP_UNTIL(r[0].turn == 1);
	assert_ptr_equal(r[0].conn, u);
	loop_turns(3);
	assert_int_equal(turns, 1);
	/* A slot that frees is room as well; the second waits for another endpoint. */
	pool_drop(v);
	LOOP_UNTIL(r[1].turn == 2);
	assert_ptr_equal(r[1].conn->pool, &pools[1]);
	LOOP_UNTIL(r[1].conn->connected);
	/* The connection that comes back is the other endpoint's: it goes, for a new one. */
	pool_put(r[1].conn);
	LOOP_UNTIL(r[2].turn == 3);
	assert_ptr_equal(r[2].conn->pool, &pools[0]);
	assert_false(r[2].conn->reused);
	assert_int_equal(limit.open, 2);
	pool_drop(r[0].conn);
	pool_drop(r[2].conn);
}

static void test_waiters_leave(void **state)
{
	struct upstream_conn *u, *v;
	struct request r[3];

	(void)state;
	turns = 0;
	u = get(&pools[0]);
	v = get(&pools[0]);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(wait_for(&r[i], 0), 0);
	pool_wait_cancel(&r[0].waiter);
	pool_wait_cancel(&r[0].waiter);
	assert_int_equal(limit.n_pending, 2);
	pool_put(u);
	/* Woken already, and gone before it is its turn. */
	pool_wait_cancel(&r[1].waiter);
	LOOP_UNTIL(turns == 1);
	assert_int_equal(r[2].turn, 1);
	pool_drop(v);
	pool_drop(r[2].conn);
	loop_turns(3);
	assert_int_equal(turns, 1);
}

/* Two places free in one turn: two get in. And a connection made anew after one broke keeps its place. */
static void test_all_that_fit(void **state)
{
	struct upstream_conn *u, *v, *fresh = NULL;
	struct request r[3];

	(void)state;
	turns = 0;
	u = get(&pools[0]);
	v = get(&pools[0]);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(wait_for(&r[i], i % 2), 0);
	pool_drop(u);
	assert_int_equal(pool_get(&pools[0], POOL_FRESH, &events, NULL, &fresh), 0);
	loop_turns(3);
	assert_int_equal(turns, 0);
	pool_drop(fresh);
	pool_drop(v);
	LOOP_UNTIL(turns == 2);
	assert_true(r[0].turn == 1 && r[1].turn == 2);
	pool_drop(r[0].conn);
	LOOP_UNTIL(turns == 3);
	pool_drop(r[1].conn);
	pool_drop(r[2].conn);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reuse),	 TEST(test_newest_first),	TEST(test_idle_is_watched),
		TEST(test_idle_timeout), TEST(test_broken_is_not_kept), TEST(test_refused),
		TEST(test_limit),	 TEST(test_waiters_in_order),	TEST(test_waiters_leave),
		TEST(test_all_that_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
