/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file's feeds: read and planned once, then compiled for each interface and put in place in one step. bpf/feed_format.h says
 * what is compiled, bpf/abi.h by which maps it is found.
 */
#ifndef EDGE_FEEDS_H
#define EDGE_FEEDS_H

#include "conf/node.h"
#include "edge/edge.h"
#include "edge/feed.h"

#define EDGE_FEEDS_TEXT 128

struct edge_feeds {
	struct feed_entries entries;
	struct feed_plan plan;
	struct set sets[FEED_SETS - 1];
	size_t n;
};

/*
 * Read the feeds of edge: in cfg, whose path relative files are relative to. A file with an error, and more memory than
 * edge.feeds.memory, refuse all (never by -ENOENT: that is an interface without guard); with skipped a file with an error is
 * left out, and skipped is told why. The caller ends *ret by edge_feeds_fini.
 */
int edge_feeds_load(const struct config *cfg, struct edge_feeds *ret,
		    void (*skipped)(const char *text), struct error *err);

/* The same to find errors: all go to diag, each with the place where the feed is named, and nothing is kept. */
void edge_feeds_check(const struct config *cfg, struct conf_diag *diag);

static inline void edge_feeds_fini(struct edge_feeds *f)
{
	feed_entries_fini(&f->entries);
}

/* Of the kernel's memory, an interface; twice as much while one is replaced. */
size_t edge_feeds_bytes(const struct edge_feeds *f);

/* "2 feeds, 1000000 entries, 19 MiB of memory an interface". */
void edge_feeds_describe(const struct edge_feeds *f, char ret[EDGE_FEEDS_TEXT]);

/*
 * Compile for an interface whose policy will have the given generation: with it they will count; without f those will that
 * count now. Under the lock. To be followed by edge_feeds_settle, whether or not it came to that. A mark (edge/pin.h) lets the
 * next command do that when this one is killed.
 */
int edge_feeds_prepare(const struct edge *e, const struct edge_feeds *f, uint32_t generation,
		       struct error *err);

/* What does not count, or no longer, goes; also what a killed command left. Nothing, where all counts. */
void edge_feeds_settle(const struct edge *e);

/* Put other feeds in the place of those that count now. Every packet meets all of the old or all of the new ones. */
int edge_feeds_replace(const struct edge *e, const struct edge_feeds *f, struct error *err);

struct edge_set {
	struct set set;
	struct counter hits;
};

/* By number; set.name is empty where there is none. ret_bytes: what they take of the kernel's memory together. */
int edge_sets_read(const struct edge *e, struct edge_set ret[FEED_SETS], size_t *ret_bytes,
		   struct error *err);

#endif
