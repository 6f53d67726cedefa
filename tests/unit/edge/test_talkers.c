/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "edge/talkers.h"

#define A (SOURCE4_MARK | 0xc0000201) /* 192.0.2.1 */
#define B (SOURCE4_MARK | 0xc0000202)
#define C 0x20010db800000001ULL

/* Two sets of two CPUs each: A on both, B with nothing dropped, C dropped first here and then there. */
static void merge_adds_up(void **state)
{
	static const struct talker_set sets[] = {
		{{{.source = A,
		   .packets = 10,
		   .dropped = 1,
		   .bytes = 1000,
		   .seen = 50,
		   .dropped_at = 40,
		   .reason = REASON_DENIED},
		  {.source = C,
		   .packets = 1,
		   .dropped = 1,
		   .bytes = 60,
		   .seen = 9,
		   .dropped_at = 9,
		   .reason = REASON_MARTIAN}}},
		{{{.source = A,
		   .packets = 5,
		   .dropped = 2,
		   .bytes = 500,
		   .seen = 45,
		   .dropped_at = 45,
		   .reason = REASON_LIMITED},
		  {.source = B, .packets = 3, .bytes = 90, .seen = 7}}},
		{{{0},
		  {.source = C,
		   .packets = 2,
		   .dropped = 1,
		   .bytes = 60,
		   .seen = 8,
		   .dropped_at = 8,
		   .reason = REASON_DENIED}}},
		{{{.source = B, .packets = 1, .bytes = 10, .seen = 6, .reason = 255}}},
	};
	_cleanup_(edge_talkers_fini) struct edge_talkers t = {0};

	(void)state;
	assert_int_equal(edge_talkers_merge(sets, 4, &t), 0);
	assert_int_equal(t.n, 3);
	assert_int_equal(t.items[0].source, C);
	assert_int_equal(t.items[0].reason, REASON_MARTIAN);
	assert_int_equal(t.items[1].source, A);
	assert_int_equal(t.items[1].packets, 15 * TALK_SAMPLE);
	assert_int_equal(t.items[1].dropped, 3 * TALK_SAMPLE);
	assert_int_equal(t.items[1].bytes, 1500 * TALK_SAMPLE);
	assert_int_equal(t.items[1].seen, 50);
	assert_int_equal(t.items[1].dropped_at, 45);
	assert_int_equal(t.items[1].reason, REASON_LIMITED);
	assert_int_equal(t.items[2].source, B);
	assert_int_equal(t.items[2].packets, 4 * TALK_SAMPLE);
	assert_int_equal(t.items[2].seen, 7);
	assert_int_equal(t.items[2].reason, REASON_PASSED);
	assert_int_equal(edge_talkers_find(&t, B)->packets, 4 * TALK_SAMPLE);
	assert_null(edge_talkers_find(&t, 1));
}

static void merge_of_nothing(void **state)
{
	static const struct talker_set sets[2];
	_cleanup_(edge_talkers_fini) struct edge_talkers t = {0};

	(void)state;
	assert_int_equal(edge_talkers_merge(sets, 2, &t), 0);
	assert_int_equal(t.n, 0);
	assert_null(edge_talkers_find(&t, A));
}

static void since_is_what_came_between(void **state)
{
	struct edge_talker old[] = {{.source = A, .packets = 100, .bytes = 1000},
				    {.source = B, .packets = 50},
				    {.source = C, .packets = 9000, .dropped = 9000}};
	struct edge_talker now[] = {
		{.source = 7, .packets = 32},
		{.source = A, .packets = 180, .bytes = 1800},
		{.source = B, .packets = 50},
		{.source = C, .packets = 48, .dropped = 16}, /* lost its place meanwhile */
	};
	const struct edge_talkers before = {old, 3};
	struct edge_talkers t = {now, 4};

	(void)state;
	edge_talkers_since(&t, &before);
	assert_int_equal(t.n, 3);
	assert_int_equal(t.items[0].source, A);
	assert_int_equal(t.items[0].packets, 80);
	assert_int_equal(t.items[0].bytes, 800);
	assert_int_equal(t.items[1].source, C);
	assert_int_equal(t.items[1].packets, 48);
	assert_int_equal(t.items[1].dropped, 16);
	assert_int_equal(t.items[2].source, 7);
	assert_int_equal(t.items[2].packets, 32);
}

static void sources_as_text(void **state)
{
	char text[CONF_CIDR_TEXT];
	struct conf_cidr cidr;

	(void)state;
	edge_source_format(A, text);
	assert_string_equal(text, "192.0.2.1");
	edge_source_format(C, text);
	assert_string_equal(text, "2001:db8:0:1::/64");
	assert_null(conf_cidr_parse(slice_str("192.0.2.1"), &cidr));
	assert_int_equal(edge_source_of(&cidr), A);
	assert_null(conf_cidr_parse(slice_str("2001:db8:0:1:ffff::9"), &cidr));
	assert_int_equal(edge_source_of(&cidr), C);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(merge_adds_up),
		cmocka_unit_test(merge_of_nothing),
		cmocka_unit_test(since_is_what_came_between),
		cmocka_unit_test(sources_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
