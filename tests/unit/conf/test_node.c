/* SPDX-License-Identifier: Apache-2.0 */
/* YAML as located nodes: places to the column, variables, what is refused, and how errors read. */
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

#include "conf/node.h"

static struct arena arena;
static struct conf_diag diag;
static struct conf_node *root;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 4096, 64 << 20);
	conf_diag_init(&diag);
	diag.file = "f";
	root = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	conf_diag_fini(&diag);
	return 0;
}

static int parse(const char *text)
{
	return conf_node_parse(slice_str(text), &arena, &diag, &root);
}

static void expect_diag(const char *text)
{
	struct slice all = buf_slice(&diag.text);

	if (!slice_eq(all, slice_str(text)))
		fail_msg("diag is\n%.*s, not\n%s", SLICE_FMT(all), text);
}

static void at(const struct conf_node *n, const char *path, unsigned int line, unsigned int column)
{
	assert_non_null(n);
	assert_string_equal(n->path, path);
	assert_int_equal(n->line, line);
	assert_int_equal(n->column, column);
}

static void test_places(void **state)
{
	const struct conf_node *list, *item;

	(void)state;
	assert_int_equal(parse("a: 1\nlist:\n  - x\n  - {k: v,  deep: [p, q]}\n"), 0);
	at(root, "", 1, 1);
	assert_int_equal(root->kind, CONF_MAP);
	at(conf_node_get(root, "a"), "a", 1, 4);
	list = conf_node_get(root, "list");
	at(list, "list", 3, 3);
	assert_int_equal(list->kind, CONF_LIST);
	assert_int_equal(list->n, 2);
	at(list->items[0], "list[0]", 3, 5);
	at(list->items[1], "list[1]", 4, 5);
	item = conf_node_get(list->items[1], "deep");
	at(item, "list[1].deep", 4, 19);
	at(item->items[1], "list[1].deep[1]", 4, 23);
	assert_true(slice_eq(item->items[1]->text, SLICE("q")));
	assert_null(conf_node_get(root, "b"));
	assert_null(conf_node_get(list, "a"));
}

static void test_scalars(void **state)
{
	(void)state;
	assert_int_equal(parse("a: 'it''s'\nb: \"x\\ny\"\nc: |\n  one\n  two\nd:\n"), 0);
	assert_true(slice_eq(conf_node_get(root, "a")->text, SLICE("it's")));
	assert_true(slice_eq(conf_node_get(root, "b")->text, SLICE("x\ny")));
	assert_true(slice_eq(conf_node_get(root, "c")->text, SLICE("one\ntwo\n")));
	assert_int_equal(conf_node_get(root, "d")->text.len, 0);
}

static void env(const char *in, const char *out)
{
	char text[256];

	snprintf(text, sizeof(text), "a: '%s'", in);
	assert_int_equal(parse(text), 0);
	if (!slice_eq(conf_node_get(root, "a")->text, slice_str(out)))
		fail_msg("%s is %.*s", in, SLICE_FMT(conf_node_get(root, "a")->text));
}

static void test_variables(void **state)
{
	(void)state;
	setenv("SLUICE_T", "value", 1);
	setenv("SLUICE_E", "", 1);
	unsetenv("SLUICE_U");
	env("${SLUICE_T}", "value");
	env("<${SLUICE_T}${SLUICE_T}>", "<valuevalue>");
	env("${SLUICE_U:-a b}", "a b");
	env("${SLUICE_E:-e}", "e");
	env("${SLUICE_U:-}", "");
	env("${SLUICE_T:-x}", "value");
	env("$${SLUICE_T}", "${SLUICE_T}");
	env("$ $x 5$", "$ $x 5$");
	env("$$", "$");
}

static void test_unset_variables(void **state)
{
	(void)state;
	unsetenv("SLUICE_U");
	assert_int_equal(parse("a: ${SLUICE_U}\nb:\n  - ${SLUICE_V\n"), -EINVAL);
	expect_diag("f:1:4: a: environment variable 'SLUICE_U' is not set\n"
		    "f:3:5: b[0]: '${' without '}'\n");
}

static void test_follow_up(void **state)
{
	(void)state;
	assert_int_equal(parse("a: ${SLUICE_U}\n"), -EINVAL);
	assert_non_null(root);
	conf_diag_add(&diag, conf_node_get(root, "a"), "'' is no name");
	conf_diag_suggest(&diag, SLICE("a"), (const struct slice[]){SLICE("b")}, 1);
	expect_diag("f:1:4: a: environment variable 'SLUICE_U' is not set\n");
	assert_int_equal(diag.errors, 1);
}

static void refused(const char *text, const char *why)
{
	teardown(NULL);
	setup(NULL);
	assert_int_equal(parse(text), -EINVAL);
	expect_diag(why);
}

static void test_refused(void **state)
{
	(void)state;
	refused("", "f: the file is empty\n");
	refused("a: 1\n---\nb: 2\n", "f: one document is expected, there is a second\n");
	refused("a: &x 1\nb: *x\n", "f:2:4: b: aliases are not supported: write the value out\n");
	refused("a: 1\nb: 2\na: 3\na: 4\n", "f:3:1: 'a' stands here twice\n"
					    "f:4:1: 'a' stands here twice\n");
	refused("x: {k: 1, k: '${SLUICE_U}'}\n",
		"f:1:11: x: 'k' stands here twice\n"
		"f:1:14: x.k: environment variable 'SLUICE_U' is not set\n");
	refused("[a]: 1\n", "f:1:1: a key must be a plain word\n");
	refused("a: [1\n", "f:2:1: did not find expected ',' or ']'\n");
	assert_null(root);
}

static void test_depth(void **state)
{
	char text[128] = "";

	(void)state;
	memset(text, '[', 32);
	memset(text + 32, ']', 32);
	assert_int_equal(parse(text), 0);
	memset(text, '[', 40);
	memset(text + 40, ']', 40);
	assert_int_equal(parse(text), -EINVAL);
	assert_non_null(strstr(buf_slice(&diag.text).ptr, ": nested deeper than 32\n"));
}

/* Many keys of one map, so that its arrays grow. */
static void test_growth(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "k%d: %d\n", i, i);
	assert_int_equal(conf_node_parse(buf_slice(&text), &arena, &diag, &root), 0);
	assert_int_equal(root->n, 1000);
	for (unsigned int i = 0; i < 1000; i++)
		assert_int_equal(root->items[i]->line, i + 1);
	at(conf_node_get(root, "k999"), "k999", 1000, 7);
	buf_fini(&text);
}

static void test_repeated(void **state)
{
	static const struct slice names[] = {SLICE_INIT("users"), SLICE_INIT("orders")};
	struct conf_node n = {.path = "routes[2].to", .line = 4, .column = 9};
	struct conf_node m = {.path = "", .line = 1, .column = 1};

	(void)state;
	for (int i = 0; i < 3; i++) {
		conf_diag_add(&diag, &n, "no service '%s'", "usrs");
		conf_diag_suggest(&diag, SLICE("usrs"), names, 2);
		conf_diag_add(&diag, &m, "wrong");
		conf_diag_add(&diag, NULL, "wrong");
		conf_diag_add(&diag, NULL, "wron");
	}
	expect_diag("f:4:9: routes[2].to: no service 'usrs' (did you mean 'users'?)\n"
		    "f:1:1: wrong\nf: wrong\nf: wron\n");
	assert_int_equal(diag.errors, 4);
}

static void suggest(const char *written, const char *expect)
{
	static const struct slice names[] = {SLICE_INIT("listeners"), SLICE_INIT("services"),
					     SLICE_INIT("routes")};
	char text[128];

	teardown(NULL);
	setup(NULL);
	conf_diag_add(&diag, NULL, "x");
	conf_diag_suggest(&diag, slice_str(written), names, 3);
	if (expect)
		snprintf(text, sizeof(text), "f: x (did you mean '%s'?)\n", expect);
	expect_diag(expect ? text : "f: x\n");
}

static void test_suggestions(void **state)
{
	(void)state;
	suggest("listners", "listeners");
	suggest("route", "routes");
	suggest("Routes", "routes");
	suggest("srvices", "services");
	suggest("backends", NULL);
	suggest("", NULL);
	suggest("xyz", NULL);
}

/* More errors than there is room for: none is half, their number is right. */
static void test_full(void **state)
{
	struct conf_node n = {.path = "x", .column = 1};

	(void)state;
	for (unsigned int i = 1; i <= 5000; i++) {
		n.line = i;
		conf_diag_add(&diag, &n, "an error of some length that is repeated many times");
	}
	assert_int_equal(diag.errors, 5000);
	assert_true(buf_len(&diag.text) > 60000);
	assert_int_equal(buf_slice(&diag.text).ptr[buf_len(&diag.text) - 1], '\n');
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_places),	    TEST(test_scalars),	  TEST(test_variables),
		TEST(test_unset_variables), TEST(test_follow_up), TEST(test_refused),
		TEST(test_depth),	    TEST(test_growth),	  TEST(test_repeated),
		TEST(test_suggestions),	    TEST(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
