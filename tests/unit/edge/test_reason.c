/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "edge/reason.h"

#define BIT(id) (1ULL << REASON_##id)

static void names_and_beginnings(void **state)
{
	(void)state;
	assert_int_equal(edge_reasons_parse(slice_str("denied")), BIT(DENIED));
	assert_int_equal(edge_reasons_parse(slice_str("denied,land")), BIT(DENIED) | BIT(LAND));
	assert_int_equal(edge_reasons_parse(slice_str("cookie")),
			 BIT(COOKIE_VALID) | BIT(COOKIE_SENT) | BIT(COOKIE_INVALID));
	assert_true(edge_reasons_parse(slice_str("limited")) & BIT(LIMITED));
	assert_false(edge_reasons_parse(slice_str("limited_")) & BIT(LIMITED));
	assert_int_equal(edge_reasons_parse(slice_str("")), 0);
	assert_int_equal(edge_reasons_parse(slice_str(",denied")), 0);
	assert_int_equal(edge_reasons_parse(slice_str("denied,nonsense")), 0);
	assert_int_equal(edge_reasons_parse(slice_str("denied2")), 0);
}

static void what_drops(void **state)
{
	uint64_t drop = edge_reasons_drop();

	(void)state;
	assert_true(drop & BIT(DENIED) && drop & BIT(MALFORMED) && drop & BIT(COOKIE_INVALID));
	assert_false(drop & (BIT(PASSED) | BIT(ALLOWED) | BIT(COOKIE_SENT) | BIT(NOT_IP)));
	assert_int_equal(drop >> REASON_COUNT, 0);
}

static void what_happens(void **state)
{
	struct policy p = {.mode = GUARD_ENFORCE, .ban_mode = BAN_ENFORCE};

	(void)state;
	assert_string_equal(edge_verdict(REASON_BANNED, &p), "DROP");
	p.ban_mode = BAN_SHADOW;
	assert_string_equal(edge_verdict(REASON_BANNED, &p), "PASS");
	assert_string_equal(edge_verdict(REASON_DENIED, &p), "DROP");
	p = (struct policy){.mode = GUARD_SHADOW};
	assert_string_equal(edge_verdict(REASON_DENIED, &p), "PASS");
	assert_string_equal(edge_verdict(REASON_COOKIE_SENT, &p), "PASS");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_beginnings),
		cmocka_unit_test(what_drops),
		cmocka_unit_test(what_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
