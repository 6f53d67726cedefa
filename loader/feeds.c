/* SPDX-License-Identifier: Apache-2.0 */
/* sluice feeds: the feeds that are loaded, and what each has dropped. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "edge/feeds.h"
#include "loader/visit.h"

static void print(const char *name, const struct edge_set *sets, size_t bytes)
{
	printf("%s: %zu MiB of memory\n  %-20s %10s %10s %14s %18s  %-19s %s\n", name, bytes >> 20,
	       "feed", "IPv4", "IPv6", "packets", "bytes", "loaded", "file");
	for (int i = 1; i < FEED_SETS; i++) {
		const struct set *s = &sets[i].set;
		time_t loaded = (time_t)(s->loaded_at / NSEC_PER_SEC);
		struct tm tm;
		char when[32];

		if (!s->name[0])
			continue;
		strftime(when, sizeof(when), "%F %T", localtime_r(&loaded, &tm));
		printf("  %-20.*s %10u %10u %14" PRIu64 " %18" PRIu64 "  %-19s %.*s\n", SET_NAME,
		       s->name, s->entries4, s->entries6, (uint64_t)sets[i].hits.packets,
		       (uint64_t)sets[i].hits.bytes, when, SET_FILE, s->file);
	}
}

static json_t *to_json(const char *name, const struct edge_set *sets, size_t bytes)
{
	json_t *all = json_array();

	for (int i = 1; i < FEED_SETS; i++) {
		const struct set *s = &sets[i].set;

		if (s->name[0])
			json_array_append_new(
				all, json_pack("{s:o, s:i, s:I, s:I, s:I, s:I, s:I, s:o}", "name",
					       command_text(slice_make(s->name,
								       strnlen(s->name, SET_NAME))),
					       "number", i, "entries4", (json_int_t)s->entries4,
					       "entries6", (json_int_t)s->entries6, "packets",
					       (json_int_t)sets[i].hits.packets, "bytes",
					       (json_int_t)sets[i].hits.bytes, "loaded",
					       (json_int_t)(s->loaded_at / NSEC_PER_SEC), "file",
					       command_text(slice_make(
						       s->file, strnlen(s->file, SET_FILE)))));
	}
	return json_pack("{s:s, s:I, s:o}", "interface", name, "memory", (json_int_t)bytes, "feeds",
			 all);
}

static int show(struct visit *v, const struct edge *e)
{
	struct edge_set sets[FEED_SETS];
	size_t bytes;
	int rc = edge_sets_read(e, sets, &bytes, &v->err);

	if (rc == 0 && v->json)
		json_array_append_new(v->json, to_json(e->name, sets, bytes));
	else if (rc == 0)
		print(e->name, sets, bytes);
	return rc;
}

enum status cmd_feeds(const struct options *o)
{
	struct visit v = {.o = o};

	return visit_run(&v, NULL, show);
}
