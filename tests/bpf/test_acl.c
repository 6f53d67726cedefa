/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the lists name, from when on and until when; one store changes all of the policy. */
#include "tests/bpf/guard.h"

static void test_deny(void **state)
{
	struct frame f;

	(void)state;
	list_add(guard->maps.deny4, "203.0.113.7", 32);
	list_add(guard->maps.deny4, "10.20.0.0", 16);
	list_add(guard->maps.deny6, "2001:db8:bad::", 48);
	list_add(guard->maps.deny6, "2001:db8:1::66", 128);
	tcp4(&f, "203.0.113.7", F_ACK);
	expect(&f, REASON_DENIED);
	tcp4(&f, "203.0.113.8", F_ACK);
	expect(&f, REASON_PASSED);
	tcp4(&f, "10.20.255.255", F_ACK);
	expect(&f, REASON_DENIED);
	tcp4(&f, "10.21.0.0", F_ACK);
	expect(&f, REASON_PASSED);
	tcp6(&f, "2001:db8:bad:ffff::1", F_ACK);
	expect(&f, REASON_DENIED);
	tcp6(&f, "2001:db8:bae::1", F_ACK);
	expect(&f, REASON_PASSED);
	tcp6(&f, "2001:db8:1::66", F_ACK);
	expect(&f, REASON_DENIED);
	/* What counts from the next packet stops with it, too. */
	list_del(guard->maps.deny4, "203.0.113.7", 32);
	tcp4(&f, "203.0.113.7", F_ACK);
	expect(&f, REASON_PASSED);
}

static void test_allow_before_deny(void **state)
{
	struct frame f;

	(void)state;
	list_add(guard->maps.deny4, "0.0.0.0", 0);
	list_add(guard->maps.allow4, CLIENT4, 32);
	list_add(guard->maps.deny6, "::", 0);
	list_add(guard->maps.allow6, "2001:db8:1:2::", 64);
	tcp4(&f, CLIENT4, F_ACK);
	expect(&f, REASON_ALLOWED);
	tcp4(&f, "198.51.100.8", F_ACK);
	expect(&f, REASON_DENIED);
	tcp6(&f, CLIENT6, F_ACK);
	expect(&f, REASON_ALLOWED);
	tcp6(&f, "2001:db8:1:3::7", F_ACK);
	expect(&f, REASON_DENIED);
}

static void test_allow_before_bucket(void **state)
{
	struct frame f;

	(void)state;
	list_add(guard->maps.allow4, CLIENT4, 32);
	port_protect(80);
	policy_set((struct policy){PACKETS(SEC, 1)});
	tcp4(&f, CLIENT4, F_ACK);
	expect(&f, REASON_ALLOWED);
	expect(&f, REASON_ALLOWED);
}

static void list_put(struct bpf_map *map, const char *addr, uint32_t prefixlen,
		     struct list_value value)
{
	struct prefix6 key = {.prefixlen = prefixlen};

	assert_int_equal(inet_pton(strchr(addr, ':') ? AF_INET6 : AF_INET, addr, key.addr), 1);
	value.prefixlen = (uint8_t)prefixlen;
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &key, &value, 0), 0);
}

/* Ended entries stop counting at once and hide no shorter prefix; who wrote them need not say how long they are. */
static void test_ends(void **state)
{
	struct prefix4 key = {32, {198, 51, 100, 7}};
	struct list_value ended = {.until = 1000};
	struct frame f;

	(void)state;
	tcp4(&f, CLIENT4, F_ACK);
	list_put(guard->maps.deny4, CLIENT4, 32, (struct list_value){.until = 1001});
	expect(&f, REASON_DENIED);
	guard->bss->test_now = 1001 * SEC;
	expect(&f, REASON_PASSED);
	list_put(guard->maps.deny4, "198.51.100.0", 24, (struct list_value){.until = 1000});
	list_put(guard->maps.deny4, "198.0.0.0", 8, (struct list_value){0});
	expect(&f, REASON_DENIED);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.deny4), &key, &ended, 0), 0);
	expect(&f, REASON_DENIED);
	list_put(guard->maps.deny4, "198.0.0.0", 8, (struct list_value){.until = 1001});
	expect(&f, REASON_PASSED);
	list_put(guard->maps.allow6, "::", 0, (struct list_value){.until = 1002});
	list_put(guard->maps.allow6, CLIENT6, 128, (struct list_value){.until = 1001});
	tcp6(&f, CLIENT6, F_ACK);
	expect(&f, REASON_ALLOWED);
	guard->bss->test_now = 1002 * SEC;
	expect(&f, REASON_PASSED);
}

static void state_set(uint32_t generation, enum batch batch)
{
	struct state value = {.generation = generation, .batch = batch};
	uint32_t key = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.state), &key, &value, 0), 0);
}

static void test_stages(void **state)
{
	struct list_value adding = {.stage = STAGE_ADDING}, removing = {.stage = STAGE_REMOVING};
	struct list_value sooner = {.stage = STAGE_CHANGING, .next_until = 1000};
	struct list_value later = {.stage = STAGE_CHANGING, .until = 1000};
	struct frame f[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		char from[32];

		snprintf(from, sizeof(from), "198.51.100.%d", i);
		tcp4(&f[i], from, F_ACK);
	}
	list_put(guard->maps.deny4, "198.51.100.0", 32, adding);
	list_put(guard->maps.deny4, "198.51.100.1", 32, removing);
	list_put(guard->maps.deny4, "198.51.100.2", 32, sooner);
	list_put(guard->maps.deny4, "198.51.100.3", 32, later);
	for (enum batch batch = BATCH_NONE; batch <= BATCH_COMMITTED; batch++) {
		bool done = batch == BATCH_COMMITTED;

		state_set(0, batch);
		expect(&f[0], done ? REASON_DENIED : REASON_PASSED);
		expect(&f[1], done ? REASON_PASSED : REASON_DENIED);
		expect(&f[2], done ? REASON_PASSED : REASON_DENIED);
		expect(&f[3], done ? REASON_DENIED : REASON_PASSED);
	}
}

/* One store changes policy and ports. */
static void test_generations(void **state)
{
	struct policy limit = {PACKETS(SEC, 1), .metered = 1 << LIMIT_PACKETS};
	struct port_value value = {.state = {PORT_OPEN, PORT_PROTECTED}};
	uint32_t half = 1, port = 80;
	struct frame f;

	(void)state;
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.policy), &half, &limit, 0), 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.ports), &port, &value, 0), 0);
	tcp4(&f, CLIENT4, F_ACK);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_PASSED);
	state_set(1, BATCH_NONE);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
	state_set(2, BATCH_NONE);
	expect(&f, REASON_PASSED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		GUARD_TEST(test_deny),
		GUARD_TEST(test_allow_before_deny),
		GUARD_TEST(test_allow_before_bucket),
		GUARD_TEST(test_ends),
		GUARD_TEST(test_stages),
		GUARD_TEST(test_generations),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
