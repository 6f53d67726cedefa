/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled feeds, looked up by the packet program's own code on this machine, against a list that is searched from end to
 * end.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bpf/feed_format.h"
#include "edge/feed.h"

/* What stands for the map. */
struct blob {
	union feed_any *lines;
	uint32_t n;
	struct feed_plan plan;
};

static uint64_t lines_read;

static union feed_any *feed_at(uint64_t feeds, uint32_t n)
{
	const struct blob *b = (const struct blob *)(uintptr_t)feeds;

	lines_read++;
	return n < b->n ? &b->lines[n] : NULL;
}

#include "bpf/feed.bpf.h"

static uint8_t numbers[FEED_SETS];
static uint64_t state = 1;

static uint64_t random64(void)
{
	state += 0x9e3779b97f4a7c15ULL;
	return feed_mix(feed_mix(state) + 1);
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)((random64() >> 32) * n >> 32);
}

static struct blob compile(struct feed_entries *e, uint64_t seed)
{
	struct blob b;

	assert_int_equal(feed_plan(e, seed, &b.plan, NULL), 0);
	b.n = (uint32_t)(feed_size(&b.plan) / FEED_LINE);
	b.lines = calloc(b.n, FEED_LINE);
	assert_non_null(b.lines);
	assert_int_equal(feed_write(&b.plan, e, numbers, b.lines), 0);
	return b;
}

static uint8_t find(struct blob *b, uint8_t family, uint64_t hi, uint64_t lo)
{
	const struct feed_header *h = &b->lines->header;
	uint64_t feeds = (uintptr_t)b;
	uint32_t addr = (uint32_t)(hi >> 32);

	uint32_t sure;

	if (family == 4) {
		if (!feed_maybe4(feeds, h, addr))
			return 0;
		sure = feed_surely4(feeds, h, addr);
		if (sure)
			assert_int_equal(sure, feed_find4(feeds, h, addr));
		return feed_find4(feeds, h, addr);
	}
	return feed_maybe6(feeds, h, hi) ? feed_find6(feeds, h, hi, lo) : 0;
}

static uint64_t mask(unsigned int bits)
{
	return bits == 0 ? 0 : bits >= 64 ? ~0ULL : ~0ULL << (64 - bits);
}

static bool holds(const struct feed_entry *e, uint8_t family, uint64_t hi, uint64_t lo)
{
	return e->family == family && ((e->hi ^ hi) & mask(e->len)) == 0 &&
	       ((e->lo ^ lo) & mask(e->len > 64 ? e->len - 64U : 0)) == 0;
}

/* The set of the longest prefix, of equal ones the first set; as numbers has it. */
static uint8_t model(const struct feed_entries *e, uint8_t family, uint64_t hi, uint64_t lo)
{
	const struct feed_entry *best = NULL;

	for (size_t i = 0; i < e->n; i++) {
		const struct feed_entry *x = &e->items[i];

		if (holds(x, family, hi, lo) &&
		    (!best || x->len > best->len || (x->len == best->len && x->set < best->set)))
			best = x;
	}
	return best ? numbers[best->set] : 0;
}

static void add(struct feed_entries *e, uint8_t family, uint64_t hi, uint64_t lo, unsigned int len,
		uint8_t set)
{
	struct feed_entry entry = {.family = family, .len = (uint8_t)len, .set = set};

	entry.hi = hi & mask(len) & (family == 4 ? mask(32) : ~0ULL);
	entry.lo = family == 4 ? 0 : lo & mask(len > 64 ? len - 64 : 0);
	assert_int_equal(feed_entries_add(e, &entry), 0);
}

static void check(struct blob *b, const struct feed_entries *e, uint8_t family, uint64_t hi,
		  uint64_t lo)
{
	uint8_t want = model(e, family, hi, lo), got;

	if (family == 4)
		hi &= mask(32);
	got = find(b, family, hi, lo);
	if (got != want)
		fail_msg("IPv%u %016llx%016llx: set %u, not %u", family, (unsigned long long)hi,
			 (unsigned long long)lo, got, want);
}

/* The first and last address of a prefix, and those beside them. */
static void check_edges(struct blob *b, const struct feed_entries *e, const struct feed_entry *x)
{
	uint64_t hi = x->hi, lo = x->lo;

	check(b, e, x->family, hi, lo);
	if (x->family == 4) {
		check(b, e, 4, hi - (1ULL << 32), 0);
		hi |= ~mask(x->len);
		check(b, e, 4, hi, 0);
		check(b, e, 4, hi + (1ULL << 32), 0);
		return;
	}
	check(b, e, 6, lo ? hi : hi - 1, lo - 1);
	hi |= ~mask(x->len);
	lo |= ~mask(x->len > 64 ? x->len - 64U : 0);
	check(b, e, 6, hi, lo);
	check(b, e, 6, lo + 1 ? hi : hi + 1, lo + 1);
}

/* Compiles and compares; frees the entries. */
static void compare(struct feed_entries *e)
{
	struct feed_entries kept = {0};
	struct blob b;

	for (size_t i = 0; i < e->n; i++)
		assert_int_equal(feed_entries_add(&kept, &e->items[i]), 0);
	b = compile(e, random64());
	for (size_t i = 0; i < kept.n; i += 1 + kept.n / 1000)
		check_edges(&b, &kept, &kept.items[i]);
	for (int i = 0; i < 2000; i++) {
		const struct feed_entry *near = kept.n ? &kept.items[below((uint32_t)kept.n)]
						       : NULL;
		uint64_t hi = random64(), lo = random64();

		check(&b, &kept, 4, hi, 0);
		check(&b, &kept, 6, hi, lo);
		if (!near)
			continue;
		/* Of an entry's address the first bits, the others at random. */
		hi = near->hi ^ hi >> below(64);
		lo = near->lo ^ (below(2) ? 0 : lo >> below(64));
		check(&b, &kept, near->family, below(4) ? hi : near->hi, lo);
	}
	free(b.lines);
	feed_entries_fini(&kept);
	feed_entries_fini(e);
}

static void test_nothing(void **unused)
{
	struct feed_entries e = {0};

	(void)unused;
	compare(&e);
}

static void test_each_length_alone(void **unused)
{
	(void)unused;
	for (unsigned int len = 0; len <= 128; len++) {
		struct feed_entries e = {0};

		if (len <= 32)
			add(&e, 4, random64(), 0, len, 0);
		add(&e, 6, random64(), random64(), len, 3);
		compare(&e);
	}
}

static void test_all_lengths(void **unused)
{
	struct feed_entries e = {0};

	(void)unused;
	for (int i = 0; i < 3000; i++) {
		add(&e, 4, random64(), 0, below(33), (uint8_t)below(255));
		add(&e, 6, random64(), random64(), below(129), (uint8_t)below(255));
	}
	compare(&e);
}

/* Every prefix of a few addresses, sets at random: what is longest decides. */
static void test_nested(void **unused)
{
	struct feed_entries e = {0};

	(void)unused;
	for (int i = 0; i < 4; i++) {
		uint64_t hi = random64(), lo = random64();

		for (unsigned int len = 0; len <= 128; len++) {
			if (len <= 32)
				add(&e, 4, hi, 0, len, (uint8_t)below(255));
			add(&e, 6, hi, lo, len, (uint8_t)below(255));
		}
	}
	compare(&e);
}

/* Everything in one node of each depth: 1 to 256 ranges, wide and narrow. */
static void test_crowded(void **unused)
{
	(void)unused;
	for (uint32_t n = 1; n <= 600; n = n * 3 / 2 + 1)
		for (unsigned int depth = 0; depth < 128; depth += 8) {
			struct feed_entries e = {0};
			uint64_t hi = random64(), lo = random64();

			for (uint32_t i = 0; i < n; i++) {
				unsigned int len = depth + 1 + below(8);
				uint64_t byte = random64() >> 56 << 56;
				uint64_t a = depth < 64 ? hi ^ byte >> depth : hi;
				uint64_t b = depth < 64 ? lo : lo ^ byte >> (depth - 64);

				if (depth < 32)
					add(&e, 4, a, 0, len, (uint8_t)below(255));
				add(&e, 6, a, b, len, (uint8_t)below(255));
			}
			compare(&e);
		}
}

/* Nodes that are nearly full, side by side: what overflows a line is found behind it. */
static void test_neighbours(void **unused)
{
	struct feed_entries e = {0};

	(void)unused;
	for (uint32_t i = 0; i < 4000; i++) {
		add(&e, 4, (uint64_t)(0x0a000000 + i / 8 * 256 + i % 8 * 7) << 32, 0, 32, 0);
		add(&e, 6, 0x20010db800000000ULL + i / 8, (uint64_t)(i % 8) << 40, 128, 1);
		add(&e, 6, 0x20010db900000000ULL + i / 8, (uint64_t)i / 8 << 32, 96, 2);
	}
	compare(&e);
}

/* Each address of a /8 with full lines, painted with the least specific entries first. */
static void test_full_lines(void **unused)
{
	const uint32_t net = 10U << 24, size = 1U << 24;
	struct feed_entries e = {0};
	uint8_t *want = calloc(size, 1), *begun = calloc(size, 1); /* set, length */
	struct blob b;

	(void)unused;
	assert_non_null(want);
	assert_non_null(begun);
	for (unsigned int len = 24; len <= 32; len++)
		for (int i = 0; i < (len == 32 ? 200000 : 10000); i++) {
			uint32_t at = below(size) & ~0U << (32 - len);
			uint8_t set = (uint8_t)below(255);

			if (begun[at] == len)
				continue; /* of equal ones the first counts, here the last would */
			begun[at] = (uint8_t)len;
			add(&e, 4, (uint64_t)(net | at) << 32, 0, len, set);
			memset(want + at, numbers[set], 1U << (32 - len));
		}
	b = compile(&e, 42);
	for (uint32_t i = 0; i < size; i += 1 + below(5))
		if (find(&b, 4, (uint64_t)(net | i) << 32, 0) != want[i])
			fail_msg("10.x %06x: not %u", i, want[i]);
	for (uint32_t i = 0; i < size; i += 1 + below(5))
		assert_int_equal(find(&b, 4, (uint64_t)(net + size + i) << 32, 0), 0);
	free(b.lines);
	free(want);
	free(begun);
	feed_entries_fini(&e);
}

/* The /24s' numbers differ, and those with the same tag are too far apart to be in one line. */
static void test_numbers(void **unused)
{
	const uint32_t n = 1U << 24;
	static const uint32_t lines[] = {FEED_LAST4_LINES, FEED_LAST4_LINES + 1, 70001, 1U << 20};
	uint8_t *seen = calloc(n, 1);

	(void)unused;
	assert_non_null(seen);
	for (int i = 1; i <= 4; i++) {
		uint64_t seed = random64();

		for (uint32_t x = 0; x < n; x++) {
			uint8_t *s = &seen[feed_mix24(x << 8, seed)];

			assert_int_equal(*s, i - 1);
			*s = (uint8_t)i;
		}
	}
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		for (uint32_t x = 0; x + (1U << FEED_TAG_BITS) < n; x++)
			assert_true(feed_home24(x + (1U << FEED_TAG_BITS), lines[i]) >=
				    feed_home24(x, lines[i]) + FEED_PROBES);
	free(seen);
}

static void test_first_set_of_equal_prefixes(void **unused)
{
	struct feed_entries e = {0};
	struct blob b;

	(void)unused;
	add(&e, 4, 0x0a000000ULL << 32, 0, 8, 7);
	add(&e, 4, 0x0a000000ULL << 32, 0, 8, 5);
	add(&e, 4, 0x0a000000ULL << 32, 0, 9, 6);
	b = compile(&e, 1);
	assert_int_equal(e.n, 2);
	assert_int_equal(find(&b, 4, 0x0a800000ULL << 32, 0), numbers[5]);
	assert_int_equal(find(&b, 4, 0x0a000000ULL << 32, 0), numbers[6]);
	free(b.lines);
	feed_entries_fini(&e);
}

static void test_same_seed_same_bytes(void **unused)
{
	struct feed_entries e = {0}, f = {0};
	struct blob a, b;

	(void)unused;
	for (int i = 0; i < 5000; i++) {
		add(&e, 4, random64(), 0, 8 + below(25), (uint8_t)below(255));
		add(&e, 6, random64(), random64(), 32 + below(97), (uint8_t)below(255));
	}
	for (size_t i = e.n; i-- > 0;)
		assert_int_equal(feed_entries_add(&f, &e.items[i]), 0);
	a = compile(&e, 42);
	b = compile(&f, 42);
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.lines, b.lines, (size_t)a.n * FEED_LINE);
	free(b.lines);
	b = compile(&f, 43);
	assert_true(a.n != b.n || memcmp(a.lines, b.lines, (size_t)a.n * FEED_LINE) != 0);
	free(a.lines);
	free(b.lines);
	feed_entries_fini(&e);
	feed_entries_fini(&f);
}

/* A million entries as lists have them, of which every one is found; in seconds, in memory that is said before. */
static void test_million(void **unused)
{
	static const uint8_t lengths6[] = {32, 40, 44, 48, 56, 64, 64, 128};
	struct feed_entries e = {0};
	uint64_t started = clock_mono();
	struct blob b;

	(void)unused;
	for (int i = 0; i < 700000; i++)
		add(&e, 4, random64() >> 4 | 1ULL << 60, 0,
		    below(4)  ? 32
		    : i % 100 ? 16 + below(16)
			      : 8 + below(8),
		    (uint8_t)below(9));
	for (int i = 0; i < 300000; i++)
		add(&e, 6, random64() >> 3 | 1ULL << 61, random64(), lengths6[below(8)],
		    (uint8_t)below(9));
	b = compile(&e, 42);
	for (size_t i = 0; i < e.n; i++)
		assert_true(find(&b, e.items[i].family, e.items[i].hi, e.items[i].lo));
	assert_true(clock_mono() - started < 20 * NSEC_PER_SEC);
	assert_true((size_t)b.n * FEED_LINE < 64 << 20);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(find(&b, 4, (224ULL << 56) + (random64() >> 8), 0), 0);
	free(b.lines);
	feed_entries_fini(&e);
}

/* What a source that is on no list costs does not grow with them: behind the header one line in nearly all cases. */
static void test_clean_reads_one_line(void **unused)
{
	const uint32_t n = 20000;

	(void)unused;
	for (uint32_t size = 1000; size <= 100000; size *= 10) {
		struct feed_entries e = {0};
		struct blob b;

		for (uint32_t i = 0; i < size; i++) {
			add(&e, 4, random64(), 0, i % 10 ? 32 : 20 + below(12), 0);
			add(&e, 6, random64() >> 3 | 1ULL << 61, random64(), 32 + below(97), 0);
		}
		b = compile(&e, random64());
		for (uint8_t family = 4; family <= 6; family += 2) {
			uint64_t lines = 0;
			uint32_t clean = 0;

			while (clean < n) {
				uint64_t hi = random64() >> 3 | 1ULL << 61;

				lines_read = 0;
				if (find(&b, family, hi, random64()))
					continue;
				lines += lines_read;
				clean++;
			}
			assert_in_range(lines, n, n + n / 4);
		}
		free(b.lines);
		feed_entries_fini(&e);
	}
}

/* IPv6 entries of /25 touch 128 /32s each, together more than have a bit of their own: it ends, and says how much it takes. */
static void test_more_than_have_bits(void **unused)
{
	struct feed_entries e = {0};
	struct feed_plan plan;

	(void)unused;
	for (uint64_t i = 0; i <= 1 << 20; i++)
		add(&e, 6, i << 39, 0, 25, 0);
	assert_int_equal(feed_plan(&e, 42, &plan, NULL), 0);
	assert_in_range(feed_size(&plan), 256 << 20, 512 << 20);
	feed_entries_fini(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_each_length_alone),
		cmocka_unit_test(test_all_lengths),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_crowded),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_full_lines),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_first_set_of_equal_prefixes),
		cmocka_unit_test(test_same_seed_same_bytes),
		cmocka_unit_test(test_million),
		cmocka_unit_test(test_clean_reads_one_line),
		cmocka_unit_test(test_more_than_have_bits),
	};

	for (int i = 0; i < FEED_SETS; i++)
		numbers[i] = (uint8_t)(255 - i);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
