/* SPDX-License-Identifier: Apache-2.0 */
/* The SYN gate: cookies that the kernel itself made and takes back. */
#include "tests/bpf/guard.h"

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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		GUARD_TEST(test_cookies),
		GUARD_TEST(test_cookie_modes),
		GUARD_TEST(test_cookie_checksum),
		GUARD_TEST(test_cookie_before_bucket),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
