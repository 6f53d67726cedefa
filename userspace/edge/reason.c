/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/reason.h"

#include <assert.h>
#include <string.h>

static_assert(REASON_COUNT < 64, "a set of reasons is a word");

const struct edge_reason edge_reasons[REASON_COUNT] = {
#define GUARD_REASON(id, name, verdict, help) {#name, #verdict, help},
	GUARD_REASONS(GUARD_REASON)
#undef GUARD_REASON
};

const char *edge_verdict(int reason, const struct policy *policy)
{
	if (policy->mode == GUARD_SHADOW ||
	    (policy->ban_mode == BAN_SHADOW && reason == REASON_BANNED))
		return "PASS";
	return edge_reasons[reason].verdict;
}

uint64_t edge_reasons_drop(void)
{
	uint64_t set = 0;

	for (int i = 0; i < REASON_COUNT; i++)
		if (strcmp(edge_reasons[i].verdict, "DROP") == 0)
			set |= 1ULL << i;
	return set;
}

static uint64_t begin_with(struct slice name)
{
	uint64_t set = 0;

	for (int i = 0; name.len && i < REASON_COUNT; i++)
		if (slice_starts(slice_str(edge_reasons[i].name), name))
			set |= 1ULL << i;
	return set;
}

uint64_t edge_reasons_parse(struct slice list)
{
	uint64_t set = 0;

	do {
		uint64_t named = begin_with(slice_cut(&list, ','));

		if (!named)
			return 0;
		set |= named;
	} while (list.len);
	return set;
}
