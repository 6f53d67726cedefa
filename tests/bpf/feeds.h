/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds for tests, without files. */
#ifndef TESTS_BPF_FEEDS_H
#define TESTS_BPF_FEEDS_H

#include "edge/feeds.h"
#include "tests/bpf/guard.h"

static inline void feeds_add(struct edge_feeds *f, const char *addr, uint8_t len, uint8_t set)
{
	struct feed_entry entry = {.family = strchr(addr, ':') ? 6 : 4, .len = len, .set = set};
	uint64_t half[2] = {0};

	assert_int_equal(inet_pton(entry.family == 6 ? AF_INET6 : AF_INET, addr, half), 1);
	entry.hi = be64toh(half[0]);
	entry.lo = be64toh(half[1]);
	assert_int_equal(feed_entries_add(&f->entries, &entry), 0);
}

static inline void feeds_name(struct edge_feeds *f, const char *name)
{
	snprintf(f->sets[f->n].name, SET_NAME, "%s", name);
	f->n++;
}

/* As edge_feeds_replace, of maps that are not pinned. */
static inline void feeds_replace(const struct edge *e, const struct edge_feeds *f)
{
	assert_int_equal(edge_feeds_prepare(e, f, e->shared->generation, NULL), 0);
	edge_feeds_settle(e);
}

/* Frees the entries. */
static inline void feeds_put(const struct edge *e, struct edge_feeds *f)
{
	assert_int_equal(feed_plan(&f->entries, 42, &f->plan, NULL), 0);
	feeds_replace(e, f);
	edge_feeds_fini(f);
}

#endif
