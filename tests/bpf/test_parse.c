/* SPDX-License-Identifier: Apache-2.0 */
/* What frames are: whole and cut short, with tags, options, extension headers, in fragments, in several pieces. */
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
	/* The kernel takes off tags of VLAN 0 however many there are, so none may hide a source from the lists. */
	for (uint16_t id = 0; id < 2; id++) {
		for (int tags = 3; tags <= 5; tags++) {
			frame_ethernet(&f);
			for (int i = 0; i < tags; i++)
				frame_vlan(&f, i & 1 ? ETH_P_8021AD : ETH_P_8021Q, id);
			frame_ip4(&f, CLIENT4, GATEWAY4, 0);
			frame_finish(&f);
			expect(&f, REASON_MALFORMED);
		}
	}
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
		GUARD_TEST(test_vlan),
		GUARD_TEST(test_ip4_options),
		GUARD_TEST(test_ip6_extensions),
		GUARD_TEST(test_fragments),
		GUARD_TEST(test_truncated),
		GUARD_TEST(test_lengths),
		GUARD_TEST(test_several_buffers),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
