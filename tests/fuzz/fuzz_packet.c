/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard's parser and its bogus checks, compiled for this machine: two bytes that say how much of the packet lies behind
 * what the program sees (little endian), then a frame. It and each of its beginnings stay inside, and what comes out
 * contradicts neither the frame nor what the whole of it gave.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* unroll, which is for clang's BPF */
#include "bpf/bogus.bpf.h"
#include "bpf/parse.bpf.h"

#define PREFIXES 192 /* longer than all headers of the corpus */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum reason parse(struct packet *p)
{
	enum reason reason = parse_ethernet(p);

	if (reason == REASON_PASSED)
		reason = p->family == 4 ? parse_ip4(p) : parse_ip6(p);
	return reason == REASON_PASSED ? parse_l4(p) : reason;
}

static void check_l4(const struct packet *p, const uint8_t *l4)
{
	if (p->fragment_offset || (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP))
		assert(p->port == 0);
	if (p->fragment_offset || p->protocol != IPPROTO_TCP)
		assert(p->tcp_flags == 0);
	if (p->fragment_offset)
		return;
	if (p->protocol == IPPROTO_TCP) {
		unsigned int header = (l4[12] >> 4) * 4U;

		assert(header >= sizeof(struct tcphdr) && header <= p->l4_len);
		assert(p->port == l4[2] * 256 + l4[3] && p->tcp_flags == (l4[13] & TCP_FLAGS));
	}
	if (p->protocol == IPPROTO_UDP)
		assert(p->l4_len >= sizeof(struct udphdr) && p->port == l4[2] * 256 + l4[3]);
	if (p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6)
		assert(p->l4_len >= sizeof(struct icmp_head) && p->icmp_type == l4[0]);
}

static void check_passed(const struct packet *p)
{
	size_t header = p->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	const uint8_t *data = p->data, *cursor = p->cursor, *end = p->end, *ip = data + p->ip;

	assert(p->family == 4 || p->family == 6);
	assert(p->ip == 14 || p->ip == 18 || p->ip == 22);
	assert(p->l4 >= p->ip + header);
	assert(cursor >= data + p->l4 && cursor <= end);
	assert((uint32_t)p->l4 + p->l4_len <= p->bytes);
	if (p->family == 4) {
		assert(p->l4 <= p->ip + 60 && p->source4.prefixlen == 32);
		assert(memcmp(p->source4.addr, ip + 12, 4) == 0);
		assert(p->source >> 32 == SOURCE4_MARK >> 32);
	} else {
		assert(p->l4 <= p->ip + header + IP6_EXTENSIONS * 2048);
		assert(p->source6.prefixlen == 128);
		assert(memcmp(p->source6.addr, ip + 8, 16) == 0);
	}
	assert(packet_ip(p, (uint32_t)header) == ip);
	assert(!packet_ip(p, (uint32_t)(end - ip) + 1));
	check_l4(p, data + p->l4);
}

static uint32_t be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The rules once more, in plain words. */
static bool is_martian(const uint8_t *ip, unsigned int family, bool loopback)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, zeros[16];
	const uint8_t *from = ip + (family == 4 ? 12 : 8), *to = ip + (family == 4 ? 16 : 24);

	if (family == 4) {
		if (from[0] == 127)
			return !loopback;
		if (from[0] == 0)
			return be32(from) != 0 || to[0] < 224;
		return (from[0] >= 224 && from[0] < 240) || be32(from) == 0xffffffff;
	}
	if (memcmp(from, zeros, 15) == 0 && from[15] == 1)
		return !loopback;
	if (memcmp(from, zeros, 16) == 0)
		return to[0] != 0xff;
	return from[0] == 0xff || memcmp(from, mapped, 12) == 0;
}

static bool flags_sound(unsigned int flags)
{
	unsigned int told = flags & (TCP_FIN | TCP_SYN | TCP_RST);

	if (!(flags & TCP_ACK))
		return told == TCP_SYN || told == TCP_RST;
	return told == 0 || told == TCP_SYN || told == TCP_RST || told == TCP_FIN;
}

static enum reason bogus(const struct packet *p, const uint8_t *ip, const uint8_t *l4,
			 bool loopback)
{
	size_t size = p->family == 4 ? 4 : 16, from = p->family == 4 ? 12 : 8;
	bool tcp = p->protocol == IPPROTO_TCP;

	if (tcp && !flags_sound(l4[13]))
		return REASON_BAD_FLAGS;
	if (!(l4[2] | l4[3]) || (tcp && !(l4[0] | l4[1])))
		return REASON_PORT_ZERO;
	if (!loopback && memcmp(l4, l4 + 2, 2) == 0 &&
	    memcmp(ip + from, ip + from + size, size) == 0)
		return REASON_LAND;
	return REASON_PASSED;
}

static void check_bogus(const struct packet *p)
{
	const uint8_t *data = p->data;

	for (unsigned int interface = LOOPBACK_IFINDEX; interface <= LOOPBACK_IFINDEX + 1;
	     interface++) {
		const struct xdp_md ctx = {.ingress_ifindex = interface};
		bool loopback = interface == LOOPBACK_IFINDEX;

		assert(bogus_source(&ctx, p) == is_martian(data + p->ip, p->family, loopback));
		if (!p->fragment_offset &&
		    (p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP))
			assert(bogus_segment(&ctx, p) ==
			       bogus(p, data + p->ip, data + p->l4, loopback));
	}
}

/* The first n bytes of a frame in memory that ends with them; IP headers are aligned as drivers do it. */
static enum reason look(const uint8_t *frame, size_t n, uint32_t bytes, struct packet *ret)
{
	uint8_t *memory = malloc(n + 2), *copy = memory + 2;
	enum reason reason;

	assert(memory);
	memcpy(copy, frame, n);
	*ret = (struct packet){.data = copy, .end = copy + n, .cursor = copy, .bytes = bytes};
	reason = parse(ret);
	assert(reason == REASON_PASSED || reason == REASON_NOT_IP || reason == REASON_MALFORMED ||
	       reason == REASON_IP6_HEADERS || reason == REASON_FRAGMENT ||
	       reason == REASON_TINY_FRAGMENT);
	assert(ret->cursor >= ret->data && ret->cursor <= ret->end);
	if (reason == REASON_PASSED || reason == REASON_FRAGMENT) {
		check_passed(ret);
		check_bogus(ret);
	}
	free(memory);
	return reason;
}

static bool same(const struct packet *a, const struct packet *b)
{
	return a->ip == b->ip && a->l4 == b->l4 && a->l4_len == b->l4_len &&
	       a->family == b->family && a->protocol == b->protocol && a->port == b->port &&
	       a->icmp_type == b->icmp_type && a->tcp_flags == b->tcp_flags &&
	       a->fragment_offset == b->fragment_offset && a->source == b->source;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet whole, part;
	enum reason reason, beginning;
	uint32_t bytes;

	if (size < 2)
		return 0;
	bytes = (uint32_t)(size - 2) + data[0] + 256U * data[1];
	reason = look(data + 2, size - 2, bytes, &whole);
	for (size_t n = 0; n < size - 2 && n < PREFIXES; n++) {
		beginning = look(data + 2, n, bytes, &part);
		assert(beginning == REASON_MALFORMED || beginning == REASON_TINY_FRAGMENT ||
		       beginning == reason);
		assert(beginning != REASON_PASSED || same(&part, &whole));
	}
	return 0;
}
