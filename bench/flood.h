/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flood, as those who send it and those who know it see it. */
#ifndef BENCH_FLOOD_H
#define BENCH_FLOOD_H

/* Sources, in host order. Nobody else in the beds has one. */
#define FLOOD_PREFIX 0x0b000000U /* 11.0.0.0/8 */
#define FLOOD_MASK   0xff000000U

#define FLOOD_BURST  64 /* packets at once: a quarter of what a veth's queue holds */

#endif
