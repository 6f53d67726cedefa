/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyed hash for tables that peers can fill: SipHash-1-3 (Aumasson and Bernstein, 2012), whose key an
 * attacker cannot learn from timing of the table.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct hash_key {
	uint64_t k0;
	uint64_t k1;
};

/* A fresh random key from getrandom(2). */
struct hash_key hash_key_random(void);

uint64_t hash_bytes(const struct hash_key *key, const void *p, size_t n);

static inline uint64_t hash_slice(const struct hash_key *key, struct slice s)
{
	return hash_bytes(key, s.ptr, s.len);
}

#endif
