/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/frame.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

static void put16(uint8_t *at, uint16_t value)
{
	value = htons(value);
	memcpy(at, &value, sizeof(value));
}

static void put32(uint8_t *at, uint32_t value)
{
	value = htonl(value);
	memcpy(at, &value, sizeof(value));
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint8_t *append(struct frame *f, size_t n)
{
	uint8_t *at = f->bytes + f->len;

	memset(at, 0, n);
	f->len += n;
	return at;
}

void frame_ethernet(struct frame *f)
{
	memset(f, 0, sizeof(*f));
	memcpy(append(f, 6), "\x02\0\0\0\0\x01", 6);
	memcpy(append(f, 6), "\x02\0\0\0\0\x02", 6);
	f->next = f->len;
	append(f, 2);
}

void frame_vlan(struct frame *f, uint16_t type, uint16_t id)
{
	put16(f->bytes + f->next, type);
	put16(append(f, 2), id);
	f->next = f->len;
	append(f, 2);
}

void frame_ip4_fragment(struct frame *f, const char *from, const char *to, uint16_t fragment)
{
	frame_ip4(f, from, to, 0);
	put16(f->bytes + f->ip + 6, fragment);
}

void frame_ip4(struct frame *f, const char *from, const char *to, size_t options)
{
	uint8_t *ip;

	put16(f->bytes + f->next, ETH_P_IP);
	f->ip = f->len;
	ip = append(f, 20);
	ip[0] = (uint8_t)(0x40 | (5 + options / 4));
	ip[8] = 64;
	inet_pton(AF_INET, from, ip + 12);
	inet_pton(AF_INET, to, ip + 16);
	f->next = f->ip + 9;
	memset(append(f, options), 1, options);
}

void frame_ip6(struct frame *f, const char *from, const char *to)
{
	uint8_t *ip;

	put16(f->bytes + f->next, ETH_P_IPV6);
	f->ip = f->len;
	ip = append(f, 40);
	ip[0] = 0x60;
	ip[7] = 64;
	inet_pton(AF_INET6, from, ip + 8);
	inet_pton(AF_INET6, to, ip + 24);
	f->next = f->ip + 6;
	ip[6] = IPPROTO_NONE;
}

void frame_ip6_extension(struct frame *f, uint8_t kind, size_t len, uint16_t fragment)
{
	uint8_t *ext;

	f->bytes[f->next] = kind;
	f->next = f->len;
	ext = append(f, len);
	ext[0] = IPPROTO_NONE;
	if (kind == IPPROTO_FRAGMENT)
		put16(ext + 2, fragment);
	else
		ext[1] = (uint8_t)(kind == IPPROTO_AH ? len / 4 - 2 : len / 8 - 1);
}

static uint8_t *begin_l4(struct frame *f, uint8_t protocol, size_t n)
{
	f->bytes[f->next] = protocol;
	f->protocol = protocol;
	f->l4 = f->len;
	return append(f, n);
}

void frame_tcp(struct frame *f, uint16_t sport, uint16_t dport, uint8_t flags, uint32_t seq,
	       uint32_t ack, const uint8_t *options, size_t options_len)
{
	uint8_t *tcp = begin_l4(f, IPPROTO_TCP, 20);

	put16(tcp, sport);
	put16(tcp + 2, dport);
	put32(tcp + 4, seq);
	put32(tcp + 8, ack);
	tcp[12] = (uint8_t)((5 + options_len / 4) << 4);
	tcp[13] = flags;
	put16(tcp + 14, 65535);
	if (options_len)
		memcpy(append(f, options_len), options, options_len);
}

void frame_udp(struct frame *f, uint16_t sport, uint16_t dport)
{
	uint8_t *udp = begin_l4(f, IPPROTO_UDP, 8);

	put16(udp, sport);
	put16(udp + 2, dport);
}

void frame_icmp(struct frame *f, uint8_t type)
{
	begin_l4(f, f->bytes[f->ip] >> 4 == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 8)[0] = type;
}

void frame_payload(struct frame *f, size_t n)
{
	memset(append(f, n), 'x', n);
}

static uint32_t sum(const uint8_t *at, size_t n, uint32_t from)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		from += get16(at + i);
	if (n & 1)
		from += (uint32_t)at[n - 1] << 8;
	while (from >> 16)
		from = (from & 0xffff) + (from >> 16);
	return from;
}

static uint32_t tcp_sum(const uint8_t *ip, const uint8_t *tcp, size_t n)
{
	uint32_t pseudo = ip[0] >> 4 == 4 ? sum(ip + 12, 8, 0) : sum(ip + 8, 32, 0);

	return sum(tcp, n, pseudo + IPPROTO_TCP + (uint32_t)n);
}

void frame_finish(struct frame *f)
{
	uint8_t *ip = f->bytes + f->ip;

	if (ip[0] >> 4 == 4) {
		put16(ip + 2, (uint16_t)(f->len - f->ip));
		put16(ip + 10, 0);
		put16(ip + 10, (uint16_t)~sum(ip, (ip[0] & 15) * 4U, 0));
	} else {
		put16(ip + 4, (uint16_t)(f->len - f->ip - 40));
	}
	if (f->protocol == IPPROTO_UDP)
		put16(f->bytes + f->l4 + 4, (uint16_t)(f->len - f->l4));
	if (f->protocol == IPPROTO_TCP) {
		uint8_t *tcp = f->bytes + f->l4;

		put16(tcp + 16, 0);
		put16(tcp + 16, (uint16_t)~tcp_sum(ip, tcp, f->len - f->l4));
	}
}

int frame_check(const uint8_t *bytes, size_t len, size_t ip_at)
{
	const uint8_t *ip = bytes + ip_at;
	size_t header = ip[0] >> 4 == 4 ? 20 : 40;

	if (header == 20 && sum(ip, 20, 0) != 0xffff)
		return -1;
	return tcp_sum(ip, ip + header, len - ip_at - header) == 0xffff ? 0 : -1;
}
