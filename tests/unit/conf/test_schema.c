/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables: every kind of value with its bounds, defaults and the text of each error. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <arpa/inet.h>
#include <stdio.h>

#include "base/clock.h"
#include "conf/schema.h"

struct item {
	struct slice name;
	uint64_t number;
};

struct all {
	struct slice string;
	bool boolean;
	uint64_t uint;
	uint64_t ranged;
	int64_t sint;
	uint64_t duration;
	uint64_t size;
	uint64_t rate;
	int choice;
	struct conf_strings strings;
	struct conf_pairs pairs;
	struct conf_sockaddr address;
	struct item inner;
	struct item *list;
	size_t n_list;
	struct item *map;
	size_t n_map;
	struct conf_cidr cidr;
};

static void parse_cidr(struct conf_parse *p, const struct conf_node *node, void *field)
{
	conf_parse_cidr(p, node, field);
}

static void item_scalar(struct conf_parse *p, const struct conf_node *node, void *out)
{
	(void)p;
	((struct item *)out)->name = node->text;
}

static void item_check(struct conf_parse *p, const struct conf_node *node, void *out)
{
	if (((struct item *)out)->number == 13)
		conf_diag_add(p->diag, node, "unlucky");
}

#define AT(m) .offset = offsetof(struct all, m)

static const struct conf_option item_options[] = {
	{"name", CONF_STRING, .offset = offsetof(struct item, name), .required = true},
	{"number", CONF_UINT, .offset = offsetof(struct item, number), .fallback = "5"},
	{0},
};
static const struct conf_table item_table = {item_options, sizeof(struct item), item_scalar,
					     item_check};
static const struct conf_option member_options[] = {
	{"number", CONF_UINT, .offset = offsetof(struct item, number), .fallback = "6"},
	{0},
};
static const struct conf_table member_table = {member_options, sizeof(struct item), NULL, NULL};
static const char *const choices[] = {"red", "green", "blue", NULL};

static const struct conf_option options[] = {
	{"string", CONF_STRING, AT(string), .fallback = "text"},
	{"boolean", CONF_BOOL, AT(boolean), .fallback = "true"},
	{"uint", CONF_UINT, AT(uint)},
	{"ranged", CONF_UINT, AT(ranged), .fallback = "10", .min = 10, .max = 20},
	{"sint", CONF_INT, AT(sint), .fallback = "-3"},
	{"duration", CONF_DURATION, AT(duration), .fallback = "20ms"},
	{"size", CONF_SIZE, AT(size), .fallback = "64KiB"},
	{"rate", CONF_RATE, AT(rate), .fallback = "10k/s"},
	{"choice", CONF_ENUM, AT(choice), .fallback = "green", .names = choices},
	{"strings", CONF_STRINGS, AT(strings)},
	{"pairs", CONF_PAIRS, AT(pairs)},
	{"address", CONF_ADDRESS, AT(address), .fallback = "127.0.0.1:80"},
	{"inner", CONF_STRUCT, AT(inner), .table = &item_table},
	{"list", CONF_LIST_OF, AT(list), .count = offsetof(struct all, n_list),
	 .table = &item_table},
	{"map", CONF_MAP_OF, AT(map), .count = offsetof(struct all, n_map), .table = &member_table},
	{"cidr", CONF_CUSTOM, AT(cidr), .parse = parse_cidr},
	{0},
};
static const struct conf_table table = {options, sizeof(struct all), NULL, NULL};

static struct arena arena;
static struct conf_diag diag;
static struct all all;

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	conf_diag_fini(&diag);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 4096, 64 << 20);
	conf_diag_init(&diag);
	diag.file = "f";
	return 0;
}

static void fill(const char *text)
{
	struct conf_parse p = {.arena = &arena, .diag = &diag, .dir = "."};
	struct conf_node *root;

	teardown(NULL);
	setup(NULL);
	memset(&all, 0, sizeof(all));
	assert_int_equal(conf_node_parse(slice_str(text), &arena, &diag, &root), 0);
	conf_fill(&p, &table, root, &all);
}

static void good(const char *text)
{
	fill(text);
	if (diag.errors)
		fail_msg("%s: %.*s", text, SLICE_FMT(buf_slice(&diag.text)));
}

static void bad(const char *text, const char *why)
{
	struct slice said;

	fill(text);
	said = buf_slice(&diag.text);
	if (!slice_eq(said, slice_str(why)))
		fail_msg("%s says\n%.*s, not\n%s", text, SLICE_FMT(said), why);
}

static void test_defaults(void **state)
{
	char text[64];

	(void)state;
	good("{}");
	assert_true(slice_eq(all.string, SLICE("text")));
	assert_true(all.boolean);
	assert_int_equal(all.uint, 0);
	assert_int_equal(all.ranged, 10);
	assert_int_equal(all.sint, -3);
	assert_int_equal(all.duration, 20 * NSEC_PER_MSEC);
	assert_int_equal(all.size, 65536);
	assert_int_equal(all.rate, 10000);
	assert_int_equal(all.choice, 1);
	assert_int_equal(all.strings.n, 0);
	assert_int_equal(all.inner.number, 5);
	inet_ntop(AF_INET, &((struct sockaddr_in *)&all.address.ss)->sin_addr, text, sizeof(text));
	assert_string_equal(text, "127.0.0.1");
}

static void test_numbers(void **state)
{
	(void)state;
	good("{uint: 18446744073709551615, ranged: 20, sint: -9223372036854775807}");
	assert_true(all.uint == UINT64_MAX);
	assert_int_equal(all.ranged, 20);
	assert_true(all.sint == -INT64_MAX);
	good("sint: 9223372036854775807");
	assert_true(all.sint == INT64_MAX);
	bad("uint: 18446744073709551616",
	    "f:1:7: uint: '18446744073709551616' is not a whole number\n");
	bad("uint: -1", "f:1:7: uint: '-1' is not a whole number\n");
	bad("uint: 1x", "f:1:7: uint: '1x' is not a whole number\n");
	bad("uint: ''", "f:1:7: uint: '' is not a whole number\n");
	bad("uint: [1]", "f:1:7: uint: a single value is expected here\n");
	bad("uint: 0x10", "f:1:7: uint: '0x10' is not a whole number\n");
	bad("ranged: 9", "f:1:9: ranged: 9 is out of range (10 to 20)\n");
	bad("ranged: 21", "f:1:9: ranged: 21 is out of range (10 to 20)\n");
	bad("sint: --1", "f:1:7: sint: '-1' is not a whole number\n");
	bad("sint: 9223372036854775808", "f:1:7: sint: '9223372036854775808' is too large\n");
	bad("sint: -9223372036854775808", "f:1:7: sint: '-9223372036854775808' is too large\n");
}

static void duration(const char *text, uint64_t ns)
{
	char line[64];

	snprintf(line, sizeof(line), "duration: %s", text);
	good(line);
	assert_int_equal(all.duration, ns);
}

static void test_units(void **state)
{
	(void)state;
	duration("0s", 0);
	duration("1ms", NSEC_PER_MSEC);
	duration("5s", 5 * NSEC_PER_SEC);
	duration("10m", 600 * NSEC_PER_SEC);
	duration("1h", 3600 * NSEC_PER_SEC);
	duration("2d", 2 * 86400 * NSEC_PER_SEC);
	bad("duration: 5", "f:1:11: duration: '5' is not a duration such as 500ms, 5s or 10m\n");
	bad("duration: 5 s",
	    "f:1:11: duration: '5 s' is not a duration such as 500ms, 5s or 10m\n");
	bad("duration: 99999999999d",
	    "f:1:11: duration: '99999999999d' is not a duration such as 500ms, 5s or 10m\n");
	good("size: 512");
	assert_int_equal(all.size, 512);
	good("size: 7B");
	assert_int_equal(all.size, 7);
	good("size: 2MiB");
	assert_int_equal(all.size, 2 << 20);
	good("size: 1GiB");
	assert_int_equal(all.size, 1 << 30);
	bad("size: 1KB", "f:1:7: size: '1KB' is not a size such as 512 or 64KiB\n");
	good("rate: 7/s");
	assert_int_equal(all.rate, 7);
	good("rate: 3M/s");
	assert_int_equal(all.rate, 3000000);
	bad("rate: 7", "f:1:7: rate: '7' is not a rate such as 100/s or 10k/s\n");
}

static void test_words(void **state)
{
	(void)state;
	good("{boolean: false, choice: blue, string: ''}");
	assert_false(all.boolean);
	assert_int_equal(all.choice, 2);
	assert_int_equal(all.string.len, 0);
	bad("boolean: yes", "f:1:10: boolean: 'yes' is neither true nor false\n");
	bad("choice: gren", "f:1:9: choice: 'gren' is not known here (did you mean 'green'?)\n");
	bad("choice: yellow", "f:1:9: choice: 'yellow' is not known here\n");
	bad("string: {a: b}", "f:1:9: string: a single value is expected here\n");
}

static void test_lists(void **state)
{
	(void)state;
	good("strings: one");
	assert_int_equal(all.strings.n, 1);
	good("strings: [a, b, c]");
	assert_int_equal(all.strings.n, 3);
	assert_true(slice_eq(all.strings.items[2], SLICE("c")));
	good("strings: []");
	assert_int_equal(all.strings.n, 0);
	bad("strings: [a, [b], c]", "f:1:14: strings[1]: a single value is expected here\n");
	good("pairs: {a: x, b: '*'}");
	assert_int_equal(all.pairs.n, 2);
	assert_true(slice_eq(all.pairs.items[0].value, SLICE("x")) && !all.pairs.items[0].any);
	assert_true(all.pairs.items[1].any);
	bad("pairs: [a]", "f:1:8: pairs: a map is expected here\n");
	bad("pairs: {a: [b]}", "f:1:12: pairs.a: a single value is expected here\n");
}

static void test_address(void **state)
{
	static const char *const wrong[] = {
		"127.0.0.1",	"127.0.0.1:0",	 "127.0.0.1:65536", "localhost:80", ":80",
		"127.0.0.1:",	"[::1]",	 "::1:80x",	    "[::1:80",	    "",
		"1.2.3.4.5:80", "[127.0.0.1]:80"};
	char line[128];
	char why[256];

	(void)state;
	good("address: 10.1.2.3:8080");
	assert_int_equal(all.address.ss.ss_family, AF_INET);
	assert_int_equal(ntohs(((struct sockaddr_in *)&all.address.ss)->sin_port), 8080);
	good("address: '[2001:db8::1]:443'");
	assert_int_equal(all.address.ss.ss_family, AF_INET6);
	assert_int_equal(ntohs(((struct sockaddr_in6 *)&all.address.ss)->sin6_port), 443);
	assert_int_equal(all.address.len, sizeof(struct sockaddr_in6));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(line, sizeof(line), "address: '%s'", wrong[i]);
		snprintf(why, sizeof(why),
			 "f:1:10: address: '%s' is not an address such as 127.0.0.1:8080 or "
			 "[::1]:8080\n",
			 wrong[i]);
		bad(line, why);
	}
}

static void test_cidr(void **state)
{
	(void)state;
	good("cidr: 10.0.0.0/8");
	assert_int_equal(all.cidr.family, AF_INET);
	assert_int_equal(all.cidr.prefixlen, 8);
	good("cidr: 192.0.2.1");
	assert_int_equal(all.cidr.prefixlen, 32);
	good("cidr: '2001:db8::/32'");
	assert_int_equal(all.cidr.family, AF_INET6);
	good("cidr: '::/0'");
	assert_int_equal(all.cidr.prefixlen, 0);
	bad("cidr: 10.0.0.1/8", "f:1:7: cidr: '10.0.0.1/8' has bits set behind its prefix\n");
	bad("cidr: 10.0.0.0/33",
	    "f:1:7: cidr: '10.0.0.0/33' is not an address or prefix such as 10.0.0.0/8\n");
	bad("cidr: 10.0.0/8",
	    "f:1:7: cidr: '10.0.0/8' is not an address or prefix such as 10.0.0.0/8\n");
	bad("cidr: 10.0.0.0/",
	    "f:1:7: cidr: '10.0.0.0/' is not an address or prefix such as 10.0.0.0/8\n");
	bad("cidr: [10.0.0.0]", "f:1:7: cidr: '' is not an address or prefix such as 10.0.0.0/8\n");
}

static void test_structs(void **state)
{
	(void)state;
	good("inner: {name: a, number: 7}");
	assert_int_equal(all.inner.number, 7);
	/* A scalar stands for the struct, the rest are defaults. */
	good("list: [a, {name: b, number: 2}]");
	assert_int_equal(all.n_list, 2);
	assert_true(slice_eq(all.list[0].name, SLICE("a")));
	assert_int_equal(all.list[0].number, 5);
	assert_int_equal(all.list[1].number, 2);
	good("map: {x: {}, y: {number: 1}}");
	assert_int_equal(all.n_map, 2);
	assert_true(slice_eq(all.map[0].name, SLICE("x")));
	assert_int_equal(all.map[0].number, 6);
	assert_int_equal(all.map[1].number, 1);
	bad("map: [x]", "f:1:6: map: a map is expected here\n");
	bad("map: {x: 1}", "f:1:10: map.x: a map is expected here\n");
	bad("list: {a: b}", "f:1:7: list: a list is expected here\n");
	bad("inner: {}", "f:1:8: inner: 'name' is missing\n");
	bad("inner: {name: a, number: 13}", "f:1:8: inner: unlucky\n");
	bad("[]", "f:1:1: a map is expected here\n");
}

/* One file, all of its errors, each at its place. */
static void test_all_at_once(void **state)
{
	(void)state;
	bad("strng: a\n"
	    "boolean: maybe\n"
	    "list:\n"
	    "  - {nam: a}\n"
	    "  - {name: b, number: x, other: 1}\n"
	    "whatever: 1\n",
	    "f:1:8: strng: unknown key (did you mean 'string'?)\n"
	    "f:6:11: whatever: unknown key\n"
	    "f:2:10: boolean: 'maybe' is neither true nor false\n"
	    "f:4:11: list[0].nam: unknown key (did you mean 'name'?)\n"
	    "f:4:5: list[0]: 'name' is missing\n"
	    "f:5:33: list[1].other: unknown key\n"
	    "f:5:23: list[1].number: 'x' is not a whole number\n");
	assert_int_equal(diag.errors, 7);
}

/* A list that there is no room for is not an empty one. */
static void test_parse_list(void **state)
{
	struct conf_parse p = {.arena = &arena, .diag = &diag, .dir = "."};
	struct conf_node list = {.kind = CONF_LIST, .path = "ports", .n = 3}, map = list;
	const uint64_t *items;

	(void)state;
	map.kind = CONF_MAP;
	items = conf_parse_list(&p, &list, sizeof(*items), "a list of ports");
	assert_non_null(items);
	assert_true(items[0] == 0 && items[2] == 0);
	assert_int_equal(diag.errors, 0);
	assert_null(conf_parse_list(&p, &map, 8, "a list of ports"));
	assert_int_equal(diag.errors, 1);
	assert_non_null(strstr(buf_slice(&diag.text).ptr, "a list of ports is expected here\n"));
	list.n = 64 << 20;
	assert_null(conf_parse_list(&p, &list, 8, "a list of ports"));
	assert_int_equal(diag.errors, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),	TEST(test_numbers),    TEST(test_units), TEST(test_words),
		TEST(test_lists),	TEST(test_address),    TEST(test_cidr),	 TEST(test_structs),
		TEST(test_all_at_once), TEST(test_parse_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
