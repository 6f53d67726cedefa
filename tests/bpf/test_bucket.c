/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets: exact with standing time, shared by CPUs and crowds. */
#include "tests/bpf/guard.h"

#include <time.h>

static void test_bucket_is_exact(void **state)
{
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){PACKETS(SEC / 10, 5)});
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
	policy_set((struct policy){PACKETS(SEC, 1)});
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

/* No IPv6 source has the bucket of an IPv4 one: what is marked as that is nobody's address. */
static void test_families_do_not_meet(void **state)
{
	char marked[INET6_ADDRSTRLEN];
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){PACKETS(SEC, 1)});
	snprintf(marked, sizeof(marked), "%x:%x:c633:6407::1", (unsigned int)(SOURCE4_MARK >> 48),
		 (unsigned int)(SOURCE4_MARK >> 32 & 0xffff));
	tcp6(&f, marked, F_ACK);
	expect(&f, REASON_MARTIAN);
	tcp6(&f, "0:ffff:c633:6407::1", F_ACK);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
	tcp4(&f, "198.51.100.7", F_ACK);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
}

static void test_bucket_meters_protected_only(void **state)
{
	struct frame f;

	(void)state;
	port_protect(81);
	policy_set((struct policy){PACKETS(SEC, 1)});
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
	policy_set((struct policy){PACKETS(SEC, 3)});
	for (uint32_t i = 0; i < BUCKET_SETS; i++) {
		for (int way = 0; way < BUCKET_WAYS; way++)
			set->way[way] = (struct bucket){.key = 1 + (uint64_t)way,
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

/* All sets: the ways of these bits are in debt for an hour, the others for a second. */
static void fill(uint32_t deep)
{
	uint64_t now = guard->bss->test_now;
	struct bucket_set set;

	for (int way = 0; way < BUCKET_WAYS; way++)
		set.way[way] = (struct bucket){
			.key = 1 + (uint64_t)way,
			.full_at = now + (deep >> way & 1 ? 3600 * SEC : SEC),
		};
	for (uint32_t i = 0; i < BUCKET_SETS; i++)
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.buckets), &i, &set, 0),
				 0);
}

/* What another limit's larger burst allows is no debt of an older policy: a newcomer leaves it, as long as there is another way. */
static void test_sharing_forgives_nothing(void **state)
{
	uint64_t hour = guard->bss->test_now + 3600 * SEC;
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){PACKETS(SEC, 2)});
	tcp4(&f, CLIENT4, F_ACK);
	for (uint32_t deep = 0; deep < (1 << BUCKET_WAYS) - 1; deep++) {
		fill(deep);
		expect(&f, REASON_PASSED);
		expect(&f, REASON_LIMITED);
		for (uint32_t i = 0; i < BUCKET_SETS; i++) {
			struct bucket_set set;

			assert_int_equal(
				bpf_map_lookup_elem(bpf_map__fd(guard->maps.buckets), &i, &set), 0);
			for (int way = 0; way < BUCKET_WAYS; way++)
				assert_int_equal(set.way[way].full_at == hour, deep >> way & 1);
		}
	}
	fill((1 << BUCKET_WAYS) - 1);
	expect(&f, REASON_LIMITED);
	guard->bss->test_now += SEC;
	expect(&f, REASON_PASSED);
}

/* A policy that gives more does so at once: debts from before are cut to what a bucket holds now. */
static void test_bucket_policy_changes(void **state)
{
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){PACKETS(1000 * SEC, 2)});
	tcp4(&f, CLIENT4, F_ACK);
	expect(&f, REASON_PASSED);
	expect(&f, REASON_PASSED);
	policy_set((struct policy){PACKETS(SEC, 2)});
	expect(&f, REASON_LIMITED);
	guard->bss->test_now += SEC;
	expect(&f, REASON_PASSED);
	expect(&f, REASON_LIMITED);
}

/* New sources, one packet each; how many are dropped. */
static uint32_t newcomers(uint32_t *next, uint32_t n)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	uint32_t dropped = 0;
	struct frame f;

	tcp4(&f, CLIENT4, F_SYN);
	opts.data_in = f.bytes;
	opts.data_size_in = (uint32_t)f.len;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t source = htonl((*next)++);

		memcpy(f.bytes + f.ip + 12, &source, sizeof(source));
		assert_int_equal(bpf_prog_test_run_opts(program, &opts), 0);
		dropped += opts.retval == XDP_DROP;
	}
	return dropped;
}

/* As often as bpf/meter.bpf.h says a newcomer finds no way that is free, and shares one that has nothing left. */
static void test_stated_error(void **state)
{
	static const struct {
		uint32_t sources, least, most; /* dropped of PROBES */
	} stated[] = {{8192, 0, 10}, {16384, 20, 60}, {32768, 240, 330}, {65536, 1080, 1190}};
	enum { PROBES = 2000 };
	uint32_t next = 0x0b000000, first = next;

	(void)state;
	port_protect(80);
	policy_set((struct policy){PACKETS(3600 * SEC, 1)});
	for (size_t i = 0; i < sizeof(stated) / sizeof(stated[0]); i++) {
		newcomers(&next, stated[i].sources - (next - first) - PROBES / 2);
		assert_in_range(newcomers(&next, PROBES), stated[i].least, stated[i].most);
	}
}

static uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SEC + (uint64_t)now.tv_nsec;
}

static int setup_real_clock(void **state)
{
	(void)state;
	return setup_clock(false);
}

/* A bucket that is shallower than a tick of the coarse clock is full again after its interval, not after the tick. */
static void test_shallow_bucket(void **state)
{
	const uint64_t interval = 100000;
	struct frame f;

	(void)state;
	port_protect(80);
	policy_set((struct policy){PACKETS(interval, 1), .exact_clock = 1});
	tcp4(&f, CLIENT4, F_SYN);
	for (int i = 0; i < 40; i++) {
		uint64_t since = clock_now();

		while (clock_now() < since + interval)
			;
		expect(&f, REASON_PASSED);
	}
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
	policy_set((struct policy){PACKETS(SEC, 100000)});
	tcp4(&f, CLIENT4, F_ACK);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, &f), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	counters_read(c);
	assert_int_equal(c[REASON_PASSED].packets + c[REASON_LIMITED].packets, 400000);
	assert_in_range(c[REASON_PASSED].packets, 100000, 100000 + 100);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		GUARD_TEST(test_bucket_is_exact),
		GUARD_TEST(test_bucket_sources),
		GUARD_TEST(test_families_do_not_meet),
		GUARD_TEST(test_bucket_meters_protected_only),
		GUARD_TEST(test_bucket_crowd),
		GUARD_TEST(test_sharing_forgives_nothing),
		GUARD_TEST(test_bucket_policy_changes),
		GUARD_TEST(test_stated_error),
		cmocka_unit_test_setup_teardown(test_shallow_bucket, setup_real_clock, teardown),
		GUARD_TEST(test_bucket_concurrent),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
