/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded SYN flood: SYNs from random sources of FLOOD_PREFIX, evenly in small bursts. What is written is one frame a burst, to a
 * tap of our own; bench/flood.bpf.c makes the others of it, and sends all out of INTERFACE as a card's driver would receive them,
 * without socket buffers. Ends after SECONDS, and after RATE * SECONDS packets. Prints what it sent, as JSON; how much of that
 * a full queue took INTERFACE counts (ethtool -S: xdp_xmit).
 *
 *     flood INTERFACE DESTINATION_MAC DESTINATION PORT RATE SECONDS
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench/flood.h"
#include "bench/flood.skel.h"
#include "edge/frame.h"

#define NSEC	    1000000000ULL
#define LATE_NSEC   5000000ULL /* what was missed by more is not made up for */
#define NICE	    (-5)
#define MAX_RATE    10000000UL
#define MAX_SECONDS 60UL

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t at)
{
	struct timespec t = {.tv_sec = (time_t)(at / NSEC), .tv_nsec = (long)(at % NSEC)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* What Linux sends, but for source, port and sequence number, which are zeros. */
static void make_template(const char *mac, const char *destination, uint16_t port, struct frame *f)
{
	static const uint8_t options[20] = {2, 4, 1460 >> 8, 1460 & 255, 4, 2, 8, 10, 0, 1,
					    2, 3, 0,	     0,		 0, 0, 1, 3,  3, 7};
	struct ether_addr address;

	frame_ethernet(f);
	if (!ether_aton_r(mac, &address)) {
		errno = EINVAL;
		die(mac);
	}
	memcpy(f->bytes, &address, sizeof(address));
	frame_ip4(f, "0.0.0.0", destination, 0);
	frame_tcp(f, 0, port, F_SYN, 0, 0, options, sizeof(options));
	frame_finish(f);
}

/* The programs, with the interface in every place of the map; they stay as long as this process does. */
static int load_amplifier(const char *interface)
{
	struct flood *programs = flood__open_and_load();
	struct bpf_devmap_val to = {.ifindex = if_nametoindex(interface)};

	if (!to.ifindex)
		die(interface);
	if (!programs)
		die("the flood's programs");
	to.bpf_prog.fd = bpf_program__fd(programs->progs.forge);
	for (uint32_t i = 0; i < FLOOD_BURST; i++)
		if (bpf_map_update_elem(bpf_map__fd(programs->maps.out), &i, &to, BPF_ANY) < 0)
			die("the flood's map");
	return bpf_program__fd(programs->progs.amplify);
}

/* A tap with the program, which gets what is written; it goes when the process ends. */
static int open_tap(int prog)
{
	struct ifreq tap = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	/* Not to block is what keeps socket buffers away. */
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, TUNSETIFF, &tap) < 0)
		die("/dev/net/tun");
	tap.ifr_flags = IFF_UP;
	if (any < 0 || ioctl(any, SIOCSIFFLAGS, &tap) < 0 ||
	    bpf_xdp_attach((int)if_nametoindex(tap.ifr_name), prog, XDP_FLAGS_DRV_MODE, NULL) < 0)
		die(tap.ifr_name);
	close(any);
	return fd;
}

int main(int argc, char **argv)
{
	uint64_t rate = argc == 7 ? strtoul(argv[5], NULL, 10) : 0;
	uint64_t seconds = argc == 7 ? strtoul(argv[6], NULL, 10) : 0;
	uint64_t sent = 0, begin, end, gap, t;
	struct frame f;
	int tap;

	if (!rate || rate > MAX_RATE || !seconds || seconds > MAX_SECONDS) {
		fputs("usage: flood INTERFACE DESTINATION_MAC DESTINATION PORT RATE SECONDS\n",
		      stderr);
		return 2;
	}
	make_template(argv[2], argv[3], (uint16_t)atoi(argv[4]), &f);
	tap = open_tap(load_amplifier(argv[1]));
	/* It comes as it does, however busy the clients are that share its CPU. */
	setpriority(PRIO_PROCESS, 0, NICE);
	prctl(PR_SET_TIMERSLACK, 1);
	gap = FLOOD_BURST * NSEC / rate;
	begin = now();
	end = begin + seconds * NSEC;
	for (uint64_t at = begin; at < end && (t = now()) < end; at += gap) {
		if (t < at)
			sleep_until(at);
		else if (t > at + LATE_NSEC)
			at = t;
		if (write(tap, f.bytes, f.len) < 0)
			die("sending");
		sent += FLOOD_BURST;
	}
	printf("{\"sent\": %" PRIu64 ", \"seconds\": %.3f}\n", sent,
	       (double)(now() - begin) / (double)NSEC);
	return 0;
}
