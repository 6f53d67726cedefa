/* SPDX-License-Identifier: Apache-2.0 */
/* Prefixes as keys of hash maps, and the lengths by which the guard looks for them. */
#ifndef EDGE_LENGTHS_H
#define EDGE_LENGTHS_H

#include <stddef.h>

#include "bpf/abi.h"
#include "conf/config.h"

/* Put a length in its place, when it is not there. -ENOSPC: there are LENGTHS_MAX others, or it says so many that they are none. */
int edge_lengths_add(struct prefix_lengths *l, uint8_t length);

/* Let the guard look by other lengths, in one store. */
void edge_lengths_store(struct prefix_lengths *shared, struct prefix_lengths l);

/* "32, 24": for messages. */
#define EDGE_LENGTHS_TEXT 64 /* bytes */
void edge_lengths_format(const struct prefix_lengths *l, char ret[EDGE_LENGTHS_TEXT]);

/*
 * Call fn for every entry of a hash map or a trie, until it returns something else than 0, which is returned, or -errno. It may change the map;
 * entries that come or go meanwhile may be missed.
 */
int edge_map_each(int map, size_t key_size, size_t value_size,
		  int (*fn)(const void *key, const void *value, void *arg), void *arg);

/* 4 or 6, and back. */
static inline uint8_t edge_family(const struct conf_cidr *cidr)
{
	return cidr->family == AF_INET ? 4 : 6;
}

static inline uint8_t edge_bits(int family)
{
	return family == AF_INET ? 32 : 128;
}

/* What was written by hand may be longer than an address. */
static inline struct conf_cidr edge_cidr(uint8_t family, uint8_t prefixlen, const uint8_t addr[16])
{
	struct conf_cidr cidr = {.family = family == 4 ? AF_INET : AF_INET6};
	uint8_t bits = edge_bits(cidr.family);

	cidr.prefixlen = prefixlen < bits ? prefixlen : bits;

	for (int i = 0; i < 16; i++)
		cidr.addr[i] = addr[i];
	return cidr;
}

#endif
