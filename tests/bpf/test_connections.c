/* SPDX-License-Identifier: Apache-2.0 */
/* The limit on connections: handshakes by the gate's cookies, by the kernel's, and those that the kernel holds open. */
#include "tests/bpf/gate.h"

#include <linux/if_packet.h>

#define HOUR (3600 * SEC)

static void test_connections(void **state)
{
	uint16_t port;
	int fd = cookie_listener(&port);
	struct frame f;

	(void)state;
	policy_set((struct policy){.syn_mode = SYN_ALWAYS, LIMIT(LIMIT_CONNECTIONS, SEC, 2)});
	cookie_ack(&f, 1, 1, port);
	expect(&f, REASON_COOKIE_VALID);
	cookie_ack(&f, 1, 2, port);
	expect(&f, REASON_COOKIE_VALID);
	cookie_ack(&f, 1, 3, port);
	expect(&f, REASON_LIMITED_CONNECTIONS);
	cookie_ack(&f, 2, 3, port);
	expect(&f, REASON_COOKIE_VALID);
	guard->bss->test_now += SEC;
	cookie_ack(&f, 1, 3, port);
	expect(&f, REASON_COOKIE_VALID);
	policy_set((struct policy){0});
	close(fd);
}

/* What ended lately is remembered by each CPU. */
static void stay_on_one_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

/* The same segment with other data: flags, sequence number and bytes. */
static void follow(struct frame *f, uint8_t flags, uint32_t seq, size_t bytes)
{
	struct frame ack = *f;
	const uint8_t *tcp = ack.bytes + ack.l4;

	frame_ethernet(f);
	memcpy(f->bytes, ack.bytes, 12);
	frame_ip4(f, "192.0.2.1", "192.0.2.1", 0);
	memcpy(f->bytes + f->ip + 12, ack.bytes + ack.ip + 12, 8);
	frame_tcp(f, (uint16_t)(be32(tcp) >> 16), (uint16_t)be32(tcp), flags, seq, be32(tcp + 8),
		  NULL, 0);
	frame_payload(f, bytes);
	frame_finish(f);
}

/* What comes behind an ACK before the kernel has seen that is the same handshake; what comes behind one that was dropped is not. */
static void expect_behind(struct frame ack, enum reason reason, bool fin)
{
	follow(&ack, fin ? F_FIN | F_ACK : F_PSH | F_ACK, 1001, fin ? 0 : 100);
	expect(&ack, reason);
	if (fin)
		return;
	follow(&ack, F_PSH | F_ACK, 1101, 100);
	expect(&ack, reason == REASON_LIMITED_CONNECTIONS ? REASON_COOKIE_INVALID : reason);
}

static void test_connections_count_once(void **state)
{
	uint16_t port;
	int fd = cookie_listener(&port);
	struct frame f;

	(void)state;
	stay_on_one_cpu();
	policy_set((struct policy){.syn_mode = SYN_ALWAYS, LIMIT(LIMIT_CONNECTIONS, HOUR, 2)});
	for (uint16_t sport = 1; sport <= 2; sport++) {
		cookie_ack(&f, 1, sport, port);
		expect(&f, REASON_COOKIE_VALID);
		expect_behind(f, REASON_PASSED, sport == 2);
	}
	cookie_ack(&f, 1, 3, port);
	expect(&f, REASON_LIMITED_CONNECTIONS);
	expect_behind(f, REASON_LIMITED_CONNECTIONS, false);
	/* The same ACK again, after a reset, is another connection. Of data the first ones only belong to it. */
	cookie_ack(&f, 2, 1, port);
	expect(&f, REASON_COOKIE_VALID);
	expect(&f, REASON_COOKIE_VALID);
	expect_behind(f, REASON_PASSED, false);
	follow(&f, F_PSH | F_ACK, 1001, 100);
	expect(&f, REASON_LIMITED_CONNECTIONS);
	policy_set((struct policy){0});
	close(fd);
}

/* A listener on guard0, and handshakes that the kernel holds open for 203.0.113.9 behind it. */
struct opener {
	int listener, raw;
	uint16_t port;
};

static struct opener opener_new(void)
{
	static const char setup_net[] =
		"ip addr replace 203.0.113.1/24 dev guard0 && ip link set guard1 up &&"
		"ip link set guard0 address 02:00:00:00:00:01 up &&"
		"ip neigh replace 203.0.113.9 lladdr 02:00:00:00:00:02 dev guard0";
	struct sockaddr_in addr = {.sin_family = AF_INET};
	struct sockaddr_ll from = {.sll_family = AF_PACKET,
				   .sll_protocol = htons(ETH_P_IP),
				   .sll_ifindex = (int)if_nametoindex("guard1")};
	socklen_t len = sizeof(addr);
	struct opener o = {
		.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
		.raw = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_IP)),
	};

	assert_int_equal(system(setup_net), 0);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "1"); /* or nothing is held open */
	inet_pton(AF_INET, "203.0.113.1", &addr.sin_addr);
	assert_int_equal(bind(o.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(o.listener, 16), 0);
	assert_int_equal(getsockname(o.listener, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(bind(o.raw, (struct sockaddr *)&from, sizeof(from)), 0);
	o.port = ntohs(addr.sin_port);
	port_protect(o.port);
	return o;
}

static void opener_close(struct opener *o)
{
	policy_set((struct policy){0});
	close(o->raw);
	close(o->listener);
}

static void opener_frame(struct frame *f, const struct opener *o, uint16_t sport, uint8_t flags,
			 uint32_t seq, uint32_t ack)
{
	frame_ethernet(f);
	memcpy(f->bytes, "\2\0\0\0\0\1", 6);
	frame_ip4(f, "203.0.113.9", "203.0.113.1", 0);
	frame_tcp(f, sport, o->port, flags, seq, ack, NULL, 0);
	frame_finish(f);
}

/* The SYN of a handshake; with its SYN-ACK, whose number it returns, it is open. */
static uint32_t opener_open(const struct opener *o, uint16_t sport)
{
	uint8_t answer[256];
	struct frame f;

	opener_frame(&f, o, sport, F_SYN, 1000, 0);
	assert_int_equal(send(o->raw, f.bytes, f.len, 0), f.len);
	do
		assert_true(recv(o->raw, answer, sizeof(answer), 0) > 0);
	while (answer[23] != IPPROTO_TCP || answer[47] != (F_SYN | F_ACK) ||
	       (uint16_t)be32(answer + 34) != sport);
	return be32(answer + 38);
}

/* What the kernel's listener holds open counts when its ACK comes; segments of a connection do not. */
static void test_connections_without_cookies(void **state)
{
	struct opener o = opener_new();
	struct peer p;
	struct frame f;

	(void)state;
	opener_open(&o, 4000);
	policy_set((struct policy){LIMIT(LIMIT_CONNECTIONS, HOUR, 1)});
	opener_frame(&f, &o, 4000, F_ACK, 1001, 1);
	expect(&f, REASON_PASSED);
	opener_frame(&f, &o, 4000, F_ACK, 1001, 2);
	expect(&f, REASON_LIMITED_CONNECTIONS);
	assert_int_equal(tally_read(TALLY_VERIFIED), 0); /* what it acknowledges may be a guess */
	policy_set((struct policy){0});
	p = connection(AF_INET);
	policy_set((struct policy){LIMIT(LIMIT_CONNECTIONS, HOUR, 1)});
	peer_frame(&f, &p, F_ACK);
	for (int i = 0; i < 5; i++)
		expect(&f, REASON_PASSED);
	peer_close(&p);
	opener_close(&o);
}

/* With net.ipv4.tcp_syncookies=2 the kernel holds nothing open, whether the gate answers or not. */
static void test_connections_by_the_kernels_cookies(void **state)
{
	struct opener o = opener_new();
	uint32_t number[2];
	struct frame f;

	(void)state;
	stay_on_one_cpu();
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	for (uint16_t i = 0; i < 2; i++)
		number[i] = opener_open(&o, 4200 + i);
	policy_set((struct policy){LIMIT(LIMIT_CONNECTIONS, HOUR, 1)});
	opener_frame(&f, &o, 4200, F_ACK, 1001, number[0] ^ 0x800000);
	expect(&f, REASON_PASSED); /* and is none: the kernel answers with a reset */
	opener_frame(&f, &o, 4200, F_ACK, 1001, number[0] + 1);
	expect(&f, REASON_PASSED);
	follow(&f, F_PSH | F_ACK, 1001, 100);
	expect(&f, REASON_PASSED);
	opener_frame(&f, &o, 4201, F_ACK, 1001, number[1] + 1);
	expect(&f, REASON_LIMITED_CONNECTIONS);
	opener_close(&o);
}

/* Until the kernel has seen the ACK, which in this test it never does, its handshake stays open. */
static void test_connections_count_once_without_cookies(void **state)
{
	struct opener o = opener_new();
	struct frame f;

	(void)state;
	stay_on_one_cpu();
	opener_open(&o, 4100);
	opener_open(&o, 4101);
	policy_set((struct policy){LIMIT(LIMIT_CONNECTIONS, HOUR, 1)});
	opener_frame(&f, &o, 4100, F_ACK, 1001, 1);
	for (uint32_t seq = 1001; seq < 1401; seq += 100) {
		expect(&f, REASON_PASSED);
		follow(&f, F_PSH | F_ACK, seq, 100);
	}
	opener_frame(&f, &o, 4101, F_ACK, 1001, 1);
	for (uint32_t seq = 1001; seq < 1401; seq += 100) {
		expect(&f, REASON_LIMITED_CONNECTIONS);
		follow(&f, F_PSH | F_ACK, seq, 100);
	}
	opener_close(&o);
}

/* The kernel completes a handshake by any segment with ACK: data and FIN may be in it. */
static void test_connections_that_end_at_once(void **state)
{
	static const uint8_t kinds[] = {F_ACK, F_PSH | F_ACK, F_FIN | F_ACK, F_FIN | F_PSH | F_ACK};
	struct opener o = opener_new();
	uint16_t sport = 4001;
	struct frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds); i++, sport += 2) {
		guard->bss->test_now += HOUR;
		opener_open(&o, sport);
		opener_open(&o, sport + 1);
		policy_set((struct policy){LIMIT(LIMIT_CONNECTIONS, HOUR, 1)});
		opener_frame(&f, &o, sport, kinds[i], 1001, 1);
		expect(&f, REASON_PASSED);
		opener_frame(&f, &o, sport + 1, kinds[i], 1001, 1);
		expect(&f, REASON_LIMITED_CONNECTIONS);
		policy_set((struct policy){0});
	}
	opener_close(&o);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		GUARD_TEST(test_connections),
		GUARD_TEST(test_connections_count_once),
		GUARD_TEST(test_connections_without_cookies),
		GUARD_TEST(test_connections_count_once_without_cookies),
		GUARD_TEST(test_connections_by_the_kernels_cookies),
		GUARD_TEST(test_connections_that_end_at_once),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
