/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a packet costs on each of the guard's ways, in nanoseconds over the empty program: BPF_PROG_TEST_RUN of the
 * driver, which calls one or the other, sources at random. In a network namespace of its own. Prints JSON.
 *
 *     packet ROUNDS RUNS ENTRIES...
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench/driver.skel.h"
#include "bpf/abi.h"
#include "bpf/guard.skel.h"
#include "tests/bpf/packet.h"
#include "tests/bpf/pass.skel.h"

#define MAX_ROUNDS 101
#define FRAME4	   58
#define FRAME6	   74

static struct guard *guard;
static struct driver *driver;
static struct pass *empty;
static uint16_t listen_port;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void map_set(struct bpf_map *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY) < 0)
		die(bpf_map__name(map));
}

static void policy(struct policy p)
{
	uint32_t key = 0;

	map_set(guard->maps.policy, &key, &p);
}

static void list(struct bpf_map *map, const char *text, uint32_t prefixlen)
{
	struct prefix6 key = {.prefixlen = prefixlen};
	struct list_value value = {ORIGIN_OPERATOR};

	inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, key.addr);
	map_set(map, &key, &value);
}

static void tcp(struct frame *f, const char *from, const char *to, uint16_t port, uint8_t flags)
{
	static const uint8_t mss[] = {2, 4, 1460 >> 8, 1460 & 255};

	frame_ethernet(f);
	if (strchr(from, ':'))
		frame_ip6(f, from, to);
	else
		frame_ip4(f, from, to, 0);
	frame_tcp(f, 40000, port, flags, 1, 1, mss, flags & F_SYN ? sizeof(mss) : 0);
	frame_finish(f);
}

static void udp(struct frame *f, const char *from, const char *to)
{
	frame_ethernet(f);
	frame_ip4(f, from, to, 0);
	frame_udp(f, 1, 80);
	frame_finish(f);
}

/* The ways. Each prepares policy and lists, and a frame; bits of the source differ from frame to frame. */
static const struct policy limit = {.interval = 500000, .burst = 4000};

static void clean4(struct frame *f)
{
	policy(limit);
	tcp(f, "16.0.0.0", "192.0.2.1", 80, F_ACK);
}

static void clean6(struct frame *f)
{
	policy(limit);
	tcp(f, "2a00:1:0:0::1", "2001:db8::1", 80, F_ACK);
}

static void open_port(struct frame *f)
{
	policy(limit);
	tcp(f, "16.0.0.0", "192.0.2.1", 81, F_ACK);
}

static void allowed(struct frame *f)
{
	policy(limit);
	list(guard->maps.allow4, "10.0.0.0", 8);
	udp(f, "10.0.0.0", "192.0.2.1");
}

static void denied(struct frame *f)
{
	policy(limit);
	list(guard->maps.deny4, "203.0.113.7", 32);
	tcp(f, "203.0.113.7", "192.0.2.1", 80, F_SYN);
}

static void denied_prefix(struct frame *f)
{
	policy(limit);
	list(guard->maps.deny4, "198.18.0.0", 15);
	udp(f, "198.18.0.0", "192.0.2.1");
}

static void limited(struct frame *f)
{
	policy((struct policy){.interval = 1000000000, .burst = 1});
	tcp(f, "16.0.0.1", "192.0.2.1", 80, F_ACK);
}

/* To the listener on loopback, from there: a source elsewhere would do, but its answer has no route. */
static void cookie(struct frame *f)
{
	policy((struct policy){.syn_mode = SYN_ALWAYS});
	tcp(f, "16.0.0.0", "127.0.0.1", listen_port, F_SYN);
	/* As a neighbour's stack leaves it: the sum of the addresses, which differ, is not checked here. */
}

static const struct way {
	const char *name;
	void (*prepare)(struct frame *f);
	uint32_t source_bits;
	bool gate;
} ways[] = {
	{"clean IPv4, protected port", clean4, 24, false},
	{"clean IPv6, protected port", clean6, 24, false},
	{"clean IPv4, other port", open_port, 24, false},
	{"allowed by prefix", allowed, 24, false},
	{"denied by address", denied, 0, false},
	{"denied by prefix", denied_prefix, 16, false},
	{"limited, one source", limited, 0, false},
	{"SYN answered with a cookie", cookie, 0, true},
};

#define N_WAYS (sizeof(ways) / sizeof(ways[0]))

static double run_once(int program, const struct frame *f, uint32_t bits, uint32_t runs)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .repeat = runs);
	uint8_t data[FRAME6] = {0};
	uint32_t key = 0;

	memcpy(data, f->bytes, f->len);
	memcpy(driver->bss->frame, data, sizeof(data));
	driver->bss->source_bits = bits;
	map_set(driver->maps.program, &key, &program);
	opts.data_in = data;
	opts.data_size_in = f->len <= FRAME4 ? FRAME4 : FRAME6;
	if (bpf_prog_test_run_opts(bpf_program__fd(driver->progs.driver), &opts) < 0)
		die("test run");
	return opts.duration;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a;
	const double y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
	return values[n / 2];
}

/* Addresses and prefixes as lists have them: half single addresses, half /16 to /31, all over IPv4 but for the clean. */
static void fill(uint32_t entries)
{
	srandom(1);
	for (uint32_t i = 0; i < entries; i++) {
		uint32_t len = i & 1 ? 32 : 16 + (uint32_t)random() % 16;
		uint32_t addr = (uint32_t)random() << 1 ^ (uint32_t)random();
		struct prefix4 key = {.prefixlen = len};
		struct list_value value = {ORIGIN_OPERATOR};

		if (addr >> 24 == 16 || addr >> 24 == 10)
			addr ^= 1U << 31;
		addr = htonl(len == 32 ? addr : addr & ~(~0U >> len));
		memcpy(key.addr, &addr, sizeof(key.addr));
		map_set(guard->maps.deny4, &key, &value);
	}
}

static void load(uint32_t entries)
{
	uint32_t port = 80;
	struct port_value value = {PORT_PROTECTED};

	guard = guard__open_and_load();
	if (!guard)
		die("guard");
	map_set(guard->maps.ports, &port, &value);
	port = listen_port;
	map_set(guard->maps.ports, &port, &value);
	fill(entries);
}

static void measure(uint32_t entries, int rounds, uint32_t runs, bool last)
{
	static double empty_ns[N_WAYS][MAX_ROUNDS];
	static double over_ns[N_WAYS][MAX_ROUNDS];

	load(entries);
	for (int r = 0; r < rounds; r++)
		for (size_t w = 0; w < N_WAYS; w++) {
			struct frame f;

			ways[w].prepare(&f);
			empty_ns[w][r] = run_once(bpf_program__fd(empty->progs.pass), &f,
						  ways[w].source_bits, runs);
			over_ns[w][r] = run_once(bpf_program__fd(guard->progs.sluice_guard), &f,
						 ways[w].source_bits, runs) -
					empty_ns[w][r];
		}
	for (size_t w = 0; w < N_WAYS; w++)
		printf("  {\"way\": \"%s\", \"entries\": %u, \"empty_ns\": %.0f, \"over_ns\": "
		       "%.0f}%s\n",
		       ways[w].name, entries, median(empty_ns[w], rounds),
		       median(over_ns[w], rounds), last && w + 1 == N_WAYS ? "" : ",");
	guard__destroy(guard);
}

static void namespace_enter(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	socklen_t len = sizeof(in);
	int fd, sysctl;

	if (unshare(CLONE_NEWNET) < 0)
		die("a network namespace");
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &lo) < 0 || bind(fd, (struct sockaddr *)&in, len) < 0 ||
	    listen(fd, 16) < 0 || getsockname(fd, (struct sockaddr *)&in, &len) < 0)
		die("a listener");
	listen_port = ntohs(in.sin_port);
	sysctl = open("/proc/sys/net/ipv4/tcp_syncookies", O_WRONLY | O_CLOEXEC);
	if (sysctl < 0 || write(sysctl, "2", 1) != 1)
		die("tcp_syncookies");
	close(sysctl);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 0;
	long runs = argc > 2 ? atol(argv[2]) : 0;

	if (argc < 4 || rounds < 1 || rounds > MAX_ROUNDS || runs < 1) {
		fputs("usage: packet ROUNDS RUNS ENTRIES...\n", stderr);
		return 2;
	}
	namespace_enter();
	driver = driver__open_and_load();
	empty = pass__open_and_load();
	if (!driver || !empty)
		die("driver");
	printf("[\n");
	for (int i = 3; i < argc; i++)
		measure((uint32_t)atol(argv[i]), rounds, (uint32_t)runs, i + 1 == argc);
	printf("]\n");
	driver__destroy(driver);
	pass__destroy(empty);
	return 0;
}
