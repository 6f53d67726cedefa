/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bans of an attached interface, and the only door to them: whoever has a verdict on an address, an operator or a program, comes
 * this way. A ban counts from the next packet and ends by itself; what the never-ban list names is refused; who comes back is
 * banned for longer. Bans of one batch count together, or none of them does. Under the lock.
 */
#ifndef EDGE_BANS_H
#define EDGE_BANS_H

#include "conf/cidr_index.h"
#include "edge/batch.h"
#include "edge/lists.h"

/* A verdict. */
struct edge_ban {
	struct conf_cidr cidr;
	uint64_t ttl; /* nanoseconds, before it is escalated; 0: the policy's */
	char by[sizeof(((struct ban_value *)0)->by)];
	char why[sizeof(((struct ban_value *)0)->why)];
};

/* A ban, in force or remembered. */
struct edge_banned {
	struct conf_cidr cidr;
	uint32_t until; /* seconds of CLOCK_MONOTONIC; 0: no end (bpftool's) */
	uint32_t offences;
	char by[sizeof(((struct ban_value *)0)->by)];
	char why[sizeof(((struct ban_value *)0)->why)];
};

/* What decides about a batch's bans. */
struct edge_bans {
	struct edge_batch *batch;
	struct policy policy;
	struct edge_entries never;
	struct conf_cidr_index named; /* of never */
};

/* For a batch that has begun and has no ban yet; ended by edge_bans_fini, before or behind the batch. */
int edge_bans_begin(struct edge_bans *b, struct edge_batch *batch, struct error *err);
void edge_bans_fini(struct edge_bans *b);

/*
 * Ban a prefix. One that is banned stays so until the later of both ends; one that has been, and is remembered, is banned for
 * policy.ban_factor times longer at each repeat, up to ban_max_ttl. ret, which may be NULL, is the ban as it will be. Refused,
 * and nothing changed: -EINVAL everybody, /0; -EPERM the never-ban list names it or a part of it; -ERANGE a longer ttl than
 * ban_max_ttl; -ENOSPC as many bans as there is room for are in force, or prefixes of LENGTHS_MAX other lengths.
 */
int edge_ban(struct edge_bans *b, const struct edge_ban *ban, struct edge_banned *ret,
	     struct error *err);

/* Lift a ban and forget the offences. -ENOENT: that prefix is not banned, though a wider one may be. */
int edge_unban(struct edge_batch *b, const struct conf_cidr *cidr, struct error *err);

/* Lift all and forget all. */
int edge_unban_all(struct edge_batch *b, struct error *err);

struct edge_banned_list {
	struct edge_banned *items;
	size_t n;
};

/* For _cleanup_, too. */
static inline void edge_banned_list_fini(struct edge_banned_list *l)
{
	free(l->items);
}

/* The bans in force, in no order. Needs no lock. */
int edge_bans_read(const struct edge *e, struct edge_banned_list *ret, struct error *err);

/*
 * The same of those that have ended and are remembered, for ret_seconds from their end on: of a prefix the last one, as another
 * offence would find it.
 */
int edge_bans_past(const struct edge *e, struct edge_banned_list *ret, uint32_t *ret_seconds,
		   struct error *err);

/* How many there can be. */
uint32_t edge_bans_capacity(const struct edge *e);

/* Forget what is past remembering, and look by the lengths only that bans in force have. How many were forgotten, or -errno. */
int edge_bans_sweep(const struct edge *e, struct error *err);

/*
 * A verdict as another program writes it, a line: an address or prefix, or a JSON object with "prefix" and, when it likes,
 * "reason", "by", and the end: "ttl" ("10m", or seconds) or "until" (Unix time, seconds). What is not said stays as it was in
 * *ret. 1: there is one; 0: the line is empty or a comment ('#' or ';'); -EINVAL: err says what is wrong.
 */
int edge_ban_parse(struct slice line, struct edge_ban *ret, struct error *err);

#endif
