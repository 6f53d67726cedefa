/* SPDX-License-Identifier: Apache-2.0 */
/* The SYN gate's answers to what SYNs offer, byte by byte: what is kept of it, and what bent options end in. */
#include "tests/bpf/gate.h"

#define OURS 9 /* the window scale that the policy says */
#define ALL  (COOKIE_TIMESTAMPS | COOKIE_SACK | COOKIE_WSCALE)

/* Offers, as bytes. */
#define MSS	 2, 4, 1460 >> 8, 1460 & 255
#define SACKED	 4, 2
#define SCALE(n) 3, 3, n
#define STAMP	 8, 10, 0x81, 2, 3, 4, 0, 0, 0, 0
#define NOP	 1
#define NOP10	 NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP
#define TSVAL	 0x81020304

struct offer {
	const char *what;
	size_t len;
	uint8_t bytes[40];
	uint8_t kept;	/* when the settings keep all; 0: an answer with the MSS alone */
	uint8_t wscale; /* theirs */
	uint16_t mss;	/* of IPv4 */
};

static const struct offer offers[] = {
	{"Linux", 20, {MSS, SACKED, STAMP, NOP, SCALE(7)}, ALL, 7, 1460},
	{"macOS", 24, {MSS, NOP, SCALE(6), NOP, NOP, STAMP, SACKED, 0, 0}, ALL, 6, 1460},
	{"Windows", 12, {MSS, NOP, SCALE(8), NOP, NOP, SACKED}, 0, 0, 1460},
	{"no options", 0, {0}, 0, 0, 536},
	{"MSS alone", 4, {MSS}, 0, 0, 1460},
	{"timestamps alone", 12, {NOP, NOP, STAMP}, COOKIE_TIMESTAMPS, 0, 536},
	{"timestamps and SACK", 12, {SACKED, STAMP}, COOKIE_TIMESTAMPS | COOKIE_SACK, 0, 536},
	{"timestamps and scale",
	 16,
	 {STAMP, SCALE(0), NOP, NOP, NOP},
	 COOKIE_TIMESTAMPS | COOKIE_WSCALE,
	 0,
	 536},
	{"like Linux, without scale",
	 20,
	 {MSS, SACKED, STAMP, NOP, NOP, NOP, NOP},
	 COOKIE_TIMESTAMPS | COOKIE_SACK,
	 0,
	 1460},
	{"a scale that is too large",
	 16,
	 {STAMP, SCALE(255), NOP, NOP, NOP},
	 COOKIE_TIMESTAMPS | COOKIE_WSCALE,
	 14,
	 536},
	{"the same like Linux", 20, {MSS, SACKED, STAMP, NOP, SCALE(15)}, ALL, 14, 1460},
	{"40 NOPs", 40, {NOP10, NOP10, NOP10, NOP10}, 0, 0, 536},
	{"timestamps in the last bytes",
	 40,
	 {NOP10, NOP10, NOP10, STAMP},
	 COOKIE_TIMESTAMPS,
	 0,
	 536},
	{"a kind in the last byte",
	 40,
	 {NOP10, NOP10, NOP10, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP, 8},
	 0,
	 0,
	 536},
	{"timestamps cut short", 8, {8, 10, 1, 2, 3, 4, 0, 0}, 0, 0, 536},
	{"cut short at the end",
	 40,
	 {NOP10, NOP10, NOP10, NOP, NOP, 8, 10, 1, 2, 3, 4, 0, 0},
	 0,
	 0,
	 536},
	{"a scale cut short", 16, {STAMP, NOP, NOP, NOP, NOP, 3, 3}, COOKIE_TIMESTAMPS, 0, 536},
	{"an option of no length", 16, {SACKED, 9, 0, STAMP}, 0, 0, 536},
	{"an option of one byte", 16, {SACKED, 9, 1, STAMP}, 0, 0, 536},
	{"an option that is too long", 16, {SACKED, 9, 200, STAMP}, 0, 0, 536},
	{"the end before", 16, {SACKED, 0, NOP, STAMP}, 0, 0, 536},
	{"timestamps of another length", 12, {8, 8, 1, 2, 3, 4, 5, 6, SACKED}, 0, 0, 536},
	{"SACK of another length", 16, {STAMP, 4, 3, 0}, COOKIE_TIMESTAMPS, 0, 536},
	{"an unknown option before",
	 20,
	 {254, 6, 1, 2, 3, 4, SACKED, STAMP},
	 COOKIE_TIMESTAMPS | COOKIE_SACK,
	 0,
	 536},
	{"the last of a kind",
	 28,
	 {8, 10, 9, 9, 9, 9, 0, 0, 0, 0, SCALE(1), SCALE(5), NOP, STAMP},
	 COOKIE_TIMESTAMPS | COOKIE_WSCALE,
	 5,
	 536},
};

static size_t put32(uint8_t *at, uint32_t value)
{
	value = htonl(value);
	memcpy(at, &value, sizeof(value));
	return sizeof(value);
}

/* What the answer should have behind its 20 bytes of TCP header. */
static size_t expected(const struct offer *o, uint16_t mss, uint8_t settings, uint64_t now,
		       uint8_t *out)
{
	uint8_t kept = settings & COOKIE_TIMESTAMPS ? o->kept & settings : 0;
	uint32_t bits = (kept & COOKIE_WSCALE ? o->wscale : 15) | (kept & COOKIE_SACK ? 16 : 0);
	uint32_t clock = (uint32_t)(now / 1000000), stamp;
	size_t n = put32(out, 2U << 24 | 4 << 16 | mss);

	if (!(kept & COOKIE_TIMESTAMPS))
		return n;
	/* The last moment that is not in the future and has these bits. */
	for (stamp = clock; (stamp & 63) != bits; stamp--)
		;
	n += put32(out + n, (kept & COOKIE_SACK ? 0x0402U : 0x0101U) << 16 | 0x080a);
	n += put32(out + n, stamp);
	n += put32(out + n, TSVAL);
	n += put32(out + n, kept & COOKIE_WSCALE ? 0x01030300 | OURS : 0x01010101);
	return n;
}

static void check_answer(const struct frame *f, const struct offer *o, int family, uint8_t settings)
{
	/* The kernel's tables of them are of the family. */
	uint16_t mss6 = o->mss == 1460 ? 1440 : 1220;
	uint16_t mss = family == AF_INET6 ? mss6 : o->mss;
	size_t header = family == AF_INET ? 20 : 40;
	const uint8_t *tcp = sent + f->ip + header;
	uint8_t options[20];
	size_t n;

	n = expected(o, mss, settings, guard->bss->test_now, options);
	expect(f, REASON_COOKIE_SENT);
	if (sent_len != f->ip + header + 20 + n || memcmp(tcp + 20, options, n) != 0)
		fail_msg("%s, settings %u: another answer", o->what, settings);
	assert_int_equal(tcp[12], (20 + n) / 4 << 4);
	assert_int_equal(tcp[13], F_SYN | F_ACK);
	assert_int_equal(be32(tcp + 8), 1001);
	assert_int_equal(be32(tcp) & 0xffff, 40000);
	assert_int_equal(frame_check(sent, sent_len, f->ip), 0);
	assert_memory_equal(sent, f->bytes + 6, 6);
	assert_memory_equal(sent + 6, f->bytes, 6);
	assert_memory_equal(sent + 12, f->bytes + 12, f->ip - 12);
	if (family == AF_INET)
		assert_int_equal(sent[f->ip + 2] << 8 | sent[f->ip + 3], header + 20 + n);
	else
		assert_int_equal(sent[f->ip + 4] << 8 | sent[f->ip + 5], 20 + n);
}

static void all_offers(int family, int tags)
{
	struct frame f;
	uint16_t port;
	int fd = listener(family, &port);

	port_protect(port);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
		const struct offer *o = &offers[i];

		syn_frame(&f, family, tags, port, F_SYN, 1000, 0, o->bytes, o->len);
		for (int settings = 0; settings <= ALL; settings++) {
			policy_set((struct policy){.syn_mode = SYN_ALWAYS,
						   .cookie_options = (uint8_t)settings,
						   .cookie_wscale = OURS});
			check_answer(&f, o, family, (uint8_t)settings);
		}
	}
	close(fd);
}

static void test_offers(void **state)
{
	(void)state;
	for (int tags = 0; tags <= 2; tags++) {
		all_offers(AF_INET, tags);
		all_offers(AF_INET6, tags);
	}
}

/* Every position of the clock among the 64 that the low bits name. */
static void test_timestamps_are_never_in_the_future(void **state)
{
	const struct offer *o = &offers[0];
	struct frame f;
	uint16_t port;
	int fd = listener(AF_INET, &port);

	(void)state;
	port_protect(port);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	policy_set((struct policy){
		.syn_mode = SYN_ALWAYS, .cookie_options = ALL, .cookie_wscale = OURS});
	syn_frame(&f, AF_INET, 0, port, F_SYN, 1000, 0, o->bytes, o->len);
	for (int i = 0; i < 130; i++) {
		check_answer(&f, o, AF_INET, ALL);
		guard->bss->test_now += 1000000;
	}
	/* The clock goes round. */
	guard->bss->test_now = (1ULL << 32) * 1000000 + 3000000;
	check_answer(&f, o, AF_INET, ALL);
	close(fd);
}

/* A frame with data, with padding behind it, with IP options or extension headers becomes an answer without. */
static void test_frames_of_other_lengths(void **state)
{
	const struct offer *o = &offers[0];
	struct frame f;
	uint16_t port;
	int fd = listener(AF_INET, &port), fd6;

	(void)state;
	port_protect(port);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	policy_set((struct policy){
		.syn_mode = SYN_ALWAYS, .cookie_options = ALL, .cookie_wscale = OURS});
	syn_frame(&f, AF_INET, 0, port, F_SYN, 1000, 0, o->bytes, o->len);
	frame_payload(&f, 600);
	frame_finish(&f);
	check_answer(&f, o, AF_INET, ALL);
	syn_frame(&f, AF_INET, 0, port, F_SYN, 1000, 0, o->bytes, o->len);
	frame_payload(&f, 6); /* behind the IP packet */
	check_answer(&f, o, AF_INET, ALL);
	frame_ethernet(&f);
	frame_ip4(&f, "127.0.0.1", "127.0.0.1", 40);
	frame_tcp(&f, 40000, port, F_SYN, 1000, 0, o->bytes, o->len);
	frame_finish(&f);
	check_answer(&f, o, AF_INET, ALL);
	fd6 = listener(AF_INET6, &port);
	port_protect(port);
	frame_ethernet(&f);
	frame_ip6(&f, "::1", "::1");
	frame_ip6_extension(&f, IPPROTO_HOPOPTS, 64, 0);
	frame_ip6_extension(&f, IPPROTO_DSTOPTS, 512, 0);
	frame_tcp(&f, 40000, port, F_SYN, 1000, 0, o->bytes, o->len);
	frame_finish(&f);
	check_answer(&f, o, AF_INET6, ALL);
	close(fd6);
	close(fd);
}

/* ECN is not agreed on: the answer has no ECE, and its timestamp not the bit that would say so. */
static void test_ecn_is_declined(void **state)
{
	const struct offer *o = &offers[0];
	struct frame f;
	uint16_t port;
	int fd = listener(AF_INET, &port);

	(void)state;
	port_protect(port);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	policy_set((struct policy){
		.syn_mode = SYN_ALWAYS, .cookie_options = ALL, .cookie_wscale = OURS});
	syn_frame(&f, AF_INET, 0, port, F_SYN | 0xc0, 1000, 0, o->bytes, o->len);
	check_answer(&f, o, AF_INET, ALL);
	close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		GUARD_TEST(test_offers),
		GUARD_TEST(test_timestamps_are_never_in_the_future),
		GUARD_TEST(test_frames_of_other_lengths),
		GUARD_TEST(test_ecn_is_declined),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
