/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/ways.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/filters.h"

#define CLIENTS                                                                                    \
	1000 /* connections; more would need more of our own descriptors than many systems allow */
#define FILES	       (2 * CLIENTS + 2048) /* both ends', and what a feed is made of */
#define CLIENT_PORT    40000
#define OPEN_PORT      81
#define PROTECTED_PORT 80

static uint16_t listen_port;
static uint32_t clients[CLIENTS]; /* addresses, in network order */

#define PACKETS(interval, burst)                                                                   \
	.metered = 1 << LIMIT_PACKETS,                                                             \
	.tier[TIER_EVERYBODY].limit[LIMIT_PACKETS] = {interval, burst}

/* Never empty here, and never full; and one packet, then no more for as long as this runs. */
#define ROOMY                                                                                      \
	{                                                                                          \
		PACKETS(500000, 4000)                                                              \
	}
#define TIGHT                                                                                      \
	{                                                                                          \
		PACKETS(3600000000000, 1)                                                          \
	}
#define NO_COOKIES                                                                                 \
	{                                                                                          \
		3600000000000, 1                                                                   \
	}
#define CARD                                                                                       \
	{                                                                                          \
		.macs = 1, .mac = { {.addr = {2, 0, 0, 0, 0, 1}} } /* frame_ethernet's */          \
	}
#define GATE                                                                                       \
	{                                                                                          \
		.syn_mode = SYN_ALWAYS, .local = CARD, PACKETS(500000, 4000)                       \
	}

#define LISTS (FILTER_BIT(FILTER_LPM) | FILTER_BIT(FILTER_XDP_FILTER))
#define TRIE  FILTER_BIT(FILTER_LPM)
#define BARE  FILTER_BIT(FILTER_COOKIE)

const struct way ways[] = {
	{"clean IPv4", SOURCE_CLEAN, 4, F_ACK, WAY_OPEN, WAY_PLAIN, REASON_PASSED, LISTS, ROOMY},
	{"clean IPv6", SOURCE_CLEAN, 6, F_ACK, WAY_OPEN, WAY_PLAIN, REASON_PASSED, LISTS, ROOMY},
	{"allowed by prefix", SOURCE_PRIVATE, 4, F_ACK, WAY_OPEN, WAY_PLAIN, REASON_ALLOWED, 0,
	 ROOMY},
	{"denied by address, IPv4", SOURCE_ADDRESS, 4, F_SYN, WAY_OPEN, WAY_PLAIN, REASON_DENIED,
	 LISTS, ROOMY},
	{"denied by address, IPv6", SOURCE_ADDRESS, 6, F_SYN, WAY_OPEN, WAY_PLAIN, REASON_DENIED,
	 LISTS, ROOMY},
	{"denied by prefix, IPv4", SOURCE_PREFIX, 4, 0, WAY_OPEN, WAY_PLAIN, REASON_DENIED, TRIE,
	 ROOMY},
	{"denied by prefix, IPv6", SOURCE_PREFIX, 6, F_ACK, WAY_OPEN, WAY_PLAIN, REASON_DENIED,
	 TRIE, ROOMY},
	{"verified source", SOURCE_CLIENT, 4, F_ACK, WAY_LISTENER, WAY_PLAIN, REASON_PASSED, 0,
	 ROOMY},
	{"verified source, limited", SOURCE_CLIENT, 4, F_ACK, WAY_LISTENER, WAY_PLAIN,
	 REASON_LIMITED, 0, TIGHT},
	{"ACK of a connection, SYN gate", SOURCE_CLIENT, 4, F_ACK, WAY_LISTENER, WAY_PLAIN,
	 REASON_PASSED, 0, GATE},
	{"other source, limited", SOURCE_FIXED, 4, F_ACK, WAY_PROTECTED, WAY_PLAIN, REASON_LIMITED,
	 0, TIGHT},
	{"spoofed flood", SOURCE_CLEAN, 4, F_ACK, WAY_PROTECTED, WAY_FLOOD, REASON_PASSED, 0,
	 ROOMY},
	{"SYN cookie, IPv4",
	 SOURCE_CLEAN,
	 4,
	 F_SYN,
	 WAY_LISTENER,
	 WAY_PLAIN,
	 REASON_COOKIE_SENT,
	 BARE,
	 {.syn_mode = SYN_ALWAYS, .cookie_options = 7, .cookie_wscale = 7, .local = CARD}},
	{"SYN without a cookie",
	 SOURCE_CLEAN,
	 4,
	 F_SYN,
	 WAY_LISTENER,
	 WAY_PLAIN,
	 REASON_SYN_EXCESS,
	 0,
	 {.syn_mode = SYN_ALWAYS, .cookies = NO_COOKIES, .local = CARD}},
	{"SYN cookie, IPv6",
	 SOURCE_CLEAN,
	 6,
	 F_SYN,
	 WAY_LISTENER,
	 WAY_PLAIN,
	 REASON_COOKIE_SENT,
	 BARE,
	 {.syn_mode = SYN_ALWAYS, .cookie_options = 7, .cookie_wscale = 7, .local = CARD}},
	{"banned by address, IPv4", SOURCE_ADDRESS, 4, F_ACK, WAY_OPEN, WAY_BESIDES, REASON_BANNED,
	 0, ROOMY},
	{"banned by address, IPv6", SOURCE_ADDRESS, 6, F_ACK, WAY_OPEN, WAY_BESIDES, REASON_BANNED,
	 0, ROOMY},
	{"banned by prefix, IPv4", SOURCE_PREFIX, 4, F_ACK, WAY_OPEN, WAY_BESIDES, REASON_BANNED, 0,
	 ROOMY},
	{"banned by prefix, IPv6", SOURCE_PREFIX, 6, F_ACK, WAY_OPEN, WAY_BESIDES, REASON_BANNED, 0,
	 ROOMY},
	{"denied by a port rule, IPv4", SOURCE_PREFIX, 4, F_ACK, WAY_OPEN, WAY_BESIDES,
	 REASON_PORT_DENIED, 0, ROOMY},
	{"denied by a port rule, IPv6", SOURCE_PREFIX, 6, F_ACK, WAY_OPEN, WAY_BESIDES,
	 REASON_PORT_DENIED, 0, ROOMY},
	{"clean, 1,000 bans and rules, IPv4", SOURCE_CLEAN, 4, F_ACK, WAY_OPEN, WAY_BESIDES,
	 REASON_PASSED, 0, ROOMY},
	{"clean, 1,000 bans and rules, IPv6", SOURCE_CLEAN, 6, F_ACK, WAY_OPEN, WAY_BESIDES,
	 REASON_PASSED, 0, ROOMY},
};

const size_t n_ways = sizeof(ways) / sizeof(ways[0]);

static const char *source_text(const struct way *w)
{
	if (w->source == SOURCE_FIXED)
		return "198.51.100.7";
	return w->family == 4 ? "0.0.0.0" : "::";
}

/* To the listener on loopback from anywhere: that there is no way back doesn't matter here. */
static const char *destination_text(const struct way *w)
{
	if (w->port == WAY_LISTENER)
		return w->family == 4 ? "127.0.0.1" : "::1";
	return w->family == 4 ? "192.0.2.1" : "2001:db8::1";
}

static uint16_t port_number(enum way_port port)
{
	return port == WAY_OPEN ? OPEN_PORT : port == WAY_PROTECTED ? PROTECTED_PORT : listen_port;
}

void ways_frame(const struct way *w, struct frame *f)
{
	/* What Linux sends: MSS, SACK permitted, timestamps, window scale. */
	static const uint8_t options[20] = {2, 4, 1460 >> 8, 1460 & 255, 4, 2, 8, 10, 0, 1,
					    2, 3, 0,	     0,		 0, 0, 1, 3,  3, 7};

	frame_ethernet(f);
	if (w->family == 4)
		frame_ip4(f, source_text(w), destination_text(w), 0);
	else
		frame_ip6(f, source_text(w), destination_text(w));
	if (w->flags)
		frame_tcp(f, CLIENT_PORT, port_number(w->port), w->flags, 1, 1, options,
			  w->flags & F_SYN ? sizeof(options) : 0);
	else
		frame_udp(f, CLIENT_PORT, port_number(w->port));
	frame_finish(f);
}

size_t ways_sources(const struct way *w, const struct entries *e, size_t n, uint32_t *out)
{
	if (w->source != SOURCE_CLIENT)
		return entries_sources(e, w->source, w->family, n, out);
	n = n < CLIENTS ? n : CLIENTS;
	memcpy(out, clients, n * sizeof(*out));
	return n;
}

void ways_prepare(const struct way *w)
{
	filters_guard_port(PROTECTED_PORT, PORT_PROTECTED);
	filters_guard_port(listen_port, PORT_PROTECTED);
	filters_guard_allow("10.0.0.0", 8, w->source == SOURCE_PRIVATE);
	filters_guard_policy(&w->policy);
	filters_guard_use_besides(w->kind == WAY_BESIDES);
}

void ways_add_besides(const struct entries *bans, const struct entries *rules)
{
	filters_guard_besides(bans, rules, OPEN_PORT);
}

static void sysctl(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die(file);
	close(fd);
}

/* A listener for both families on a port that the kernel chooses. */
static int listener(void)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	socklen_t len = sizeof(in6);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&in6, len) < 0 || listen(fd, 16) < 0 ||
	    getsockname(fd, (struct sockaddr *)&in6, &len) < 0)
		die("a listener");
	listen_port = ntohs(in6.sin6_port);
	return fd;
}

/* They stay for as long as the process does. */
static void connect_clients(int fd)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(listen_port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct rlimit files = {FILES, FILES};

	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		die("RLIMIT_NOFILE");
	for (uint32_t i = 0; i < CLIENTS; i++) {
		struct sockaddr_in from = {.sin_family = AF_INET,
					   .sin_port = htons(CLIENT_PORT),
					   .sin_addr.s_addr = htonl(0x7f010000 + i)};
		int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		clients[i] = from.sin_addr.s_addr;
		if (bind(client, (struct sockaddr *)&from, sizeof(from)) < 0 ||
		    connect(client, (struct sockaddr *)&to, sizeof(to)) < 0 ||
		    accept(fd, NULL, NULL) < 0)
			die("a connection");
	}
}

void ways_init(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		die("a network namespace");
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		die("lo");
	close(fd);
	fd = listener();
	connect_clients(fd);
	sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
}
