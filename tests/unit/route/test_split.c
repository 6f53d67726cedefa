/* SPDX-License-Identifier: Apache-2.0 */
/* Shares of a canary: exact over any stretch of requests, and the same for the same client where asked. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>

#include "route/split.h"

static const struct hash_key key = {1, 2};
static struct http_head head;

static void test_one(void **state)
{
	struct conf_split split[] = {{.service = 7, .weight = 1}};
	struct conf_route r = {.split = split, .n_split = 1};

	(void)state;
	for (uint64_t turn = 0; turn < 100; turn++)
		assert_int_equal(split_pick(&r, &head, turn, &key), 7);
}

static void test_shares(void **state)
{
	struct conf_split split[] = {{0, 90}, {1, 0}, {2, 10}};
	struct conf_route r = {.split = split, .n_split = 3};

	(void)state;
	for (uint64_t from = 0; from < 100000; from += 777) {
		unsigned int n[3] = {0};

		for (uint64_t turn = from; turn < from + 1000; turn++)
			n[split_pick(&r, &head, turn, &key)]++;
		assert_int_equal(n[1], 0);
		assert_in_range(n[2], 98, 102);
	}
}

static void test_largest_weights(void **state)
{
	struct conf_split split[] = {{0, 1000000}, {1, 1000000}, {2, 1}};
	struct conf_route r = {.split = split, .n_split = 3};
	unsigned int n[3] = {0};

	(void)state;
	for (uint64_t turn = 0; turn < 10000; turn++)
		n[split_pick(&r, &head, turn, &key)]++;
	assert_in_range(n[0], 4990, 5010);
	assert_in_range(n[2], 0, 2);
}

static void sticky(enum conf_sticky kind, const char *name, const char *field, const char *format)
{
	struct conf_split split[] = {{0, 90}, {1, 10}};
	struct conf_route r = {
		.split = split, .n_split = 2, .sticky = kind, .sticky_name = slice_str(name)};
	unsigned int second = 0;

	for (int client = 0; client < 5000; client++) {
		char value[32];
		size_t first;

		snprintf(value, sizeof(value), format, client);
		memset(&head, 0, sizeof(head));
		http_head_add(&head, slice_str(field), slice_str(value));
		first = split_pick(&r, &head, 0, &key);
		for (uint64_t turn = 1; turn < 20; turn++)
			assert_int_equal(split_pick(&r, &head, turn, &key), first);
		second += first == 1;
	}
	assert_in_range(second, 400, 600);
	/* Without the value the turn decides. */
	memset(&head, 0, sizeof(head));
	second = 0;
	for (uint64_t turn = 0; turn < 1000; turn++)
		second += split_pick(&r, &head, turn, &key) == 1;
	assert_in_range(second, 98, 102);
}

static void test_sticky(void **state)
{
	(void)state;
	sticky(CONF_STICKY_HEADER, "x-who", "X-Who", "c%d");
	sticky(CONF_STICKY_COOKIE, "who", "Cookie", "a=b; who=c%d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_largest_weights),
		cmocka_unit_test(test_sticky),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
