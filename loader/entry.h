/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of lists, bans and rules, as people and scripts see them. */
#ifndef LOADER_ENTRY_H
#define LOADER_ENTRY_H

#include <jansson.h>

#include "edge/bans.h"
#include "edge/lists.h"
#include "edge/rules.h"
#include "loader/command.h"

/* "operator", "file" */
const char *entry_origin(const struct edge_entry *entry);

/* The number of the note that the command line gives to what it adds, 0: none. Under the lock. */
int entry_make_note(const struct options *o, const struct edge *e, uint16_t *ret,
		    struct error *err);

/* The end that it gives to them: seconds of CLOCK_MONOTONIC; 0: none. */
uint32_t entry_until(const struct options *o);

/* What is there without end, and keeps its place from what would end. */
struct entry_kept {
	char first[EDGE_RULE_TEXT];
	size_t n;
};

/* One more; 0. */
int entry_keep(struct entry_kept *kept, const char *text);

/* Nothing, when there is none. */
void entry_warn_kept(const struct entry_kept *kept, const struct options *o, const struct edge *e);

/* Of an end, not 0. */
uint64_t entry_seconds_left(uint32_t until);

/* "  ends in 30s"; nothing for 0. */
void entry_print_end(uint32_t until);

/* Prefix, origin, and what there is of end and note. */
json_t *entry_json(const struct edge *e, const struct edge_entry *entry);

/* End and note, and the end of the line. */
void entry_print_note(const struct edge *e, const struct edge_entry *entry);

/* The longest that holds the address; NULL: none does. */
const struct edge_banned *entry_find_ban(const struct edge_banned_list *bans,
					 const struct conf_cidr *address);

/* Its end, when it has one, as seconds from now and as Unix time; null for NULL. */
json_t *entry_ban_json(const struct edge_banned *ban);

/* Prefix, end, who and why, and the end of the line. */
void entry_print_ban(const struct edge_banned *ban);

/* The same of one of edge_bans_past; remembered: its seconds. */
json_t *entry_past_ban_json(const struct edge_banned *ban, uint32_t remembered);
void entry_print_past_ban(const struct edge_banned *ban, uint32_t remembered);

/* What it says, of whom and what; end and note, and for print the end of the line. */
json_t *entry_rule_json(const struct edge *e, const struct edge_rule *rule);
void entry_print_rule(const struct edge *e, const struct edge_rule *rule);

/* The same in columns, the interface first. */
void entry_list_rule(const struct edge *e, const struct edge_rule *rule);

#endif
