/* SPDX-License-Identifier: Apache-2.0 */
/* Sources that have shown that they are where they say: who becomes one, and what nobody can take from them. */
#include "tests/bpf/gate.h"

#define HOUR (3600 * SEC)

/* No bucket for anybody in the table: each is in debt until then. */
static void crowd(uint64_t until)
{
	struct bucket_set set;
	int fd = bpf_map__fd(guard->maps.buckets);

	for (int way = 0; way < BUCKET_WAYS; way++)
		set.way[way] = (struct bucket){.key = 1 + (uint64_t)way, .full_at = until};
	for (uint32_t i = 0; i < BUCKET_SETS; i++)
		assert_int_equal(bpf_map_update_elem(fd, &i, &set, 0), 0);
}

/* The second packet finds its source's bucket in the table, and its socket; what was taken from the bucket stays taken. */
static void test_peers_become_known(void **state)
{
	(void)state;
	for (int family = AF_INET; family; family = family == AF_INET ? AF_INET6 : 0) {
		struct peer p = connection(family);
		uint64_t before = tally_read(TALLY_VERIFIED);
		struct frame f;

		policy_set((struct policy){PACKETS(HOUR, 4)});
		peer_frame(&f, &p, F_ACK);
		expect(&f, REASON_PASSED);
		assert_int_equal(tally_read(TALLY_VERIFIED), before);
		expect(&f, REASON_PASSED);
		assert_int_equal(tally_read(TALLY_VERIFIED), before + 1);
		expect(&f, REASON_PASSED);
		expect(&f, REASON_PASSED);
		expect(&f, REASON_LIMITED);
		/* It is the source that is known: its SYNs have the same bucket. */
		segment(&f, p.from, 1, p.port, F_SYN, 1, 1);
		expect(&f, REASON_LIMITED);
		assert_int_equal(tally_read(TALLY_VERIFIED), before + 1);
		policy_set((struct policy){0});
		peer_close(&p);
	}
}

/* A network that is one source has one place. */
static void test_network_becomes_known(void **state)
{
	struct peer p = connection(AF_INET);
	struct frame f;

	(void)state;
	policy_set((struct policy){PACKETS(HOUR, 4), .ipv4_ignored = 8});
	peer_frame(&f, &p, F_ACK);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_PASSED);
	assert_int_equal(tally_read(TALLY_VERIFIED), 1);
	crowd(guard->bss->test_now + 4 * HOUR);
	segment(&f, "127.0.1.2", p.sport, p.port, F_SYN, 1, 1);
	expect(&f, REASON_LIMITED);
	segment(&f, "127.0.0.2", p.sport, p.port, F_SYN, 1, 1);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
	policy_set((struct policy){0});
	peer_close(&p);
}

static void test_strangers_do_not(void **state)
{
	struct peer p = connection(AF_INET);
	struct frame f;

	(void)state;
	policy_set((struct policy){PACKETS(HOUR, 100)});
	/* Not the connection's port; not a segment of a connection; not the connection's address. */
	segment(&f, p.from, (uint16_t)(p.sport ^ 1), p.port, F_ACK, 1, 1);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_PASSED);
	peer_frame(&f, &p, F_SYN);
	expect(&f, REASON_PASSED);
	peer_frame(&f, &p, F_RST);
	expect(&f, REASON_PASSED);
	segment(&f, "198.51.100.7", p.sport, p.port, F_ACK, 1, 1);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_PASSED);
	assert_int_equal(tally_read(TALLY_VERIFIED), 0);
	policy_set((struct policy){0});
	peer_close(&p);
}

/* In a crowd a stranger starves; who has a connection does not, not for one packet, and may open more. */
static void test_crowd_does_not_starve_connections(void **state)
{
	(void)state;
	for (int family = AF_INET; family; family = family == AF_INET ? AF_INET6 : 0) {
		struct peer p = connection(family);
		struct frame f;

		policy_set((struct policy){
			PACKETS(SEC, 3),
			.port[LIMIT_PACKETS] = {SEC, 1},
		});
		crowd(guard->bss->test_now + 3 * SEC);
		segment(&f, family == AF_INET ? "198.51.100.7" : CLIENT6, p.sport, p.port, F_ACK, 1,
			1);
		expect(&f, REASON_LIMITED);
		peer_frame(&f, &p, F_ACK);
		expect(&f, REASON_PASSED);
		segment(&f, p.from, 1, p.port, F_SYN, 1, 1);
		expect(&f, REASON_PASSED);
		expect(&f, REASON_PASSED);
		expect(&f, REASON_LIMITED);
		policy_set((struct policy){0});
		peer_close(&p);
	}
}

/* The port's sum is the strangers': connections neither wait for it nor use it up. */
static void test_port_sum_is_of_strangers(void **state)
{
	struct peer p = connection(AF_INET);
	struct frame f, stranger;

	(void)state;
	policy_set((struct policy){.port[LIMIT_PACKETS] = {HOUR, 1}});
	segment(&stranger, "198.51.100.7", 1, p.port, F_SYN, 1, 1);
	expect(&stranger, REASON_PASSED);
	expect(&stranger, REASON_LIMITED_PORT);
	peer_frame(&f, &p, F_ACK);
	for (int i = 0; i < 10; i++)
		expect(&f, REASON_PASSED);
	assert_int_equal(tally_read(TALLY_VERIFIED), 1);
	policy_set((struct policy){0});
	peer_close(&p);
}

#define KNOWN	5000
#define FORGED	1200000
#define SPACING 1000 /* nanoseconds between forged packets */

/* A set has VERIFIED_WAYS places: of sources at random not one in a thousand million finds none with so many. */
static void verify_many(uint16_t port, uint32_t n)
{
	struct frame f;

	for (uint32_t i = 0; i < n; i++) {
		cookie_ack(&f, i, 40000, port);
		assert_int_equal(run_bytes(f.bytes, f.len, 1), XDP_PASS);
	}
	assert_int_equal(tally_read(TALLY_VERIFIED), n);
	assert_int_equal(tally_read(TALLY_VERIFIED_REFUSED), 0);
}

static void flood(const struct frame *template, uint32_t n)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_size_in = (uint32_t) template->len);
	struct frame f = *template;
	uint32_t source = 0x0b000000;

	opts.data_in = f.bytes;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t next = htonl(source + i);

		memcpy(f.bytes + f.ip + 12, &next, sizeof(next));
		bpf_prog_test_run_opts(program, &opts);
		guard->bss->test_now += SPACING;
	}
}

/* More forged sources than there are buckets, many times: every known source has what it had, to the packet. */
static void test_flood_takes_nothing(void **state)
{
	uint64_t full = SEC; /* between packets of a bucket; the flood takes longer */
	uint16_t port;
	int fd = cookie_listener(&port);
	struct frame f;

	(void)state;
	policy_set((struct policy){.syn_mode = SYN_ALWAYS, PACKETS(HOUR, 2)});
	verify_many(port, KNOWN);
	policy_set((struct policy){PACKETS(HOUR, 2), .port[LIMIT_PACKETS] = {full, 1}});
	segment(&f, "11.0.0.0", 1, port, F_ACK, 1, 1);
	flood(&f, FORGED / 2);
	segment(&f, "11.0.0.0", 1, port, F_SYN, 1, 1);
	flood(&f, FORGED / 2);
	assert_int_equal(tally_read(TALLY_VERIFIED), KNOWN);
	for (uint32_t i = 0; i < KNOWN; i++) {
		uint32_t next = htonl(198U << 24 | (18 + (i >> 16 & 1)) << 16 | (i & 0xffff));

		memcpy(f.bytes + f.ip + 12, &next, sizeof(next));
		/* One of two is taken, by the cookie's ACK: one is left, and no more. */
		assert_int_equal(run_bytes(f.bytes, f.len, 1), XDP_PASS);
		assert_int_equal(run_bytes(f.bytes, f.len, 1), XDP_DROP);
	}
	policy_set((struct policy){0});
	close(fd);
}

/* Every place taken: the newcomer stays a stranger, and gets one when somebody has been away for long enough. */
static void test_full_table_refuses(void **state)
{
	struct known_set known;
	struct verified busy = {.idle_at = guard->bss->test_now + VERIFIED_HOLD_NSEC};
	uint16_t port;
	int fd = cookie_listener(&port);
	struct frame f;

	(void)state;
	for (uint64_t way = 0; way < VERIFIED_WAYS; way++)
		known.key[way] = way + 1;
	for (uint32_t i = 0; i < VERIFIED_SETS; i++)
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.known), &i, &known, 0),
				 0);
	for (uint32_t i = 0; i < VERIFIED_SETS * VERIFIED_WAYS; i++) {
		/* One of each set has an empty bucket for longer. */
		busy.full_at[LIMIT_UDP] = i % VERIFIED_WAYS ? 0 : busy.idle_at + SEC;
		assert_int_equal(
			bpf_map_update_elem(bpf_map__fd(guard->maps.verified), &i, &busy, 0), 0);
	}
	policy_set((struct policy){.syn_mode = SYN_ALWAYS, PACKETS(SEC, 1)});
	cookie_ack(&f, 1, 1, port);
	expect(&f, REASON_COOKIE_VALID);
	assert_int_equal(tally_read(TALLY_VERIFIED_REFUSED), 1);
	expect(&f, REASON_LIMITED); /* in the table that all share, as it was before */
	guard->bss->test_now += VERIFIED_HOLD_NSEC - 1;
	expect(&f, REASON_COOKIE_VALID);
	assert_int_equal(tally_read(TALLY_VERIFIED), 0);
	guard->bss->test_now += 1;
	expect(&f, REASON_COOKIE_VALID);
	assert_int_equal(tally_read(TALLY_VERIFIED), 1);
	expect(&f, REASON_LIMITED); /* a bucket of its own, with one token */
	for (uint32_t i = 0; i < VERIFIED_SETS; i++) {
		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(guard->maps.known), &i, &known),
				 0);
		assert_int_equal(known.key[0], 1);
	}
	policy_set((struct policy){0});
	close(fd);
}

/* Who comes again is known from then on. */
static void peer_verify(struct frame *f, const struct peer *p)
{
	policy_set((struct policy){PACKETS(SEC, 1000)});
	peer_frame(f, p, F_ACK);
	expect(f, REASON_PASSED);
	expect(f, REASON_PASSED);
	assert_int_equal(tally_read(TALLY_VERIFIED), 1);
}

/* Who goes on sending keeps the place for as long as that: it is held from the last packet on, to the second. */
static void test_place_is_held_while_it_sends(void **state)
{
	struct peer p = connection(AF_INET);
	struct verified v;
	uint64_t until = 0;
	struct frame f;

	(void)state;
	peer_verify(&f, &p);
	for (int i = 0; i < 3; i++) {
		guard->bss->test_now += VERIFIED_HOLD_NSEC - SEC;
		expect(&f, REASON_PASSED);
	}
	for (uint32_t i = 0; i < VERIFIED_SETS * VERIFIED_WAYS; i++) {
		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(guard->maps.verified), &i, &v), 0);
		until = v.idle_at > until ? v.idle_at : until;
	}
	assert_in_range(until - guard->bss->test_now, VERIFIED_HOLD_NSEC - SEC, VERIFIED_HOLD_NSEC);
	policy_set((struct policy){0});
	peer_close(&p);
}

/* A source that is known has a bucket a limit, and those of its tier. */
static void test_each_limit_of_the_known(void **state)
{
	static const struct {
		enum limit_class class;
		enum reason passes;
	} kinds[] = {
		{LIMIT_SYNS, REASON_PASSED},
		{LIMIT_UDP, REASON_PASSED},
		{LIMIT_ICMP, REASON_PASSED},
		{LIMIT_FRAGMENTS, REASON_FRAGMENT},
	};
	struct peer p = connection(AF_INET);
	struct prefix4 key = {32, {127, 0, 0, 1}};
	struct list_value value = {.note = 1, .prefixlen = 32};
	struct policy tiered = {PACKETS(SEC, 2), .tiers = 1};
	struct frame f;

	(void)state;
	peer_verify(&f, &p);
	crowd(guard->bss->test_now + HOUR); /* in the table there is nothing for it */
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct policy one = {0};

		one.tier[TIER_EVERYBODY].limit[kinds[i].class] = (struct limit){SEC, 1};
		policy_set(one);
		frame_ethernet(&f);
		if (kinds[i].class == LIMIT_FRAGMENTS)
			frame_ip4_fragment(&f, p.from, "127.0.0.1", 8);
		else
			frame_ip4(&f, p.from, "127.0.0.1", 0);
		if (kinds[i].class == LIMIT_SYNS)
			frame_tcp(&f, 1, p.port, F_SYN, 1, 1, NULL, 0);
		else if (kinds[i].class == LIMIT_ICMP)
			frame_icmp(&f, 8);
		else
			frame_udp(&f, 1, p.port);
		frame_finish(&f);
		expect(&f, kinds[i].passes);
		expect(&f, REASON_LIMITED + kinds[i].class);
	}
	tiered.tier[1].limit[LIMIT_PACKETS] = (struct limit){SEC, 7};
	policy_set(tiered);
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(guard->maps.tiers4), &key, &value, BPF_ANY), 0);
	guard->bss->test_now += 1000 * SEC;
	peer_frame(&f, &p, F_ACK);
	for (int i = 0; i < 7; i++)
		expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
	policy_set((struct policy){0});
	peer_close(&p);
}

static void *hammer(void *arg)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .repeat = 200000);
	const struct frame *f = arg;
	static _Atomic int next;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(next++ % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	opts.data_in = f->bytes;
	opts.data_size_in = (uint32_t)f->len;
	bpf_prog_test_run_opts(program, &opts);
	return NULL;
}

/* Several CPUs at once on one known source and on the sum of a port, within the bound that meter.bpf.h states. */
static void test_concurrent(void **state)
{
	struct peer p = connection(AF_INET);
	struct frame f[2];
	struct counter before[REASON_COUNT], after[REASON_COUNT];

	(void)state;
	peer_frame(&f[0], &p, F_ACK);
	segment(&f[1], "198.51.100.7", 1, p.port, F_SYN, 1, 1);
	for (int turn = 0; turn < 2; turn++) {
		enum reason over = turn ? REASON_LIMITED_PORT : REASON_LIMITED_BYTES;
		pthread_t threads[4];

		policy_set((struct policy){LIMIT(LIMIT_BYTES, SEC, 5000),
					   .port[LIMIT_SYNS] = {SEC, 50000}});
		if (turn) /* the source's own limit is not in the way */
			policy_set((struct policy){.port[LIMIT_SYNS] = {SEC, 50000}});
		counters_read(before);
		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, hammer, &f[turn]), 0);
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		counters_read(after);
		for (int i = 0; i < REASON_COUNT; i++)
			after[i].packets -= before[i].packets;
		assert_int_equal(after[REASON_PASSED].packets + after[over].packets, 800000);
		if (turn)
			assert_in_range(after[REASON_PASSED].packets, 50000, 50000 + 100);
		else /* 5,000 KiB in frames of 54 bytes */
			assert_in_range(after[REASON_PASSED].packets, 5000 * 1024 / 54,
					5000 * 1024 / 54 + 100);
	}
	policy_set((struct policy){0});
	peer_close(&p);
}

/* In shadow a SYN is counted as answered and goes to the kernel, whose handshake it stays. */
static void test_shadow_sends_no_cookies(void **state)
{
	uint64_t before;
	uint16_t port;
	int fd = cookie_listener(&port);
	struct frame f;

	(void)state;
	policy_set((struct policy){.syn_mode = SYN_ALWAYS, .mode = GUARD_SHADOW});
	segment(&f, "198.51.100.7", 1, port, F_SYN, 1000, 0);
	before = tally_read(TALLY_SYNS_SEEN);
	assert_int_equal(run_bytes(f.bytes, f.len, 1), XDP_PASS);
	assert_memory_equal(sent, f.bytes, f.len);
	assert_int_equal(tally_read(TALLY_SYNS_SEEN), before + 1);
	segment(&f, "198.51.100.7", 1, port, F_ACK, 1001, 7);
	expect(&f, REASON_PASSED);
	policy_set((struct policy){0});
	close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		GUARD_TEST(test_peers_become_known),
		GUARD_TEST(test_network_becomes_known),
		GUARD_TEST(test_strangers_do_not),
		GUARD_TEST(test_crowd_does_not_starve_connections),
		GUARD_TEST(test_port_sum_is_of_strangers),
		GUARD_TEST(test_flood_takes_nothing),
		GUARD_TEST(test_full_table_refuses),
		GUARD_TEST(test_place_is_held_while_it_sends),
		GUARD_TEST(test_each_limit_of_the_known),
		GUARD_TEST(test_concurrent),
		GUARD_TEST(test_shadow_sends_no_cookies),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
