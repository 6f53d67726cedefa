/* SPDX-License-Identifier: Apache-2.0 */
/* What no honest host sends. */
#include "tests/bpf/guard.h"

static void test_flags(void **state)
{
	static const uint8_t sound[] = {
		F_SYN, F_SYN | F_ACK, F_ACK, F_FIN | F_ACK, F_RST, F_RST | F_ACK, F_ACK | F_PSH,
	};
	struct frame f;

	(void)state;
	for (unsigned int flags = 0; flags < 64; flags++) {
		bool good = false;

		for (size_t i = 0; i < sizeof(sound); i++)
			good |= (flags & (F_FIN | F_SYN | F_RST | F_ACK)) ==
				(sound[i] & (F_FIN | F_SYN | F_RST | F_ACK));
		tcp4(&f, CLIENT4, (uint8_t)flags);
		expect(&f, good ? REASON_PASSED : REASON_BAD_FLAGS);
		tcp6(&f, CLIENT6, (uint8_t)flags);
		expect(&f, good ? REASON_PASSED : REASON_BAD_FLAGS);
	}
}

/* The same frame as if it had come by a card: BPF_PROG_TEST_RUN says loopback otherwise. */
static int run_from_card(const struct frame *f)
{
	struct xdp_md ctx = {.data_end = (uint32_t)f->len, .ingress_ifindex = elsewhere};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->bytes, .data_size_in = (uint32_t)f->len,
		    .data_out = sent, .data_size_out = sizeof(sent), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx));

	assert_int_equal(bpf_prog_test_run_opts(program, &opts), 0);
	return (int)opts.retval;
}

static void test_martians(void **state)
{
	static const char *const bad4[] = {"0.0.0.1", "0.255.255.255", "224.0.0.1",
					   "239.255.255.255", "255.255.255.255"};
	static const char *const good4[] = {"1.0.0.0",	      "126.255.255.255", "128.0.0.1",
					    "10.0.0.1",	      "223.255.255.255", "240.0.0.1",
					    "255.255.255.254"};
	static const char *const bad6[] = {"ff02::1", "ff00::", "::ffff:10.0.0.1"};
	static const char *const good6[] = {"fe80::1", "fd00::1", "2001:db8::2", "::5"};
	struct frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(bad4) / sizeof(bad4[0]); i++) {
		tcp4(&f, bad4[i], F_ACK);
		expect(&f, REASON_MARTIAN);
	}
	for (size_t i = 0; i < sizeof(good4) / sizeof(good4[0]); i++) {
		tcp4(&f, good4[i], F_ACK);
		expect(&f, REASON_PASSED);
	}
	for (size_t i = 0; i < sizeof(bad6) / sizeof(bad6[0]); i++) {
		tcp6(&f, bad6[i], F_ACK);
		expect(&f, REASON_MARTIAN);
	}
	for (size_t i = 0; i < sizeof(good6) / sizeof(good6[0]); i++) {
		tcp6(&f, good6[i], F_ACK);
		expect(&f, REASON_PASSED);
	}
	/* A host without an address speaks to everybody, not to us. */
	tcp4(&f, "0.0.0.0", F_ACK);
	expect(&f, REASON_MARTIAN);
	frame_ethernet(&f);
	frame_ip4(&f, "0.0.0.0", "255.255.255.255", 0);
	frame_udp(&f, 68, 67);
	frame_finish(&f);
	expect(&f, REASON_PASSED);
	tcp6(&f, "::", F_ACK);
	expect(&f, REASON_MARTIAN);
	frame_ethernet(&f);
	frame_ip6(&f, "::", "ff02::1:ff00:1");
	frame_icmp(&f, 135);
	frame_finish(&f);
	expect(&f, REASON_PASSED);
	/* Loopback addresses are for the loopback interface, where the test run is. */
	tcp4(&f, "127.0.0.1", F_ACK);
	expect(&f, REASON_PASSED);
	assert_int_equal(run_from_card(&f), XDP_DROP);
	tcp6(&f, "::1", F_ACK);
	expect(&f, REASON_PASSED);
	assert_int_equal(run_from_card(&f), XDP_DROP);
}

static void test_land(void **state)
{
	struct counter c[REASON_COUNT];
	struct frame f;

	(void)state;
	frame_ethernet(&f);
	frame_ip4(&f, GATEWAY4, GATEWAY4, 0);
	frame_tcp(&f, 80, 80, F_SYN, 1, 0, NULL, 0);
	frame_finish(&f);
	expect(&f, REASON_PASSED); /* on the loopback a host talks to itself */
	assert_int_equal(run_from_card(&f), XDP_DROP);
	frame_ethernet(&f);
	frame_ip6(&f, GATEWAY6, GATEWAY6);
	frame_udp(&f, 53, 53);
	frame_finish(&f);
	assert_int_equal(run_from_card(&f), XDP_DROP);
	counters_read(c);
	assert_int_equal(c[REASON_LAND].packets, 2);
	frame_ethernet(&f);
	frame_ip6(&f, GATEWAY6, GATEWAY6);
	frame_udp(&f, 53, 54);
	frame_finish(&f);
	assert_int_equal(run_from_card(&f), XDP_PASS);
	/* A neighbour in the same /64, from the port that it sends to. */
	frame_ethernet(&f);
	frame_ip6(&f, "2001:db8::2", GATEWAY6);
	frame_udp(&f, 53, 53);
	frame_finish(&f);
	assert_int_equal(run_from_card(&f), XDP_PASS);
}

static void test_port_zero(void **state)
{
	struct frame f;

	(void)state;
	for (int source = 0; source <= 1; source++) {
		frame_ethernet(&f);
		frame_ip4(&f, CLIENT4, GATEWAY4, 0);
		frame_tcp(&f, source ? 0 : 1, source ? 1 : 0, F_SYN, 1, 0, NULL, 0);
		frame_finish(&f);
		expect(&f, REASON_PORT_ZERO);
	}
	frame_ethernet(&f);
	frame_ip4(&f, CLIENT4, GATEWAY4, 0);
	frame_udp(&f, 1, 0);
	frame_finish(&f);
	expect(&f, REASON_PORT_ZERO);
	/* Who wants no answer to a datagram says so by port 0 (RFC 768). */
	frame_ethernet(&f);
	frame_ip4(&f, CLIENT4, GATEWAY4, 0);
	frame_udp(&f, 0, 1);
	frame_finish(&f);
	expect(&f, REASON_PASSED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		GUARD_TEST(test_flags),
		GUARD_TEST(test_martians),
		GUARD_TEST(test_land),
		GUARD_TEST(test_port_zero),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
