/* SPDX-License-Identifier: Apache-2.0 */
/* The SYN gate: cookies that the kernel itself made and takes back. */
#include "tests/bpf/gate.h"

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
	/* An ACK is one whatever else it does; SYN-ACKs and RSTs are the kernel's. */
	syn_frame(&f, family, tags, port, F_FIN | F_ACK, 1001, cookie + 1, NULL, 0);
	expect(&f, REASON_COOKIE_VALID);
	syn_frame(&f, family, tags, port, F_ACK, 1001, cookie + 1, NULL, 0);
	expect(&f, REASON_COOKIE_VALID);
	syn_frame(&f, family, tags, port, F_ACK, 1001, cookie + 4097, NULL, 0);
	expect(&f, REASON_COOKIE_INVALID);
	syn_frame(&f, family, tags, port, F_FIN | F_PSH | F_ACK, 1001, cookie + 4097, NULL, 0);
	expect(&f, REASON_COOKIE_INVALID);
	syn_frame(&f, family, tags, port, F_SYN | F_ACK, 1, 1, NULL, 0);
	expect(&f, REASON_PASSED);
	syn_frame(&f, family, tags, port, F_RST | F_ACK, 1, 1, NULL, 0);
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

/* In auto mode with tcp_syncookies=1 a cookie means a full queue; 2 stands for one here. */
static void test_cookie_when_full(void **state)
{
	struct policy policy = {
		.syn_mode = SYN_AUTO, .syn_threshold = 1000, .cookie_options = COOKIE_WHEN_FULL};
	struct frame syn, ack;
	uint16_t port;
	int fd = listener(AF_INET, &port);

	(void)state;
	port_protect(port);
	syn_frame(&syn, AF_INET, 0, port, F_SYN, 1000, 0, NULL, 0);
	syn_frame(&ack, AF_INET, 0, port, F_ACK, 1001, 1, NULL, 0);
	policy_set(policy);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "1");
	expect(&syn, REASON_PASSED);
	expect(&ack, REASON_PASSED);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	expect(&syn, REASON_COOKIE_SENT);
	guard->bss->test_now += SYN_HOLD_NSEC - 1;
	expect(&ack, REASON_COOKIE_INVALID);
	guard->bss->test_now += 1;
	expect(&ack, REASON_PASSED);
	/* Where the kernel is set to 2 it answers below the threshold itself. */
	policy.cookie_options = 0;
	policy_set(policy);
	expect(&syn, REASON_PASSED);
	close(fd);
}

/* Whatever becomes of them: answered, passed, dropped; not what the lists have ended, and not of other ports. */
static void first_flight(int family)
{
	struct frame f;
	uint32_t cookie;
	uint16_t port;
	int fd = listener(family, &port);

	port_protect(port);
	syn_frame(&f, family, 0, port, F_SYN, 1000, 0, NULL, 0);
	expect(&f, REASON_COOKIE_SENT);
	cookie = be32(sent + f.l4 + 4);
	/* Nobody has shown yet that he knows the cookie. */
	syn_frame(&f, family, 0, port, F_ACK, 2461, cookie + 1, NULL, 0);
	expect(&f, REASON_COOKIE_INVALID);
	syn_frame(&f, family, 0, port, F_ACK, 1001, cookie + 1, NULL, 0);
	expect(&f, REASON_COOKIE_VALID);
	/* The kernel has not seen the ACK in this test, and in one batch of a driver's. */
	for (uint32_t i = 1; i < 10; i++) {
		syn_frame(&f, family, 0, port, F_PSH | F_ACK, 1001 + i * 1460, cookie + 1, NULL, 0);
		expect(&f, REASON_PASSED);
	}
	syn_frame(&f, family, 0, port, F_ACK, 2461, cookie + 2, NULL, 0);
	expect(&f, REASON_COOKIE_INVALID);
	syn_frame(&f, family, 0, port, F_ACK, 2461, cookie + 1, NULL, 0);
	f.bytes[f.l4 + 1] ^= 1; /* another port of the client */
	expect(&f, REASON_COOKIE_INVALID);
	close(fd);
}

/* What a client sends behind its ACK, before the kernel has made the connection. */
static void test_first_flight(void **state)
{
	(void)state;
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	policy_set((struct policy){.syn_mode = SYN_ALWAYS});
	first_flight(AF_INET);
	first_flight(AF_INET6);
}

static void test_syns_are_counted(void **state)
{
	struct frame f;
	uint16_t port;
	int fd = listener(AF_INET, &port);

	(void)state;
	port_protect(port);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	syn_frame(&f, AF_INET, 0, port, F_SYN, 1000, 0, NULL, 0);
	policy_set((struct policy){.syn_mode = SYN_ALWAYS});
	expect(&f, REASON_COOKIE_SENT);
	assert_int_equal(tally_read(TALLY_SYNS_SEEN), 1);
	policy_set((struct policy){.syn_mode = SYN_AUTO, .syn_threshold = 1000});
	expect(&f, REASON_PASSED);
	f.bytes[f.l4 + 4] ^= 1;
	policy_set((struct policy){.syn_mode = SYN_ALWAYS});
	expect(&f, REASON_BAD_CHECKSUM);
	assert_int_equal(tally_read(TALLY_SYNS_SEEN), 3);
	syn_frame(&f, AF_INET, 0, port, F_ACK, 1000, 1, NULL, 0);
	expect(&f, REASON_COOKIE_INVALID);
	syn_frame(&f, AF_INET, 0, (uint16_t)(port ^ 1), F_SYN, 1000, 0, NULL, 0);
	expect(&f, REASON_PASSED);
	policy_set((struct policy){.syn_mode = SYN_OFF});
	syn_frame(&f, AF_INET, 0, port, F_SYN, 1000, 0, NULL, 0);
	expect(&f, REASON_PASSED);
	assert_int_equal(tally_read(TALLY_SYNS_SEEN), 3);
	close(fd);
}

static void test_cookie_checksum(void **state)
{
	(void)state;
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	policy_set((struct policy){.syn_mode = SYN_ALWAYS});
	for (int family = AF_INET; family; family = family == AF_INET ? AF_INET6 : 0) {
		struct frame f;
		uint16_t port;
		int fd = listener(family, &port);

		port_protect(port);
		syn_frame(&f, family, 0, port, F_SYN, 1000, 0, NULL, 0);
		f.bytes[f.l4 + 4] ^= 1;
		expect(&f, REASON_BAD_CHECKSUM);
		f.bytes[f.l4 + 4] ^= 1;
		if (family == AF_INET) { /* its header has a sum of its own */
			f.bytes[f.ip + 8] ^= 1;
			expect(&f, REASON_BAD_CHECKSUM);
		}
		close(fd);
	}
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
	policy_set((struct policy){.syn_mode = SYN_ALWAYS, PACKETS(SEC, 1)});
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
		GUARD_TEST(test_cookie_when_full),
		GUARD_TEST(test_first_flight),
		GUARD_TEST(test_syns_are_counted),
		GUARD_TEST(test_cookie_checksum),
		GUARD_TEST(test_cookie_before_bucket),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
