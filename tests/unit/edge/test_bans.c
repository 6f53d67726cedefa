/* SPDX-License-Identifier: Apache-2.0 */
/* The door to the bans, on real maps: who is refused, how long who comes back is banned, what is forgotten when. */
#include "tests/unit/edge/maps.h"

#include "edge/bans.h"
#include "edge/lengths.h"
#include "edge/never.h"
#include "edge/sweep.h"

static uint32_t now(void)
{
	return (uint32_t)(clock_mono() / NSEC_PER_SEC);
}

/* ttl 10 s, factor 3, at most 100 s; setup's map has room for ROOM. */
static int setup_policy(void **state)
{
	struct policy policy = {.ban_ttl = 10, .ban_factor = 3, .ban_max_ttl = 100};
	uint32_t key = 0;

	setup(state);
	return bpf_map_update_elem(edge.policy, &key, &policy, BPF_ANY);
}

static struct edge_batch batch; /* one at a time */

static struct edge_bans begin(void)
{
	struct edge_bans b;

	assert_true(edge_sweep(&edge, NULL) >= 0);
	assert_int_equal(edge_batch_begin(&batch, &edge, NULL), 0);
	assert_int_equal(edge_bans_begin(&b, &batch, NULL), 0);
	return b;
}

static int end(struct edge_bans *b, int rc)
{
	edge_bans_fini(b);
	if (rc < 0)
		edge_batch_abort(b->batch);
	else
		edge_batch_commit(b->batch, false);
	assert_int_equal(edge.shared->batch, BATCH_NONE);
	return rc;
}

static int ban_for(const char *text, uint64_t seconds, struct edge_banned *ret, struct error *err)
{
	struct edge_ban ban = {
		.cidr = cidr(text), .ttl = seconds * NSEC_PER_SEC, .by = "test", .why = "scans"};
	struct edge_bans b = begin();

	return end(&b, edge_ban(&b, &ban, ret, err));
}

static int ban(const char *text)
{
	return ban_for(text, 0, NULL, NULL);
}

static int unban(const char *text, struct error *err)
{
	struct edge_bans b = begin();
	struct conf_cidr c = cidr(text);

	return end(&b, edge_unban(&batch, &c, err));
}

static struct ban_key key_of(const char *text)
{
	struct conf_cidr c = cidr(text);
	struct ban_key key = {.family = c.family == AF_INET ? 4 : 6, .prefixlen = c.prefixlen};

	memcpy(key.addr, c.addr, sizeof(key.addr));
	return key;
}

/* Let the ban of a prefix have ended so many seconds ago. */
static void end_ago(const char *text, uint32_t seconds)
{
	struct ban_key key = key_of(text);
	struct ban_value v;

	assert_int_equal(bpf_map_lookup_elem(edge.bans, &key, &v), 0);
	v.until = now() - seconds;
	edge.shared->bans_due = 1;
	assert_int_equal(bpf_map_update_elem(edge.bans, &key, &v, BPF_EXIST), 0);
}

static bool is_there(const char *text)
{
	struct ban_key key = key_of(text);
	struct ban_value v;

	return bpf_map_lookup_elem(edge.bans, &key, &v) == 0;
}

static size_t in_force(void)
{
	struct edge_banned_list list;

	assert_int_equal(edge_bans_read(&edge, &list, NULL), 0);
	free(list.items);
	return list.n;
}

/* Of the bans that have ended and are remembered. */
static size_t past(struct edge_banned *ret)
{
	struct edge_banned_list list = {0};
	uint32_t seconds = 0;

	assert_int_equal(edge_bans_past(&edge, &list, &seconds, NULL), 0);
	assert_int_equal(seconds, 100);
	if (list.n && ret)
		*ret = list.items[0];
	free(list.items);
	return list.n;
}

/* How long it is from now, give or take the second that has begun. */
static void expect_left(const struct edge_banned *b, uint32_t seconds)
{
	assert_in_range(b->until - now(), seconds - 1, seconds + 1);
}

static void test_ban_and_unban(void **state)
{
	struct edge_banned_list list;
	struct edge_banned b;
	struct error err;

	(void)state;
	assert_int_equal(ban_for("203.0.113.7", 0, &b, NULL), 0);
	assert_int_equal(b.offences, 1);
	expect_left(&b, 10);
	assert_int_equal(ban_for("2001:db8::/64", 60, &b, NULL), 0);
	expect_left(&b, 60);
	assert_int_equal(edge.in_use->ban4.n, 1);
	assert_int_equal(edge.in_use->ban4.length[0], 32);
	assert_int_equal(edge.in_use->ban6.length[0], 64);
	assert_int_equal(edge_bans_read(&edge, &list, NULL), 0);
	assert_int_equal(list.n, 2);
	for (size_t i = 0; i < list.n; i++) {
		assert_string_equal(list.items[i].by, "test");
		assert_string_equal(list.items[i].why, "scans");
	}
	free(list.items);
	assert_int_equal(unban("203.0.113.0/24", &err), -ENOENT);
	assert_string_equal(err.text, "203.0.113.0/24 is not banned on test0");
	assert_int_equal(unban("203.0.113.7", NULL), 0);
	assert_int_equal(unban("203.0.113.7", NULL), -ENOENT);
	assert_int_equal(in_force(), 1);
	/* What was lifted is forgotten. */
	assert_int_equal(ban_for("203.0.113.7", 0, &b, NULL), 0);
	assert_int_equal(b.offences, 1);
}

static void test_escalation(void **state)
{
	static const uint32_t left[] = {10, 30, 90, 100, 100};
	struct edge_banned b;

	(void)state;
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		assert_int_equal(ban_for("203.0.113.7", 0, &b, NULL), 0);
		assert_int_equal(b.offences, i + 1);
		expect_left(&b, left[i]);
		/* A ban in force is no repeated offence; it holds until the later end. */
		assert_int_equal(ban_for("203.0.113.7", 1, &b, NULL), 0);
		assert_int_equal(b.offences, i + 1);
		expect_left(&b, left[i]);
		end_ago("203.0.113.7", i < 4 ? 50 : 101);
	}
	/* Long enough after its end it is forgotten. */
	assert_int_equal(ban_for("203.0.113.7", 0, &b, NULL), 0);
	assert_int_equal(b.offences, 1);
	expect_left(&b, 10);
	/* An end of one's own is escalated, too; and what is longer than any ban may be is refused. */
	end_ago("203.0.113.7", 1);
	assert_int_equal(ban_for("203.0.113.7", 20, &b, NULL), 0);
	expect_left(&b, 60);
}

static void test_past(void **state)
{
	struct ban_value zeros = {0};
	struct ban_key by_hand = key_of("198.51.100.1");
	struct edge_ban again = {.cidr = cidr("192.0.2.1"), .by = "again"};
	struct edge_ban new = {.cidr = cidr("192.0.2.2")};
	struct edge_banned found = {0};
	struct edge_bans b;

	(void)state;
	assert_int_equal(past(NULL), 0);
	ban("192.0.2.1");
	ban("2001:db8::/64");
	assert_int_equal(bpf_map_update_elem(edge.bans, &by_hand, &zeros, BPF_ANY), 0);
	assert_int_equal(past(NULL), 0);
	end_ago("192.0.2.1", 40);
	assert_int_equal(past(&found), 1);
	assert_string_equal(found.by, "test");
	assert_int_equal(found.offences, 1);
	assert_in_range(now() - found.until, 40, 41);
	assert_int_equal(found.cidr.prefixlen, 32);
	/* What is staged is no past: neither who comes back, before it counts, nor who is new. */
	b = begin();
	assert_int_equal(edge_ban(&b, &new, NULL, NULL), 0);
	assert_int_equal(edge_ban(&b, &again, NULL, NULL), 0);
	assert_int_equal(past(&found), 1);
	assert_in_range(now() - found.until, 40, 41);
	end(&b, 0);
	assert_int_equal(past(NULL), 0);
	/* Forgotten, swept or not. */
	end_ago("2001:db8::/64", 101);
	assert_true(is_there("2001:db8::/64"));
	assert_int_equal(past(NULL), 0);
}

static void test_refused(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(ban_for("203.0.113.7", 101, NULL, &err), -ERANGE);
	assert_string_equal(err.text, "203.0.113.7: 101s is longer than bans.max_ttl, 100s");
	assert_int_equal(ban_for("0.0.0.0/0", 0, NULL, &err), -EINVAL);
	assert_string_equal(err.text, "0.0.0.0/0 is everybody");
	assert_int_equal(ban("::/0"), -EINVAL);
	assert_int_equal(in_force(), 0);
}

static void never(const char *text)
{
	struct edge_entry entry = {.cidr = cidr(text)};
	struct edge_batch b;

	assert_int_equal(edge_batch_begin(&b, &edge, NULL), 0);
	assert_int_equal(edge_list_add(&b, EDGE_NEVER, &entry, NULL), 0);
	edge_batch_commit(&b, false);
}

static void test_never(void **state)
{
	struct error err;

	(void)state;
	never("10.0.0.0/8");
	never("2001:db8::1");
	assert_int_equal(ban_for("10.1.2.3", 0, NULL, &err), -EPERM);
	assert_string_equal(err.text,
			    "10.1.2.3 must not be banned: 10.0.0.0/8 is on the never-ban list");
	/* Nor what holds a part of it. */
	assert_int_equal(ban_for("8.0.0.0/5", 0, NULL, &err), -EPERM);
	assert_int_equal(ban_for("2001:db8::/32", 0, NULL, &err), -EPERM);
	assert_string_equal(
		err.text, "2001:db8::/32 must not be banned: 2001:db8::1 is on the never-ban list");
	assert_int_equal(ban("11.0.0.1"), 0);
	assert_int_equal(ban("2001:db8::2"), 0);
}

static char warnings[512];

static void warn(const char *text)
{
	snprintf(warnings + strlen(warnings), sizeof(warnings) - strlen(warnings), "%s\n", text);
}

static void test_lift(void **state)
{
	struct conf_cidr names[] = {cidr("2001:db8::1"), cidr("203.0.113.0/24"),
				    cidr("192.0.2.128/25"), cidr("192.0.2.200")};
	struct conf_cidrs never = {names, 4};
	struct edge_batch b;

	(void)state;
	ban("192.0.2.0/24"); /* wider than two of them */
	ban("203.0.113.7");
	ban("203.0.113.0/24");
	ban("2001:db8::2");
	for (int commit = 0; commit < 2; commit++) {
		warnings[0] = '\0';
		assert_int_equal(edge_batch_begin(&b, &edge, NULL), 0);
		assert_int_equal(edge_never_lift(&b, &never, warn, NULL), 2);
		assert_string_equal(
			warnings, "test0: the ban of 192.0.2.0/24 stays, and holds 192.0.2.128/25, "
				  "which is never to be banned\n");
		assert_int_equal(in_force(), 4);
		if (commit)
			edge_batch_commit(&b, false);
		else
			edge_batch_abort(&b);
		assert_int_equal(in_force(), commit ? 2 : 4);
	}
	assert_false(is_there("203.0.113.7") || is_there("203.0.113.0/24"));
	assert_true(is_there("192.0.2.0/24") && is_there("2001:db8::2"));
	/* Nothing is left to lift, and nobody need be told. */
	assert_int_equal(edge_batch_begin(&b, &edge, NULL), 0);
	assert_int_equal(edge_never_lift(&b, &never, NULL, NULL), 0);
	never.n = 0;
	assert_int_equal(edge_never_lift(&b, &never, warn, NULL), 0);
	edge_batch_abort(&b);
}

static void test_full(void **state)
{
	struct error err;

	(void)state;
	for (int i = 0; i < ROOM; i++) {
		char text[32];

		snprintf(text, sizeof(text), "192.0.2.%d", i);
		assert_int_equal(ban(text), 0);
	}
	assert_int_equal(ban_for("192.0.2.9", 0, NULL, &err), -ENOSPC);
	assert_string_equal(err.text, "192.0.2.9: there are 4 bans already (bans.capacity)");
	assert_int_equal(in_force(), ROOM);
	/* No ban goes for another, but what is only remembered does: what ended first. */
	end_ago("192.0.2.1", 20);
	end_ago("192.0.2.2", 10);
	assert_int_equal(ban("192.0.2.9"), 0);
	assert_false(is_there("192.0.2.1"));
	assert_true(is_there("192.0.2.2"));
	assert_int_equal(in_force(), 3);
	assert_int_equal(ban("192.0.2.10"), 0);
	assert_int_equal(ban("192.0.2.11"), -ENOSPC);
	assert_int_equal(in_force(), ROOM);
}

static void give_room(uint32_t n)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "bans", sizeof(struct ban_key),
				sizeof(struct ban_value), n, NULL);

	assert_int_equal(dup2(fd, edge.bans), edge.bans);
	close(fd);
}

/* The eighth is refused, unless one of the others is that of no ban any more. */
static void test_lengths(void **state)
{
	static const char *const prefixes[] = {"10.0.0.0/8",	"10.16.0.0/12", "10.1.0.0/16",
					       "10.1.16.0/20",	"10.1.2.0/24",	"10.1.2.16/28",
					       "192.168.1.2/32"};
	struct error err;

	(void)state;
	give_room(LENGTHS_MAX + 1);
	for (int i = 0; i < LENGTHS_MAX; i++)
		assert_int_equal(ban(prefixes[i]), 0);
	assert_int_equal(edge.in_use->ban4.n, LENGTHS_MAX);
	for (int i = 1; i < LENGTHS_MAX; i++)
		assert_true(edge.in_use->ban4.length[i - 1] > edge.in_use->ban4.length[i]);
	assert_int_equal(ban_for("10.1.2.2/31", 0, NULL, &err), -ENOSPC);
	assert_string_equal(err.text,
			    "10.1.2.2/31: there are bans of 7 other prefix lengths (32, 28, 24, "
			    "20, 16, 12, 8) already, and no more are looked for");
	for (int i = 0; i < LENGTHS_MAX; i++)
		assert_int_equal(unban(prefixes[i], NULL), 0);
	assert_int_equal(ban("10.1.2.2/31"), 0);
	assert_int_equal(edge.in_use->ban4.n, 1);
	assert_int_equal(edge.in_use->ban4.length[0], 31);
}

static int filter_bits(void);

/* What makes room for a length sees the batch that asks for it: who had been banned before is so again, or not. */
static void test_lengths_in_a_batch(void **state)
{
	const struct edge_ban again = {.cidr = cidr("10.0.0.0/8")},
			      eighth = {.cidr = cidr("10.1.2.2/31")};
	struct edge_bans b;

	(void)state;
	for (int committed = 0; committed < 2; committed++) {
		assert_int_equal(ban("10.0.0.0/8"), 0);
		end_ago("10.0.0.0/8", 50);
		b = begin();
		assert_int_equal(edge_ban(&b, &again, NULL, NULL), 0);
		edge_lengths_store(&edge.in_use->ban4,
				   (struct prefix_lengths){7, {32, 30, 28, 26, 24, 22, 8}});
		assert_int_equal(edge_ban(&b, &eighth, NULL, NULL), 0);
		end(&b, committed ? 0 : -1);
		assert_int_equal(edge.in_use->ban4.n, 2);
		assert_int_equal(edge.in_use->ban4.length[1], 8);
		assert_int_equal(filter_bits(), 2);
		assert_int_equal(in_force(), committed ? 2 : 0);
	}
}

/* Lengths that cannot be are found anew from the bans that there are. */
static void test_damaged_lengths(void **state)
{
	const struct ban_key wrong = {.family = 4, .prefixlen = 200};
	const struct ban_value zeros = {0};

	(void)state;
	assert_int_equal(ban("192.0.2.0/24"), 0);
	memset(&edge.in_use->ban4, 0xff, sizeof(edge.in_use->ban4));
	assert_int_equal(bpf_map_update_elem(edge.bans, &wrong, &zeros, BPF_ANY), 0);
	assert_int_equal(ban("192.0.2.1"), 0);
	assert_int_equal(edge.in_use->ban4.n, 2);
	assert_int_equal(edge.in_use->ban4.length[0], 32);
	assert_int_equal(edge.in_use->ban4.length[1], 24);
}

static void test_sweep(void **state)
{
	(void)state;
	ban("192.0.2.1");
	ban("192.0.2.0/24");
	ban("2001:db8::1");
	assert_in_range(edge.shared->bans_due, now() + 9, now() + 12);
	assert_int_equal(edge_sweep(&edge, NULL), 0);
	end_ago("192.0.2.1", 50);
	end_ago("2001:db8::1", 100);
	assert_int_equal(edge_sweep(&edge, NULL), 1);
	assert_true(is_there("192.0.2.1"));
	assert_false(is_there("2001:db8::1"));
	/* Only bans in force are looked for. */
	assert_int_equal(edge.in_use->ban4.n, 1);
	assert_int_equal(edge.in_use->ban4.length[0], 24);
	assert_int_equal(edge.in_use->ban6.n, 0);
	assert_in_range(edge.shared->bans_due, now() + 5, now() + 12);
	/* The length is there again with the next ban. */
	ban("192.0.2.1");
	assert_int_equal(edge.in_use->ban4.n, 2);
}

static int filter_bits(void)
{
	int n = 0;

	for (size_t i = 0; i < BAN_FILTER_WORDS; i++)
		n += __builtin_popcountll(edge.ban_filter_words[i]);
	return n;
}

/* The filter has all bans in force, also those that were written by hand, once somebody bans or sweeps. */
static void test_filter(void **state)
{
	struct ban_key by_hand = key_of("198.51.100.1");
	struct ban_value zeros = {0};

	(void)state;
	assert_int_equal(edge.in_use->filtered, 0);
	assert_int_equal(bpf_map_update_elem(edge.bans, &by_hand, &zeros, BPF_ANY), 0);
	assert_int_equal(ban("192.0.2.1"), 0);
	assert_int_equal(edge.in_use->filtered, 1);
	assert_int_equal(filter_bits(), 2);
	assert_int_equal(ban("192.0.2.2"), 0);
	assert_int_equal(filter_bits(), 3);
	end_ago("192.0.2.1", 50);
	assert_int_equal(unban("192.0.2.2", NULL), 0);
	edge.shared->bans_due = 1;
	assert_int_equal(edge_sweep(&edge, NULL), 0);
	assert_int_equal(filter_bits(), 1);
	assert_int_equal(ban("192.0.2.1"), 0);
	assert_int_equal(filter_bits(), 2);
}

static void test_all_or_nothing(void **state)
{
	struct edge_ban first = {.cidr = cidr("192.0.2.1")};
	struct edge_ban again = {.cidr = cidr("192.0.2.2"), .by = "again"};
	struct edge_banned_list list;

	(void)state;
	for (int commit = 0; commit < 2; commit++) {
		struct edge_bans b;

		ban("192.0.2.2");
		end_ago("192.0.2.2", 5);
		ban("192.0.2.3");
		b = begin();
		assert_int_equal(edge_ban(&b, &first, NULL, NULL), 0);
		assert_int_equal(edge_ban(&b, &first, NULL, NULL), 0); /* named twice */
		assert_int_equal(edge_ban(&b, &again, NULL, NULL), 0);
		assert_int_equal(
			edge_unban(&batch, &(struct conf_cidr){AF_INET, {192, 0, 2, 3}, 32}, NULL),
			0);
		assert_int_equal(in_force(), 1);
		end(&b, commit ? 0 : -1);
		assert_int_equal(edge_bans_read(&edge, &list, NULL), 0);
		assert_int_equal(list.n, commit ? 2 : 1);
		for (size_t i = 0; i < list.n; i++)
			assert_int_equal(list.items[i].offences,
					 commit && list.items[i].cidr.addr[3] == 2 ? 2 : 1);
		free(list.items);
		if (!commit) {
			b = begin();
			assert_int_equal(edge_unban_all(&batch, NULL), 0);
			end(&b, 0);
			assert_false(is_there("192.0.2.2"));
		}
	}
}

/* Whoever comes after a command that was killed ends what it began, in the way that it had begun. */
static void test_killed(void **state)
{
	struct edge_ban new = {.cidr = cidr("192.0.2.1")};

	(void)state;
	for (int committed = 0; committed < 2; committed++) {
		struct edge_bans killed = begin(), b;

		assert_int_equal(edge_ban(&killed, &new, NULL, NULL), 0);
		edge_bans_fini(&killed);
		free(batch.items);
		if (committed)
			edge.shared->batch = BATCH_COMMITTED;
		assert_int_equal(in_force(), committed);
		b = begin();
		assert_int_equal(in_force(), committed);
		end(&b, 0);
		assert_int_equal(is_there("192.0.2.1"), committed);
	}
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_policy, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ban_and_unban),
		TEST(test_escalation),
		TEST(test_past),
		TEST(test_refused),
		TEST(test_never),
		TEST(test_lift),
		TEST(test_full),
		TEST(test_lengths),
		TEST(test_damaged_lengths),
		TEST(test_sweep),
		TEST(test_all_or_nothing),
		TEST(test_killed),
		TEST(test_filter),
		TEST(test_lengths_in_a_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
