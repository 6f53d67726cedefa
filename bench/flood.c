/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded SYN flood: SYNs from random sources of FLOOD_PREFIX through a packet socket, past the queueing discipline, evenly
 * in small bursts. Ends after SECONDS, and after RATE * SECONDS packets. Prints what it sent, as JSON.
 *
 *     flood INTERFACE DESTINATION_MAC DESTINATION PORT RATE SECONDS
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "bench/flood.h"
#include "edge/frame.h"

#define NSEC	    1000000000ULL
#define BURST	    64U	       /* packets at once: a quarter of what a veth's queue holds */
#define LATE_NSEC   5000000ULL /* what was missed by more is not made up for */
#define NICE	    (-5)
#define MAX_RATE    10000000UL
#define MAX_SECONDS 60UL

static uint8_t frames[BURST][FLOOD_FRAME];

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

static uint32_t random32(void)
{
	static uint64_t state = 88172645463325252ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

/* Put a word where there were zeros, and into the checksum that sums it up (RFC 1624). */
static void put(uint8_t *at, const void *word, size_t size, uint8_t *check_at)
{
	uint16_t check, half;
	uint32_t sum;

	memcpy(&check, check_at, sizeof(check));
	sum = (uint16_t)~check;
	for (size_t i = 0; i < size; i += sizeof(half)) {
		memcpy(&half, (const uint8_t *)word + i, sizeof(half));
		sum += half;
	}
	memcpy(at, word, size);
	sum = (sum & 0xffff) + (sum >> 16);
	check = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
	memcpy(check_at, &check, sizeof(check));
}

/* What Linux sends; source, port and sequence number follow. */
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

static void make_frame(const struct frame *f, uint8_t *out)
{
	uint32_t source = htonl(FLOOD_PREFIX | (random32() & ~FLOOD_MASK));
	uint16_t port = htons((uint16_t)(1024 + random32() % 64000));
	uint32_t seq = random32();
	uint8_t *ip = out + f->ip, *tcp = out + f->l4;

	memcpy(out, f->bytes, FLOOD_FRAME);
	put(ip + 12, &source, sizeof(source), ip + 10);
	put(tcp, &port, sizeof(port), tcp + 16);
	put(tcp + 4, &seq, sizeof(seq), tcp + 16);
	/* The pseudo header's part. */
	put(ip + 12, &source, sizeof(source), tcp + 16);
}

static int open_socket(const char *interface)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_ifindex = (int)if_nametoindex(interface)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), on = 1;

	if (!to.sll_ifindex)
		die(interface);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) < 0)
		die("a packet socket");
	return fd;
}

/* Packets that went out; a full queue takes what fits, as a wire does. */
static uint64_t send_burst(int fd, const struct frame *f)
{
	struct mmsghdr messages[BURST] = {0};
	struct iovec iov[BURST];
	int sent;

	for (uint32_t i = 0; i < BURST; i++) {
		make_frame(f, frames[i]);
		iov[i] = (struct iovec){frames[i], FLOOD_FRAME};
		messages[i].msg_hdr.msg_iov = &iov[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	sent = sendmmsg(fd, messages, BURST, 0);
	if (sent < 0 && errno != ENOBUFS)
		die("sending");
	return sent > 0 ? (uint64_t)sent : 0;
}

int main(int argc, char **argv)
{
	uint64_t rate = argc == 7 ? strtoul(argv[5], NULL, 10) : 0;
	uint64_t seconds = argc == 7 ? strtoul(argv[6], NULL, 10) : 0;
	uint64_t sent = 0, begin, end, gap, t;
	struct frame f;
	int fd;

	if (!rate || rate > MAX_RATE || !seconds || seconds > MAX_SECONDS) {
		fputs("usage: flood INTERFACE DESTINATION_MAC DESTINATION PORT RATE SECONDS\n",
		      stderr);
		return 2;
	}
	fd = open_socket(argv[1]);
	make_template(argv[2], argv[3], (uint16_t)atoi(argv[4]), &f);
	/* It comes as it does, however busy the clients are that share its CPU. */
	setpriority(PRIO_PROCESS, 0, NICE);
	prctl(PR_SET_TIMERSLACK, 1);
	gap = BURST * NSEC / rate;
	begin = now();
	end = begin + seconds * NSEC;
	for (uint64_t at = begin; at < end && (t = now()) < end; at += gap) {
		if (t < at)
			sleep_until(at);
		else if (t > at + LATE_NSEC)
			at = t;
		sent += send_burst(fd, &f);
	}
	printf("{\"sent\": %" PRIu64 ", \"seconds\": %.3f}\n", sent,
	       (double)(now() - begin) / (double)NSEC);
	return 0;
}
