/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens that verified, with the claim values that filters want of them, until they expire: so that a
 * repeated token costs a look-up. One a worker, not locked. Found by keyed hash, then by comparison of the
 * whole token and of the policy it was verified under. Full: the least recently used go.
 */
#ifndef FILTER_JWT_CACHE_H
#define FILTER_JWT_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define JWT_POLICY_ID_LEN 32

/*
 * What decides whether a token is good and which values are taken from it, as a digest: equal for equal
 * policies, so it outlives a reload that changes nothing, and no other policy meets its entries.
 */
struct jwt_policy_id {
	unsigned char digest[JWT_POLICY_ID_LEN];
};

struct jwt_cache;

/* NULL when memory is out. max_entries >= 1; max_bytes counts entries with all they hold. */
struct jwt_cache *jwt_cache_new(size_t max_entries, size_t max_bytes);
void jwt_cache_free(struct jwt_cache *c);

/*
 * The values of a token, in the order they were put; NULL: not known or expired at wall (CLOCK_REALTIME ns).
 * Allocates nothing. Valid until the next call with this cache.
 */
const struct slice *jwt_cache_get(struct jwt_cache *c, const struct jwt_policy_id *policy,
				  struct slice token, uint64_t wall);

/*
 * Remember a token that jwt_cache_get did not find, good before expires (CLOCK_REALTIME ns). All is copied;
 * a value whose ptr is NULL stays so. 0, -ENOSPC when it is larger than the cache, -ENOMEM.
 */
int jwt_cache_put(struct jwt_cache *c, const struct jwt_policy_id *policy, struct slice token,
		  uint64_t expires, const struct slice *values, size_t n_values);

/* Entries held now, expired ones not yet found out included. */
size_t jwt_cache_count(const struct jwt_cache *c);

#endif
