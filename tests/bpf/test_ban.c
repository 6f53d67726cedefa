/* SPDX-License-Identifier: Apache-2.0 */
/* Bans in both families: by their lengths, until their end, between allow and deny, and only counted in shadow mode. */
#include "tests/bpf/guard.h"

#define NOW 1000 /* seconds; where setup lets time stand */

static void ban(const char *addr, uint8_t prefixlen, uint32_t until)
{
	ban_add(addr, prefixlen, (struct ban_value){.until = until});
}

static void batch_set(enum batch batch)
{
	struct state state = {.batch = batch};
	uint32_t key = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.state), &key, &state, 0), 0);
}

static void expect4(const char *from, enum reason reason)
{
	struct frame f;

	tcp4(&f, from, F_ACK);
	expect(&f, reason);
}

static void expect6(const char *from, enum reason reason)
{
	struct frame f;

	tcp6(&f, from, F_ACK);
	expect(&f, reason);
}

static void test_by_length(void **state)
{
	(void)state;
	ban("203.0.113.7", 32, 0);
	ban("10.20.0.0", 16, 0);
	ban("0.0.0.0", 1, 0);
	ban("2001:db8:bad::", 48, 0);
	ban("2001:db8:1::66", 128, 0);
	ban("2001:db8:2:3:8000::", 65, 0);
	ban("2001:db8:3:4::", 64, 0);
	/* Lengths that are not in use are not looked for. */
	expect4("203.0.113.7", REASON_PASSED);
	expect6("2001:db8:1::66", REASON_PASSED);
	lengths_set((struct lengths){.ban4 = {2, {32, 16}}, .ban6 = {4, {128, 65, 64, 48}}});
	expect4("203.0.113.7", REASON_BANNED);
	expect4("203.0.113.6", REASON_PASSED);
	expect4("10.20.255.255", REASON_BANNED);
	expect4("10.21.0.0", REASON_PASSED);
	expect6("2001:db8:bad:ffff::1", REASON_BANNED);
	expect6("2001:db8:bae::1", REASON_PASSED);
	expect6("2001:db8:1::66", REASON_BANNED);
	expect6("2001:db8:1::67", REASON_PASSED);
	expect6("2001:db8:2:3:ffff::1", REASON_BANNED);
	expect6("2001:db8:2:3:7fff::1", REASON_PASSED);
	expect6("2001:db8:3:4::1", REASON_BANNED);
	expect6("2001:db8:3:5::1", REASON_PASSED);
	lengths_set((struct lengths){.ban4 = {1, {1}}});
	expect4("126.0.0.1", REASON_BANNED);
	expect4("203.0.113.7", REASON_PASSED);
	expect6("2001:db8:1::66", REASON_PASSED);
}

/* As many lengths as there can be, the entry at each of them; garbage behind the last is not looked at. */
static void test_all_lengths(void **state)
{
	struct lengths all = {.ban4 = {LENGTHS_MAX, {32, 30, 28, 26, 24, 22, 20}},
			      .ban6 = {LENGTHS_MAX, {128, 127, 96, 65, 64, 63, 32}}};

	(void)state;
	for (int i = 0; i < LENGTHS_MAX; i++) {
		lengths_set(all);
		ban("198.51.96.0", all.ban4.length[i], 0);
		expect4("198.51.96.0", REASON_BANNED);
		ban("2001:db8::", all.ban6.length[i], 0);
		expect6("2001:db8::", REASON_BANNED);
		for (int n = 0; n <= i; n++) {
			struct lengths fewer = all;

			fewer.ban4.n = (uint8_t)n;
			fewer.ban6.n = (uint8_t)n;
			lengths_set(fewer);
			expect4("198.51.96.0", REASON_PASSED);
			expect6("2001:db8::", REASON_PASSED);
		}
		teardown(NULL);
		setup(NULL);
	}
}

static void test_end(void **state)
{
	(void)state;
	lengths_set((struct lengths){.ban4 = {2, {32, 24}}, .ban6 = {1, {64}}});
	ban(CLIENT4, 32, NOW + 2);
	ban("2001:db8:1:2::", 64, NOW + 2);
	for (int i = 0; i < 4; i++) {
		enum reason reason = i < 2 ? REASON_BANNED : REASON_PASSED;

		guard->bss->test_now = (NOW + (uint64_t)i) * SEC;
		expect4(CLIENT4, reason);
		expect6(CLIENT6, reason);
	}
	/* One that has ended does not hide the wider one. */
	ban("198.51.100.0", 24, NOW + 10);
	expect4(CLIENT4, REASON_BANNED);
}

static void filter_set(const char *addr, uint8_t prefixlen, uint64_t bits)
{
	uint64_t half[2] = {0};
	uint32_t word;

	assert_int_equal(inet_pton(strchr(addr, ':') ? AF_INET6 : AF_INET, addr, half), 1);
	word = ban_hash(half[0], half[1], prefixlen) / 64;
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.ban_filter), &word, &bits, 0),
			 0);
}

/* Where the filter is said to have all bans, only those that it has are looked up. */
static void test_filter(void **state)
{
	struct lengths lengths = {.ban4 = {2, {32, 16}}, .ban6 = {2, {128, 65}}, .filtered = 1};

	(void)state;
	ban("203.0.113.7", 32, 0);
	ban("10.20.0.0", 16, 0);
	ban("2001:db8:2:3:8000::", 65, 0);
	lengths_set(lengths);
	expect4("203.0.113.7", REASON_PASSED);
	expect6("2001:db8:2:3:ffff::1", REASON_PASSED);
	filter_set("203.0.113.7", 32, ~0ULL);
	filter_set("2001:db8:2:3:8000::", 65, ~0ULL);
	expect4("203.0.113.7", REASON_BANNED);
	expect4("10.20.1.1", REASON_PASSED);
	expect6("2001:db8:2:3:ffff::1", REASON_BANNED);
	filter_set("203.0.113.7", 32, 0);
	expect4("203.0.113.7", REASON_PASSED);
	lengths.filtered = 0;
	lengths_set(lengths);
	expect4("203.0.113.7", REASON_BANNED);
	expect4("10.20.1.1", REASON_BANNED);
}

static void test_order(void **state)
{
	(void)state;
	lengths_set((struct lengths){.ban4 = {1, {32}}, .ban6 = {1, {128}}});
	ban(CLIENT4, 32, 0);
	ban(CLIENT6, 128, 0);
	list_add(guard->maps.deny4, CLIENT4, 32);
	list_add(guard->maps.deny6, CLIENT6, 128);
	expect4(CLIENT4, REASON_BANNED);
	expect6(CLIENT6, REASON_BANNED);
	list_add(guard->maps.allow4, "198.51.100.0", 24);
	list_add(guard->maps.allow6, "2001:db8::", 32);
	expect4(CLIENT4, REASON_ALLOWED);
	expect6(CLIENT6, REASON_ALLOWED);
	/* The never-ban list is for who bans. */
	list_del(guard->maps.allow4, "198.51.100.0", 24);
	list_add(guard->maps.never4, CLIENT4, 32);
	expect4(CLIENT4, REASON_BANNED);
}

static void expect_verdict(const char *from, enum reason reason, int verdict)
{
	struct counter before[REASON_COUNT], after[REASON_COUNT];
	struct frame f;

	tcp4(&f, from, F_ACK);
	counters_read(before);
	assert_int_equal(run_bytes(f.bytes, f.len, 1), verdict);
	counters_read(after);
	for (int i = 0; i < REASON_COUNT; i++) {
		assert_int_equal(after[i].packets - before[i].packets, i == (int)reason);
		assert_int_equal(after[i].bytes - before[i].bytes, i == (int)reason ? f.len : 0);
	}
}

static void test_shadow(void **state)
{
	(void)state;
	lengths_set((struct lengths){.ban4 = {1, {32}}});
	ban(CLIENT4, 32, 0);
	port_protect(80);
	policy_set((struct policy){PACKETS(SEC, 2), .ban_mode = BAN_SHADOW,
				   .metered = 1 << LIMIT_PACKETS});
	expect_verdict(CLIENT4, REASON_BANNED, XDP_PASS);
	expect_verdict("198.51.100.8", REASON_PASSED, XDP_PASS);
	/* What else there is against it holds. */
	expect_verdict(CLIENT4, REASON_BANNED, XDP_PASS);
	expect_verdict(CLIENT4, REASON_LIMITED, XDP_DROP);
	list_add(guard->maps.deny4, CLIENT4, 32);
	expect_verdict(CLIENT4, REASON_DENIED, XDP_DROP);
	list_add(guard->maps.allow4, CLIENT4, 32);
	expect_verdict(CLIENT4, REASON_ALLOWED, XDP_PASS);
}

static void test_stages(void **state)
{
	static const struct {
		enum stage stage;
		uint32_t until, next_until;
		enum reason before, after;
	} cases[] = {
		{STAGE_ADDING, NOW + 5, 0, REASON_PASSED, REASON_BANNED},
		{STAGE_REMOVING, NOW + 5, 0, REASON_BANNED, REASON_PASSED},
		{STAGE_CHANGING, NOW - 5, NOW + 5, REASON_PASSED, REASON_BANNED},
		{STAGE_CHANGING, NOW + 5, NOW - 5, REASON_BANNED, REASON_PASSED},
	};

	(void)state;
	lengths_set((struct lengths){.ban4 = {1, {32}}});
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ban_add(CLIENT4, 32,
			(struct ban_value){.stage = cases[i].stage,
					   .until = cases[i].until,
					   .next_until = cases[i].next_until});
		batch_set(BATCH_OPEN);
		expect4(CLIENT4, cases[i].before);
		batch_set(BATCH_COMMITTED);
		expect4(CLIENT4, cases[i].after);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GUARD_TEST(test_by_length), GUARD_TEST(test_all_lengths), GUARD_TEST(test_end),
		GUARD_TEST(test_order),	    GUARD_TEST(test_shadow),	  GUARD_TEST(test_stages),
		GUARD_TEST(test_filter),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
