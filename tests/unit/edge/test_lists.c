/* SPDX-License-Identifier: Apache-2.0 */
/* The lists on real maps: whose entry is whose, and all or nothing. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "conf/cidr.h"
#include "edge/lists.h"

#define ROOM 4 /* entries of each map */

static struct edge edge;

static int map_new(uint32_t key_size)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	int fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "test", key_size, sizeof(struct list_value),
				ROOM, &opts);

	assert_true(fd >= 0);
	return fd;
}

static int setup(void **state)
{
	(void)state;
	edge = (struct edge){.name = "test0"};
	edge.allow4 = map_new(sizeof(struct prefix4));
	edge.allow6 = map_new(sizeof(struct prefix6));
	edge.deny4 = map_new(sizeof(struct prefix4));
	edge.deny6 = map_new(sizeof(struct prefix6));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(edge.allow4);
	close(edge.allow6);
	close(edge.deny4);
	close(edge.deny6);
	return 0;
}

static struct conf_cidr cidr(const char *text)
{
	struct conf_cidr c;

	assert_null(conf_cidr_parse(slice_str(text), &c));
	return c;
}

static int add(const char *text, enum origin origin)
{
	struct conf_cidr c = cidr(text);

	return edge_list_add(&edge, EDGE_DENY, &c, origin, NULL);
}

/* As a file would have it: texts separated by spaces. */
static struct conf_cidrs file(const char *texts)
{
	static struct conf_cidr items[16];
	struct slice rest = slice_str(texts);
	struct conf_cidrs out = {items, 0};

	while (rest.len)
		assert_null(conf_cidr_parse(slice_cut(&rest, ' '), &items[out.n++]));
	return out;
}

/* The deny list as "prefix" or "prefix*" (the operator's), sorted as it is read. */
static void expect(const char *want)
{
	struct edge_entries entries;
	char got[512] = "";
	size_t at = 0;

	assert_int_equal(edge_list_read(&edge, EDGE_DENY, &entries, NULL), 0);
	for (size_t i = 0; i < entries.n; i++) {
		char text[CONF_CIDR_TEXT];

		conf_cidr_format(&entries.items[i].cidr, text);
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%s%s", i ? " " : "", text,
				       entries.items[i].origin == ORIGIN_OPERATOR ? "*" : "");
	}
	free(entries.items);
	assert_string_equal(got, want);
}

static int apply(const char *texts, struct error *err)
{
	struct conf_cidrs cidrs = file(texts);
	bool added[16];
	int rc = edge_list_add_file(&edge, EDGE_DENY, &cidrs, added, err);

	return rc < 0 ? rc : edge_list_keep_file(&edge, EDGE_DENY, &cidrs, err);
}

static void test_add_and_del(void **state)
{
	struct conf_cidr c = cidr("10.0.0.0/8");
	struct error err;

	(void)state;
	expect("");
	assert_int_equal(add("10.0.0.0/8", ORIGIN_OPERATOR), 0);
	assert_int_equal(add("2001:db8::1", ORIGIN_FILE), 0);
	expect("10.0.0.0/8* 2001:db8::1");
	assert_int_equal(edge_list_del(&edge, EDGE_DENY, &c, NULL), 0);
	expect("2001:db8::1");
	assert_int_equal(edge_list_del(&edge, EDGE_DENY, &c, &err), -ENOENT);
	assert_string_equal(err.text, "10.0.0.0/8 is not on the list of test0");
	/* A wider prefix that holds an address is another entry. */
	c = cidr("2001:db8::/64");
	assert_int_equal(edge_list_del(&edge, EDGE_DENY, &c, NULL), -ENOENT);
}

static void test_full(void **state)
{
	struct conf_cidr c = cidr("192.0.2.9");
	struct error err;

	(void)state;
	assert_int_equal(apply("192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4", NULL), 0);
	assert_int_equal(edge_list_add(&edge, EDGE_DENY, &c, ORIGIN_OPERATOR, &err), -ENOSPC);
	assert_string_equal(err.text, "192.0.2.9: the list is full");
}

static void test_file_replaces_its_own(void **state)
{
	(void)state;
	assert_int_equal(apply("192.0.2.1 192.0.2.2 2001:db8::/32", NULL), 0);
	expect("192.0.2.1 192.0.2.2 2001:db8::/32");
	assert_int_equal(add("192.0.2.9", ORIGIN_OPERATOR), 0);
	assert_int_equal(apply("192.0.2.2 192.0.2.9", NULL), 0);
	/* What the operator has put there stays the operator's, though the file names it now. */
	expect("192.0.2.2 192.0.2.9*");
	assert_int_equal(apply("", NULL), 0);
	expect("192.0.2.9*");
}

static void test_file_without_room_changes_nothing(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(apply("192.0.2.1 192.0.2.2", NULL), 0);
	assert_int_equal(apply("192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5", &err), -ENOSPC);
	assert_string_equal(err.text, "192.0.2.5: the list is full");
	expect("192.0.2.1 192.0.2.2");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_add_and_del),
		TEST(test_full),
		TEST(test_file_replaces_its_own),
		TEST(test_file_without_room_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
