/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's parser as compiled for this machine, for tests that compare it with the one in the kernel. */
#ifndef TESTS_BPF_NATIVE_H
#define TESTS_BPF_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#include "bpf/abi.h"

struct native {
	enum reason
		addresses; /* what the headers up to the addresses give; PASSED when they are sound */
	enum reason ports; /* what the rest gives, when they are */
	uint32_t ip, l4, l4_len;
	uint8_t family; /* 4, 6 */
	uint8_t protocol;
	uint8_t tcp_flags; /* FIN, SYN, RST and ACK only */
};

/* 14 bytes at least. */
struct native native_parse(const uint8_t *bytes, size_t len);

#endif
