/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The contract of the driver's two sides. */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <linux/types.h>

/* Ethernet, IP and a SYN with 20 bytes of options; shorter packets are padded. */
#define FRAME4 74
#define FRAME6 94

/* The table of sources, in network order: lines of 64 bytes, of one family each. */
#define SOURCE_LINES  (1U << 20)
#define LINE_WORDS    16
#define LINE_SOURCES4 16
#define LINE_SOURCES6 4

struct source_line {
	__u32 word[LINE_WORDS];
};

#endif
