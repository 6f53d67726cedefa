/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/lengths.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"

#define READ_BATCH 4096 /* entries a system call */

int edge_lengths_add(struct prefix_lengths *l, uint8_t length)
{
	size_t at = 0;

	if (l->n > LENGTHS_MAX)
		return -ENOSPC;
	while (at < l->n && l->length[at] > length)
		at++;
	if (at < l->n && l->length[at] == length)
		return 0;
	if (l->n == LENGTHS_MAX)
		return -ENOSPC;
	memmove(&l->length[at + 1], &l->length[at], l->n - at);
	l->length[at] = length;
	l->n++;
	return 0;
}

void edge_lengths_store(struct prefix_lengths *shared, struct prefix_lengths l)
{
	uint64_t word;

	static_assert(sizeof(word) == sizeof(l), "one store");
	memcpy(&word, &l, sizeof(word));
	__atomic_store_n((uint64_t *)shared, word, __ATOMIC_SEQ_CST);
}

void edge_lengths_format(const struct prefix_lengths *l, char ret[EDGE_LENGTHS_TEXT])
{
	size_t at = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < l->n && i < LENGTHS_MAX; i++)
		at += (size_t)snprintf(ret + at, EDGE_LENGTHS_TEXT - at, "%s%u", i ? ", " : "",
				       l->length[i]);
}

int edge_map_each(int map, size_t key_size, size_t value_size,
		  int (*fn)(const void *key, const void *value, void *arg), void *arg)
{
	_cleanup_free_ char *values = calloc(READ_BATCH, value_size);
	_cleanup_free_ char *keys = calloc(READ_BATCH, key_size);
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	/* A trie's is a key; a hash's or an array's four bytes. */
	_cleanup_free_ void *position = calloc(1, key_size + sizeof(uint32_t));
	bool first = true;
	int end = 0, rc = 0;

	if (!values || !keys || !position)
		return -ENOMEM;
	while (rc == 0 && end == 0) {
		uint32_t n = READ_BATCH;

		end = bpf_map_lookup_batch(map, first ? NULL : position, position, keys, values, &n,
					   &opts);
		if (end < 0 && end != -ENOENT)
			return end;
		first = false;
		for (uint32_t i = 0; rc == 0 && i < n; i++)
			rc = fn(keys + i * key_size, values + i * value_size, arg);
	}
	return rc;
}
