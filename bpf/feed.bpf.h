/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Looking up a source in the compiled feeds (bpf/feed_format.h): the set of the longest prefix that holds it, 0 for none.
 * What is read next never depends on what a node says until one matches, so that the processor waits for all lines at
 * once. Whoever includes this says what feed_at(feeds, n) is: line n of the feeds, or NULL.
 * What feeds is, is theirs, too: a slot of the map, or an address.
 */
#ifndef BPF_FEED_BPF_H
#define BPF_FEED_BPF_H

#include <stdbool.h>

#include "bpf/feed_format.h"

#ifdef __bpf__
#define FEED_APART  __attribute__((noinline))
#define FEED_UNROLL _Pragma("unroll")
#else
#define FEED_APART static
#define FEED_UNROLL
#endif

FEED_INLINE bool feed_test(__u64 feeds, __u32 region, __u32 bit)
{
	union feed_any *line = feed_at(feeds, region + bit / FEED_LINE_BITS);

	return line && line->bits[bit / 64 % 8] >> (bit % 64) & 1;
}

FEED_INLINE __u8 feed_byte(__u64 feeds, __u32 region, __u32 at)
{
	union feed_any *line = feed_at(feeds, region + at / FEED_LINE);

	return line ? line->bytes[at % FEED_LINE] : 0;
}

FEED_INLINE __u8 feed_item(__u64 feeds, const struct feed_header *h, const struct feed_item *item,
			   __u8 byte)
{
	__u32 row;

	if (item->kind == FEED_ROW) {
		row = item->first | (__u32)item->last << 8 | (__u32)item->set << 16;
		return feed_byte(feeds, h->rows + row * FEED_ROW_LINES, byte);
	}
	if (item->kind == FEED_RANGE && byte >= item->first && byte <= item->last)
		return item->set;
	return 0;
}

/*
 * The set of one value in the node of a key, whose hash is given. For the kernel a function of its own, which its verifier
 * looks at once.
 */
FEED_APART __u32 feed_node(__u64 feeds, __u64 key, __u64 hash, __u32 byte)
{
	const union feed_any *first = feed_at(feeds, 0);
	const struct feed_region *r = first ? &first->header.table[FEED_NODES] : NULL;
	__u32 at = r ? r->first + feed_home(hash, r->n) : 0;

	for (int probe = 0; r && probe < FEED_PROBES; probe++) {
		union feed_any *any = feed_at(feeds, at + probe);

		if (!any)
			return 0;
		for (int i = 0; i < FEED_ITEMS; i++) {
			__u8 set;

			if (any->line.key[i] != key)
				continue;
			set = feed_item(feeds, &first->header, &any->line.item[i], byte);
			if (set)
				return set;
		}
		if (!any->line.more)
			return 0;
	}
	return 0;
}

/* Of the node of depth 16 or 24. */
FEED_INLINE __u32 feed_node4(__u64 feeds, const struct feed_header *h, __u32 depth, __u32 addr)
{
	__u64 key = feed_key4(depth, addr);

	return feed_node(feeds, key, feed_hash(key, h->seed), addr >> (24 - depth) & 255);
}

/* Whether an item is of a prefix that holds the key's address: bits behind the prefix's, and its one, may differ. */
FEED_INLINE bool feed_holds(__u64 item, __u64 key)
{
	/* All bits of an unused one would be such: it becomes -1, and the key is not less. */
	return (__s64)(item ^ key) <= (__s64)(item ^ (item - 1));
}

/* The item that holds the key's address, or 0. */
FEED_INLINE __u32 feed_item4(const struct feed_last4 *line, __u64 key)
{
	FEED_UNROLL
	for (int i = 0; i < FEED_LASTS; i++)
		if (feed_holds(line->item[i] >> 8, key))
			return line->item[i];
	return 0;
}

/* Of entries of /24 to /32. */
FEED_INLINE __u32 feed_last4(__u64 feeds, const struct feed_header *h, __u32 addr)
{
	const struct feed_region *r = &h->table[FEED_LAST4];
	__u32 number = feed_mix24(addr, h->seed);
	__u32 at = r->first + feed_home24(number, r->n);
	__u64 key = feed_last4_key(number, addr, 32);

	for (int probe = 0; r->n && probe < FEED_PROBES; probe++) {
		union feed_any *any = feed_at(feeds, at + probe);
		__u32 item = any ? feed_item4(&any->last4, key) : 0;

		if (item)
			return (item & 255) ?: feed_node4(feeds, h, 24, addr);
		if (!any || !any->last4.more)
			return 0;
	}
	return 0;
}

/* The quick answer for a clean source: whether it needs to be looked for. Addresses are in host order. */
FEED_INLINE bool feed_maybe4(__u64 feeds, const struct feed_header *h, __u32 addr)
{
	return h->bits4 && feed_test(feeds, h->bits4, addr >> ((32 - h->bits4_len) & 31));
}

/* After feed_maybe4, the quick answer for most that are listed; 0: not known yet. */
FEED_INLINE __u32 feed_surely4(__u64 feeds, const struct feed_header *h, __u32 addr)
{
	const struct feed_region *r = &h->table[FEED_LAST4];
	__u32 number = feed_mix24(addr, h->seed);
	union feed_any *any = r->n ? feed_at(feeds, r->first + feed_home24(number, r->n)) : NULL;

	return any ? feed_item4(&any->last4, feed_last4_key(number, addr, 32)) & 255 : 0;
}

/* After feed_maybe4. */
FEED_INLINE __u8 feed_find4(__u64 feeds, const struct feed_header *h, __u32 addr)
{
	__u8 set = feed_last4(feeds, h, addr);

	if (!set && h->bits16 && feed_test(feeds, h->bits16, addr >> 16))
		set = feed_node4(feeds, h, 16, addr);
	if (!set && h->table16)
		set = feed_byte(feeds, h->table16, addr >> 16);
	return set;
}

/* The nodes of one depth, 0 to 56. */
FEED_INLINE __u8 feed_high6(__u64 feeds, const struct feed_header *h, __u32 depth, __u64 hi)
{
	__u64 key = feed_key6(depth, hi, 0);
	__u64 hash = feed_hash(key, h->seed);

	if (!(h->depths6 >> depth / 8 & 1) ||
	    !feed_test(feeds, h->bits6, feed_bit(hash, h->bits6_mask)))
		return 0;
	return feed_node(feeds, key, hash, hi >> (56 - depth) & 255);
}

/* 64 to 120. */
FEED_INLINE __u8 feed_low6(__u64 feeds, const struct feed_header *h, __u32 depth, __u64 hi,
			   __u64 lo)
{
	__u64 key, hash;

	if (!(h->depths6 >> depth / 8 & 1))
		return 0;
	key = feed_key6_deep(depth, hi, lo, h->seed, 0);
	hash = feed_hash(key, h->seed);
	if (!feed_test(feeds, h->bits6, feed_bit(hash, h->bits6_mask)))
		return 0;
	return feed_node(feeds, key, hash, lo >> (120 - depth) & 255);
}

/* Whether something deeper than a key's prefix may be there. */
FEED_INLINE bool feed_hint6(__u64 feeds, const struct feed_header *h, __u64 key)
{
	return feed_test(feeds, h->bits6, feed_bit(feed_hash(key, h->seed), h->bits6_mask));
}

/* Depths from 8 * n on. */
#define FEED_FROM(n) (0xffffU << (n)&0xffff)

/* How far down something may be: the first depth, divided by 8, that needs no look. */
FEED_INLINE __u32 feed_floor6(__u64 feeds, const struct feed_header *h, __u64 hi)
{
	if (!(h->depths6 & FEED_FROM(4)) || !feed_hint6(feeds, h, feed_key6(32, hi, FEED_KEY_HINT)))
		return 4;
	if (!(h->depths6 & FEED_FROM(6)) || !feed_hint6(feeds, h, feed_key6(48, hi, FEED_KEY_HINT)))
		return 6;
	if (!(h->depths6 & FEED_FROM(8)) ||
	    !feed_hint6(feeds, h, feed_key6_deep(64, hi, 0, h->seed, FEED_KEY_HINT)))
		return 8;
	return 16;
}

/* The quick answer; hi is the first half of the address in host order. */
FEED_INLINE bool feed_maybe6(__u64 feeds, const struct feed_header *h, __u64 hi)
{
	__u64 hash = feed_hash(feed_key6(32, hi, FEED_KEY_HINT), h->seed);

	if (!h->bits6)
		return false;
	if (h->depths6 & 7)
		return true;
	return feed_test(feeds, h->bits6 + (h->bits6_mask + 1) / FEED_LINE_BITS,
			 feed_bit(hash, (1U << (h->wide6 & 31)) - 1));
}

/* After feed_maybe6. */
FEED_INLINE __u8 feed_find6(__u64 feeds, const struct feed_header *h, __u64 hi, __u64 lo)
{
	__u32 floor = feed_floor6(feeds, h, hi), n;
	__u8 set = 0;

	if (floor == 16)
		for (n = 15; n >= 8 && !set; n--)
			set = feed_low6(feeds, h, n * 8, hi, lo);
	for (n = 7; n < 8 && !set; n--)
		if (n < floor)
			set = feed_high6(feeds, h, n * 8, hi);
	return set;
}

#endif
