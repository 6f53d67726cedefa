/* SPDX-License-Identifier: Apache-2.0 */
/* What the guard keeps for people: the sources that send the most, and samples for who watches. */
#include "tests/bpf/guard.h"

#include <sys/mman.h>

#include "base/cleanup.h"
#include "edge/events.h"
#include "edge/reason.h"
#include "edge/talkers.h"

#define RATE 50

static struct edge edge;
static uint32_t n_events;
static struct event last;

static int setup_seeing(void **state)
{
	struct error err = {0};

	if (setup(state) != 0)
		return -1;
	n_events = 0;
	return edge_open_object("seeing", guard->obj, &edge, &err);
}

static int teardown_seeing(void **state)
{
	edge_close(&edge);
	return teardown(state);
}

static void from(struct frame *f, uint32_t source)
{
	char text[INET_ADDRSTRLEN];
	uint32_t address = htonl(source);

	inet_ntop(AF_INET, &address, text, sizeof(text));
	tcp4(f, text, F_ACK);
}

/* On one CPU, so that a count is exact. */
static void stay_here(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static const struct edge_talker *find(struct edge_talkers *t, const char *address)
{
	struct conf_cidr cidr;

	assert_null(conf_cidr_parse(slice_str(address), &cidr));
	return edge_talkers_find(t, edge_source_of(&cidr));
}

static void test_talker_is_counted(void **state)
{
	_cleanup_(edge_talkers_fini) struct edge_talkers t = {0};
	const struct edge_talker *found;
	struct frame f;

	(void)state;
	stay_here();
	list_add(guard->maps.deny6, CLIENT6, 128);
	tcp4(&f, CLIENT4, F_ACK);
	run_bytes(f.bytes, f.len, 160);
	tcp6(&f, CLIENT6, F_ACK);
	run_bytes(f.bytes, f.len, 320);
	assert_int_equal(edge_talkers_read(&edge, &t, NULL), 0);
	assert_int_equal(t.n, 2);
	found = find(&t, CLIENT4);
	assert_non_null(found);
	assert_int_equal(found->packets, 160);
	assert_int_equal(found->dropped, 0);
	assert_int_equal(found->bytes, 160 * 54);
	assert_int_equal(found->seen, 1000);
	assert_int_equal(found->reason, REASON_PASSED);
	found = find(&t, "2001:db8:1:2:ffff::1"); /* its /64 */
	assert_non_null(found);
	assert_int_equal(found->packets, 320);
	assert_int_equal(found->dropped, 320);
	assert_int_equal(found->dropped_at, 1000);
	assert_int_equal(found->reason, REASON_DENIED);
}

/* One packet in fifty is the heavy one's, in random order; every other source comes once or twice. */
static void test_talker_among_random_sources(void **state)
{
	_cleanup_(edge_talkers_fini) struct edge_talkers t = {0};
	_cleanup_(edge_talkers_fini) struct edge_talkers none = {0};
	uint64_t sent_by_heavy = 0;
	struct frame f;

	(void)state;
	stay_here();
	srandom(7);
	for (int i = 0; i < 200000; i++) {
		bool heavy = random() % 50 == 0;

		from(&f, heavy ? 0xc6336407 : 0x0b000000 + (uint32_t)random() % 0x1000000);
		sent_by_heavy += heavy;
		run_bytes(f.bytes, f.len, 1);
	}
	assert_int_equal(edge_talkers_read(&edge, &t, NULL), 0);
	assert_in_range(t.n, 1, TALK_WAYS << TALK_SET_BITS);
	edge_talkers_since(&t, &none);
	assert_int_equal(t.items[0].source, SOURCE4_MARK | 0xc6336407);
	assert_in_range(t.items[0].packets, sent_by_heavy / 2, sent_by_heavy * 3 / 2);
	assert_true(t.items[1].packets * 5 < t.items[0].packets);
}

/* All places of a set are those of sources that were heavy; once they are silent, a new one gets in. */
static void test_talkers_that_left(void **state)
{
	_cleanup_(edge_talkers_fini) struct edge_talkers t = {0};
	struct talker_set *full;
	struct frame f;
	int cpus = libbpf_num_possible_cpus();
	int fd = bpf_map__fd(guard->maps.talkers);

	(void)state;
	full = calloc((size_t)cpus, sizeof(*full));
	for (int i = 0; i < cpus * TALK_WAYS; i++)
		full[i / TALK_WAYS].way[i % TALK_WAYS] = (struct talker){
			.source = 1 + (uint64_t)i, .weight = 5000, .seen = 1000 - TALK_FORGET_SEC};
	for (uint32_t key = 0; key < 1U << TALK_SET_BITS; key++)
		assert_int_equal(bpf_map_update_elem(fd, &key, full, 0), 0);
	free(full);
	tcp4(&f, CLIENT4, F_ACK);
	run_bytes(f.bytes, f.len, TALK_SAMPLE);
	assert_int_equal(edge_talkers_read(&edge, &t, NULL), 0);
	assert_null(find(&t, CLIENT4));
	edge_talkers_fini(&t);
	guard->bss->test_now += SEC;
	run_bytes(f.bytes, f.len, TALK_SAMPLE);
	assert_int_equal(edge_talkers_read(&edge, &t, NULL), 0);
	assert_non_null(find(&t, CLIENT4));
}

static void keep_event(const struct event *event, void *arg)
{
	(void)arg;
	n_events++;
	last = *event;
}

static struct edge_events *watch(uint64_t reasons, uint32_t rate)
{
	struct edge_events *w = NULL;
	struct error err = {0};

	if (edge_events_open(&edge, reasons, rate, keep_event, NULL, &w, &err) < 0)
		fail_msg("%s", err.text);
	return w;
}

/* How long, by the clock that stands. */
static void lease(uint64_t nsec)
{
	size_t size = sizeof(struct watch);
	struct watch *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, edge.watch, 0);

	assert_ptr_not_equal(shared, MAP_FAILED);
	shared->until = guard->bss->test_now + nsec;
	munmap(shared, size);
}

static void test_event_says_what_happened(void **state)
{
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
	struct edge_events *w = watch(1ULL << REASON_DENIED, 100);
	struct watch_counts counts;
	struct edge_ports ports;
	struct frame f;

	(void)state;
	lease(SEC);
	list_add(guard->maps.deny6, CLIENT6, 128);
	tcp4(&f, CLIENT4, F_ACK);
	expect(&f, REASON_PASSED);
	tcp6(&f, CLIENT6, F_SYN);
	frame_payload(&f, 300);
	frame_finish(&f);
	expect(&f, REASON_DENIED);
	f.len = 20;
	expect(&f, REASON_MALFORMED); /* not asked for */
	edge_events_read(w);
	assert_int_equal(n_events, 1);
	assert_int_equal(last.head.reason, REASON_DENIED);
	assert_int_equal(last.head.family, 6);
	assert_int_equal(last.head.protocol, IPPROTO_TCP);
	assert_int_equal(last.ifindex, LOOPBACK);
	assert_int_equal(last.bytes, 374);
	assert_int_equal(last.captured, EVENT_FRAME);
	tcp6(&f, CLIENT6, F_SYN);
	assert_memory_equal(last.frame, f.bytes, 18); /* the lengths in between differ */
	assert_memory_equal(last.frame + 20, f.bytes + 20, 50);
	assert_true(edge_event_addresses(&last, source, destination));
	assert_string_equal(source, CLIENT6);
	assert_string_equal(destination, GATEWAY6);
	/* The guard did not come to the ports, but they are in the frame. */
	assert_true(edge_event_ports(&last, &ports));
	assert_int_equal(ports.source, 40000);
	assert_int_equal(ports.destination, 80);
	assert_int_equal(ports.flags, F_SYN);
	assert_int_equal(edge_events_counts(w, &counts, NULL), 0);
	assert_int_equal(counts.sent, 1);
	edge_events_close(w);
}

static void test_short_frames(void **state)
{
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
	struct edge_events *w = watch(1ULL << REASON_MALFORMED, 100);
	struct edge_ports ports;
	struct frame f;

	(void)state;
	lease(SEC);
	tcp4(&f, CLIENT4, F_ACK);
	f.len = 30;
	expect(&f, REASON_MALFORMED);
	edge_events_read(w);
	assert_int_equal(n_events, 1);
	assert_int_equal(last.captured, 30);
	assert_false(edge_event_addresses(&last, source, destination));
	assert_string_equal(source, "");
	assert_false(edge_event_ports(&last, &ports));
	edge_events_close(w);
}

/* Where the ports are when the guard ends early or late, and where there are none. */
static void test_ports_of_events(void **state)
{
	struct edge_events *w = watch(edge_reasons_drop(), 1000);
	struct edge_ports ports;
	struct frame f;

	(void)state;
	lease(SEC);
	list_add(guard->maps.deny4, CLIENT4, 32);
	frame_ethernet(&f);
	frame_vlan(&f, ETH_P_8021Q, 7);
	frame_ip4(&f, CLIENT4, GATEWAY4, 8);
	frame_udp(&f, 4242, 53);
	frame_finish(&f);
	expect(&f, REASON_DENIED);
	edge_events_read(w);
	assert_true(edge_event_ports(&last, &ports));
	assert_int_equal(ports.source, 4242);
	assert_int_equal(ports.destination, 53);
	tcp6(&f, CLIENT6, F_SYN | F_FIN);
	expect(&f, REASON_BAD_FLAGS);
	edge_events_read(w);
	assert_true(edge_event_ports(&last, &ports));
	assert_int_equal(ports.flags, F_SYN | F_FIN);
	frame_ethernet(&f);
	frame_ip4_fragment(&f, CLIENT4, GATEWAY4, 100);
	frame_udp(&f, 4242, 53);
	frame_finish(&f);
	expect(&f, REASON_DENIED);
	edge_events_read(w);
	assert_false(edge_event_ports(&last, &ports));
	frame_ethernet(&f);
	frame_ip4(&f, CLIENT4, GATEWAY4, 0);
	frame_icmp(&f, 8);
	frame_finish(&f);
	expect(&f, REASON_DENIED);
	edge_events_read(w);
	assert_false(edge_event_ports(&last, &ports));
	frame_ethernet(&f);
	frame_ip6(&f, "ff02::1", GATEWAY6);
	frame_ip6_extension(&f, IPPROTO_HOPOPTS, 16, 0);
	frame_ip6_extension(&f, IPPROTO_FRAGMENT, 8, 1); /* the first of some */
	frame_tcp(&f, 5, 6, F_RST, 1, 1, NULL, 0);
	frame_finish(&f);
	expect(&f, REASON_MARTIAN);
	edge_events_read(w);
	assert_true(edge_event_ports(&last, &ports));
	assert_int_equal(ports.destination, 6);
	assert_int_equal(ports.flags, F_RST);
	assert_int_equal(n_events, 5);
	edge_events_close(w);
}

/* Passed packets are offered once in TALK_SAMPLE. */
static void test_passed_packets_are_sampled(void **state)
{
	struct edge_events *w = watch(1ULL << REASON_PASSED, 100000);
	struct frame f;

	(void)state;
	stay_here();
	lease(SEC);
	tcp4(&f, CLIENT4, F_ACK);
	run_bytes(f.bytes, f.len, TALK_SAMPLE * 20);
	edge_events_read(w);
	assert_int_equal(n_events, 20);
	edge_events_close(w);
}

static void test_events_are_limited(void **state)
{
	struct edge_events *w = watch(1ULL << REASON_DENIED, RATE);
	struct watch_counts counts;
	struct frame f;

	(void)state;
	lease(100 * SEC);
	list_add(guard->maps.deny4, CLIENT4, 32);
	tcp4(&f, CLIENT4, F_ACK);
	run_bytes(f.bytes, f.len, 10000);
	for (int i = 0; i < 100; i++) {
		guard->bss->test_now += SEC / 50;
		run_bytes(f.bytes, f.len, 100);
	}
	edge_events_read(w);
	assert_int_equal(n_events, RATE / 10 + 2 * RATE);
	assert_int_equal(edge_events_counts(w, &counts, NULL), 0);
	assert_int_equal(counts.sent, n_events);
	assert_int_equal(counts.suppressed, 20000 - n_events);
	assert_int_equal(counts.lost, 0);
	edge_events_close(w);
}

/* A reader that does not come: what finds no room is counted, nothing else happens. */
static void test_events_are_lost(void **state)
{
	struct edge_events *w = watch(1ULL << REASON_DENIED, 1000000);
	struct watch_counts counts;
	struct frame f;

	(void)state;
	lease(SEC);
	list_add(guard->maps.deny4, CLIENT4, 32);
	tcp4(&f, CLIENT4, F_ACK);
	run_bytes(f.bytes, f.len, 5000);
	assert_int_equal(edge_events_counts(w, &counts, NULL), 0);
	assert_in_range(counts.sent, 1000, 4000);
	assert_int_equal(counts.sent + counts.lost, 5000);
	edge_events_read(w);
	assert_int_equal(n_events, counts.sent);
	edge_events_close(w);
}

static void test_lease_ends(void **state)
{
	struct edge_events *w = watch(1ULL << REASON_DENIED, 1000);
	struct edge_events *second = NULL;
	struct error err = {0};
	struct watch now;
	struct frame f;
	uint32_t key = 0;

	(void)state;
	assert_int_equal(edge_events_open(&edge, 1, 1, keep_event, NULL, &second, &err), -EBUSY);
	assert_string_equal(err.text, "seeing: somebody else is watching");
	lease(SEC);
	list_add(guard->maps.deny4, CLIENT4, 32);
	tcp4(&f, CLIENT4, F_ACK);
	guard->bss->test_now += SEC - 1;
	expect(&f, REASON_DENIED);
	guard->bss->test_now += 1;
	expect(&f, REASON_DENIED);
	edge_events_read(w);
	assert_int_equal(n_events, 1);
	/* The packet that met the end has taken it away: the next ones look no further than that. */
	assert_int_equal(bpf_map_lookup_elem(edge.watch, &key, &now), 0);
	assert_int_equal(now.until, 0);
	edge_events_close(w);
	w = watch(1ULL << REASON_DENIED, 1000);
	edge_events_close(w);
	expect(&f, REASON_DENIED);
	assert_int_equal(n_events, 1);
}

#define SEEING_TEST(name) cmocka_unit_test_setup_teardown(name, setup_seeing, teardown_seeing)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SEEING_TEST(test_talker_is_counted),
		SEEING_TEST(test_talker_among_random_sources),
		SEEING_TEST(test_talkers_that_left),
		SEEING_TEST(test_event_says_what_happened),
		SEEING_TEST(test_short_frames),
		SEEING_TEST(test_ports_of_events),
		SEEING_TEST(test_passed_packets_are_sampled),
		SEEING_TEST(test_events_are_limited),
		SEEING_TEST(test_events_are_lost),
		SEEING_TEST(test_lease_ends),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
