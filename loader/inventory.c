/* SPDX-License-Identifier: Apache-2.0 */
#include "loader/inventory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "edge/inventory.h"

void inventory_age(uint64_t nsec, char ret[16])
{
	static const struct {
		uint64_t seconds;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	uint64_t seconds = nsec / NSEC_PER_SEC;
	size_t i = 0;
	int at;

	while (i < 3 && seconds < units[i].seconds)
		i++;
	at = snprintf(ret, 16, "%" PRIu64 "%c", seconds / units[i].seconds % 1000000,
		      units[i].unit);
	seconds %= units[i].seconds;
	if (i < 3 && seconds >= units[i + 1].seconds)
		snprintf(ret + at, (size_t)(16 - at), "%" PRIu64 "%c",
			 seconds / units[i + 1].seconds, units[i + 1].unit);
}

static uint64_t age_of(const struct edge_status *s)
{
	uint64_t now = clock_wall();

	return s->loaded_at && now > s->loaded_at ? now - s->loaded_at : 0;
}

static void tag_text(const struct edge_status *s, char ret[17])
{
	for (size_t i = 0; i < sizeof(s->program_tag); i++)
		snprintf(ret + 2 * i, 3, "%02x", s->program_tag[i]);
}

static uint64_t kibibytes(uint64_t bytes)
{
	return (bytes + 1023) / 1024;
}

static void print_features(void)
{
	const struct edge_feature *features = edge_features();
	const char *before = "; not ";

	printf("  kernel     ");
	for (const struct edge_feature *f = features; f->name; f++)
		if (f->found)
			printf(" %s", f->name);
	for (const struct edge_feature *f = features; f->name; f++) {
		if (f->found)
			continue;
		printf("%s%s (%s)", before, f->name, f->use);
		before = ", ";
	}
	putchar('\n');
}

int inventory_print(const struct edge *e, const struct edge_status *s, struct error *err)
{
	_cleanup_free_ struct edge_map_size *maps = NULL;
	uint64_t bytes = 0;
	char tag[17], age[16];
	size_t n;
	int rc = edge_map_sizes(e->name, &maps, &n, err);

	if (rc < 0)
		return rc;
	tag_text(s, tag);
	inventory_age(age_of(s), age);
	printf("  loaded      %s ago, tag %s, %" PRIu64 " KiB of machine code\n", age, tag,
	       kibibytes(s->program_bytes));
	for (size_t i = 0; i < n; i++)
		bytes += maps[i].bytes;
	printf("  maps        %" PRIu64 " KiB:\n", kibibytes(bytes));
	for (size_t i = 0; i < n; i++) {
		const struct edge_map_size *m = &maps[i];

		printf("    %-15s %-13s", m->name, m->type);
		if (m->counted)
			printf(" %8" PRIu32 " of %-8" PRIu32, m->entries, m->max_entries);
		else
			printf(" %20s", "");
		printf(" %8" PRIu64 " KiB\n", kibibytes(m->bytes));
	}
	print_features();
	return 0;
}

int inventory_json(const struct edge *e, const struct edge_status *s, json_t *to, struct error *err)
{
	_cleanup_free_ struct edge_map_size *maps = NULL;
	json_t *features, *all;
	char tag[17];
	size_t n;
	int rc = edge_map_sizes(e->name, &maps, &n, err);

	if (rc < 0)
		return rc;
	tag_text(s, tag);
	json_object_set_new(to, "program_tag", json_string(tag));
	json_object_set_new(to, "program_bytes", json_integer(s->program_bytes));
	all = json_object();
	for (size_t i = 0; i < n; i++)
		json_object_set_new(
			all, maps[i].name,
			json_pack("{s:s, s:o, s:I, s:I}", "type", maps[i].type, "entries",
				  maps[i].counted ? json_integer(maps[i].entries) : json_null(),
				  "max_entries", (json_int_t)maps[i].max_entries, "bytes",
				  (json_int_t)maps[i].bytes));
	json_object_set_new(to, "maps", all);
	features = json_object();
	for (const struct edge_feature *f = edge_features(); f->name; f++)
		json_object_set_new(features, f->name, json_boolean(f->found));
	json_object_set_new(to, "features", features);
	return 0;
}
