/* SPDX-License-Identifier: Apache-2.0 */
/* Limits and tiers: from the file to the policy that packets meet, and back to what people read. */
#ifndef EDGE_LIMITS_H
#define EDGE_LIMITS_H

#include "edge/batch.h"

/* metered, exact_clock, ipv4_ignored, ipv6_ignored, port, tiers and tier of the policy. */
void edge_limits_fill(struct policy *policy, const struct conf_edge *conf);

/* Make the sources of the tiers those of the file. -ENOSPC: there are too many. */
int edge_tiers_follow_file(struct edge_batch *b, const struct conf_edge *conf, struct error *err);

/* Of an enum limit_class: "packets". */
const char *edge_limit_name(unsigned int class);

/* Packets or bytes a second, to the nearest; 0: no limit. Packets or bytes at once. */
uint64_t edge_limit_rate(unsigned int class, const struct limit *limit);
uint64_t edge_limit_burst(unsigned int class, const struct limit *limit);

/* How many sources hold a place of their own now, of EDGE_VERIFIED_PLACES. */
#define EDGE_VERIFIED_PLACES ((size_t)VERIFIED_SETS * VERIFIED_WAYS)
int edge_verified_count(const struct edge *e, size_t *ret, struct error *err);

#endif
