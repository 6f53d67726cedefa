/* SPDX-License-Identifier: Apache-2.0 */
/* The guard on single frames by BPF_PROG_TEST_RUN: verdict, bytes, counters. In a network namespace of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "bpf/abi.h"
#include "bpf/guard.skel.h"
#include "tests/bpf/packet.h"

#define GATEWAY4 "192.0.2.1"
#define GATEWAY6 "2001:db8::1"
#define CLIENT4	 "198.51.100.7"
#define CLIENT6	 "2001:db8:1:2::7"
#define LOOPBACK 1 /* the first interface of a namespace */
#define SEC	 1000000000ULL

static struct guard *guard;
static int program;

static void counters_read(struct counter *out)
{
	int n = libbpf_num_possible_cpus();
	struct counters *per_cpu = calloc((size_t)n, sizeof(*per_cpu));
	uint32_t key = 0;

	memset(out, 0, sizeof(*out) * REASON_COUNT);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(guard->maps.counters), &key, per_cpu), 0);
	for (int cpu = 0; cpu < n; cpu++) {
		const struct counter *c = (const struct counter *)&per_cpu[cpu];

		for (int i = 0; i < REASON_COUNT; i++) {
			out[i].packets += c[i].packets;
			out[i].bytes += c[i].bytes;
		}
	}
	free(per_cpu);
}

static uint8_t sent[2048];
static uint32_t sent_len;

static int run_bytes(const void *bytes, size_t len, uint32_t repeat)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bytes, .data_size_in = (uint32_t)len,
		    .data_out = sent, .data_size_out = sizeof(sent), .repeat = repeat);

	assert_int_equal(bpf_prog_test_run_opts(program, &opts), 0);
	sent_len = opts.data_size_out;
	return (int)opts.retval;
}

static const int verdicts[] = {
#define GUARD_REASON(id, name, verdict, help) XDP_##verdict,
	GUARD_REASONS(GUARD_REASON)
#undef GUARD_REASON
};

/* The frame ends in reason, is counted once and with its bytes, and leaves as it came unless it is answered. */
static void expect(const struct frame *f, enum reason reason)
{
	struct counter before[REASON_COUNT];
	struct counter after[REASON_COUNT];
	int verdict;

	counters_read(before);
	verdict = run_bytes(f->bytes, f->len, 1);
	counters_read(after);
	for (int i = 0; i < REASON_COUNT; i++)
		if (after[i].packets != before[i].packets)
			assert_int_equal(i, (int)reason);
	assert_int_equal(after[reason].packets - before[reason].packets, 1);
	assert_int_equal(after[reason].bytes - before[reason].bytes, f->len);
	assert_int_equal(verdict, verdicts[reason]);
	if (verdict != XDP_TX) {
		assert_int_equal(sent_len, f->len);
		assert_memory_equal(sent, f->bytes, f->len);
	}
}

static void expect_counted(const struct frame *f)
{
	struct counter before[REASON_COUNT];
	struct counter after[REASON_COUNT];
	uint64_t packets = 0;
	int verdict;

	counters_read(before);
	verdict = run_bytes(f->bytes, f->len, 1);
	counters_read(after);
	for (int i = 0; i < REASON_COUNT; i++)
		packets += after[i].packets - before[i].packets;
	assert_int_equal(packets, 1);
	assert_int_not_equal(verdict, XDP_ABORTED);
}

static void policy_set(struct policy policy)
{
	uint32_t key = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.policy), &key, &policy, 0), 0);
}

static void port_protect(uint16_t number)
{
	uint32_t key = number;
	struct port_value value = {PORT_PROTECTED};

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.ports), &key, &value, 0), 0);
}

static void list_add(struct bpf_map *map, const char *addr, uint32_t prefixlen)
{
	struct prefix6 key = {.prefixlen = prefixlen};
	struct list_value value = {ORIGIN_OPERATOR};

	assert_int_equal(inet_pton(strchr(addr, ':') ? AF_INET6 : AF_INET, addr, key.addr), 1);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &key, &value, 0), 0);
}

static void list_del(struct bpf_map *map, const char *addr, uint32_t prefixlen)
{
	struct prefix6 key = {.prefixlen = prefixlen};

	assert_int_equal(inet_pton(strchr(addr, ':') ? AF_INET6 : AF_INET, addr, key.addr), 1);
	assert_int_equal(bpf_map_delete_elem(bpf_map__fd(map), &key), 0);
}

static void tcp4(struct frame *f, const char *from, uint8_t flags)
{
	frame_ethernet(f);
	frame_ip4(f, from, GATEWAY4, 0);
	frame_tcp(f, 40000, 80, flags, 1, 1, NULL, 0);
	frame_finish(f);
}

static void tcp6(struct frame *f, const char *from, uint8_t flags)
{
	frame_ethernet(f);
	frame_ip6(f, from, GATEWAY6);
	frame_tcp(f, 40000, 80, flags, 1, 1, NULL, 0);
	frame_finish(f);
}

/* A guard without policy, lists or protected ports; time stands at 1000 s. */
static int setup(void **state)
{
	(void)state;
	guard = guard__open();
	assert_non_null(guard);
	guard->rodata->test_clock = true;
	guard->rodata->bucket_seed = 42;
	assert_int_equal(guard__load(guard), 0);
	guard->bss->test_now = 1000 * SEC;
	program = bpf_program__fd(guard->progs.sluice_guard);
	/* An attached program is one that the kernel's dispatcher knows: a run takes microseconds, not a grace period. */
	return bpf_xdp_attach(LOOPBACK, program, XDP_FLAGS_SKB_MODE, NULL);
}

static int teardown(void **state)
{
	(void)state;
	bpf_xdp_detach(LOOPBACK, XDP_FLAGS_SKB_MODE, NULL);
	guard__destroy(guard);
	return 0;
}

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
	policy_set((struct policy){.interval = SEC, .burst = 1});
	tcp4(&f, CLIENT4, F_ACK);
	expect(&f, REASON_ALLOWED);
	expect(&f, REASON_ALLOWED);
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
	policy_set((struct policy){.interval = SEC, .burst = 1});
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
	policy_set((struct policy){.interval = SEC, .burst = 1});
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
	policy_set((struct policy){.interval = SEC, .burst = 1});
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

static uint32_t elsewhere; /* an interface that is not the loopback, or 0 */

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
	policy_set((struct policy){.interval = 1, .burst = 1000, .syn_mode = SYN_ALWAYS});
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

static void test_bucket_is_exact(void **state)
{
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){.interval = SEC / 10, .burst = 5});
	tcp4(&f, CLIENT4, F_ACK);
	for (int i = 0; i < 5; i++)
		expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
	guard->bss->test_now += SEC / 10 - 1;
	expect(&f, REASON_LIMITED);
	guard->bss->test_now += 1;
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
	/* Full after burst/rate, and not fuller after an hour. */
	guard->bss->test_now += 3600 * SEC;
	for (int i = 0; i < 5; i++)
		expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
}

static void test_bucket_sources(void **state)
{
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){.interval = SEC, .burst = 1});
	tcp4(&f, CLIENT4, F_ACK);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
	tcp4(&f, "198.51.100.8", F_ACK);
	expect(&f, REASON_PASSED);
	tcp6(&f, CLIENT6, F_ACK);
	expect(&f, REASON_PASSED);
	/* One source: its /64. */
	tcp6(&f, "2001:db8:1:2:ffff::1", F_ACK);
	expect(&f, REASON_LIMITED);
	tcp6(&f, "2001:db8:1:3::7", F_ACK);
	expect(&f, REASON_PASSED);
	/* ::/64 is a source as any other. */
	tcp6(&f, "::5", F_ACK);
	expect(&f, REASON_PASSED);
	tcp6(&f, "::6", F_ACK);
	expect(&f, REASON_LIMITED);
}

static void test_bucket_meters_protected_only(void **state)
{
	struct frame f;

	(void)state;
	port_protect(81);
	policy_set((struct policy){.interval = SEC, .burst = 1});
	tcp4(&f, CLIENT4, F_ACK);
	for (int i = 0; i < 3; i++)
		expect(&f, REASON_PASSED);
	frame_ethernet(&f);
	frame_ip4(&f, CLIENT4, GATEWAY4, 0);
	frame_icmp(&f, 8);
	frame_finish(&f);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
	frame_ethernet(&f);
	frame_ip6(&f, CLIENT6, GATEWAY6);
	frame_icmp(&f, 128);
	frame_finish(&f);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
}

/* A set without a free way: the newcomer shares one; a way whose bucket is full again is the newcomer's. */
static void test_bucket_crowd(void **state)
{
	struct bucket_set busy;
	struct bucket_set *set = &busy;
	uint64_t now = guard->bss->test_now;
	int fd = bpf_map__fd(guard->maps.buckets);
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){.interval = SEC, .burst = 3});
	for (uint32_t i = 0; i < BUCKET_SETS; i++) {
		for (int way = 0; way < BUCKET_WAYS; way++)
			set->way[way] = (struct bucket){.source = 1 + (uint64_t)way,
							.full_at = now + 2 * SEC};
		assert_int_equal(bpf_map_update_elem(fd, &i, set, 0), 0);
	}
	tcp4(&f, CLIENT4, F_ACK);
	expect(&f, REASON_PASSED); /* the token that the way's owner had left */
	expect(&f, REASON_LIMITED);
	guard->bss->test_now += 2 * SEC;
	for (int i = 0; i < 3; i++)
		expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
}

/* A policy that gives more does so at once: debts from before are cut to what a bucket holds now. */
static void test_bucket_policy_changes(void **state)
{
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){.interval = 1000 * SEC, .burst = 2});
	tcp4(&f, CLIENT4, F_ACK);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_PASSED);
	policy_set((struct policy){.interval = SEC, .burst = 2});
	expect(&f, REASON_LIMITED);
	guard->bss->test_now += SEC;
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
}

static void *hammer(void *arg)
{
	cpu_set_t set;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .repeat = 200000);
	const struct frame *f = arg;
	static _Atomic int next;
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);

	CPU_ZERO(&set);
	CPU_SET(next++ % cpus, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	opts.data_in = f->bytes;
	opts.data_size_in = (uint32_t)f->len;
	bpf_prog_test_run_opts(program, &opts);
	return NULL;
}

/* Two CPUs at once on one source: the burst and no more, within the bound that bucket.bpf.h states. */
static void test_bucket_concurrent(void **state)
{
	struct counter c[REASON_COUNT];
	pthread_t threads[2];
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){.interval = SEC, .burst = 100000});
	tcp4(&f, CLIENT4, F_ACK);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, &f), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	counters_read(c);
	assert_int_equal(c[REASON_PASSED].packets + c[REASON_LIMITED].packets, 400000);
	assert_in_range(c[REASON_PASSED].packets, 100000, 100000 + 100);
}

static void write_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, value, strlen(value)), strlen(value));
	close(fd);
}

static int listener(int family, uint16_t *ret_port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *addr = family == AF_INET ? (void *)&in : (void *)&in6;
	socklen_t len = family == AF_INET ? sizeof(in) : sizeof(in6);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, addr, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, addr, &len), 0);
	*ret_port = ntohs(family == AF_INET ? in.sin_port : in6.sin6_port);
	return fd;
}

static uint32_t be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void syn_frame(struct frame *f, int family, int tags, uint16_t port, uint8_t flags,
		      uint32_t seq, uint32_t ack, const uint8_t *options, size_t options_len)
{
	frame_ethernet(f);
	for (int i = 0; i < tags; i++)
		frame_vlan(f, ETH_P_8021Q, 9);
	if (family == AF_INET)
		frame_ip4(f, "127.0.0.1", "127.0.0.1", tags ? 8 : 0);
	else
		frame_ip6(f, "::1", "::1");
	frame_tcp(f, 40000, port, flags, seq, ack, options, options_len);
	frame_finish(f);
}

static void cookie_round(int family, int tags, const uint8_t *options, size_t options_len,
			 uint16_t mss)
{
	size_t header = family == AF_INET ? 20 : 40;
	const uint8_t *ip, *tcp;
	struct frame f;
	uint32_t cookie;
	uint16_t port;
	int fd = listener(family, &port);

	port_protect(port);
	syn_frame(&f, family, tags, port, F_SYN, 1000, 0, options, options_len);
	expect(&f, REASON_COOKIE_SENT);
	assert_int_equal(sent_len, f.ip + header + 24);
	assert_memory_equal(sent, f.bytes + 6, 6);
	assert_memory_equal(sent + 6, f.bytes, 6);
	assert_memory_equal(sent + 12, f.bytes + 12, f.ip - 12); /* the tags stay */
	assert_int_equal(frame_check(sent, sent_len, f.ip), 0);
	ip = sent + f.ip;
	tcp = ip + header;
	assert_int_equal(be32(tcp) >> 16, port);
	assert_int_equal(be32(tcp) & 0xffff, 40000);
	assert_int_equal(be32(tcp + 8), 1001);
	assert_int_equal(tcp[13], F_SYN | F_ACK);
	assert_int_equal(tcp[12] >> 4, 6);
	assert_int_equal(be32(tcp + 20), 2 << 24 | 4 << 16 | mss);
	cookie = be32(tcp + 4);
	syn_frame(&f, family, tags, port, F_ACK, 1001, cookie + 1, NULL, 0);
	expect(&f, REASON_COOKIE_VALID);
	syn_frame(&f, family, tags, port, F_ACK, 1001, cookie + 4097, NULL, 0);
	expect(&f, REASON_COOKIE_INVALID);
	/* What is neither a SYN nor a bare ACK is the kernel's. */
	syn_frame(&f, family, tags, port, F_SYN | F_ACK, 1, 1, NULL, 0);
	expect(&f, REASON_PASSED);
	syn_frame(&f, family, tags, port, F_RST, 1, 1, NULL, 0);
	expect(&f, REASON_PASSED);
	close(fd);
	/* Nobody listens any more. */
	syn_frame(&f, family, tags, port, F_SYN, 1000, 0, NULL, 0);
	expect(&f, REASON_PASSED);
}

static void test_cookies(void **state)
{
	static const uint8_t mss1460[] = {2, 4, 1460 >> 8, 1460 & 255};
	static const uint8_t many[] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0,
				       0, 1, 0, 0,    0, 0, 1, 3,  3, 7};

	(void)state;
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	policy_set((struct policy){.syn_mode = SYN_ALWAYS});
	for (int tags = 0; tags <= 2; tags++) {
		cookie_round(AF_INET, tags, mss1460, sizeof(mss1460), 1460);
		cookie_round(AF_INET, tags, many, sizeof(many), 1460);
		cookie_round(AF_INET, tags, NULL, 0, 536);
		cookie_round(AF_INET6, tags, many, sizeof(many), 1440);
	}
}

static void test_cookie_modes(void **state)
{
	struct frame f;
	uint16_t port;
	int fd = listener(AF_INET, &port);

	(void)state;
	port_protect(port);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	syn_frame(&f, AF_INET, 0, port, F_SYN, 1000, 0, NULL, 0);
	policy_set((struct policy){.syn_mode = SYN_OFF});
	expect(&f, REASON_PASSED);
	/* Three a second are no flood, the fourth is; ten seconds of calm end it. */
	policy_set((struct policy){.syn_mode = SYN_AUTO, .syn_threshold = 3});
	for (int i = 0; i < 3; i++)
		expect(&f, REASON_PASSED);
	expect(&f, REASON_COOKIE_SENT);
	guard->bss->test_now += SYN_HOLD_NSEC - 1;
	expect(&f, REASON_COOKIE_SENT);
	guard->bss->test_now += 1;
	expect(&f, REASON_PASSED);
	/* With room in the listener's queue and tcp_syncookies=1 the kernel wants to see SYNs itself. */
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "1");
	policy_set((struct policy){.syn_mode = SYN_ALWAYS});
	expect(&f, REASON_PASSED);
	close(fd);
}

static void test_cookie_checksum(void **state)
{
	struct frame f;
	uint16_t port;
	int fd = listener(AF_INET, &port);

	(void)state;
	port_protect(port);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	policy_set((struct policy){.syn_mode = SYN_ALWAYS});
	syn_frame(&f, AF_INET, 0, port, F_SYN, 1000, 0, NULL, 0);
	f.bytes[f.l4 + 4] ^= 1;
	expect(&f, REASON_BAD_CHECKSUM);
	f.bytes[f.l4 + 4] ^= 1;
	f.bytes[f.ip + 8] ^= 1;
	expect(&f, REASON_BAD_CHECKSUM);
	close(fd);
}

/* A SYN that is answered costs its source nothing: the source may be forged. */
static void test_cookie_before_bucket(void **state)
{
	struct frame f;
	uint16_t port;
	int fd = listener(AF_INET, &port);

	(void)state;
	port_protect(port);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	policy_set((struct policy){.syn_mode = SYN_ALWAYS, .interval = SEC, .burst = 1});
	syn_frame(&f, AF_INET, 0, port, F_SYN, 1000, 0, NULL, 0);
	for (int i = 0; i < 3; i++)
		expect(&f, REASON_COOKIE_SENT);
	close(fd);
}

static int setup_all(void **state)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd;

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	close(fd);
	assert_int_equal(system("ip link add guard0 type veth peer name guard1"), 0);
	elsewhere = if_nametoindex("guard0");
	return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		T(test_clean_passes),
		T(test_not_ip),
		T(test_deny),
		T(test_allow_before_deny),
		T(test_allow_before_bucket),
		T(test_vlan),
		T(test_ip4_options),
		T(test_ip6_extensions),
		T(test_fragments),
		T(test_flags),
		T(test_martians),
		T(test_land),
		T(test_port_zero),
		T(test_truncated),
		T(test_lengths),
		T(test_bucket_is_exact),
		T(test_bucket_sources),
		T(test_bucket_meters_protected_only),
		T(test_bucket_crowd),
		T(test_bucket_policy_changes),
		T(test_bucket_concurrent),
		T(test_cookies),
		T(test_cookie_modes),
		T(test_cookie_checksum),
		T(test_cookie_before_bucket),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
