/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/entries.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NETWORKS                                                                                   \
	4096 /* half of a list's entries lie in that many /16 (IPv6: /32): bad neighbourhoods */

/* How many of 10,000 entries have a length; short ones of any list at most so many, or they would cover everything. */
static const struct shape {
	uint8_t len;
	uint16_t share;
	uint16_t most;
} shape4[] = {{8, 1, 2},    {9, 1, 2},	   {10, 1, 2},	{11, 1, 4},  {12, 1, 6},
	      {13, 2, 8},   {14, 2, 10},   {15, 3, 12}, {16, 40, 0}, {17, 10, 0},
	      {18, 20, 0},  {19, 40, 0},   {20, 80, 0}, {21, 90, 0}, {22, 200, 0},
	      {23, 150, 0}, {24, 2800, 0}, {25, 40, 0}, {26, 60, 0}, {27, 80, 0},
	      {28, 100, 0}, {29, 150, 0},  {30, 60, 0}, {31, 30, 0}, {32, 10000, 0}},
  shape6[] = {{32, 800, 0},  {36, 200, 0}, {40, 400, 0},  {44, 500, 0},
	      {48, 3300, 0}, {56, 800, 0}, {64, 2500, 0}, {128, 10000, 0}};

struct random {
	uint64_t state;
};

/* splitmix64 */
static uint64_t next(struct random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static void *must(void *p)
{
	if (!p) {
		perror("lists");
		exit(1);
	}
	return p;
}

/* An address that a stranger may have; the flood's and the beds' own networks are not among them. */
static bool is_foreign4(uint32_t addr)
{
	uint32_t first = addr >> 24;

	return first > 0 && first != 10 && first != 11 && first != 127 && first < 224;
}

static uint32_t random4(struct random *r)
{
	for (;;) {
		uint32_t addr = (uint32_t)next(r);

		if (is_foreign4(addr))
			return addr;
	}
}

static uint8_t length(struct random *r, const struct shape *shapes, uint32_t *counts)
{
	uint32_t ticket = (uint32_t)(next(r) % 10000);
	size_t i = 0;

	while (ticket >= shapes[i].share || (shapes[i].most && counts[i] >= shapes[i].most)) {
		ticket -= ticket >= shapes[i].share ? shapes[i].share : ticket;
		i++;
	}
	counts[i]++;
	return shapes[i].len;
}

static void clear_host(uint8_t *addr, size_t size, uint32_t len)
{
	for (size_t i = 0; i < size; i++)
		if (len < 8 * (i + 1))
			addr[i] &= (uint8_t)(len <= 8 * i ? 0 : 0xff << (8 * (i + 1) - len));
}

static void make4(struct random *r, const uint32_t *networks, struct entry *e, uint32_t *counts)
{
	uint32_t addr = random4(r);

	*e = (struct entry){.family = 4, .len = length(r, shape4, counts)};
	if (e->len > 16 && next(r) & 1)
		addr = networks[next(r) % NETWORKS] << 16 | (addr & 0xffff);
	addr = htonl(addr);
	memcpy(e->addr, &addr, sizeof(addr));
	clear_host(e->addr, 4, e->len);
}

static void random6(struct random *r, const uint32_t *networks, uint8_t *addr)
{
	uint64_t half[2] = {next(r), next(r)};
	uint32_t network = htonl(networks[next(r) % NETWORKS]);

	memcpy(addr, half, sizeof(half));
	if (next(r) & 1)
		memcpy(addr, &network, sizeof(network));
	addr[0] = (uint8_t)(0x20 | (addr[0] & 0x1f));
}

static void make6(struct random *r, const uint32_t *networks, struct entry *e, uint32_t *counts)
{
	*e = (struct entry){.family = 6, .len = length(r, shape6, counts)};
	random6(r, networks, e->addr);
	clear_host(e->addr, 16, e->len);
}

void entries_make(size_t n, uint32_t seed, struct entries *ret_entries)
{
	uint32_t counts4[sizeof(shape4) / sizeof(shape4[0])] = {0};
	uint32_t counts6[sizeof(shape6) / sizeof(shape6[0])] = {0};
	struct random r = {seed};
	static uint32_t networks4[NETWORKS], networks6[NETWORKS];

	for (int i = 0; i < NETWORKS; i++) {
		networks4[i] = random4(&r) >> 16;
		networks6[i] = (uint32_t)next(&r);
	}
	ret_entries->at = must(calloc(n ? n : 1, sizeof(*ret_entries->at)));
	ret_entries->n = n;
	ret_entries->n4 = n - n / 10;
	for (size_t i = 0; i < n; i++) {
		if (i < ret_entries->n4)
			make4(&r, networks4, &ret_entries->at[i], counts4);
		else
			make6(&r, networks6, &ret_entries->at[i], counts6);
	}
}

static bool is_few(const struct entry *e)
{
	return e->family == 4 ? e->len == 32 || e->len == 24 : e->len == 128 || e->len == 64;
}

void entries_make_few(size_t n, uint32_t seed, struct entries *ret_entries)
{
	struct entries all, few = {must(calloc(n + 1, sizeof(*few.at))), n, n - n / 10};
	size_t out = 0;

	entries_make(4 * n, seed, &all);
	for (size_t i = 0; i < all.n && out < few.n; i++)
		if (is_few(&all.at[i]) && (all.at[i].family == 4) == (out < few.n4))
			few.at[out++] = all.at[i];
	if (out < n) {
		fputs("lists: too few entries of these lengths\n", stderr);
		exit(1);
	}
	entries_fini(&all);
	*ret_entries = few;
}

void entries_fini(struct entries *e)
{
	free(e->at);
	*e = (struct entries){0};
}

void entries_join(const struct entries *a, const struct entries *b, struct entries *ret_entries)
{
	struct entry *at = must(calloc(a->n + b->n + 1, sizeof(*at)));

	memcpy(at, a->at, a->n4 * sizeof(*at));
	memcpy(at + a->n4, b->at, b->n4 * sizeof(*at));
	memcpy(at + a->n4 + b->n4, a->at + a->n4, (a->n - a->n4) * sizeof(*at));
	memcpy(at + a->n + b->n4, b->at + b->n4, (b->n - b->n4) * sizeof(*at));
	*ret_entries = (struct entries){at, a->n + b->n, a->n4 + b->n4};
}

/* First and last address of an entry, as numbers; both families in one number line each. */
struct range {
	unsigned __int128 first, last;
};

static unsigned __int128 number(const uint8_t *addr, size_t size)
{
	unsigned __int128 n = 0;

	for (size_t i = 0; i < size; i++)
		n = n << 8 | addr[i];
	return n;
}

static int by_first(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* The entries of a family as ranges that are apart, in order. */
static size_t ranges(const struct entries *e, int family, struct range **ret_ranges)
{
	size_t from = family == 4 ? 0 : e->n4, n = family == 4 ? e->n4 : e->n - e->n4, out = 0;
	struct range *r = must(calloc(n + 1, sizeof(*r)));
	size_t size = family == 4 ? 4 : 16;

	for (size_t i = 0; i < n; i++) {
		const struct entry *entry = &e->at[from + i];
		uint32_t host = (uint32_t)size * 8 - entry->len;

		r[i].first = number(entry->addr, size);
		r[i].last = r[i].first + (((unsigned __int128)1 << host) - 1);
	}
	qsort(r, n, sizeof(*r), by_first);
	for (size_t i = 0; i < n; i++) {
		if (!out || r[i].first > r[out - 1].last)
			r[out++] = r[i];
		else if (r[i].last > r[out - 1].last)
			r[out - 1].last = r[i].last;
	}
	*ret_ranges = r;
	return out;
}

static bool is_in(const struct range *r, size_t n, unsigned __int128 addr)
{
	size_t low = 0, high = n; /* r[low - 1].first <= addr < r[high].first */

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (r[middle].first <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low && addr <= r[low - 1].last;
}

/* All over the address space and all different: an odd multiple of a counter meets every number once. */
static void clean4(const struct range *r, size_t n_ranges, size_t n, uint32_t *out)
{
	uint32_t addr = 0x12345678;

	for (size_t i = 0; i < n;) {
		addr += 0x9e3779b1;
		if (is_foreign4(addr) && !is_in(r, n_ranges, addr))
			out[i++] = htonl(addr);
	}
}

static void clean6(const struct range *r, size_t n_ranges, size_t n, uint32_t *out)
{
	static uint32_t networks[NETWORKS];
	struct random random = {7};

	for (int i = 0; i < NETWORKS; i++)
		networks[i] = (uint32_t)next(&random);
	for (size_t i = 0; i < n;) {
		uint8_t *addr = (uint8_t *)&out[4 * i];

		random6(&random, networks, addr);
		i += !is_in(r, n_ranges, number(addr, 16));
	}
}

/* A random address in one entry after another, in random order. */
static bool listed(const struct entries *e, bool prefixes, int family, size_t n, uint32_t *out)
{
	size_t from = family == 4 ? 0 : e->n4, count = family == 4 ? e->n4 : e->n - e->n4;
	size_t size = family == 4 ? 4 : 16;
	struct random r = {11};
	bool any = false;

	for (size_t i = 0; i < count; i++)
		any |= (e->at[from + i].len < size * 8) == prefixes;
	for (size_t i = 0; any && i < n;) {
		const struct entry *entry = &e->at[from + next(&r) % count];
		uint64_t half[2] = {next(&r), next(&r)};
		uint8_t *addr = (uint8_t *)&out[i * size / 4];

		if ((entry->len < size * 8) != prefixes)
			continue;
		memcpy(addr, half, size);
		for (size_t b = 0; b < size; b++) {
			uint32_t keep = entry->len >= 8 * (b + 1) ? 8
					: entry->len > 8 * b	  ? entry->len - 8 * (uint32_t)b
								  : 0;
			uint8_t mask = (uint8_t)(0xff00 >> keep);

			addr[b] = (uint8_t)(entry->addr[b] | (addr[b] & ~mask));
		}
		i++;
	}
	return any;
}

size_t entries_sources(const struct entries *e, enum source_kind kind, int family, size_t n,
		       uint32_t *out)
{
	struct random r = {13};
	struct range *at;
	size_t n_ranges;

	switch (kind) {
	case SOURCE_CLEAN:
		n_ranges = ranges(e, family, &at);
		if (family == 4)
			clean4(at, n_ranges, n, out);
		else
			clean6(at, n_ranges, n, out);
		free(at);
		return n;
	case SOURCE_ADDRESS:
	case SOURCE_PREFIX:
		return listed(e, kind == SOURCE_PREFIX, family, n, out) ? n : 0;
	case SOURCE_PRIVATE:
		for (size_t i = 0; i < n; i++)
			out[i] = htonl(10U << 24 | (next(&r) & 0xffffff));
		return n;
	default:
		return 0;
	}
}
