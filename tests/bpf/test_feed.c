/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled feeds in the guard: whom they list, what is counted where, and that one takes another's place in one step. */
#include "tests/bpf/guard.h"

#include "tests/bpf/feeds.h"

static struct edge edge;

static int setup_edge(void **state)
{
	int rc = setup(state);

	return rc ? rc : edge_open_object("guard0", guard->obj, &edge, NULL);
}

static int teardown_edge(void **state)
{
	edge_close(&edge);
	return teardown(state);
}

static void from(const char *addr, enum reason reason)
{
	struct frame f;

	if (strchr(addr, ':'))
		tcp6(&f, addr, F_SYN);
	else
		tcp4(&f, addr, F_SYN);
	expect(&f, reason);
}

/* What a set has dropped; packets -1: there is no such set. */
static struct counter dropped_by(const char *name)
{
	struct edge_set sets[FEED_SETS];
	size_t memory;

	assert_int_equal(edge_sets_read(&edge, sets, &memory, NULL), 0);
	for (int i = 1; i < FEED_SETS; i++)
		if (strcmp(sets[i].set.name, name) == 0)
			return sets[i].hits;
	return (struct counter){.packets = -1ULL};
}

static int hits(const char *name)
{
	return (int)dropped_by(name).packets;
}

/* IPv4 entries of a set; -1: there is no such set. */
static int entries(const char *name)
{
	struct edge_set sets[FEED_SETS];
	size_t bytes;

	assert_int_equal(edge_sets_read(&edge, sets, &bytes, NULL), 0);
	for (int i = 1; i < FEED_SETS; i++)
		if (strcmp(sets[i].set.name, name) == 0)
			return (int)sets[i].set.entries4;
	return -1;
}

static void test_listed(void **state)
{
	struct edge_feeds f = {0};

	(void)state;
	from("203.0.113.7", REASON_PASSED);
	feeds_name(&f, "one");
	feeds_name(&f, "two");
	feeds_add(&f, "203.0.113.7", 32, 0);
	feeds_add(&f, "203.0.113.64", 27, 1);
	feeds_add(&f, "198.51.100.0", 24, 0);
	feeds_add(&f, "198.18.0.0", 15, 1);
	feeds_add(&f, "2001:db8:bad::", 48, 0);
	feeds_add(&f, "2001:db8:1:2::66", 128, 1);
	feeds_add(&f, "2001:db8:bad:1::", 64, 1);
	feeds_add(&f, "2001:a00::", 24, 1);
	feeds_put(&edge, &f);
	from("203.0.113.7", REASON_LISTED);
	from("203.0.113.8", REASON_PASSED);
	from("203.0.113.63", REASON_PASSED);
	from("203.0.113.64", REASON_LISTED);
	from("203.0.113.95", REASON_LISTED);
	from("203.0.113.96", REASON_PASSED);
	from("198.51.100.255", REASON_LISTED);
	from("198.51.101.0", REASON_PASSED);
	from("198.19.255.255", REASON_LISTED);
	from("198.20.0.0", REASON_PASSED);
	assert_int_equal(hits("one"), 2);
	assert_int_equal(hits("two"), 3);
	from("2001:db8:bad:ffff::1", REASON_LISTED);
	from("2001:db8:bae::1", REASON_PASSED);
	assert_int_equal(hits("one"), 3);
	assert_int_equal(dropped_by("one").bytes, 54 + 54 + 74);
	from("2001:db8:1:2::66", REASON_LISTED);
	from("2001:db8:1:2::67", REASON_PASSED);
	from("2001:aff:1:2::66", REASON_LISTED);
	from("2001:b00:1:2::66", REASON_PASSED);
	/* The longest prefix says which set counts. */
	from("2001:db8:bad:1::1", REASON_LISTED);
	assert_int_equal(hits("one"), 3);
	assert_int_equal(hits("two"), 6);
}

static void test_after_lists(void **state)
{
	struct edge_feeds f = {0};

	(void)state;
	feeds_name(&f, "all");
	feeds_add(&f, "0.0.0.0", 0, 0);
	feeds_add(&f, "::", 0, 0);
	feeds_put(&edge, &f);
	list_add(guard->maps.allow4, CLIENT4, 32);
	list_add(guard->maps.deny4, "203.0.113.7", 32);
	from(CLIENT4, REASON_ALLOWED);
	from("203.0.113.7", REASON_DENIED);
	from("203.0.113.8", REASON_LISTED);
	from(CLIENT6, REASON_LISTED);
}

/* What a set has counted is by its name, whatever else is loaded. */
static void test_numbers_stay(void **state)
{
	struct edge_feeds f = {0}, g = {0}, none = {0};

	(void)state;
	feeds_name(&f, "one");
	feeds_name(&f, "two");
	feeds_add(&f, "203.0.113.7", 32, 0);
	feeds_add(&f, "203.0.113.8", 32, 1);
	feeds_put(&edge, &f);
	from("203.0.113.8", REASON_LISTED);
	from("203.0.113.8", REASON_LISTED);
	feeds_name(&g, "three");
	feeds_name(&g, "two");
	feeds_add(&g, "203.0.113.9", 32, 0);
	feeds_add(&g, "203.0.113.10", 32, 1);
	feeds_put(&edge, &g);
	from("203.0.113.7", REASON_PASSED);
	from("203.0.113.8", REASON_PASSED);
	from("203.0.113.9", REASON_LISTED);
	from("203.0.113.10", REASON_LISTED);
	assert_int_equal(hits("one"), -1);
	assert_int_equal(hits("two"), 3);
	assert_int_equal(hits("three"), 1);
	feeds_put(&edge, &none);
	from("203.0.113.9", REASON_PASSED);
	assert_int_equal(hits("two"), -1);
}

static uint32_t chunks(void)
{
	uint32_t n = 0, id;

	for (uint32_t key = 0; key < FEED_SLOTS * FEED_CHUNKS; key++)
		n += bpf_map_lookup_elem(bpf_map__fd(guard->maps.feeds), &key, &id) == 0;
	return n;
}

/* The old feeds' memory is given back, and none of an attempt that failed is left. */
static void test_memory(void **state)
{
	struct edge_feeds f = {0}, none = {0};
	uint32_t n;

	(void)state;
	feeds_name(&f, "one");
	feeds_add(&f, "203.0.113.7", 32, 0);
	assert_int_equal(feed_plan(&f.entries, 42, &f.plan, NULL), 0);
	for (int i = 0; i < 3; i++) {
		feeds_replace(&edge, &f);
		n = chunks();
		assert_int_equal(n, edge_feeds_bytes(&f) >> 20);
		from("203.0.113.7", REASON_LISTED);
	}
	assert_int_equal(edge_feeds_prepare(&edge, &none, edge.shared->generation + 1, NULL), 0);
	edge_feeds_settle(&edge);
	assert_int_equal(chunks(), n);
	from("203.0.113.7", REASON_LISTED);
	edge_feeds_fini(&f);
	feeds_put(&edge, &none);
	assert_int_equal(chunks(), 0);
}

/* Prepared feeds count with the generation that they are for, not before. */
static void test_with_policy(void **state)
{
	struct edge_feeds f = {0};

	(void)state;
	feeds_name(&f, "one");
	feeds_add(&f, "203.0.113.7", 32, 0);
	assert_int_equal(feed_plan(&f.entries, 42, &f.plan, NULL), 0);
	assert_int_equal(edge_feeds_prepare(&edge, &f, edge.shared->generation + 1, NULL), 0);
	from("203.0.113.7", REASON_PASSED);
	edge.shared->generation++;
	from("203.0.113.7", REASON_LISTED);
	edge_feeds_settle(&edge);
	from("203.0.113.7", REASON_LISTED);
	/* Without feeds of its own the next policy keeps them. */
	assert_int_equal(edge_feeds_prepare(&edge, NULL, edge.shared->generation + 1, NULL), 0);
	edge.shared->generation++;
	edge_feeds_settle(&edge);
	from("203.0.113.7", REASON_LISTED);
	edge_feeds_fini(&f);
}

/* Readers see the old sets or the new ones, never some of each, however far a command came before it was killed. */
static void test_sets_of_a_killed_command(void **state)
{
	struct edge_feeds f = {0}, g = {0}, none = {0};
	uint32_t n;

	(void)state;
	feeds_name(&f, "one");
	feeds_name(&f, "two");
	feeds_add(&f, "203.0.113.7", 32, 0);
	feeds_add(&f, "203.0.113.8", 32, 1);
	f.sets[1].entries4 = 1;
	feeds_put(&edge, &f);
	n = chunks();
	from("203.0.113.8", REASON_LISTED);
	feeds_name(&g, "two");
	feeds_name(&g, "three");
	feeds_add(&g, "203.0.113.9", 32, 1);
	g.sets[0].entries4 = 2;
	assert_int_equal(feed_plan(&g.entries, 42, &g.plan, NULL), 0);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(edge_feeds_prepare(&edge, &g, edge.shared->generation + 1, NULL),
				 0);
		assert_true(chunks() > n);
		assert_int_equal(hits("one"), 0);
		assert_int_equal(hits("two"), 1);
		assert_int_equal(entries("two"), 1);
		assert_int_equal(hits("three"), -1);
		/* Killed: the next one clears it, or the next feeds do. */
		if (round == 0)
			edge_feeds_settle(&edge);
		assert_int_equal(entries("two"), 1);
		assert_int_equal(hits("three"), -1);
	}
	assert_int_equal(edge_feeds_prepare(&edge, &g, edge.shared->generation + 1, NULL), 0);
	edge.shared->generation++;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(hits("one"), -1);
		assert_int_equal(hits("two"), 1);
		assert_int_equal(entries("two"), 2);
		assert_int_equal(hits("three"), 0);
		edge_feeds_settle(&edge);
		assert_int_equal(chunks(), n);
	}
	edge_feeds_fini(&g);
	feeds_put(&edge, &none);
	assert_int_equal(hits("three"), -1);
}

#define FEED_TEST(name) cmocka_unit_test_setup_teardown(name, setup_edge, teardown_edge)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FEED_TEST(test_listed),	      FEED_TEST(test_after_lists),
		FEED_TEST(test_numbers_stay), FEED_TEST(test_memory),
		FEED_TEST(test_with_policy),  FEED_TEST(test_sets_of_a_killed_command),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
