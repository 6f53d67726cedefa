/* SPDX-License-Identifier: Apache-2.0 */
/* Packets that the guard shows to who watches, one at a time an interface: bpf/event.bpf.h. */
#ifndef EDGE_EVENTS_H
#define EDGE_EVENTS_H

#include <netinet/in.h>

#include "edge/edge.h"

struct edge_events;

/*
 * Ask for packets of these reasons (a bit each), at most rate a second, from now until edge_events_close, or until three seconds
 * after the last edge_events_renew. fn gets each, in edge_events_wait. Under the lock. -EBUSY: somebody else watches.
 */
int edge_events_open(const struct edge *e, uint64_t reasons, uint32_t rate,
		     void (*fn)(const struct event *event, void *arg), void *arg,
		     struct edge_events **ret, struct error *err);

/* The lease: once a second. */
void edge_events_renew(struct edge_events *w);

/* Readable when there are events. */
int edge_events_fd(const struct edge_events *w);

/* Hand all that are there to fn. */
void edge_events_read(struct edge_events *w);

/* Since edge_events_open: how many were sent, held back by the rate, and found no room. */
int edge_events_counts(const struct edge_events *w, struct watch_counts *ret, struct error *err);

void edge_events_close(struct edge_events *w);

/* Source and destination of an event's packet as text; false, and empty texts: it has none that were captured. */
bool edge_event_addresses(const struct event *event, char ret_source[INET6_ADDRSTRLEN],
			  char ret_destination[INET6_ADDRSTRLEN]);

struct edge_ports {
	uint16_t source;
	uint16_t destination;
	uint8_t flags; /* TCP's */
};

/* False: it has no ports, or they were not captured. */
bool edge_event_ports(const struct event *event, struct edge_ports *ret);

#endif
