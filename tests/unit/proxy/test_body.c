/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies change their framing on the way; trailers pass only where they are asked for. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>

#include "proxy/body.h"

static const char chunks[] = "5\r\nhello\r\n0\r\nX-User: eve\r\nContent-Length: 3\r\n"
			     "x-own: 1\r\n\r\nrest";

static bool not_x_own(const struct body *b, struct slice name)
{
	assert_true(b->out_chunked);
	return !slice_ieq(name, SLICE("X-Own"));
}

static void move(struct body *b, const char *text, const char *expect, const char *rest)
{
	struct slice in = slice_str(text);
	struct outq out;

	outq_init(&out, NULL, 4096);
	assert_int_equal(body_move(b, &in, &out), 0);
	assert_true(slice_eq(buf_slice(&out.own), slice_str(expect)));
	assert_true(slice_eq(in, slice_str(rest)));
	outq_fini(&out);
}

static void test_chunked(void **state)
{
	struct body b;

	(void)state;
	body_init(&b, BODY_CHUNKED, 0, true);
	move(&b, chunks, "5\r\nhello\r\n0\r\n\r\n", "rest");
	assert_true(b.done && b.bytes == 5);
	body_init(&b, BODY_CHUNKED, 0, true);
	b.trailer = not_x_own;
	move(&b, chunks, "5\r\nhello\r\n0\r\nX-User: eve\r\n\r\n", "rest");
	body_init(&b, BODY_CHUNKED, 0, false);
	b.trailer = not_x_own;
	move(&b, chunks, "hello", "rest");
}

static void test_length(void **state)
{
	struct body b;

	(void)state;
	body_init(&b, BODY_LENGTH, 5, false);
	move(&b, "hel", "hel", "");
	assert_false(b.done);
	move(&b, "lo GET", "lo", " GET");
	assert_true(b.done);
}

static void test_close(void **state)
{
	struct body b;
	struct outq out;

	(void)state;
	outq_init(&out, NULL, 64);
	body_init(&b, BODY_CLOSE, 0, true);
	move(&b, "abc", "3\r\nabc\r\n", "");
	assert_int_equal(body_eof(&b, &out), 0);
	assert_true(slice_eq(buf_slice(&out.own), SLICE("0\r\n\r\n")));
	body_init(&b, BODY_LENGTH, 5, false);
	assert_int_equal(body_eof(&b, &out), -EPIPE);
	outq_fini(&out);
}

static void test_errors(void **state)
{
	struct slice bad = SLICE("x\r\n");
	struct slice big = SLICE("0123456789");
	struct body b;
	struct outq out;

	(void)state;
	outq_init(&out, NULL, 4);
	body_init(&b, BODY_CHUNKED, 0, true);
	assert_int_equal(body_move(&b, &bad, &out), -EBADMSG);
	body_init(&b, BODY_LENGTH, 10, false);
	assert_int_equal(body_move(&b, &big, &out), -ENOBUFS);
	outq_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunked),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
