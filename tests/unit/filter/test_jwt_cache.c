/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/jwt_cache.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ROOMY (1U << 20)

static const struct jwt_policy_id policy = {.digest = {1}};
static const struct jwt_policy_id other_policy = {.digest = {2}};

static void put(struct jwt_cache *c, const char *token, uint64_t expires)
{
	struct slice value = slice_str(token);

	assert_int_equal(jwt_cache_put(c, &policy, slice_str(token), expires, &value, 1), 0);
}

static const struct slice *get(struct jwt_cache *c, const char *token, uint64_t wall)
{
	return jwt_cache_get(c, &policy, slice_str(token), wall);
}

static void test_hit_holds_copies_of_the_values(void **state)
{
	struct jwt_cache *c = jwt_cache_new(8, ROOMY);
	char token[] = "token";
	char sub[] = "alice";
	struct slice values[] = {slice_str(sub), slice_make(NULL, 0), slice_make(sub, 0)};
	const struct slice *hit;

	(void)state;
	assert_int_equal(jwt_cache_put(c, &policy, slice_str(token), 100, values, 3), 0);
	token[0] = 'x';
	sub[0] = 'x';
	assert_null(get(c, "xoken", 1));
	assert_null(get(c, "toke", 1));
	hit = get(c, "token", 1);
	assert_non_null(hit);
	assert_true(slice_eq(hit[0], SLICE("alice")));
	assert_null(hit[1].ptr);
	assert_non_null(hit[2].ptr);
	assert_int_equal(hit[2].len, 0);
	jwt_cache_free(c);
}

static void test_entry_ends_when_it_expires(void **state)
{
	struct jwt_cache *c = jwt_cache_new(8, ROOMY);

	(void)state;
	put(c, "a", 100);
	assert_non_null(get(c, "a", 99));
	assert_null(get(c, "a", 100));
	assert_int_equal(jwt_cache_count(c), 0);
	assert_null(get(c, "a", 99));
	jwt_cache_free(c);
}

static void test_other_policy_never_meets_the_entry(void **state)
{
	struct jwt_cache *c = jwt_cache_new(8, ROOMY);

	(void)state;
	put(c, "a", 100);
	assert_null(jwt_cache_get(c, &other_policy, SLICE("a"), 1));
	assert_int_equal(jwt_cache_put(c, &other_policy, SLICE("a"), 100, NULL, 0), 0);
	assert_non_null(jwt_cache_get(c, &other_policy, SLICE("a"), 1));
	assert_non_null(get(c, "a", 1));
	assert_int_equal(jwt_cache_count(c), 2);
	jwt_cache_free(c);
}

static void test_least_recently_used_goes_first(void **state)
{
	struct jwt_cache *c = jwt_cache_new(3, ROOMY);

	(void)state;
	put(c, "a", 100);
	put(c, "b", 100);
	put(c, "c", 100);
	assert_non_null(get(c, "a", 1));
	put(c, "d", 100);
	assert_null(get(c, "b", 1));
	assert_non_null(get(c, "a", 1));
	assert_non_null(get(c, "c", 1));
	assert_non_null(get(c, "d", 1));
	assert_int_equal(jwt_cache_count(c), 3);
	jwt_cache_free(c);
}

static void test_bytes_are_bounded(void **state)
{
	static const char big[4096];
	struct jwt_cache *c = jwt_cache_new(1000, 4096);
	char token[16];
	size_t kept = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		snprintf(token, sizeof(token), "token-%d", i);
		put(c, token, 100);
	}
	kept = jwt_cache_count(c);
	assert_in_range(kept, 10, 4096 / 64);
	assert_int_equal(jwt_cache_put(c, &policy, slice_make(big, sizeof(big)), 100, NULL, 0),
			 -ENOSPC);
	assert_int_equal(jwt_cache_count(c), kept);
	/* Nearly as large as the cache: all others make room. */
	assert_int_equal(jwt_cache_put(c, &policy, slice_make(big, 3900), 100, NULL, 0), 0);
	assert_int_equal(jwt_cache_count(c), 1);
	jwt_cache_free(c);
}

static void test_one_entry_is_enough(void **state)
{
	struct jwt_cache *c = jwt_cache_new(1, ROOMY);

	(void)state;
	put(c, "a", 100);
	put(c, "b", 100);
	assert_null(get(c, "a", 1));
	assert_non_null(get(c, "b", 1));
	jwt_cache_free(c);
	jwt_cache_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hit_holds_copies_of_the_values),
		cmocka_unit_test(test_entry_ends_when_it_expires),
		cmocka_unit_test(test_other_policy_never_meets_the_entry),
		cmocka_unit_test(test_least_recently_used_goes_first),
		cmocka_unit_test(test_bytes_are_bounded),
		cmocka_unit_test(test_one_entry_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
