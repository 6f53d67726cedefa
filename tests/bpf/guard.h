/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard on single frames by BPF_PROG_TEST_RUN, in a network namespace of the test's own: what it does with a frame,
 * which counter counts it. Include first; setup_all, setup and teardown are for cmocka_run_group_tests.
 */
#ifndef TESTS_BPF_GUARD_H
#define TESTS_BPF_GUARD_H

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
#include "edge/frame.h"

#define GATEWAY4 "192.0.2.1"
#define GATEWAY6 "2001:db8::1"
#define CLIENT4	 "198.51.100.7"
#define CLIENT6	 "2001:db8:1:2::7"
#define LOOPBACK 1 /* the first interface of a namespace */
#define SEC	 1000000000ULL

static struct guard *guard;
static int program;
static uint32_t elsewhere;	    /* an interface that is not the loopback */
static uint32_t ingress = LOOPBACK; /* by which frames come in */

static inline void counters_read(struct counter *out)
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

static inline uint64_t tally_read(enum tally what)
{
	int n = libbpf_num_possible_cpus();
	struct tallies *per_cpu = calloc((size_t)n, sizeof(*per_cpu));
	uint32_t key = 0;
	uint64_t sum = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(guard->maps.tallies), &key, per_cpu), 0);
	for (int cpu = 0; cpu < n; cpu++)
		sum += ((const __u64 *)&per_cpu[cpu])[what];
	free(per_cpu);
	return sum;
}

static uint8_t sent[2048];
static uint32_t sent_len;

static inline int run_bytes(const void *bytes, size_t len, uint32_t repeat)
{
	struct xdp_md ctx = {.data_end = (uint32_t)len, .ingress_ifindex = ingress};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bytes, .data_size_in = (uint32_t)len,
		    .data_out = sent, .data_size_out = sizeof(sent), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = repeat);

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
static inline void expect(const struct frame *f, enum reason reason)
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

static inline void expect_counted(const struct frame *f)
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

/* Members of struct policy: limits of everybody, and of the strangers to a port. */
#define LIMIT(class, ...) .tier[TIER_EVERYBODY].limit[class] = {__VA_ARGS__}
#define PACKETS(...)	  LIMIT(LIMIT_PACKETS, __VA_ARGS__)

static inline void policy_set(struct policy policy)
{
	uint32_t key = 0;

	for (int i = 0; i < LIMIT_CLASSES; i++) {
		bool limited = policy.port[i].interval;

		policy.port_metered |= (uint32_t)limited << i;
		for (int t = 0; t < TIERS; t++)
			limited |= policy.tier[t].limit[i].interval != 0;
		policy.metered |= (uint32_t)limited << i;
	}
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.policy), &key, &policy, 0), 0);
}

static inline void port_protect(uint16_t number)
{
	uint32_t key = number;
	struct port_value value = {.state = {PORT_PROTECTED, PORT_PROTECTED}};

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.ports), &key, &value, 0), 0);
}

static inline void list_add(struct bpf_map *map, const char *addr, uint32_t prefixlen)
{
	struct prefix6 key = {.prefixlen = prefixlen};
	struct list_value value = {0};

	assert_int_equal(inet_pton(strchr(addr, ':') ? AF_INET6 : AF_INET, addr, key.addr), 1);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &key, &value, 0), 0);
}

static inline void list_del(struct bpf_map *map, const char *addr, uint32_t prefixlen)
{
	struct prefix6 key = {.prefixlen = prefixlen};

	assert_int_equal(inet_pton(strchr(addr, ':') ? AF_INET6 : AF_INET, addr, key.addr), 1);
	assert_int_equal(bpf_map_delete_elem(bpf_map__fd(map), &key), 0);
}

static inline void write_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, value, strlen(value)), strlen(value));
	close(fd);
}

static inline void lengths_set(struct lengths lengths)
{
	uint32_t key = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.lengths), &key, &lengths, 0),
			 0);
}

static inline void ban_add(const char *addr, uint8_t prefixlen, struct ban_value value)
{
	struct ban_key key = {.family = strchr(addr, ':') ? 6 : 4, .prefixlen = prefixlen};

	assert_int_equal(inet_pton(key.family == 4 ? AF_INET : AF_INET6, addr, key.addr), 1);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.bans), &key, &value, 0), 0);
}

/* Also tells the guard that the port has rules. addr NULL: all others. */
static inline void rule_add(const char *addr, uint8_t prefixlen, uint8_t protocol, uint16_t port,
			    struct rule_value value)
{
	struct rule_key key = {.prefixlen = prefixlen, .protocol = protocol, .port = port};
	uint32_t number = port;
	struct port_value flags;

	if (addr) {
		key.family = strchr(addr, ':') ? 6 : 4;
		assert_int_equal(inet_pton(key.family == 4 ? AF_INET : AF_INET6, addr, key.addr),
				 1);
	}
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.rules), &key, &value, 0), 0);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(guard->maps.ports), &number, &flags), 0);
	flags.rules |= protocol == IPPROTO_TCP ? RULES_TCP : RULES_UDP;
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(guard->maps.ports), &number, &flags, 0),
			 0);
}

static inline void tcp4(struct frame *f, const char *from, uint8_t flags)
{
	frame_ethernet(f);
	frame_ip4(f, from, GATEWAY4, 0);
	frame_tcp(f, 40000, 80, flags, 1, 1, NULL, 0);
	frame_finish(f);
}

static inline void tcp6(struct frame *f, const char *from, uint8_t flags)
{
	frame_ethernet(f);
	frame_ip6(f, from, GATEWAY6);
	frame_tcp(f, 40000, 80, flags, 1, 1, NULL, 0);
	frame_finish(f);
}

static inline int setup_clock(bool stands)
{
	guard = guard__open();
	assert_non_null(guard);
	guard->rodata->test_clock = stands;
	guard->rodata->bucket_seed = 42;
	assert_int_equal(guard__load(guard), 0);
	guard->bss->test_now = 1000 * SEC;
	program = bpf_program__fd(guard->progs.sluice_guard);
	/* An attached program is one that the kernel's dispatcher knows: a run takes microseconds, not a grace period. */
	return bpf_xdp_attach(LOOPBACK, program, XDP_FLAGS_SKB_MODE, NULL);
}

/* A guard without policy, lists or protected ports; time stands at 1000 s. */
static inline int setup(void **state)
{
	(void)state;
	return setup_clock(true);
}

static inline int teardown(void **state)
{
	(void)state;
	bpf_xdp_detach(LOOPBACK, XDP_FLAGS_SKB_MODE, NULL);
	guard__destroy(guard);
	return 0;
}

static inline int setup_all(void **state)
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

#define GUARD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
