/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bpf/spoil.h"

#include <string.h>

#include "tests/bpf/guard.h"
#include "tests/bpf/native.h"

#define MAC_HEADERS 14

static uint64_t random_state;

void random_seed(uint64_t seed)
{
	random_state = seed * 0x9e3779b97f4a7c15ULL | 1;
}

/* xorshift64* */
uint32_t below(uint32_t n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)((random_state * 0x2545f4914f6cdd1dULL) >> 33) % n;
}

bool one_in(uint32_t n)
{
	return below(n) == 0;
}

void random_bytes(void *at, size_t n)
{
	uint8_t *bytes = at;

	while (n--)
		*bytes++ = (uint8_t)(one_in(3) ? 0 : below(256));
}

#define PICK(array) (array)[below(sizeof(array) / sizeof((array)[0]))]

static const char *const sources4[] = {CLIENT4,	      "10.1.2.3",  "10.1.9.9",	"203.0.113.9",
				       "127.0.0.1",   "0.0.0.0",   "224.0.0.1", GATEWAY4,
				       "198.51.99.1", "240.0.0.1", CLIENT4,	CLIENT4,
				       "198.51.102.1"};
static const char *const sources6[] = {
	CLIENT6, "2001:db8:a::1", "2001:db8:bad::1", "2001:db8:f::1", "::1",   "ff02::1",
	"::",	 GATEWAY6,	  "::ffff:1.2.3.4",  CLIENT6,	      CLIENT6, "2001:db8:ba0::5"};

const char *some_source(int family)
{
	return family == 4 ? PICK(sources4) : PICK(sources6);
}

static void add_ip6_extensions(struct frame *f)
{
	static const uint8_t kinds[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS,
					IPPROTO_FRAGMENT, IPPROTO_AH};
	uint32_t n = one_in(8) ? 8 : below(4);

	for (uint32_t i = 0; i < n; i++) {
		uint8_t kind = PICK(kinds);
		uint16_t fragment = one_in(3) ? (uint16_t)below(65536) : 0;

		frame_ip6_extension(f, kind, kind == IPPROTO_FRAGMENT ? 8 : 8 + 8 * below(3),
				    fragment);
	}
}

static void add_tcp(struct frame *f, uint16_t from, uint16_t to)
{
	static const uint8_t usual[] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0,
					0, 1, 0, 0,    0, 0, 1, 3,  3, 7};
	static const uint8_t flags[] = {F_SYN,	       F_SYN, F_SYN,	     F_ACK,
					F_SYN | F_ACK, F_RST, F_FIN | F_ACK, F_PSH | F_ACK};
	uint8_t options[40];
	uint32_t len = 4 * below(11);

	for (uint32_t i = 0; i < len; i++)
		options[i] = (uint8_t)(one_in(2) ? below(11) : below(256));
	if (one_in(2))
		frame_tcp(f, from, to, PICK(flags), below(1 << 30), below(1 << 30), usual,
			  sizeof(usual));
	else
		frame_tcp(f, from, to, one_in(6) ? (uint8_t)below(256) : PICK(flags),
			  below(1 << 30), below(1 << 30), options, len);
}

static void add_l4(struct frame *f)
{
	static const uint16_t ports[] = {80, 80, 80, 443, 9, 0, 40000};
	static const uint8_t kinds[] = {0, 3, 8, 11, 128, 129, 135};
	uint16_t from = one_in(8) ? PICK(ports) : (uint16_t)(1024 + below(60000));
	uint16_t to = PICK(ports);

	switch (below(8)) {
	case 0:
	case 1:
		frame_udp(f, from, to);
		break;
	case 2:
		frame_icmp(f, PICK(kinds));
		break;
	case 3:
		break; /* a protocol that nobody knows, or none */
	default:
		add_tcp(f, from, to);
	}
}

void some_frame(struct frame *f)
{
	bool to_itself = one_in(16);

	frame_ethernet(f);
	for (uint32_t tags = one_in(3) ? below(4) : 0; tags; tags--)
		frame_vlan(f, one_in(2) ? ETH_P_8021Q : ETH_P_8021AD, (uint16_t)below(4096));
	if (one_in(40)) { /* ARP and whatever else there is */
		f->bytes[f->next] = (uint8_t)below(256);
		f->bytes[f->next + 1] = (uint8_t)below(256);
		frame_payload(f, below(60));
		return;
	}
	if (one_in(2)) {
		const char *from = to_itself ? GATEWAY4 : some_source(4);

		if (one_in(8))
			frame_ip4_fragment(f, from, GATEWAY4,
					   (uint16_t)(one_in(2) ? below(65536) : 0x2000));
		else
			frame_ip4(f, from, GATEWAY4, one_in(4) ? 4 * below(11) : 0);
	} else {
		frame_ip6(f, to_itself ? GATEWAY6 : some_source(6), GATEWAY6);
		if (one_in(3))
			add_ip6_extensions(f);
	}
	add_l4(f);
	if (one_in(3))
		frame_payload(f, below(one_in(4) ? 1200 : 40));
	if (to_itself && f->protocol == IPPROTO_UDP)
		memcpy(f->bytes + f->l4, f->bytes + f->l4 + 2, 2);
	frame_finish(f);
}

void mend(struct frame *f)
{
	struct native n = native_parse(f->bytes, f->len);

	if (n.ports != REASON_PASSED)
		return;
	f->ip = n.ip;
	f->l4 = n.l4;
	f->protocol = n.protocol;
	frame_finish(f);
}

void spoil_once(struct frame *f)
{
	static const uint8_t telling[] = {0, 1, 4, 5, 6, 17, 0x7f, 0x80, 0xff, 0x45, 0x60, 43, 44};
	size_t head = f->len < 120 ? f->len : 120;
	size_t from = one_in(8) ? 0 : MAC_HEADERS < head ? MAC_HEADERS - 2 : 0;
	size_t at = from + below((uint32_t)((one_in(8) ? f->len : head) - from));
	size_t n = 1 + below(16);

	switch (below(8)) {
	case 0:
		f->bytes[at] ^= (uint8_t)(1 << below(8));
		break;
	case 1:
		f->bytes[at] = PICK(telling);
		break;
	case 2:
		f->bytes[at] = (uint8_t)below(256);
		break;
	case 3:
		f->len = MAC_HEADERS + below((uint32_t)(f->len - MAC_HEADERS + 1));
		break;
	case 4:
		frame_payload(f, f->len < 1500 ? below(64) : 0);
		break;
	case 5: /* some bytes more, or again */
		if (f->len + n > 1500 || at + n > f->len)
			break;
		memmove(f->bytes + at + n, f->bytes + at, f->len - at);
		f->len += n;
		break;
	case 6: /* some less */
		if (at + n > f->len || f->len - n < MAC_HEADERS)
			break;
		memmove(f->bytes + at, f->bytes + at + n, f->len - at - n);
		f->len -= n;
		break;
	default:
		if (at + 2 <= f->len)
			memset(f->bytes + at, one_in(2) ? 0 : 0xff, 2);
	}
}

bool ack_of(const uint8_t *answer, size_t len, struct frame *f)
{
	struct native n = native_parse(answer, len);
	size_t at = n.family == 4 ? 12 : 8, size = n.family == 4 ? 4 : 16;
	uint8_t *tcp;

	if (n.ports != REASON_PASSED || n.protocol != IPPROTO_TCP)
		return false;
	memset(f, 0, sizeof(*f));
	memcpy(f->bytes, answer, n.l4 + 20);
	f->len = n.l4 + 20;
	memcpy(f->bytes + n.ip + at, answer + n.ip + at + size, size);
	memcpy(f->bytes + n.ip + at + size, answer + n.ip + at, size);
	tcp = f->bytes + n.l4;
	memcpy(tcp, answer + n.l4 + 2, 2);
	memcpy(tcp + 2, answer + n.l4, 2);
	memcpy(tcp + 4, answer + n.l4 + 8, 4);
	memcpy(tcp + 8, answer + n.l4 + 4, 4);
	for (int i = 11; i >= 8 && ++tcp[i] == 0; i--)
		;
	tcp[12] = 5 << 4;
	tcp[13] = F_ACK;
	f->ip = n.ip;
	f->l4 = n.l4;
	f->protocol = IPPROTO_TCP;
	frame_finish(f);
	return true;
}
