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

#endif
