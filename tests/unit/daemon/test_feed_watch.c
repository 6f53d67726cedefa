/* SPDX-License-Identifier: Apache-2.0 */
/* When a feed's file counts as changed. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/feed_watch.h"

static char directory[] = "/tmp/test_feed_watch.XXXXXX";
static char path[64];
static struct conf_feed feed;
static const struct config cfg = {.edge = {.deny_feeds = &feed, .n_deny_feeds = 1}};

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* Of either kind of feed. */
static void test_once_it_stands_still(void **state)
{
	struct feed_watch w = {0};

	feed = *(struct conf_feed *)*state;
	feed.path = path;
	write_file("1");
	feed_watch_init(&w, &cfg);
	assert_false(feed_watch_changed(&w, &cfg));
	write_file("12");
	assert_false(feed_watch_changed(&w, &cfg)); /* maybe still being written */
	write_file("123");
	assert_false(feed_watch_changed(&w, &cfg));
	assert_true(feed_watch_changed(&w, &cfg));
	assert_false(feed_watch_changed(&w, &cfg));
	unlink(path);
	assert_false(feed_watch_changed(&w, &cfg));
	assert_true(feed_watch_changed(&w, &cfg)); /* whoever loads it says that it is not there */
	assert_false(feed_watch_changed(&w, &cfg));
	feed_watch_fini(&w);
}

static void test_no_feeds(void **state)
{
	static const struct config none = {0};
	struct feed_watch w = {0};

	(void)state;
	feed_watch_init(&w, &none);
	assert_false(feed_watch_changed(&w, &none));
	feed_watch_fini(&w);
}

static int setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/feed", directory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

int main(void)
{
	struct conf_feed netset = {.file = SLICE("feed")}, mmdb = {.mmdb = SLICE("feed")};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_once_it_stands_still, &netset),
		cmocka_unit_test_prestate(test_once_it_stands_still, &mmdb),
		cmocka_unit_test(test_no_feeds),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
