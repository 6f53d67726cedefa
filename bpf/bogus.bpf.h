/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that no honest host sends: sources that nobody can answer, TCP flags that contradict each other, packets
 * from oneself, port 0. One or two comparisons each on the way of a clean packet.
 */
#ifndef BPF_BOGUS_BPF_H
#define BPF_BOGUS_BPF_H

#include "bpf/parse.bpf.h"

#define LOOPBACK_IFINDEX 1 /* in every network namespace */

/* On lo a host does talk to itself. */
static __always_inline bool on_loopback(const struct xdp_md *ctx)
{
	return ctx->ingress_ifindex == LOOPBACK_IFINDEX;
}

/*
 * 0.0.0.0/8, 127.0.0.0/8, multicast and broadcast. From 0.0.0.0 itself a host speaks to everybody while it has no address
 * yet (DHCP, IGMP). 240.0.0.0/4 is in use in private networks.
 */
static __always_inline bool is_martian4(const struct xdp_md *ctx, const struct packet *p)
{
	__u8 first = p->source4.addr[0];
	__u32 source = (__u32)p->source;
	const struct iphdr *ip;

	if ((__u8)(first - 1) < 223 && first != 127)
		return false;
	if (first == 127)
		return !on_loopback(ctx);
	if (first >= 240)
		return source == 0xffffffff;
	ip = packet_ip(p, sizeof(*ip));
	return source || !ip || bpf_ntohl(ip->daddr) < 0xe0000000;
}

/* The same of IPv6, and IPv4 in IPv6's clothes. From :: a host asks whether its address is free, and joins groups. */
static __always_inline bool is_martian6(const struct xdp_md *ctx, const struct packet *p)
{
	const struct ipv6hdr *ip;
	__u64 host;

	if (p->source >> 56 == 0xff)
		return true;
	if (p->source)
		return false;
	__builtin_memcpy(&host, p->source6.addr + 8, sizeof(host));
	host = bpf_be64_to_cpu(host);
	if (host == 1)
		return !on_loopback(ctx);
	if (host)
		return host >> 32 == 0xffff;
	ip = packet_ip(p, sizeof(*ip));
	return !ip || ip->daddr.s6_addr[0] != 0xff;
}

static __always_inline bool bogus_source(const struct xdp_md *ctx, const struct packet *p)
{
	return p->family == 4 ? is_martian4(ctx, p) : is_martian6(ctx, p);
}

static __always_inline bool is_to_itself(const struct packet *p)
{
	if (p->family == 4) {
		const struct iphdr *ip = packet_ip(p, sizeof(*ip));

		return ip && ip->saddr == ip->daddr;
	} else {
		const struct ipv6hdr *ip = packet_ip(p, sizeof(*ip));
		__u64 a[4];

		if (!ip)
			return false;
		__builtin_memcpy(a, &ip->saddr, sizeof(a));
		return a[0] == a[2] && a[1] == a[3];
	}
}

/* A bit for each combination of FIN, SYN, RST, and ACK as the fourth, that a segment can have. */
#define FLAG_SET(flags) (1U << (((flags)&7) | ((flags)&TCP_ACK) >> 1))
#define SOUND_FLAGS                                                                                \
	(FLAG_SET(TCP_SYN) | FLAG_SET(TCP_SYN | TCP_ACK) | FLAG_SET(TCP_ACK) |                     \
	 FLAG_SET(TCP_FIN | TCP_ACK) | FLAG_SET(TCP_RST) | FLAG_SET(TCP_RST | TCP_ACK))

/* Of a packet with TCP or UDP ports. UDP without a source port wants no answer (RFC 768). */
static __always_inline enum reason bogus_segment(const struct xdp_md *ctx, const struct packet *p)
{
	bool tcp = p->protocol == IPPROTO_TCP;

	if (tcp && !(SOUND_FLAGS & FLAG_SET(p->tcp_flags)))
		return REASON_BAD_FLAGS;
	if (!p->port || (tcp && !p->source_port))
		return REASON_PORT_ZERO;
	if (p->port == p->source_port && is_to_itself(p) && !on_loopback(ctx))
		return REASON_LAND;
	return REASON_PASSED;
}

#endif
