/* SPDX-License-Identifier: Apache-2.0 */
/* The programs that are measured, each with its own way to hold a deny list. Errors end the process. */
#ifndef BENCH_FILTERS_H
#define BENCH_FILTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/entries.h"
#include "bpf/abi.h"

enum filter_id {
	FILTER_GUARD,
	FILTER_LPM,	   /* a trie and nothing else */
	FILTER_XDP_FILTER, /* of Debian's xdp-tools: single addresses in a hash, no prefixes */
	FILTER_COOKIE,	   /* the SYN cookie helpers and nothing else */
	FILTER_COUNT,
};

#define FILTER_BIT(id) (1U << (id))

/* How many entries, and where the guard has them: in the tries that people keep by hand, or in a feed. */
struct setting {
	uint32_t by_hand;
	uint32_t in_feed;
};

struct filter {
	const char *name;
	/* Load the program with the list, the first of whose entries are those that the guard has by hand. */
	void (*load)(const struct entries *by_hand, const struct entries *in_feed);
	void (*unload)(void);
	int fd; /* of the loaded program */
};

extern struct filter filters[FILTER_COUNT];

/* What the guard is told before a way is measured. */
void filters_guard_policy(const struct policy *p);
void filters_guard_port(uint16_t port, enum port_state state);
void filters_guard_allow(const char *network, uint32_t prefixlen, bool listed);

/* What the guard gets besides lists: bans, and rules for a port of TCP. Nothing of it counts before filters_guard_use_besides. */
void filters_guard_besides(const struct entries *bans, const struct entries *rules, uint16_t port);

/* Let it count, or let the guard be as without it: it looks for no prefix length. */
void filters_guard_use_besides(bool use);

/* Packets that the guard has counted for a reason, on all CPUs. */
uint64_t filters_guard_count(enum reason reason);

/* The verified sources: where each has its place, by the key that the guard knows it by; 0: nobody's. */
#define FILTERS_PLACES ((size_t)VERIFIED_SETS * VERIFIED_WAYS)
void filters_guard_verified(uint64_t keys[FILTERS_PLACES]);
void filters_guard_give(size_t place, uint64_t key); /* to that one, or to nobody */

/* Every source's bucket is full again. */
void filters_guard_refill(void);

_Noreturn void die(const char *what);

#endif
