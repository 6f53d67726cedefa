/* SPDX-License-Identifier: Apache-2.0 */
#include "loader/entry.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "conf/cidr.h"

const char *entry_origin(const struct edge_entry *entry)
{
	return entry->origin == ORIGIN_FILE ? "file" : "operator";
}

static uint64_t seconds_left(const struct edge_entry *entry)
{
	uint64_t now = clock_mono() / NSEC_PER_SEC;

	return entry->until > now ? entry->until - now : 0;
}

json_t *entry_json(const struct edge *e, const struct edge_entry *entry)
{
	char text[CONF_CIDR_TEXT];
	struct note note;
	json_t *all;

	conf_cidr_format(&entry->cidr, text);
	all = json_pack("{s:s, s:s}", "prefix", text, "origin", entry_origin(entry));
	if (entry->until)
		json_object_set_new(all, "expires_in",
				    json_integer((json_int_t)seconds_left(entry)));
	edge_note_read(e, entry->note, &note);
	if (*note.by)
		json_object_set_new(all, "by", json_string(note.by));
	if (*note.why)
		json_object_set_new(all, "why", json_string(note.why));
	return all;
}

void entry_print_note(const struct edge *e, const struct edge_entry *entry)
{
	struct note note;

	edge_note_read(e, entry->note, &note);
	if (entry->until)
		printf("  ends in %" PRIu64 "s", seconds_left(entry));
	if (*note.by)
		printf("  %s%s%s", note.by, *note.why ? ": " : "", note.why);
	putchar('\n');
}
