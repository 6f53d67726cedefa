/* SPDX-License-Identifier: Apache-2.0 */
/* Deny lists shaped as public ones are, and sources that are on them or are not; the same ones for a seed. */
#ifndef BENCH_ENTRIES_H
#define BENCH_ENTRIES_H

#include <stddef.h>
#include <stdint.h>

struct entry {
	uint8_t family; /* 4, 6 */
	uint8_t len;
	uint8_t addr[16]; /* network order; the first 4 of IPv4; host bits 0 */
};

/* at[0..n): in no order; IPv4 first, n4 of them. Some are in others, as in the lists that people publish. */
struct entries {
	struct entry *at;
	size_t n, n4;
};

/* What sources are wanted. Those of 10.0.0.0/8 and 127.0.0.0/8 are on no list. */
enum source_kind {
	SOURCE_FIXED,	/* the template's own */
	SOURCE_CLEAN,	/* on no entry; all differ */
	SOURCE_ADDRESS, /* one that has an entry of its own */
	SOURCE_PREFIX,	/* one in a shorter prefix */
	SOURCE_PRIVATE, /* of 10.0.0.0/8 */
	SOURCE_CLIENT,	/* of a connection, that the caller knows */
};

/* n entries, a tenth of them IPv6. */
void entries_make(size_t n, uint32_t seed, struct entries *ret_entries);

/* The same of few lengths, as bans and rules have: addresses, /24 and /64. */
void entries_make_few(size_t n, uint32_t seed, struct entries *ret_entries);
void entries_fini(struct entries *e);

/* A copy of both lists in one. */
void entries_join(const struct entries *a, const struct entries *b, struct entries *ret_entries);

/* Fill out[] with n sources, 1 word each (family 4) or 4 words (6). Returns n, or 0 when the list has none of the kind. */
size_t entries_sources(const struct entries *e, enum source_kind kind, int family, size_t n,
		       uint32_t *out);

#endif
