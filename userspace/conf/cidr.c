/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/cidr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Decimal digits only, no sign, no leading zero. */
static bool parse_number(struct slice text, unsigned int max, unsigned int *ret)
{
	unsigned int value = 0;

	if (text.len == 0 || text.len > 5 || (text.len > 1 && text.ptr[0] == '0'))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		value = value * 10 + (unsigned int)(text.ptr[i] - '0');
	}
	*ret = value;
	return value <= max;
}

const char *conf_cidr_parse(struct slice text, struct conf_cidr *ret)
{
	static const char *const neither = "is not an address or prefix such as 10.0.0.0/8";
	struct conf_cidr cidr = {0};
	struct slice rest = text;
	struct slice addr = slice_cut(&rest, '/');
	char buf[INET6_ADDRSTRLEN];
	unsigned int bits, len;

	if (addr.len == 0 || addr.len >= sizeof(buf))
		return neither;
	if (snprintf(buf, sizeof(buf), "%.*s", SLICE_FMT(addr)) != (int)addr.len)
		return neither; /* there is a NUL byte in it */
	if (inet_pton(AF_INET, buf, cidr.addr) == 1)
		cidr.family = AF_INET;
	else if (inet_pton(AF_INET6, buf, cidr.addr) == 1)
		cidr.family = AF_INET6;
	else
		return neither;
	bits = cidr.family == AF_INET ? 32 : 128;
	len = bits;
	if (addr.len != text.len && !parse_number(rest, bits, &len))
		return neither;
	for (unsigned int i = len; i < bits; i++)
		if (cidr.addr[i / 8] & (0x80 >> (i % 8)))
			return "has bits set behind its prefix";
	cidr.prefixlen = (uint8_t)len;
	*ret = cidr;
	return NULL;
}

int conf_cidr_compare(const struct conf_cidr *a, const struct conf_cidr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	if (a->prefixlen != b->prefixlen)
		return a->prefixlen < b->prefixlen ? -1 : 1;
	return memcmp(a->addr, b->addr, sizeof(a->addr));
}

void conf_cidr_format(const struct conf_cidr *cidr, char ret[CONF_CIDR_TEXT])
{
	char addr[INET6_ADDRSTRLEN];

	inet_ntop(cidr->family, cidr->addr, addr, sizeof(addr));
	if (cidr->prefixlen == (cidr->family == AF_INET ? 32 : 128))
		snprintf(ret, CONF_CIDR_TEXT, "%s", addr);
	else
		snprintf(ret, CONF_CIDR_TEXT, "%s/%u", addr, cidr->prefixlen);
}

bool conf_cidr_holds(const struct conf_cidr *outer, const struct conf_cidr *inner)
{
	size_t bytes = outer->prefixlen / 8;
	uint8_t mask = (uint8_t)(0xff00 >> outer->prefixlen % 8);

	if (outer->family != inner->family || outer->prefixlen > inner->prefixlen ||
	    memcmp(outer->addr, inner->addr, bytes) != 0)
		return false;
	return !mask || ((outer->addr[bytes] ^ inner->addr[bytes]) & mask) == 0;
}

struct conf_cidr conf_cidr_around(const struct conf_cidr *cidr, uint8_t prefixlen)
{
	struct conf_cidr around = *cidr;
	size_t bytes = prefixlen / 8;

	around.prefixlen = prefixlen;
	if (bytes == sizeof(around.addr))
		return around;
	around.addr[bytes] &= (uint8_t)(0xff00 >> prefixlen % 8);
	memset(around.addr + bytes + 1, 0, sizeof(around.addr) - bytes - 1);
	return around;
}

const char *conf_port_parse(struct slice text, struct conf_port *ret)
{
	struct slice rest = text;
	struct slice protocol = slice_cut(&rest, '/');
	unsigned int number;

	if (!parse_number(rest, 65535, &number) || number == 0)
		return "is not a port such as tcp/22 or udp/53";
	if (slice_eq(protocol, SLICE("tcp")))
		ret->protocol = IPPROTO_TCP;
	else if (slice_eq(protocol, SLICE("udp")))
		ret->protocol = IPPROTO_UDP;
	else
		return "is not a port such as tcp/22 or udp/53";
	ret->number = (uint16_t)number;
	return NULL;
}
