/* SPDX-License-Identifier: Apache-2.0 */
/* A verdict as another program writes it, a line. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "conf/cidr.h"
#include "edge/bans.h"

static struct conf_cidr cidr(const char *text)
{
	struct conf_cidr c;

	assert_null(conf_cidr_parse(slice_str(text), &c));
	return c;
}

static void expect_line(const char *line, const char *prefix, uint64_t ttl, const char *by,
			const char *why)
{
	struct edge_ban ban = {.ttl = 7 * NSEC_PER_SEC, .by = "me", .why = "so"};
	struct conf_cidr want = cidr(prefix);
	struct error err = {0};

	if (edge_ban_parse(slice_str(line), &ban, &err) != 1)
		fail_msg("%s: %s", line, err.text);
	assert_int_equal(conf_cidr_compare(&ban.cidr, &want), 0);
	assert_int_equal(ban.ttl / NSEC_PER_SEC, ttl);
	assert_string_equal(ban.by, by);
	assert_string_equal(ban.why, why);
}

static void expect_bad(const char *line, const char *why)
{
	struct edge_ban ban = {.ttl = 7}, before = ban;
	struct error err;

	assert_int_equal(edge_ban_parse(slice_str(line), &ban, &err), -EINVAL);
	assert_string_equal(err.text, why);
	assert_memory_equal(&ban, &before, sizeof(ban));
}

static void test_lines(void **state)
{
	struct edge_ban ban = {.ttl = 7};
	char line[128];

	(void)state;
	expect_line("203.0.113.7", "203.0.113.7", 7, "me", "so");
	expect_line(" 2001:db8::/32 # scans", "2001:db8::/32", 7, "me", "so");
	expect_line("{\"prefix\": \"203.0.113.7\"}", "203.0.113.7", 7, "me", "so");
	expect_line("{\"prefix\": \"203.0.113.7\", \"ttl\": \"10m\", \"by\": \"ids\", \"reason\": "
		    "\"a\\nb\"}",
		    "203.0.113.7", 600, "ids", "a b");
	expect_line("{\"prefix\": \"203.0.113.7\", \"ttl\": 90}", "203.0.113.7", 90, "me", "so");
	/* Cut to its room, between characters. */
	expect_line("{\"prefix\": \"203.0.113.7\", \"by\": \"0123456789abcd\\u00e4\"}",
		    "203.0.113.7", 7, "0123456789abcd", "so");
	snprintf(line, sizeof(line), "{\"prefix\": \"203.0.113.7\", \"until\": %llu}",
		 (unsigned long long)(clock_wall() / NSEC_PER_SEC + 1000));
	assert_int_equal(edge_ban_parse(slice_str(line), &ban, NULL), 1);
	assert_in_range(ban.ttl / NSEC_PER_SEC, 990, 1000);
	assert_int_equal(edge_ban_parse(slice_str("  # nothing"), &ban, NULL), 0);
	assert_int_equal(edge_ban_parse(slice_str(""), &ban, NULL), 0);
	expect_bad("203.0.113.7/24", "'203.0.113.7/24' has bits set behind its prefix");
	expect_bad("{\"reason\": \"x\"}", "'prefix' is missing");
	/* Milliseconds, as some have it. */
	expect_bad("{\"prefix\": \"203.0.113.7\", \"until\": 1900000000000}",
		   "'until' is too far ahead (Unix time, in seconds)");
	expect_bad("{\"prefix\": 5}", "'prefix': '' is not a string");
	expect_bad("{\"prefix\": \"203.0.113.7\", \"ttl\": \"soon\"}",
		   "'ttl' is not a duration such as \"10m\", or seconds");
	expect_bad("{\"prefix\": \"203.0.113.7\", \"ttl\": -5}",
		   "'ttl' is not a duration such as \"10m\", or seconds");
	expect_bad("{\"prefix\": \"203.0.113.7\", \"until\": 5}",
		   "'until' is not a time to come (Unix time, in seconds)");
	expect_bad("{\"prefix\": \"203.0.113.7\", \"by\": 5}", "'by' is not a string");
	expect_bad("{\"prefix\": \"203.0.113.7\", \"tll\": 5}",
		   "'tll' is not known: prefix, reason, by, ttl, until");
	assert_int_equal(edge_ban_parse(slice_str("{\"prefix\": \"203.0.113.7\""), &ban, NULL),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
