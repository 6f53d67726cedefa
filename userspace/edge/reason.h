/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's reasons as people see them. */
#ifndef EDGE_REASON_H
#define EDGE_REASON_H

#include <stdint.h>

#include "base/slice.h"
#include "bpf/abi.h"

struct edge_reason {
	const char *name;
	const char *
		verdict; /* "PASS", "TX", "DROP"; what comes of it in shadow mode, edge_verdict knows */
	const char *help;
};

extern const struct edge_reason edge_reasons[REASON_COUNT];

/* What becomes of packets by this reason under a policy, whose shadow modes let them pass. */
const char *edge_verdict(int reason, const struct policy *policy);

/* The reasons that bring a packet's end, a bit each. */
uint64_t edge_reasons_drop(void);

/* Those of a list of names and beginnings of names, "denied,cookie"; 0: one of them is none's. */
uint64_t edge_reasons_parse(struct slice list);

#endif
