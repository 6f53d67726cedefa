/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a list of addresses: entries that are prefixes, which compile, or an error that names a line. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "edge/feed.h"
#include "edge/netset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct feed_entry *e)
{
	uint64_t hi = e->len < 64 ? ~0ULL >> e->len : 0;
	uint64_t lo = e->len <= 64 ? ~0ULL : e->len < 128 ? ~0ULL >> (e->len - 64) : 0;

	assert(e->family == 4 || e->family == 6);
	assert(e->len <= (e->family == 4 ? 32 : 128));
	assert((e->hi & hi) == 0 && (e->lo & lo) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t numbers[FEED_SETS] = {1};
	struct feed_entries e = {0};
	struct error err = {0};
	struct feed_plan plan;
	void *memory;
	char *end;

	if (netset_parse(slice_make((const char *)data, size), 0, &e, &err) < 0) {
		unsigned long line = strtoul(err.text, &end, 10);

		assert(line > 0 && line <= size + 1 && end[0] == ':' && end[1] == ' ');
	}
	for (size_t i = 0; i < e.n; i++)
		check_entry(&e.items[i]);
	if (e.n < 1000) {
		assert(feed_plan(&e, 1, &plan, NULL) == 0);
		memory = calloc(1, feed_size(&plan));
		assert(memory && feed_write(&plan, &e, numbers, memory) == 0);
		free(memory);
	}
	feed_entries_fini(&e);
	return 0;
}
