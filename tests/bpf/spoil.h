/* SPDX-License-Identifier: Apache-2.0 */
/* Frames at random, of honest senders and spoiled ones: the same for the same seed. */
#ifndef TESTS_BPF_SPOIL_H
#define TESTS_BPF_SPOIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edge/frame.h"

void random_seed(uint64_t seed);

/* Below n. */
uint32_t below(uint32_t n);

bool one_in(uint32_t n);

/* Zeros and others. */
void random_bytes(void *at, size_t n);

/* One of few addresses (family 4 or 6) that frames come from. */
const char *some_source(int family);

/* A valid frame of any kind, 14 bytes at least. */
void some_frame(struct frame *f);

/* Spoil it in one place, or its length. */
void spoil_once(struct frame *f);

/* Lengths and checksums as they should be, so that what else is wrong is seen behind them. */
void mend(struct frame *f);

/* The ACK of an answer, as an honest client sends it; only the fields that matter change. False: it is no TCP segment. */
bool ack_of(const uint8_t *answer, size_t len, struct frame *f);

#endif
