/* SPDX-License-Identifier: Apache-2.0 */
/* What frames are, whom the lists name, what no honest host sends. */
#include "tests/bpf/guard.h"

static void test_clean_passes(void **state)
{
	struct frame f;

	(void)state;
	tcp4(&f, CLIENT4, F_SYN);
	expect(&f, REASON_PASSED);
	tcp6(&f, CLIENT6, F_SYN);
	expect(&f, REASON_PASSED);
	frame_ethernet(&f);
	frame_ip4(&f, CLIENT4, GATEWAY4, 0);
	frame_udp(&f, 53, 53);
	frame_finish(&f);
	expect(&f, REASON_PASSED);
	frame_ethernet(&f);
	frame_ip6(&f, CLIENT6, GATEWAY6);
	frame_icmp(&f, 135);
	frame_finish(&f);
	expect(&f, REASON_PASSED);
}

static void test_not_ip(void **state)
{
	struct frame f;

	(void)state;
	frame_ethernet(&f);
	f.bytes[12] = ETH_P_ARP >> 8;
	f.bytes[13] = ETH_P_ARP & 255;
	frame_payload(&f, 46);
	expect(&f, REASON_NOT_IP);
}

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

static void test_vlan(void **state)
{
	struct frame f;

	(void)state;
	list_add(guard->maps.deny4, CLIENT4, 32);
	list_add(guard->maps.deny6, CLIENT6, 128);
	for (int tags = 1; tags <= 2; tags++) {
		frame_ethernet(&f);
		for (int i = 0; i < tags; i++)
			frame_vlan(&f, i + 1 < tags ? ETH_P_8021AD : ETH_P_8021Q, 7);
		frame_ip4(&f, CLIENT4, GATEWAY4, 0);
		frame_udp(&f, 1, 2);
		frame_finish(&f);
		expect(&f, REASON_DENIED);
		frame_ethernet(&f);
		for (int i = 0; i < tags; i++)
			frame_vlan(&f, ETH_P_8021Q, 7);
		frame_ip6(&f, CLIENT6, GATEWAY6);
		frame_udp(&f, 1, 2);
		frame_finish(&f);
		expect(&f, REASON_DENIED);
	}
	/* A third tag is for a switch: this host has no use for what is in it. */
	frame_ethernet(&f);
	for (int i = 0; i < 3; i++)
		frame_vlan(&f, ETH_P_8021Q, 7);
	frame_ip4(&f, CLIENT4, GATEWAY4, 0);
	frame_finish(&f);
	expect(&f, REASON_NOT_IP);
}

static void test_ip4_options(void **state)
{
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){PACKETS(SEC, 1)});
	for (size_t options = 0; options <= 40; options += 4) {
		char from[INET_ADDRSTRLEN];

		snprintf(from, sizeof(from), "198.51.100.%zu", options);
		frame_ethernet(&f);
		frame_ip4(&f, from, GATEWAY4, options);
		frame_tcp(&f, 1, 80, F_ACK, 1, 1, NULL, 0);
		frame_finish(&f);
		expect(&f, REASON_PASSED);
		expect(&f, REASON_LIMITED); /* the port was found behind them */
	}
}

static void test_ip6_extensions(void **state)
{
	static const uint8_t kinds[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS,
					IPPROTO_AH, IPPROTO_FRAGMENT};
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){PACKETS(SEC, 1)});
	for (size_t n = 1; n <= 7; n++) {
		char from[INET6_ADDRSTRLEN];

		snprintf(from, sizeof(from), "2001:db8:5:%zu::1", n);
		frame_ethernet(&f);
		frame_ip6(&f, from, GATEWAY6);
		for (size_t i = 0; i < n; i++) {
			uint8_t kind = kinds[i % 5];

			frame_ip6_extension(&f, kind, kind == IPPROTO_FRAGMENT ? 8 : 8 + 8 * i, 1);
		}
		frame_tcp(&f, 1, 80, F_ACK, 1, 1, NULL, 0);
		frame_finish(&f);
		if (n < 6) {
			expect(&f, REASON_PASSED);
			expect(&f, REASON_LIMITED);
		} else {
			expect(&f, REASON_IP6_HEADERS);
		}
	}
}

static void test_fragments(void **state)
{
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){PACKETS(SEC, 1)});
	/* The first fragment has ports and meets the bucket. */
	frame_ethernet(&f);
	frame_ip4_fragment(&f, CLIENT4, GATEWAY4, 0x2000);
	frame_udp(&f, 1, 80);
	frame_payload(&f, 64);
	frame_finish(&f);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
	/* Later ones have no ports: what looks like one is data. */
	frame_ethernet(&f);
	frame_ip4_fragment(&f, CLIENT4, GATEWAY4, 0x2000 | 100);
	frame_udp(&f, 1, 80);
	frame_finish(&f);
	expect(&f, REASON_FRAGMENT);
	frame_ethernet(&f);
	frame_ip6(&f, CLIENT6, GATEWAY6);
	frame_ip6_extension(&f, IPPROTO_FRAGMENT, 8, 8 << 3);
	frame_payload(&f, 64);
	f.bytes[f.ip + 40] = IPPROTO_TCP;
	frame_finish(&f);
	expect(&f, REASON_FRAGMENT);
	list_add(guard->maps.deny6, CLIENT6, 128);
	expect(&f, REASON_DENIED);
	/* A first fragment too short for its header hides it. */
	frame_ethernet(&f);
	frame_ip4_fragment(&f, CLIENT4, GATEWAY4, 0x2000);
	frame_payload(&f, 8);
	f.bytes[f.ip + 9] = IPPROTO_TCP;
	frame_finish(&f);
	expect(&f, REASON_TINY_FRAGMENT);
	/* A second one that begins in the TCP header could change its flags. */
	frame_ethernet(&f);
	frame_ip4_fragment(&f, CLIENT4, GATEWAY4, 1);
	frame_payload(&f, 32);
	f.bytes[f.ip + 9] = IPPROTO_TCP;
	frame_finish(&f);
	expect(&f, REASON_TINY_FRAGMENT);
	f.bytes[f.ip + 9] = IPPROTO_UDP;
	expect(&f, REASON_FRAGMENT);
}

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

/* Any frame cut anywhere: cut in a header it is malformed; never aborted, always counted. */
static void test_truncated(void **state)
{
	struct frame f[6];

	(void)state;
	tcp4(&f[0], CLIENT4, F_SYN);
	tcp6(&f[1], CLIENT6, F_SYN);
	frame_ethernet(&f[2]);
	frame_vlan(&f[2], ETH_P_8021AD, 1);
	frame_vlan(&f[2], ETH_P_8021Q, 2);
	frame_ip4(&f[2], CLIENT4, GATEWAY4, 12);
	frame_udp(&f[2], 1, 2);
	frame_finish(&f[2]);
	frame_ethernet(&f[3]);
	frame_ip6(&f[3], CLIENT6, GATEWAY6);
	frame_ip6_extension(&f[3], IPPROTO_HOPOPTS, 16, 0);
	frame_ip6_extension(&f[3], IPPROTO_AH, 24, 0);
	frame_ip6_extension(&f[3], IPPROTO_FRAGMENT, 8, 1);
	frame_icmp(&f[3], 128);
	frame_finish(&f[3]);
	frame_ethernet(&f[4]);
	frame_ip4(&f[4], CLIENT4, GATEWAY4, 0);
	frame_icmp(&f[4], 8);
	frame_finish(&f[4]);
	tcp4(&f[5], CLIENT4, F_ACK);
	frame_payload(&f[5], 100);
	frame_finish(&f[5]);
	port_protect(80);
	policy_set((struct policy){PACKETS(1, 1000), .syn_mode = SYN_ALWAYS});
	for (size_t i = 0; i < 6; i++) {
		size_t len = f[i].len;

		for (f[i].len = 14; f[i].len < len; f[i].len++)
			expect(&f[i], REASON_MALFORMED);
		expect(&f[i], REASON_PASSED);
		/* The same with lengths that agree with the cut, as a sender would make them. */
		for (f[i].len = f[i].ip + (i == 1 || i == 3 ? 40 : 32); f[i].len < len;
		     f[i].len++) {
			struct frame cut = f[i];

			cut.protocol = 0;
			frame_finish(&cut);
			expect_counted(&cut);
		}
	}
}

static void test_lengths(void **state)
{
	struct frame f;

	(void)state;
	/* Ethernet pads short frames: not part of the packet. */
	tcp4(&f, CLIENT4, F_ACK);
	frame_payload(&f, 6);
	expect(&f, REASON_PASSED);
	tcp4(&f, CLIENT4, F_ACK);
	f.bytes[f.ip + 3] = 19; /* total length under the header's */
	expect(&f, REASON_MALFORMED);
	tcp4(&f, CLIENT4, F_ACK);
	f.bytes[f.ip] = 0x44; /* header of 16 bytes */
	expect(&f, REASON_MALFORMED);
	tcp4(&f, CLIENT4, F_ACK);
	f.bytes[f.ip] = 0x65; /* version 6 in an IPv4 frame */
	expect(&f, REASON_MALFORMED);
	tcp4(&f, CLIENT4, F_ACK);
	f.bytes[f.l4 + 12] = 0x40; /* TCP header of 16 bytes */
	expect(&f, REASON_MALFORMED);
	tcp6(&f, CLIENT6, F_ACK);
	f.bytes[f.l4 + 12] = 0x60; /* TCP header over the packet's end */
	expect(&f, REASON_MALFORMED);
	tcp6(&f, CLIENT6, F_ACK);
	f.bytes[f.ip + 5] = 200;
	expect(&f, REASON_MALFORMED);
}

/* A jumbo frame, of which a program sees only the first page: its bytes count all, and its length is held to all of it. */
static void test_several_buffers(void **state)
{
	static uint8_t jumbo[8000];
	static const struct {
		enum reason reason;
		uint32_t too_long;
		bool ip6;
	} cases[] = {{REASON_PASSED, 0, false},
		     {REASON_MALFORMED, 1, false},
		     {REASON_PASSED, 0, true},
		     {REASON_MALFORMED, 1, true}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = jumbo,
			    .data_size_in = sizeof(jumbo));
		struct counter before[REASON_COUNT], after[REASON_COUNT];
		enum reason reason = cases[i].reason;
		uint32_t len = sizeof(jumbo) + cases[i].too_long;
		struct frame f;
		uint16_t field;

		if (cases[i].ip6)
			tcp6(&f, CLIENT6, F_ACK);
		else
			tcp4(&f, CLIENT4, F_ACK);
		memcpy(jumbo, f.bytes, f.len);
		field = htons((uint16_t)(len - f.ip - (cases[i].ip6 ? 40 : 0)));
		memcpy(jumbo + f.ip + (cases[i].ip6 ? 4 : 2), &field, sizeof(field));
		counters_read(before);
		assert_int_equal(bpf_prog_test_run_opts(program, &opts), 0);
		counters_read(after);
		assert_int_equal(opts.retval, verdicts[reason]);
		assert_int_equal(after[reason].packets - before[reason].packets, 1);
		assert_int_equal(after[reason].bytes - before[reason].bytes, sizeof(jumbo));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		GUARD_TEST(test_clean_passes),
		GUARD_TEST(test_not_ip),
		GUARD_TEST(test_deny),
		GUARD_TEST(test_allow_before_deny),
		GUARD_TEST(test_allow_before_bucket),
		GUARD_TEST(test_ends),
		GUARD_TEST(test_stages),
		GUARD_TEST(test_generations),
		GUARD_TEST(test_vlan),
		GUARD_TEST(test_ip4_options),
		GUARD_TEST(test_ip6_extensions),
		GUARD_TEST(test_fragments),
		GUARD_TEST(test_flags),
		GUARD_TEST(test_martians),
		GUARD_TEST(test_land),
		GUARD_TEST(test_port_zero),
		GUARD_TEST(test_truncated),
		GUARD_TEST(test_lengths),
		GUARD_TEST(test_several_buffers),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
