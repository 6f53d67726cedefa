/* SPDX-License-Identifier: Apache-2.0 */
/* Of sluice top: what is measured (top.c), and how it is shown (top_view.c). */
#ifndef LOADER_TOP_H
#define LOADER_TOP_H

#include <jansson.h>
#include <stdio.h>

#include "edge/feeds.h"
#include "edge/inventory.h"
#include "edge/talkers.h"
#include "loader/command.h"
#include "loader/screen.h"

/* What is read of one interface at one time. */
struct sample {
	uint64_t at;
	struct policy policy;
	struct counter counters[REASON_COUNT];
	struct edge_talkers talkers;
	struct edge_set sets[FEED_SETS];
	struct edge_run run;
};

/* Of one interface, between two samples: what came a second. */
struct rates {
	const char *name;
	bool gone; /* it was attached when this began */
	double seconds;
	struct {
		double packets, bits;
	} reasons[REASON_COUNT];
	double packets;
	double set_packets[FEED_SETS];
	double cost;		     /* nanoseconds a packet; 0: there was none */
	struct edge_talkers talkers; /* what each sent between the two, the most first */
	size_t written;		     /* of them, while a picture is drawn */
	struct sample now;
};

struct top {
	const struct options *o;
	struct edges edges;
	struct rates *rates; /* of each */
	struct screen *screen;
	size_t shown; /* 0: all together; else one of them, from 1 */
	struct error err;
};

/* The picture: of all interfaces together, or of the one that is shown. */
void top_write(const struct top *t, FILE *to);

json_t *top_json(const struct rates *r);

#endif
