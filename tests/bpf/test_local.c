/* SPDX-License-Identifier: Apache-2.0 */
/* The SYN gate is for this host's addresses alone, though a listener of any address is found for every destination. */
#include "tests/bpf/gate.h"

#define OWN                                                                                        \
	{                                                                                          \
		.addr = { 2, 0, 0, 0, 0, 1 }                                                       \
	} /* frame_ethernet's */
#define NEXT                                                                                       \
	{                                                                                          \
		.addr = { 2, 0, 0, 0, 0, 7 }                                                       \
	}

/* On any address of both families. */
static int wide_listener(uint16_t *ret_port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	socklen_t len = sizeof(any);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &len), 0);
	*ret_port = ntohs(any.sin6_port);
	port_protect(*ret_port);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	return fd;
}

static void segment_to(struct frame *f, const char *to, uint16_t port, uint8_t flags)
{
	frame_ethernet(f);
	if (strchr(to, ':'))
		frame_ip6(f, CLIENT6, to);
	else
		frame_ip4(f, CLIENT4, to, 0);
	frame_tcp(f, 40000, port, flags, 1000, flags & F_ACK, NULL, 0);
	frame_finish(f);
}

/* A SYN to the address, and an ACK that no handshake came before. */
static void expect_ours(const char *to, uint16_t port, bool ours)
{
	struct frame f;

	segment_to(&f, to, port, F_SYN);
	expect(&f, ours ? REASON_COOKIE_SENT : REASON_PASSED);
	segment_to(&f, to, port, F_ACK);
	expect(&f, ours ? REASON_COOKIE_INVALID : REASON_PASSED);
}

static void expect_by_mac(uint8_t last, uint16_t port, bool ours)
{
	struct frame f;

	segment_to(&f, GATEWAY4, port, F_SYN);
	f.bytes[5] = last;
	expect(&f, ours ? REASON_COOKIE_SENT : REASON_PASSED);
	segment_to(&f, GATEWAY6, port, F_ACK);
	f.bytes[5] = last;
	expect(&f, ours ? REASON_COOKIE_INVALID : REASON_PASSED);
}

static void test_frames_for_others(void **state)
{
	struct policy policy = {.syn_mode = SYN_ALWAYS, .local = {.mac = {OWN, NEXT}}};
	struct frame f;
	uint16_t port;
	int fd = wide_listener(&port);

	(void)state;
	policy_set(policy);
	expect_by_mac(7, port, true);
	expect_by_mac(8, port, true);
	policy.local.macs = 1;
	policy_set(policy);
	expect_by_mac(1, port, true);
	expect_by_mac(7, port, false);
	policy.local.macs = 2;
	policy_set(policy);
	expect_by_mac(1, port, true);
	expect_by_mac(7, port, true);
	expect_by_mac(8, port, false);
	expect_by_mac(0, port, false);
	policy.local.macs = LOCAL_MACS;
	policy.local.mac[LOCAL_MACS - 1] = (struct mac){.addr = {2, 0, 0, 0, 0, 9}};
	policy_set(policy);
	expect_by_mac(9, port, true);
	expect_by_mac(8, port, false);
	/* All six bytes count. */
	segment_to(&f, GATEWAY4, port, F_SYN);
	f.bytes[0] ^= 4;
	expect(&f, REASON_PASSED);
	close(fd);
}

/* What is not the gate's takes no cookie from those that are. */
static void test_others_meet_no_budget(void **state)
{
	struct policy policy = {
		.syn_mode = SYN_ALWAYS, .cookies = {SEC, 1}, .local = {.macs = 1, .mac = {OWN}}};
	uint16_t port;
	int fd = wide_listener(&port);

	(void)state;
	policy_set(policy);
	for (int i = 0; i < 3; i++)
		expect_by_mac(7, port, false);
	expect_ours(GATEWAY4, port, true);
	close(fd);
}

static void test_addresses_of_nobody(void **state)
{
	static const char *const nobodys[] = {
		"0.0.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "ff0e::1",
	};
	uint16_t port;
	int fd = wide_listener(&port);

	(void)state;
	policy_set((struct policy){.syn_mode = SYN_ALWAYS});
	for (size_t i = 0; i < sizeof(nobodys) / sizeof(nobodys[0]); i++)
		expect_ours(nobodys[i], port, false);
	expect_ours("240.0.0.1", port, true);
	expect_ours("223.255.255.255", port, true);
	expect_ours("fe80::1", port, true);
	/* A host talks to itself on lo, and nowhere else. */
	expect_ours("127.0.0.1", port, true);
	expect_ours("::1", port, true);
	ingress = elsewhere;
	expect_ours("127.0.0.1", port, false);
	expect_ours("127.255.0.1", port, false);
	expect_ours("::1", port, false);
	expect_ours("::ffff:127.0.0.1", port, false);
	expect_ours("::ffff:192.0.2.1", port, false);
	expect_ours(GATEWAY4, port, true);
	expect_ours(GATEWAY6, port, true);
	ingress = LOOPBACK;
	close(fd);
}

static void command(const char *text)
{
	assert_int_equal(system(text), 0);
}

static void test_destinations_behind_a_router(void **state)
{
	struct policy policy = {.syn_mode = SYN_ALWAYS, .cookies = {SEC, 100}};
	uint16_t port;
	int fd = wide_listener(&port);

	(void)state;
	command("ip link set guard0 up && ip link set guard1 up");
	command("ip addr add 203.0.113.1/24 dev guard0");
	command("ip addr add 2001:db8:7::1/64 dev guard0 nodad");
	command("ip route add local 203.0.113.64/26 dev lo");
	ingress = elsewhere;
	/* Nobody has said that this host routes. */
	policy_set(policy);
	expect_ours("203.0.113.9", port, true);
	policy.local.route4 = policy.local.route6 = elsewhere;
	policy_set(policy);
	/* It was said, and is over. */
	expect_ours("203.0.113.9", port, true);
	expect_ours("2001:db8:7::9", port, true);
	write_sysctl("/proc/sys/net/ipv4/conf/all/forwarding", "1");
	write_sysctl("/proc/sys/net/ipv6/conf/all/forwarding", "1");
	expect_ours("203.0.113.9", port, false);
	expect_ours("2001:db8:7::9", port, false);
	expect_ours("203.0.113.1", port, true);
	expect_ours("203.0.113.70", port, true);
	expect_ours("2001:db8:7::1", port, true);
	/* An interface that has gone can't be asked. */
	policy.local.route4 = policy.local.route6 = 4711;
	policy_set(policy);
	expect_ours("203.0.113.1", port, false);
	expect_ours("2001:db8:7::1", port, false);
	ingress = LOOPBACK;
	write_sysctl("/proc/sys/net/ipv4/conf/all/forwarding", "0");
	write_sysctl("/proc/sys/net/ipv6/conf/all/forwarding", "0");
	close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		GUARD_TEST(test_frames_for_others),
		GUARD_TEST(test_others_meet_no_budget),
		GUARD_TEST(test_addresses_of_nobody),
		GUARD_TEST(test_destinations_behind_a_router),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
