/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the flood comes from; host order. Outside of what is routed, and of the beds' own networks (RFC 2544). */
#ifndef BENCH_FLOOD_H
#define BENCH_FLOOD_H

#define FLOOD_PREFIX 0x0b000000U /* 11.0.0.0/8 */
#define FLOOD_MASK   0xff000000U

#endif
