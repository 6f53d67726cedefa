/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The compiled feeds of an interface: 64-byte lines, written whole by user space (edge/feed_write.c), read by
 * bpf/feed.bpf.h. Line 0 is the header, which says where the regions begin:
 *
 *   bits4     IPv4: a bit for each network, of a size that goes with the number of entries, that one touches; most clean sources
 *             end there
 *   bits16    IPv4: a bit for each /16 with entries of /17 to /23
 *   table16   IPv4: the set of each /16, of entries of /0 to /16
 *   bits6     IPv6: a hashed bit for each node, and hints: something deeper is below this /32, /48, /64; behind them hashed bits
 *             for each /32 that an entry of /25 or deeper touches
 *   last4     a hash table of IPv4's /24s and what is deeper, most entries of all: four bytes each, in the line that the hash of
 *             their /24 names
 *   nodes     a hash table of both families' other ranges
 *   rows      the set of each of 256 values, for nodes of many entries
 *
 * An entry of length L is a range of values of the byte that follows its node: the prefix of the greatest depth (a multiple
 * of 8 bits) below L, so that /25 to /32 are ranges of the /24's last byte; so are IPv4's /24s themselves. A node's ranges are
 * in the line that the hash of its key names, most specific first, or, where a line was full, in those behind it. Smaller is
 * faster: a line that the processor's own cache keeps is read in 5 ns, one of 4 MiB in 30, one of 8 MiB in 110.
 */
#ifndef BPF_FEED_FORMAT_H
#define BPF_FEED_FORMAT_H

#include <linux/bpf.h>
#include <linux/types.h>

/*
 * The lines are in chunks, each an array map of its own: maps of one size, because the kernel then looks up in them without
 * a call. The map feeds has room for two compiled feeds, the one that counts and the next one.
 */
#define FEED_CHUNK_LINES 16384
#define FEED_CHUNKS	 1024 /* 1 GiB */
#define FEED_SLOTS	 2

#define FEED_LINE	 64 /* bytes */
#define FEED_LINE_BITS	 (FEED_LINE * 8)
#define FEED_LASTS	 15 /* of a line of last4 */
#define FEED_ITEMS	 5  /* of a line of nodes */
#define FEED_PROBES	 8  /* lines that a node's ranges may be in */
#define FEED_ROW_LINES	 (256 / FEED_LINE)
#define FEED_SETS	 256 /* 0: none */

enum feed_table { FEED_LAST4, FEED_NODES, FEED_TABLES };

struct feed_region {
	__u32 first; /* line */
	__u32 n; /* lines that a hash can name; FEED_PROBES - 1 more follow; 0: nothing is in it */
};

struct feed_header {
	__u64 seed; /* random: nobody outside knows which keys share a line */
	struct feed_region table[FEED_TABLES];
	__u32 bits4;	 /* number of the first line; 0: there is none */
	__u32 bits4_len; /* of its networks: 16 to 24 */
	__u32 bits16;
	__u32 bits6;
	__u32 bits6_mask; /* number of bits, a power of two, less 1 */
	__u32 table16;
	__u32 rows;
	__u32 lines;   /* of everything */
	__u16 wide6;   /* binary logarithm of the number of bits behind bits6 */
	__u16 depths6; /* of nodes: bit n is depth 8 * n */
};

enum feed_kind { FEED_NONE, FEED_RANGE, FEED_ROW };

struct feed_item {
	__u8 kind;
	__u8 first; /* of a FEED_ROW these are its number, least significant byte first */
	__u8 last;
	__u8 set;
};

struct feed_line {
	__u64 key[FEED_ITEMS];
	struct feed_item item[FEED_ITEMS];
	__u32 more; /* what was looked for here may be in the next line */
};

/*
 * Entries of /24 to /32, of the same /24 most specific first; 0: unused. From the highest bit on: FEED_TAG_BITS of feed_mix24's
 * number of the /24; the bits of the last byte that the prefix has, a one, zeros, nine in all; the set. A /24 without a set is
 * one of so many entries that they have a row, which is in its node.
 */
struct feed_last4 {
	__u32 item[FEED_LASTS];
	__u32 more;
};

#define FEED_TAG_BITS 15
/* Lines, at least: all numbers that a hash or a full line can bring to one line differ in their tags. */
#define FEED_LAST4_LINES (FEED_PROBES << (24 - FEED_TAG_BITS))

union feed_any {
	struct feed_header header;
	struct feed_last4 last4;
	struct feed_line line;
	__u64 bits[FEED_LINE / 8];
	__u8 bytes[FEED_LINE];
};

_Static_assert(sizeof(union feed_any) == FEED_LINE, "a line is a cache line");

#define FEED_INLINE static inline __attribute__((always_inline))

/* Each step can be undone: different words stay different. */
FEED_INLINE __u64 feed_mix(__u64 x)
{
	x *= 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ULL;
	return x ^ (x >> 32);
}

/* The first n of 64 bits; n is 0 to 63. */
FEED_INLINE __u64 feed_mask(__u32 n)
{
	return n ? ~0ULL << (-n & 63) : 0;
}

/* What a key says beside the prefix, in bits that no prefix of a multiple of 8 bits reaches. */
#define FEED_KEY4     0x80 /* IPv4 */
#define FEED_KEY_HINT 0x40 /* of a hint, not of a node */

/* Keys are exact: one key, one prefix. Depth is 16 to 32; addresses are in host order. */
FEED_INLINE __u64 feed_key4(__u32 depth, __u32 addr)
{
	return ((__u64)addr << 32 & feed_mask(depth)) | FEED_KEY4 | depth / 8;
}

/* Depth is 0 to 56. kind: 0 or FEED_KEY_HINT. */
FEED_INLINE __u64 feed_key6(__u32 depth, __u64 hi, __u32 kind)
{
	return (hi & feed_mask(depth)) | kind | depth / 8;
}

/*
 * Depth is 64 to 120. 64 bits of a keyed hash of the prefix: a source that is not listed is taken for one that is when its
 * key is that of one of the few items in its line, which happens once in 2^60 look-ups, and which nobody can bring about
 * without the seed.
 */
FEED_INLINE __u64 feed_key6_deep(__u32 depth, __u64 hi, __u64 lo, __u64 seed, __u32 kind)
{
	lo = (lo & feed_mask(depth - 64)) | kind | depth / 8;
	return feed_mix(feed_mix(hi ^ seed) ^ lo);
}

FEED_INLINE __u64 feed_hash(__u64 key, __u64 seed)
{
	return feed_mix(key ^ seed);
}

/* Another number for each /24, which nobody knows without the seed. */
FEED_INLINE __u32 feed_mix24(__u32 addr, __u64 seed)
{
	__u32 x = addr >> 8 ^ ((__u32)seed & 0xffffff);

	x = x * 0x9e3779b1U & 0xffffff;
	x = (x ^ x >> 13) * ((__u32)(seed >> 32) | 1) & 0xffffff;
	x = (x ^ x >> 12) * 0x85ebca6bU & 0xffffff;
	return x ^ x >> 13;
}

/* The line is the number's upper bits, so that the lower ones say the rest. */
FEED_INLINE __u32 feed_home24(__u32 number, __u32 n)
{
	return (__u64)number * n >> 24;
}

/* An item of last4 without its set, for the prefix of this length, 24 to 32. Of an address the length is 32. */
FEED_INLINE __u32 feed_last4_key(__u32 number, __u32 addr, __u32 len)
{
	return (number & ((1U << FEED_TAG_BITS) - 1)) << 9 | (addr & 255) << 1 | 1U << (32 - len);
}

/* The upper half of a hash names the line, the lower one the bit. */
FEED_INLINE __u32 feed_home(__u64 hash, __u32 n)
{
	return (__u32)((hash >> 32) * n >> 32);
}

FEED_INLINE __u32 feed_bit(__u64 hash, __u32 mask)
{
	return (__u32)hash & mask;
}

#endif
