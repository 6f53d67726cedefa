/* SPDX-License-Identifier: Apache-2.0 */
/* What the upstream sees of the target: whole segments go, the query stays. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "route/strip.h"

static void strip(const char *prefix, const char *path, const char *query, const char *expect)
{
	struct conf_route r = {.strip_prefix = slice_str(prefix)};
	struct arena arena;
	struct slice out;

	arena_init(&arena, 1024, 65536);
	out = strip_target(&r, slice_str(path), slice_str(query), &arena);
	if (!slice_eq(out, slice_str(expect)))
		fail_msg("%s of %s is %.*s, not %s", prefix, path, SLICE_FMT(out), expect);
	arena_fini(&arena);
}

static void test_strip(void **state)
{
	(void)state;
	strip("", "/a/b", NULL, "/a/b");
	strip("/a", "/a/b", NULL, "/b");
	strip("/a/", "/a/b", NULL, "/b");
	strip("/a", "/a", NULL, "/");
	strip("/a", "/a/", NULL, "/");
	strip("/a", "/ab/c", NULL, "/ab/c");
	strip("/a/b", "/a", NULL, "/a");
	strip("/", "/a", NULL, "/a");
	strip("/a", "/a/b", "x=1", "/b?x=1");
	strip("/a", "/a", "", "/?");
	strip("", "/a", "x=1", "/a?x=1");
}

static void test_no_memory(void **state)
{
	static char query[70000];
	struct conf_route r = {0};
	struct arena arena;

	(void)state;
	arena_init(&arena, 1024, 65536);
	assert_null(strip_target(&r, SLICE("/"), slice_make(query, sizeof(query)), &arena).ptr);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strip),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
