/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SYN gate's reading of TCP options, compiled for this machine: a byte whose low four bits are the header's length in
 * words, then the options. It stays inside, comes to an end, and finds what a plain reader finds.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "bpf/synopts.bpf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RFC 9293, 3.1, and what the kernel makes of bent ones: everything behind one that can't be is ignored. */
static void read_plainly(struct syn *syn)
{
	const uint8_t *at = syn->bytes + sizeof(syn->tcp), *end = syn->bytes + syn->len;

	while (at < end && *at != TCP_OPTION_END) {
		if (*at == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] < 2 || at[1] > end - at)
			return;
		if (at[0] == TCP_OPTION_WSCALE && at[1] == 3) {
			syn->offers |= COOKIE_WSCALE;
			syn->wscale = at[2];
		}
		if (at[0] == TCP_OPTION_SACK && at[1] == 2)
			syn->offers |= COOKIE_SACK;
		if (at[0] == TCP_OPTION_TIMESTAMPS && at[1] == 10) {
			syn->offers |= COOKIE_TIMESTAMPS;
			syn->offered = (uint32_t)at[2] << 24 | (uint32_t)at[3] << 16 |
				       (uint32_t)at[4] << 8 | at[5];
		}
		at += at[1];
	}
}

static void check_same(const struct syn *a, const struct syn *b)
{
	assert(a->offers == b->offers);
	assert(!(a->offers & COOKIE_WSCALE) || a->wscale == b->wscale);
	assert(!(a->offers & COOKIE_TIMESTAMPS) || a->offered == b->offered);
}

/* What the kernel reads of it again, and that it is not in the future. */
static void check_timestamp(uint64_t now, const struct syn *syn)
{
	uint32_t clock = (uint32_t)(now / 1000000);
	uint32_t stamp = synopts_timestamp(now, syn->offers, syn->wscale);

	assert(clock - stamp < 64);
	assert(!(stamp & 16) == !(syn->offers & COOKIE_SACK) && !(stamp & 32));
	if (!(syn->offers & COOKIE_WSCALE))
		assert((stamp & 15) == 15);
	else
		assert((stamp & 15) == (syn->wscale > 14 ? 14 : syn->wscale));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct syn walked = {.at = sizeof(struct tcphdr)}, plain, usual;
	uint64_t now = 0;
	int steps = 0;

	if (size < 1)
		return 0;
	walked.len = (data[0] & 15) * 4;
	if (walked.len < sizeof(struct tcphdr))
		return 0;
	if (size - 1 < walked.len - sizeof(struct tcphdr))
		return 0;
	memcpy(walked.bytes + sizeof(struct tcphdr), data + 1, walked.len - sizeof(struct tcphdr));
	plain = usual = walked;
	read_plainly(&plain);
	while (synopts_step((uint32_t)steps, &walked) == 0)
		steps++;
	assert(steps <= TCP_MAX_OPTIONS);
	check_same(&walked, &plain);
	if (synopts_usual(&usual))
		check_same(&usual, &plain);
	memcpy(&now, data, size < sizeof(now) ? size : sizeof(now));
	check_timestamp(now >> 1, &plain);
	return 0;
}
