/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/jwt_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/list.h"

/* One allocation: the struct, the values, the bytes of the token, those of the values. */
struct entry {
	struct entry *next; /* in its bucket */
	struct list used;
	uint64_t hash;
	uint64_t expires;
	struct jwt_policy_id policy;
	struct slice token;
	size_t bytes;
	struct slice values[];
};

struct jwt_cache {
	struct hash_key key;
	struct list used; /* most recently used first */
	size_t max_entries;
	size_t max_bytes;
	size_t n;
	size_t bytes;
	size_t mask; /* buckets - 1 */
	struct entry *buckets[];
};

struct jwt_cache *jwt_cache_new(size_t max_entries, size_t max_bytes)
{
	struct jwt_cache *c;
	size_t n = 1;

	/* At least a bucket an entry, so that chains stay short. */
	while (n < max_entries && n <= SIZE_MAX / 4 / sizeof(c->buckets[0]))
		n *= 2;
	c = calloc(1, sizeof(*c) + n * sizeof(c->buckets[0]));
	if (!c)
		return NULL;
	c->key = hash_key_random();
	list_init(&c->used);
	c->max_entries = max_entries;
	c->max_bytes = max_bytes;
	c->mask = n - 1;
	return c;
}

static void drop(struct jwt_cache *c, struct entry *e)
{
	struct entry **at = &c->buckets[e->hash & c->mask];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	list_del(&e->used);
	c->n--;
	c->bytes -= e->bytes;
	free(e);
}

void jwt_cache_free(struct jwt_cache *c)
{
	if (!c)
		return;
	while (!list_empty(&c->used))
		drop(c, container_of(c->used.next, struct entry, used));
	free(c);
}

const struct slice *jwt_cache_get(struct jwt_cache *c, const struct jwt_policy_id *policy,
				  struct slice token, uint64_t wall)
{
	uint64_t hash = hash_slice(&c->key, token);
	struct entry *e = c->buckets[hash & c->mask];

	while (e && !(e->hash == hash && slice_eq(e->token, token) &&
		      memcmp(&e->policy, policy, sizeof(*policy)) == 0))
		e = e->next;
	if (!e)
		return NULL;
	if (wall >= e->expires) {
		drop(c, e);
		return NULL;
	}
	list_del(&e->used);
	list_add(&c->used, &e->used);
	return e->values;
}

/* Append the bytes of s at *at, and return where they are now. */
static struct slice keep(char **at, struct slice s)
{
	struct slice kept = slice_make(s.ptr ? *at : NULL, s.len);

	if (s.len)
		memcpy(*at, s.ptr, s.len);
	*at += s.len;
	return kept;
}

int jwt_cache_put(struct jwt_cache *c, const struct jwt_policy_id *policy, struct slice token,
		  uint64_t expires, const struct slice *values, size_t n_values)
{
	size_t bytes = sizeof(struct entry) + n_values * sizeof(struct slice) + token.len;
	struct entry **bucket;
	struct entry *e;
	char *at;

	for (size_t i = 0; i < n_values; i++)
		bytes += values[i].len;
	if (bytes > c->max_bytes)
		return -ENOSPC;
	/* At most as many as the smallest entries that fit into this one's bytes. */
	while (c->n && (c->n >= c->max_entries || bytes > c->max_bytes - c->bytes))
		drop(c, container_of(c->used.prev, struct entry, used));

	e = malloc(bytes);
	if (!e)
		return -ENOMEM;
	at = (char *)&e->values[n_values];
	e->hash = hash_slice(&c->key, token);
	e->expires = expires;
	e->policy = *policy;
	e->bytes = bytes;
	e->token = keep(&at, token);
	for (size_t i = 0; i < n_values; i++)
		e->values[i] = keep(&at, values[i]);

	bucket = &c->buckets[e->hash & c->mask];
	e->next = *bucket;
	*bucket = e;
	list_add(&c->used, &e->used);
	c->n++;
	c->bytes += bytes;
	return 0;
}

size_t jwt_cache_count(const struct jwt_cache *c)
{
	return c->n;
}
