/* SPDX-License-Identifier: Apache-2.0 */
/* Output queues: order and loans, whatever is appended and however little goes at a time. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>

#include "io/outq.h"
#include "tests/unit/io/loop.h"

/* A receive buffer as a completion brings it, filled with text that tells its place. */
static struct slice receive(unsigned int *ret_id)
{
	unsigned int id = ring.buf_free[--ring.n_free];
	char *at = ring_buf(&ring, id);

	ring.buf_refs[id] = 1;
	for (size_t i = 0; i < RING_BUF_SIZE; i++)
		at[i] = (char)(random() & 127);
	*ret_id = id;
	return slice_make(at, RING_BUF_SIZE);
}

static void append(struct buf *to, const struct outq *q)
{
	struct iovec iov[OUTQ_IOVS];
	unsigned int n = outq_iov(q, iov);

	assert_in_range(n, 0, OUTQ_IOVS);
	for (unsigned int i = 0; i < n; i++) {
		assert_int_not_equal(iov[i].iov_len, 0);
		buf_append(to, iov[i].iov_base, iov[i].iov_len);
	}
}

static void test_random(void **state)
{
	unsigned int free_before = ring.n_free;
	struct buf want, got;
	struct outq q;

	(void)state;
	srandom(1);
	outq_init(&q, &ring, 1 << 20);
	buf_init(&want, 64 << 20);
	buf_init(&got, 64 << 20);
	for (int round = 0; round < 300; round++) {
		for (long i = random() % 8; i > 0; i--) {
			unsigned int id;
			struct slice bytes = receive(&id);
			size_t skip = (size_t)random() % 1000;
			size_t len = random() % 3 ? bytes.len - skip : (size_t)random() % 4000;

			bytes = slice_first(slice_skip(bytes, skip), len);
			if (random() % 2) {
				buf_puts(&q.own, "own");
				buf_puts(&want, "own");
			}
			outq_put(&q, bytes);
			buf_put(&want, bytes);
			ring_buf_unref(&ring, id);
		}
		assert_int_equal(outq_len(&q), buf_len(&want));
		buf_clear(&got);
		append(&got, &q);
		assert_true(slice_eq(buf_slice(&got), buf_slice(&want)));
		for (int i = 0; i < 4 && outq_len(&q); i++) {
			size_t n = (size_t)random() % (outq_len(&q) + 1);

			if (random() % 4 == 0)
				n = outq_len(&q);
			outq_consume(&q, n);
			buf_consume(&want, n);
		}
		if (outq_len(&q) > (1 << 19)) {
			buf_consume(&want, outq_len(&q));
			outq_consume(&q, outq_len(&q));
		}
		assert_false(q.own.failed);
	}
	outq_fini(&q);
	assert_int_equal(ring.n_free, free_before);
	buf_fini(&want);
	buf_fini(&got);
}

/* With half of all buffers on loan bytes are copied, so that receiving goes on. */
static void test_loans_end(void **state)
{
	static struct outq q[RING_BUF_COUNT];
	unsigned int free_before = ring.n_free;
	size_t n = 0;

	(void)state;
	for (; n < RING_BUF_COUNT; n++) {
		unsigned int id;
		struct slice bytes = receive(&id);

		outq_init(&q[n], &ring, RING_BUF_SIZE);
		outq_put(&q[n], bytes);
		ring_buf_unref(&ring, id);
		if (!q[n].n_loans)
			break;
	}
	assert_in_range(n, RING_BUF_COUNT / 2 - RING_BUF_OFFERED, RING_BUF_COUNT / 2);
	assert_int_equal(buf_len(&q[n].own), RING_BUF_SIZE);
	for (size_t i = 0; i <= n; i++)
		outq_fini(&q[i]);
	assert_int_equal(ring.n_free, free_before);
}

/* What lies elsewhere, or is little, is copied. */
static void test_copies(void **state)
{
	static const char text[OUTQ_LEND];
	unsigned int id;
	struct slice bytes = receive(&id);
	struct outq q;

	(void)state;
	outq_init(&q, &ring, 1 << 20);
	outq_put(&q, slice_make(text, sizeof(text)));
	outq_put(&q, slice_first(bytes, OUTQ_LEND - 1));
	assert_int_equal(q.n_loans, 0);
	outq_put(&q, slice_first(bytes, OUTQ_LEND));
	assert_int_equal(q.n_loans, 1);
	ring_buf_unref(&ring, id);
	outq_fini(&q);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_random),
		TEST(test_loans_end),
		TEST(test_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
