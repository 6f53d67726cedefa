/* SPDX-License-Identifier: Apache-2.0 */
/* Which SYNs get a cookie when there are not enough for all. */
#include "tests/bpf/gate.h"

#include <sched.h>

#define HOUR   (3600 * SEC)
#define FORGER "198.18.0.1"
#define CLIENT "198.18.0.2"
#define OTHER  "198.18.0.3"

static uint16_t port;
static int fd;

/* A budget of n cookies, for as long as the test runs. */
static void budget(uint64_t n)
{
	policy_set((struct policy){.syn_mode = SYN_ALWAYS, .cookies = {HOUR, n}});
}

static void syn(struct frame *f, const char *from, uint16_t sport)
{
	segment(f, from, sport, port, F_SYN, 1000, 0);
}

static void expect_syn(const char *from, uint16_t sport, enum reason reason)
{
	struct frame f;

	syn(&f, from, sport);
	expect(&f, reason);
}

/* Every budget is a CPU's own. */
static int begin(void **state)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(setup(state), 0);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	fd = listener(AF_INET, &port);
	port_protect(port);
	return 0;
}

static int end(void **state)
{
	close(fd);
	return teardown(state);
}

/* The client gets a cookie and sends it back. */
static void shake(const char *from, uint16_t sport)
{
	struct frame f;

	syn(&f, from, sport);
	expect(&f, REASON_COOKIE_SENT);
	segment(&f, from, sport, port, F_ACK, 1001, be32(sent + f.l4 + 4) + 1);
	expect(&f, REASON_COOKIE_VALID);
}

static void test_strangers_share(void **state)
{
	(void)state;
	budget(3);
	for (uint16_t sport = 1; sport <= 3; sport++)
		expect_syn(FORGER, sport, REASON_COOKIE_SENT);
	expect_syn(FORGER, 4, REASON_SYN_EXCESS);
	expect_syn(CLIENT, 1, REASON_SYN_EXCESS);
	guard->bss->test_now += HOUR;
	expect_syn(CLIENT, 2, REASON_COOKIE_SENT);
	expect_syn(CLIENT, 3, REASON_SYN_EXCESS);
}

/* A client that gets no answer sends the same SYN again after a second. */
static void test_who_waits_is_served(void **state)
{
	(void)state;
	budget(1);
	expect_syn(FORGER, 1, REASON_COOKIE_SENT);
	expect_syn(CLIENT, 1, REASON_SYN_EXCESS);
	guard->bss->test_now += SEC / 2;
	expect_syn(CLIENT, 1, REASON_SYN_EXCESS);
	guard->bss->test_now += SEC / 2;
	expect_syn(OTHER, 1, REASON_SYN_EXCESS);
	expect_syn(CLIENT, 2, REASON_SYN_EXCESS);
	expect_syn(CLIENT, 1, REASON_COOKIE_SENT);
	/* This budget has an end, too: a flood may repeat itself. */
	guard->bss->test_now += SEC;
	expect_syn(OTHER, 1, REASON_SYN_EXCESS);
}

/* After five seconds it is a new one. */
static void test_who_waits_too_long_waits_again(void **state)
{
	(void)state;
	budget(1);
	expect_syn(FORGER, 1, REASON_COOKIE_SENT);
	expect_syn(CLIENT, 1, REASON_SYN_EXCESS);
	guard->bss->test_now += 5 * SEC;
	expect_syn(CLIENT, 1, REASON_SYN_EXCESS);
	guard->bss->test_now += SEC;
	expect_syn(CLIENT, 1, REASON_COOKIE_SENT);
}

/* Each set full of SYNs that came now, one of them the client's first; returns what is in each. */
static struct waiting_set fill_waiting(void)
{
	int map = bpf_map__fd(guard->maps.waiting);
	struct waiting_set set = {0};
	uint16_t stamp;

	budget(1);
	expect_syn(FORGER, 1, REASON_COOKIE_SENT);
	expect_syn(CLIENT, 1, REASON_SYN_EXCESS);
	for (uint32_t i = 0; i < WAITING_SETS; i++) {
		assert_int_equal(bpf_map_lookup_elem(map, &i, &set), 0);
		if (set.seen[1])
			break;
	}
	stamp = set.seen[1] & WAITING_TIME;
	for (uint16_t way = 1; way <= WAITING_WAYS; way++)
		if (!set.seen[way]) /* its own tag is another one */
			set.seen[way] = (uint16_t)((set.seen[1] ^ way << 6) & WAITING_TAG) | stamp;
	for (uint32_t i = 0; i < WAITING_SETS; i++)
		assert_int_equal(bpf_map_update_elem(map, &i, &set, 0), 0);
	return set;
}

static void assert_still_waiting(const struct waiting_set *set)
{
	for (uint32_t i = 0; i < WAITING_SETS; i += 97) {
		struct waiting_set now;

		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(guard->maps.waiting), &i, &now),
				 0);
		assert_memory_equal(now.seen + 1, set->seen + 1, sizeof(*set) - sizeof(*set->seen));
	}
}

/* Newcomers do not take the place of one that may still come again; a set that is full of such remembers nobody else. */
static void test_nobody_is_forgotten_too_soon(void **state)
{
	struct waiting_set set = fill_waiting();

	(void)state;
	for (uint16_t sport = 1; sport < 2000; sport++)
		expect_syn(FORGER, sport, REASON_SYN_EXCESS);
	assert_still_waiting(&set);
	guard->bss->test_now += SEC;
	expect_syn(CLIENT, 1, REASON_COOKIE_SENT);
}

/* Nor just before it comes again, wherever in a unit of time it first came. */
static void test_nobody_is_forgotten_before_the_second_is_over(void **state)
{
	struct waiting_set set;

	(void)state;
	guard->bss->test_now |= (1ULL << WAITING_SHIFT) - 1;
	set = fill_waiting();
	guard->bss->test_now += SEC - SEC / 100;
	for (uint16_t sport = 1; sport < 2000; sport++) {
		struct frame f;

		syn(&f, FORGER, sport);
		run_bytes(f.bytes, f.len, 1); /* a tag that is there already may get a cookie */
	}
	assert_still_waiting(&set);
}

/* Whoever answers a cookie pays for more: clients alone never run out. */
static void test_cookies_come_back(void **state)
{
	char from[INET_ADDRSTRLEN];

	(void)state;
	budget(2);
	for (uint16_t i = 1; i <= 100; i++) {
		snprintf(from, sizeof(from), "198.19.0.%u", i);
		shake(from, i);
	}
	/* Not more than the budget holds. */
	expect_syn(FORGER, 1, REASON_COOKIE_SENT);
	expect_syn(FORGER, 2, REASON_COOKIE_SENT);
	expect_syn(FORGER, 3, REASON_SYN_EXCESS);
}

/* A flood of strangers takes nothing from verified sources, nor do these pay for it. */
static void test_the_known_have_their_own(void **state)
{
	(void)state;
	budget(1);
	shake(CLIENT, 1); /* and is known from now on */
	expect_syn(FORGER, 1, REASON_COOKIE_SENT);
	for (uint16_t sport = 2; sport < 100; sport++) {
		expect_syn(FORGER, sport, REASON_SYN_EXCESS);
		shake(CLIENT, sport);
	}
	expect_syn(CLIENT, 100, REASON_COOKIE_SENT);
	expect_syn(CLIENT, 101, REASON_SYN_EXCESS);
	expect_syn(FORGER, 101, REASON_SYN_EXCESS);
}

/* Nor can one that is known take all from the others; beyond its part it is one of the strangers. */
static void test_each_of_the_known_has_a_part(void **state)
{
	(void)state;
	budget(64);
	shake(CLIENT, 1);
	shake(OTHER, 1);
	for (uint16_t sport = 1; sport <= 4 + 64; sport++)
		expect_syn(OTHER, sport, REASON_COOKIE_SENT);
	for (uint16_t sport = 100; sport < 1000; sport++)
		expect_syn(OTHER, sport, REASON_SYN_EXCESS);
	for (uint16_t sport = 1; sport <= 4; sport++)
		expect_syn(CLIENT, sport, REASON_COOKIE_SENT);
	/* Whose cookies come back gets more. */
	guard->bss->test_now += 64 * HOUR;
	for (uint16_t sport = 1; sport <= 4 + 64; sport++)
		expect_syn(OTHER, sport, REASON_COOKIE_SENT);
	for (uint16_t sport = 1; sport <= 200; sport++)
		shake(CLIENT, sport);
}

/* A part in a bucket that is shared for want of another: cookies that come back pay for nobody else's debt. */
static void test_who_pays_pays_for_himself(void **state)
{
	uint64_t debt = guard->bss->test_now + 16 * HOUR;
	int map = bpf_map__fd(guard->maps.buckets);
	struct bucket_set set;

	(void)state;
	budget(64);
	shake(CLIENT, 1);
	for (int way = 0; way < BUCKET_WAYS; way++)
		set.way[way] = (struct bucket){.key = 1 + (uint64_t)way, .full_at = debt};
	for (uint32_t i = 0; i < BUCKET_SETS; i++)
		assert_int_equal(bpf_map_update_elem(map, &i, &set, 0), 0);
	shake(CLIENT, 2);
	for (uint32_t i = 0; i < BUCKET_SETS; i++) {
		assert_int_equal(bpf_map_lookup_elem(map, &i, &set), 0);
		for (int way = 0; way < BUCKET_WAYS; way++)
			assert_true(set.way[way].full_at >= debt);
	}
}

static void test_no_budget(void **state)
{
	struct policy policy = {.syn_mode = SYN_ALWAYS};

	(void)state;
	policy_set(policy);
	for (uint16_t sport = 1; sport < 100; sport++)
		expect_syn(FORGER, sport, REASON_COOKIE_SENT);
	policy.cookies = (struct limit){HOUR, 1};
	policy.mode = GUARD_SHADOW; /* no cookie is sent, so none comes back */
	policy_set(policy);
	for (uint16_t sport = 1; sport < 100; sport++) {
		struct frame f;

		syn(&f, FORGER, sport);
		assert_int_equal(run_bytes(f.bytes, f.len, 1), XDP_PASS);
	}
	policy.mode = GUARD_ENFORCE;
	policy.cookie_options = COOKIE_WHEN_FULL; /* the kernel knows who needs one */
	policy_set(policy);
	for (uint16_t sport = 1; sport < 100; sport++)
		expect_syn(FORGER, sport, REASON_COOKIE_SENT);
	/* Below the threshold SYNs are not the gate's. */
	policy.syn_mode = SYN_AUTO;
	policy.syn_threshold = 1000;
	policy.cookie_options = 0;
	policy_set(policy);
	for (uint16_t sport = 1; sport < 100; sport++)
		expect_syn(FORGER, sport, REASON_PASSED);
}

static void test_ipv6(void **state)
{
	uint16_t port4 = port;
	int fd6 = listener(AF_INET6, &port);

	(void)state;
	port_protect(port);
	budget(1);
	shake("2001:db8::1", 1); /* with all of its /64 */
	expect_syn("2001:db8:1::1", 1, REASON_COOKIE_SENT);
	expect_syn("2001:db8:1::1", 2, REASON_SYN_EXCESS);
	shake("2001:db8::2", 1);
	guard->bss->test_now += SEC;
	expect_syn("2001:db8:1::1", 2, REASON_COOKIE_SENT);
	close(fd6);
	port = port4;
}

#define BUDGET_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BUDGET_TEST(test_strangers_share),
		BUDGET_TEST(test_who_waits_is_served),
		BUDGET_TEST(test_who_waits_too_long_waits_again),
		BUDGET_TEST(test_nobody_is_forgotten_too_soon),
		BUDGET_TEST(test_nobody_is_forgotten_before_the_second_is_over),
		BUDGET_TEST(test_cookies_come_back),
		BUDGET_TEST(test_the_known_have_their_own),
		BUDGET_TEST(test_each_of_the_known_has_a_part),
		BUDGET_TEST(test_who_pays_pays_for_himself),
		BUDGET_TEST(test_no_budget),
		BUDGET_TEST(test_ipv6),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
