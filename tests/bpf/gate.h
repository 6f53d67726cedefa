/* SPDX-License-Identifier: Apache-2.0 */
/* SYNs and ACKs to a listener of this namespace, for tests of the SYN gate. Include first. */
#ifndef TESTS_BPF_GATE_H
#define TESTS_BPF_GATE_H

#include "tests/bpf/guard.h"

static inline int listener(int family, uint16_t *ret_port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *addr = family == AF_INET ? (void *)&in : (void *)&in6;
	socklen_t len = family == AF_INET ? sizeof(in) : sizeof(in6);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, addr, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, addr, &len), 0);
	*ret_port = ntohs(family == AF_INET ? in.sin_port : in6.sin6_port);
	return fd;
}

/* One on a protected port, for which the kernel makes cookies. */
static inline int cookie_listener(uint16_t *ret_port)
{
	int fd = listener(AF_INET, ret_port);

	port_protect(*ret_port);
	write_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2");
	return fd;
}

static inline uint32_t be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void syn_frame(struct frame *f, int family, int tags, uint16_t port, uint8_t flags,
			     uint32_t seq, uint32_t ack, const uint8_t *options, size_t options_len)
{
	frame_ethernet(f);
	for (int i = 0; i < tags; i++)
		frame_vlan(f, ETH_P_8021Q, 9);
	if (family == AF_INET)
		frame_ip4(f, "127.0.0.1", "127.0.0.1", tags ? 8 : 0);
	else
		frame_ip6(f, "::1", "::1");
	frame_tcp(f, 40000, port, flags, seq, ack, options, options_len);
	frame_finish(f);
}

/* To the loopback address of its family. */
static inline void segment(struct frame *f, const char *from, uint16_t sport, uint16_t port,
			   uint8_t flags, uint32_t seq, uint32_t ack)
{
	frame_ethernet(f);
	if (strchr(from, ':'))
		frame_ip6(f, from, "::1");
	else
		frame_ip4(f, from, "127.0.0.1", 0);
	frame_tcp(f, sport, port, flags, seq, ack, NULL, 0);
	frame_finish(f);
}

/* A connection to a listener, all on loopback, and what its client may send. */
struct peer {
	const char *from;
	int listener, client;
	uint16_t sport, port;
};

static inline struct peer connection(int family)
{
	struct peer p = {.from = family == AF_INET ? "127.0.0.1" : "::1"};
	struct sockaddr_in6 addr = {0};
	socklen_t len = sizeof(addr);

	p.listener = listener(family, &p.port);
	p.client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(getsockname(p.listener, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(connect(p.client, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(p.client, (struct sockaddr *)&addr, &len), 0);
	p.sport = ntohs(addr.sin6_port); /* at the same place in either family */
	port_protect(p.port);
	return p;
}

static inline void peer_close(struct peer *p)
{
	close(p->client);
	close(p->listener);
}

static inline void peer_frame(struct frame *f, const struct peer *p, uint8_t flags)
{
	segment(f, p->from, p->sport, p->port, flags, 1, 1);
}

/* The ACK of a handshake that a cookie began. Its source, 198.18.0.0/15, answers to nobody. */
static inline void cookie_ack(struct frame *f, uint32_t source, uint16_t sport, uint16_t port)
{
	char from[INET_ADDRSTRLEN];

	snprintf(from, sizeof(from), "198.%u.%u.%u", 18 + (source >> 16 & 1), source >> 8 & 255,
		 source & 255);
	segment(f, from, sport, port, F_SYN, 1000, 0);
	assert_int_equal(run_bytes(f->bytes, f->len, 1), XDP_TX);
	segment(f, from, sport, port, F_ACK, 1001, be32(sent + f->l4 + 4) + 1);
}

#endif
