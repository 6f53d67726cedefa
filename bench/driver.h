/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The contract of the driver's two sides. */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <linux/types.h>

/*
 * The frames' lengths: IPv4 without options of TCP, padded; a SYN of IPv4 with 20 bytes of options, which is as long as IPv6
 * without; a SYN of IPv6.
 */
#define FRAME_SHORT  60
#define FRAME_MIDDLE 74
#define FRAME_LONG   94

/* The table of sources, in network order: lines of 64 bytes, of one family each. */
#define SOURCE_LINES  (3U << 19)
#define LINE_WORDS    16
#define LINE_SOURCES4 16
#define LINE_SOURCES6 4

struct source_line {
	__u32 word[LINE_WORDS];
};

#endif
