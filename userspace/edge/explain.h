/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guard would do with a packet, and why: a second instance of this build's program meets it, with the pinned lists and policy, and with
 * copies of all that the program writes. So asking changes nothing, and the answer is the program's own.
 */
#ifndef EDGE_EXPLAIN_H
#define EDGE_EXPLAIN_H

#include "conf/cidr.h"
#include "edge/edge.h"

struct edge_question {
	struct conf_cidr source;      /* an address */
	struct conf_cidr destination; /* of the same family */
	uint16_t source_port;
	uint16_t port;
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, or IPPROTO_ICMP for an echo request of either family */
	bool ack; /* TCP: a segment of a connection, not the SYN of a new one */
};

/* A bucket before the packet, in its limit's units: packets, or KiB. */
struct edge_level {
	bool met;
	uint64_t left;
	uint64_t burst;
};

struct edge_answer {
	enum reason reason;
	bool same_program; /* false: the attached program is another version's, and may differ */
	uint32_t set;	   /* REASON_LISTED: the feed's number */
	bool metered;	   /* the packet came to the limits; the rest is about them */
	bool verified;
	uint32_t tier;
	struct edge_level own[LIMIT_CLASSES];
	struct edge_level port[LIMIT_CLASSES];
	struct policy policy;
};

/*
 * Run it, in the network namespace of the interface: sockets are looked up there. -ENODEV: that is another one, or the interface has gone.
 */
int edge_explain(const struct edge *e, const struct edge_question *q, struct edge_answer *ret,
		 struct error *err);

/* The lowest port that is protected; 0: none is. */
uint16_t edge_protected_port(const struct edge *e);

#endif
