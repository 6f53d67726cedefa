/* SPDX-License-Identifier: Apache-2.0 */
/* Rules with a port: the longest prefix decides, then what is said of all others; after the lists, before all limits. */
#include "tests/bpf/guard.h"

#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP

static void lengths(struct prefix_lengths rule4, struct prefix_lengths rule6)
{
	lengths_set((struct lengths){.rule4 = rule4, .rule6 = rule6});
}

/* addr NULL: all others. */
static void rule(const char *addr, uint8_t prefixlen, uint8_t protocol, uint16_t port,
		 enum rule_action action)
{
	rule_add(addr, prefixlen, protocol, port, (struct rule_value){.action = action});
}

static void frame_to(struct frame *f, const char *from, uint8_t protocol, uint16_t port)
{
	frame_ethernet(f);
	if (strchr(from, ':'))
		frame_ip6(f, from, GATEWAY6);
	else
		frame_ip4(f, from, GATEWAY4, 0);
	if (protocol == TCP)
		frame_tcp(f, 40000, port, F_ACK, 1, 1, NULL, 0);
	else
		frame_udp(f, 40000, port);
	frame_finish(f);
}

static void expect_to(const char *from, uint8_t protocol, uint16_t port, enum reason reason)
{
	struct frame f;

	frame_to(&f, from, protocol, port);
	expect(&f, reason);
}

static void test_deny(void **state)
{
	struct port_value none = {0};
	uint32_t ssh = 22;

	(void)state;
	rule("203.0.113.7", 32, TCP, 22, RULE_DENY);
	rule("2001:db8:bad::", 48, TCP, 22, RULE_DENY);
	rule("203.0.113.0", 24, UDP, 53, RULE_DENY);
	expect_to("203.0.113.7", TCP, 22, REASON_PASSED); /* no length is in use */
	lengths((struct prefix_lengths){2, {32, 24}}, (struct prefix_lengths){1, {48}});
	expect_to("203.0.113.7", TCP, 22, REASON_PORT_DENIED);
	expect_to("203.0.113.8", TCP, 22, REASON_PASSED);
	expect_to("203.0.113.7", TCP, 23, REASON_PASSED);
	expect_to("203.0.113.7", UDP, 22, REASON_PASSED);
	expect_to("203.0.113.9", UDP, 53, REASON_PORT_DENIED);
	expect_to("203.0.113.9", TCP, 53, REASON_PASSED);
	expect_to("2001:db8:bad:1::1", TCP, 22, REASON_PORT_DENIED);
	expect_to("2001:db8:bae:1::1", TCP, 22, REASON_PASSED);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.ports), &ssh, &none, 0), 0);
	expect_to("203.0.113.7", TCP, 22, REASON_PASSED);
}

static void test_longest_decides(void **state)
{
	(void)state;
	lengths((struct prefix_lengths){4, {32, 24, 16, 0}}, (struct prefix_lengths){2, {128, 32}});
	rule("0.0.0.0", 0, TCP, 22, RULE_DENY);
	rule("10.1.0.0", 16, TCP, 22, RULE_ALLOW);
	rule("10.1.2.0", 24, TCP, 22, RULE_DENY);
	rule("10.1.2.3", 32, TCP, 22, RULE_ALLOW);
	rule("2001:db8::", 32, TCP, 22, RULE_DENY);
	rule("2001:db8::1", 128, TCP, 22, RULE_ONLY);
	expect_to("10.1.2.3", TCP, 22, REASON_PASSED);
	expect_to("10.1.2.4", TCP, 22, REASON_PORT_DENIED);
	expect_to("10.1.3.4", TCP, 22, REASON_PASSED);
	expect_to("10.2.3.4", TCP, 22, REASON_PORT_DENIED);
	expect_to("2001:db8::1", TCP, 22, REASON_PASSED);
	expect_to("2001:db8::2", TCP, 22, REASON_PORT_DENIED);
	expect_to("2001:db9::2", TCP, 22, REASON_PASSED);
}

static void test_only(void **state)
{
	(void)state;
	rule("10.0.0.0", 8, TCP, 9901, RULE_ONLY);
	lengths((struct prefix_lengths){1, {8}}, (struct prefix_lengths){0});
	expect_to("198.51.100.7", TCP, 9901, REASON_PASSED);
	for (int by_hand = 0; by_hand < 2; by_hand++) {
		rule(NULL, 0, TCP, 9901, by_hand ? RULE_DENY : RULE_ONLY);
		expect_to("10.200.0.1", TCP, 9901, REASON_PASSED);
		expect_to("198.51.100.7", TCP, 9901, REASON_PORT_DENIED);
		expect_to(CLIENT6, TCP, 9901, REASON_PORT_DENIED); /* the other family, too */
		expect_to("198.51.100.7", UDP, 9901, REASON_PASSED);
		expect_to("198.51.100.7", TCP, 9902, REASON_PASSED);
	}
	rule(NULL, 0, TCP, 9901, RULE_ALLOW);
	expect_to("198.51.100.7", TCP, 9901, REASON_PASSED);
}

static void test_order(void **state)
{
	struct frame f;

	(void)state;
	rule(CLIENT4, 32, TCP, 80, RULE_DENY);
	lengths((struct prefix_lengths){1, {32}}, (struct prefix_lengths){0});
	policy_set((struct policy){PACKETS(SEC, 1), .metered = 1 << LIMIT_PACKETS});
	expect_to(CLIENT4, TCP, 80, REASON_PORT_DENIED);
	expect_to(CLIENT4, TCP, 80, REASON_PORT_DENIED); /* takes no token */
	list_add(guard->maps.deny4, CLIENT4, 32);
	expect_to(CLIENT4, TCP, 80, REASON_DENIED);
	list_add(guard->maps.allow4, CLIENT4, 32);
	expect_to(CLIENT4, TCP, 80, REASON_ALLOWED);
	/* Bogus is bogus first. */
	list_del(guard->maps.allow4, CLIENT4, 32);
	list_del(guard->maps.deny4, CLIENT4, 32);
	tcp4(&f, CLIENT4, F_SYN | F_FIN);
	expect(&f, REASON_BAD_FLAGS);
}

static void batch_set(enum batch batch)
{
	struct state state = {.batch = batch};
	uint32_t key = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.state), &key, &state, 0), 0);
}

static void test_stages(void **state)
{
	static const struct {
		struct rule_value value;
		enum reason before, after;
	} cases[] = {
		{{.stage = STAGE_ADDING}, REASON_PASSED, REASON_PORT_DENIED},
		{{.stage = STAGE_REMOVING}, REASON_PORT_DENIED, REASON_PASSED},
		{{.stage = STAGE_CHANGING, .next_action = RULE_ALLOW},
		 REASON_PORT_DENIED,
		 REASON_PASSED},
		{{.stage = STAGE_CHANGING, .action = RULE_ALLOW, .next_action = RULE_DENY},
		 REASON_PASSED,
		 REASON_PORT_DENIED},
		{{.until = 1000}, REASON_PASSED, REASON_PASSED},
		{{.until = 1001}, REASON_PORT_DENIED, REASON_PORT_DENIED},
	};

	(void)state;
	lengths((struct prefix_lengths){1, {24}}, (struct prefix_lengths){0});
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rule_add("198.51.100.0", 24, UDP, 22, cases[i].value);
		batch_set(BATCH_OPEN);
		expect_to(CLIENT4, UDP, 22, cases[i].before);
		batch_set(BATCH_COMMITTED);
		expect_to(CLIENT4, UDP, 22, cases[i].after);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GUARD_TEST(test_deny),	GUARD_TEST(test_longest_decides), GUARD_TEST(test_only),
		GUARD_TEST(test_order), GUARD_TEST(test_stages),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
