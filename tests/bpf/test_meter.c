/* SPDX-License-Identifier: Apache-2.0 */
/* Limits: what each counts, of whom, by tier and by port; and the mode in which nothing is dropped. */
#include "tests/bpf/guard.h"

#define PORT(class, ...) .port[class] = {__VA_ARGS__}
#define MORE_FRAGMENTS	 0x2000

enum kind { ACK, SYN, DATAGRAM, PING, ERROR, FIRST_FRAGMENT, LATER_FRAGMENT, KINDS };

static void make(struct frame *f, enum kind kind, int family, const char *from)
{
	uint16_t fragment = kind == FIRST_FRAGMENT   ? MORE_FRAGMENTS
			    : kind == LATER_FRAGMENT ? 8
						     : 0;

	frame_ethernet(f);
	if (family == 4 && fragment)
		frame_ip4_fragment(f, from, GATEWAY4, fragment);
	else if (family == 4)
		frame_ip4(f, from, GATEWAY4, 0);
	else
		frame_ip6(f, from, GATEWAY6);
	if (family == 6 && fragment)
		frame_ip6_extension(f, IPPROTO_FRAGMENT, 8,
				    fragment == MORE_FRAGMENTS ? 1 : (uint16_t)(fragment << 3));
	switch (kind) {
	case ACK:
	case SYN:
		frame_tcp(f, 40000, 80, kind == SYN ? F_SYN : F_ACK, 1, 1, NULL, 0);
		break;
	case PING:
		frame_icmp(f, family == 4 ? 8 : 128);
		break;
	case ERROR:
		frame_icmp(f, family == 4 ? 3 : 1);
		frame_payload(f, 28);
		break;
	default:
		frame_udp(f, 40000, 80);
		frame_payload(f, 16);
	}
	frame_finish(f);
}

static enum reason passes(enum kind kind)
{
	return kind == LATER_FRAGMENT ? REASON_FRAGMENT : REASON_PASSED;
}

/* Which kinds of packets each limit counts; connections have a test of their own. */
static const struct {
	enum limit_class class;
	uint32_t kinds;
} counted[] = {
	{LIMIT_PACKETS, 1 << ACK | 1 << SYN | 1 << DATAGRAM | 1 << PING | 1 << FIRST_FRAGMENT},
	{LIMIT_BYTES, 1 << ACK | 1 << SYN | 1 << DATAGRAM | 1 << PING | 1 << FIRST_FRAGMENT},
	{LIMIT_SYNS, 1 << SYN},
	{LIMIT_UDP, 1 << DATAGRAM | 1 << FIRST_FRAGMENT},
	{LIMIT_ICMP, 1 << PING | 1 << ERROR},
	{LIMIT_FRAGMENTS, 1 << FIRST_FRAGMENT | 1 << LATER_FRAGMENT},
};

/* A limit holds what it counts and nothing else, a source of either family and no other. */
static void test_each_limit(void **state)
{
	struct frame f, other;

	(void)state;
	port_protect(80);
	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++)
		for (int kind = 0; kind < 2 * KINDS; kind++) {
			int family = kind < KINDS ? 4 : 6;
			enum kind k = (enum kind)(kind % KINDS);
			struct policy p = {0};
			bool held = counted[i].kinds >> k & 1;

			make(&f, k, family, family == 4 ? CLIENT4 : CLIENT6);
			make(&other, k, family, family == 4 ? "198.51.100.8" : "2001:db8:1:3::7");
			p.tier[TIER_EVERYBODY].limit[counted[i].class] = (struct limit){SEC, 1};
			policy_set(p);
			guard->bss->test_now += 100 * SEC;
			expect(&f, passes(k));
			/* A bucket of 1 KiB has room for nine of 110 bytes or so. */
			for (int n = 0; counted[i].class == LIMIT_BYTES && n < 40; n++)
				run_bytes(f.bytes, f.len, 1);
			expect(&f, held ? REASON_LIMITED + counted[i].class : passes(k));
			expect(&other, passes(k));
		}
}

/* Behind a fragment's header a second one, of a whole packet, hides nothing. */
static void test_fragment_in_fragment(void **state)
{
	struct frame f;

	(void)state;
	policy_set((struct policy){LIMIT(LIMIT_FRAGMENTS, SEC, 1)});
	for (uint16_t more = 0; more < 2; more++) {
		frame_ethernet(&f);
		frame_ip6(&f, more ? CLIENT6 : "2001:db8:1:3::7", GATEWAY6);
		frame_ip6_extension(&f, IPPROTO_FRAGMENT, 8, more);
		frame_ip6_extension(&f, IPPROTO_FRAGMENT, 8, !more);
		frame_udp(&f, 1, 80);
		frame_finish(&f);
		expect(&f, REASON_PASSED);
		expect(&f, REASON_LIMITED_FRAGMENTS);
	}
}

static void icmp6(struct frame *f, const char *from, uint8_t type, uint8_t hops)
{
	frame_ethernet(f);
	frame_ip6(f, from, GATEWAY6);
	f->bytes[f->ip + 7] = hops;
	frame_icmp(f, type);
	frame_payload(f, 20);
	frame_finish(f);
}

/* What neighbours alone can send: whoever is farther away is limited, whatever type he writes. */
static void test_neighbours_are_not_limited(void **state)
{
	static const uint8_t discovery[] = {133, 134, 135, 136, 137, 141, 142, 148, 149};
	static const uint8_t groups[] = {130, 131, 132, 143, 151, 152, 153};
	static const uint8_t hops[] = {0, 1, 2, 64, 254, 255};
	static const char *const sources[] = {"fe80::1", "febf::1", "fec0::1", CLIENT6};
	struct frame f;

	(void)state;
	policy_set((struct policy){LIMIT(LIMIT_ICMP, SEC, 1)});
	for (int type = 0; type < 256; type++)
		for (size_t h = 0; h < sizeof(hops); h++)
			for (size_t s = 0; s < sizeof(sources) / sizeof(sources[0]); s++) {
				bool local = s < 2;
				bool of_neighbours = (memchr(discovery, type, sizeof(discovery)) &&
						      hops[h] == 255) ||
						     (memchr(groups, type, sizeof(groups)) &&
						      hops[h] == 1 && local);

				icmp6(&f, sources[s], (uint8_t)type, hops[h]);
				guard->bss->test_now += SEC;
				expect(&f, REASON_PASSED);
				expect(&f, of_neighbours ? REASON_PASSED : REASON_LIMITED_ICMP);
			}
	/* In IPv4 they are nothing. */
	frame_ethernet(&f);
	frame_ip4(&f, CLIENT4, GATEWAY4, 0);
	frame_icmp(&f, 135);
	f.bytes[f.ip + 9] = IPPROTO_ICMPV6;
	f.bytes[f.ip + 8] = 255;
	frame_payload(&f, 20);
	frame_finish(&f);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED_ICMP);
}

/* To the byte, whatever the sizes; a frame larger than the bucket takes all of it, and passes when that is full. */
static void test_bytes_are_exact(void **state)
{
	struct frame f;

	(void)state;
	port_protect(80);
	make(&f, DATAGRAM, 4, CLIENT4);
	frame_payload(&f, 256 - f.len);
	frame_finish(&f);
	assert_int_equal(f.len, 256);
	policy_set((struct policy){LIMIT(LIMIT_BYTES, 1024, 2)}); /* a byte a nanosecond */
	for (int i = 0; i < 8; i++)
		expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED_BYTES);
	guard->bss->test_now += 255;
	expect(&f, REASON_LIMITED_BYTES);
	guard->bss->test_now += 1;
	expect(&f, REASON_PASSED);
	policy_set((struct policy){LIMIT(LIMIT_BYTES, 1024, 1)});
	frame_payload(&f, 1400);
	frame_finish(&f);
	guard->bss->test_now += SEC;
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED_BYTES);
	guard->bss->test_now += 1023;
	expect(&f, REASON_LIMITED_BYTES);
	guard->bss->test_now += 1;
	expect(&f, REASON_PASSED);
}

/* Buckets of one source, one a limit: the first that is empty has the word. */
static void test_limits_together(void **state)
{
	struct frame syn, datagram;

	(void)state;
	port_protect(80);
	policy_set((struct policy){PACKETS(SEC, 4), LIMIT(LIMIT_SYNS, SEC, 1),
				   LIMIT(LIMIT_UDP, SEC, 2)});
	make(&syn, SYN, 4, CLIENT4);
	make(&datagram, DATAGRAM, 4, CLIENT4);
	expect(&syn, REASON_PASSED);
	expect(&syn, REASON_LIMITED_SYNS);
	expect(&datagram, REASON_PASSED);
	expect(&datagram, REASON_PASSED);
	expect(&datagram, REASON_LIMITED); /* the packet that went over the SYNs was one, too */
}

static void test_port_sum(void **state)
{
	struct frame f, g;

	(void)state;
	port_protect(80);
	port_protect(81);
	policy_set((struct policy){PORT(LIMIT_SYNS, SEC, 3), PORT(LIMIT_ICMP, SEC, 1)});
	tcp4(&f, CLIENT4, F_SYN);
	expect(&f, REASON_PASSED);
	tcp6(&f, CLIENT6, F_SYN);
	expect(&f, REASON_PASSED);
	tcp4(&f, "198.51.100.9", F_SYN);
	expect(&f, REASON_PASSED);
	tcp4(&f, "198.51.100.10", F_SYN);
	expect(&f, REASON_LIMITED_PORT);
	tcp4(&f, "198.51.100.10", F_ACK);
	expect(&f, REASON_PASSED); /* not a SYN */
	frame_ethernet(&g);
	frame_ip4(&g, "198.51.100.10", GATEWAY4, 0);
	frame_tcp(&g, 40000, 81, F_SYN, 1, 1, NULL, 0);
	frame_finish(&g);
	expect(&g, REASON_PASSED); /* another port's */
	make(&g, PING, 4, CLIENT4);
	expect(&g, REASON_PASSED);
	make(&g, PING, 6, CLIENT6);
	expect(&g, REASON_LIMITED_PORT); /* what has no ports has one sum */
	guard->bss->test_now += SEC;
	tcp4(&f, "198.51.100.10", F_SYN);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED_PORT);
}

static void tier_add(struct bpf_map *map, const char *addr, uint32_t prefixlen,
		     struct list_value value)
{
	struct prefix6 key = {.prefixlen = prefixlen};

	assert_int_equal(inet_pton(strchr(addr, ':') ? AF_INET6 : AF_INET, addr, key.addr), 1);
	value.prefixlen = (uint8_t)prefixlen;
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &key, &value, 0), 0);
}

/* How many packets of a source pass at once, from now on. */
static int burst_of(int family, const char *from)
{
	struct frame f;
	int n = 0;

	guard->bss->test_now += 1000 * SEC;
	make(&f, DATAGRAM, family, from);
	while (n < 100 && run_bytes(f.bytes, f.len, 1) == XDP_PASS)
		n++;
	return n;
}

static void test_tiers(void **state)
{
	struct policy p = {PACKETS(SEC, 2), .tiers = 3};

	(void)state;
	port_protect(80);
	p.tier[1].limit[LIMIT_PACKETS] = (struct limit){SEC, 5};
	p.tier[2].limit[LIMIT_PACKETS] = (struct limit){SEC, 9};
	p.tier[3].limit[LIMIT_PACKETS] = (struct limit){0};
	policy_set(p);
	tier_add(guard->maps.tiers4, "198.51.100.0", 24, (struct list_value){.note = 1});
	tier_add(guard->maps.tiers4, "198.51.100.128", 25, (struct list_value){.note = 2});
	tier_add(guard->maps.tiers6, "2001:db8:1::", 48, (struct list_value){.note = 3});
	assert_int_equal(burst_of(4, "198.51.99.1"), 2);
	assert_int_equal(burst_of(4, "198.51.100.1"), 5);
	assert_int_equal(burst_of(4, "198.51.100.200"), 9);
	assert_int_equal(burst_of(6, "2001:db8:2::1"), 2);
	assert_int_equal(burst_of(6, "2001:db8:1::1"), 100);
	/* A policy without tiers does not look for them. */
	p.tiers = 0;
	policy_set(p);
	assert_int_equal(burst_of(4, "198.51.100.1"), 2);
}

static void commit(bool committed)
{
	struct state s = {.batch = committed ? BATCH_COMMITTED : BATCH_OPEN};
	uint32_t key = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.state), &key, &s, 0), 0);
}

/* Entries of tiers are staged as those of the lists are; what they change is the number. */
static void test_tiers_change_at_once(void **state)
{
	struct policy p = {PACKETS(SEC, 2), .tiers = 2};

	(void)state;
	port_protect(80);
	p.tier[1].limit[LIMIT_PACKETS] = (struct limit){SEC, 5};
	p.tier[2].limit[LIMIT_PACKETS] = (struct limit){SEC, 9};
	policy_set(p);
	tier_add(guard->maps.tiers4, "198.51.0.0", 16, (struct list_value){.note = 1});
	tier_add(guard->maps.tiers4, "198.51.100.0", 24,
		 (struct list_value){.note = 2, .stage = STAGE_ADDING});
	tier_add(guard->maps.tiers4, "198.51.101.0", 24,
		 (struct list_value){.note = 2, .stage = STAGE_REMOVING});
	tier_add(guard->maps.tiers4, "198.51.102.0", 24,
		 (struct list_value){.note = 1, .next_note = 2, .stage = STAGE_CHANGING});
	for (int committed = 0; committed < 2; committed++) {
		commit(committed);
		assert_int_equal(burst_of(4, "198.51.100.1"), committed ? 9 : 5);
		assert_int_equal(burst_of(4, "198.51.101.1"), committed ? 5 : 9);
		assert_int_equal(burst_of(4, "198.51.102.1"), committed ? 9 : 5);
	}
}

static void test_ipv6_prefix(void **state)
{
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){PACKETS(SEC, 1), .ipv6_ignored = 0xffff}); /* a /48 */
	tcp6(&f, "2001:db8:1:2::7", F_SYN);
	expect(&f, REASON_PASSED);
	tcp6(&f, "2001:db8:1:ffff::1", F_SYN);
	expect(&f, REASON_LIMITED);
	tcp6(&f, "2001:db8:2:2::7", F_SYN);
	expect(&f, REASON_PASSED);
	/* Of IPv4 nothing is ignored. */
	tcp4(&f, "198.51.100.1", F_SYN);
	expect(&f, REASON_PASSED);
	tcp4(&f, "198.51.100.2", F_SYN);
	expect(&f, REASON_PASSED);
}

static void test_ipv4_prefix(void **state)
{
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){PACKETS(SEC, 1), .ipv4_ignored = 8}); /* a /24 */
	tcp4(&f, "198.51.100.1", F_SYN);
	expect(&f, REASON_PASSED);
	tcp4(&f, "198.51.100.255", F_SYN);
	expect(&f, REASON_LIMITED);
	tcp4(&f, "198.51.101.1", F_SYN);
	expect(&f, REASON_PASSED);
	/* Of IPv6 nothing is ignored. */
	tcp6(&f, "2001:db8:1:2::7", F_SYN);
	expect(&f, REASON_PASSED);
	tcp6(&f, "2001:db8:1:3::7", F_SYN);
	expect(&f, REASON_PASSED);
	policy_set((struct policy){PACKETS(SEC, 1), .ipv4_ignored = 24}); /* a /8 */
	tcp4(&f, "203.0.113.1", F_SYN);
	expect(&f, REASON_PASSED);
	tcp4(&f, "203.255.255.255", F_SYN);
	expect(&f, REASON_LIMITED);
	tcp4(&f, "204.0.0.1", F_SYN);
	expect(&f, REASON_PASSED);
}

/* Counted as ever, as it came, and let through. */
static void expect_shadow(const struct frame *f, enum reason reason)
{
	struct counter before[REASON_COUNT];
	struct counter after[REASON_COUNT];

	counters_read(before);
	assert_int_equal(run_bytes(f->bytes, f->len, 1), XDP_PASS);
	counters_read(after);
	for (int i = 0; i < REASON_COUNT; i++)
		assert_int_equal(after[i].packets - before[i].packets, i == (int)reason);
	assert_int_equal(sent_len, f->len);
	assert_memory_equal(sent, f->bytes, f->len);
}

static void test_shadow(void **state)
{
	struct frame f;

	(void)state;
	port_protect(80);
	list_add(guard->maps.deny4, "203.0.113.0", 24);
	list_add(guard->maps.allow4, "192.0.2.9", 32);
	policy_set((struct policy){PACKETS(SEC, 1), .mode = GUARD_SHADOW});
	tcp4(&f, "203.0.113.7", F_SYN);
	expect_shadow(&f, REASON_DENIED);
	tcp4(&f, "192.0.2.9", F_SYN);
	expect_shadow(&f, REASON_ALLOWED);
	tcp4(&f, CLIENT4, F_SYN);
	expect_shadow(&f, REASON_PASSED);
	expect_shadow(&f, REASON_LIMITED);
	tcp4(&f, CLIENT4, F_SYN | F_RST);
	expect_shadow(&f, REASON_BAD_FLAGS);
	tcp4(&f, "127.0.0.1", F_ACK);
	f.bytes[f.ip] = 0x35;
	expect_shadow(&f, REASON_MALFORMED);
	/* The mode is of the policy, and ends with it. */
	policy_set((struct policy){PACKETS(SEC, 1)});
	tcp4(&f, "203.0.113.7", F_SYN);
	expect(&f, REASON_DENIED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		GUARD_TEST(test_each_limit),
		GUARD_TEST(test_fragment_in_fragment),
		GUARD_TEST(test_neighbours_are_not_limited),
		GUARD_TEST(test_bytes_are_exact),
		GUARD_TEST(test_limits_together),
		GUARD_TEST(test_port_sum),
		GUARD_TEST(test_tiers),
		GUARD_TEST(test_tiers_change_at_once),
		GUARD_TEST(test_ipv4_prefix),
		GUARD_TEST(test_ipv6_prefix),
		GUARD_TEST(test_shadow),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
