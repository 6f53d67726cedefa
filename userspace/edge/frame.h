/* SPDX-License-Identifier: Apache-2.0 */
/* Frames, for questions to the guard and for tests: each call appends a header, frame_finish() fills in lengths and checksums. */
#ifndef EDGE_FRAME_H
#define EDGE_FRAME_H

#include <stddef.h>
#include <stdint.h>

struct frame {
	uint8_t bytes[2048];
	size_t len;
	size_t ip; /* offset of the IP header */
	size_t l4; /* offset of TCP, UDP or ICMP; 0: none */
	uint8_t protocol;
	size_t next; /* offset of the field that names the next header */
};

enum tcp_flag { F_FIN = 1, F_SYN = 2, F_RST = 4, F_PSH = 8, F_ACK = 16 };

void frame_ethernet(struct frame *f);
void frame_vlan(struct frame *f, uint16_t type, uint16_t id);
void frame_ip4(struct frame *f, const char *from, const char *to, size_t options);

/* fragment: the field of RFC 791, flags included, in host order. */
void frame_ip4_fragment(struct frame *f, const char *from, const char *to, uint16_t fragment);
void frame_ip6(struct frame *f, const char *from, const char *to);

/* kind: IPPROTO_HOPOPTS, _ROUTING, _DSTOPTS, _FRAGMENT, _AH; len in bytes, a multiple of 8 (AH: 4). */
void frame_ip6_extension(struct frame *f, uint8_t kind, size_t len, uint16_t fragment);
void frame_tcp(struct frame *f, uint16_t sport, uint16_t dport, uint8_t flags, uint32_t seq,
	       uint32_t ack, const uint8_t *options, size_t options_len);
void frame_udp(struct frame *f, uint16_t sport, uint16_t dport);
void frame_icmp(struct frame *f, uint8_t type);
void frame_payload(struct frame *f, size_t n);
void frame_finish(struct frame *f);

/* Of a finished frame or of one that came back: 0 when the IP header's and TCP's checksums are right. */
int frame_check(const uint8_t *bytes, size_t len, size_t ip);

#endif
