/* SPDX-License-Identifier: Apache-2.0 */
/* sluice deny, allow and never: add, del, flush; list, count, test, export. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "conf/cidr.h"
#include "conf/cidr_index.h"
#include "edge/edge.h"
#include "edge/feeds.h"
#include "edge/lists.h"
#include "edge/never.h"
#include "loader/addresses.h"
#include "loader/entry.h"
#include "loader/visit.h"

struct call {
	struct visit visit;
	enum edge_list list;
	struct conf_cidrs addresses;   /* of the arguments and of --file */
	struct conf_cidr_index filter; /* of addresses: list, count, export */
	size_t *lifted;		       /* sluice never add: bans, of each interface */
	bool not_found;		       /* sluice deny test: an address is not on the list */
};

static struct call *call_of(struct visit *v)
{
	return container_of(v, struct call, visit);
}

/* Who is never banned is so from now on. */
static int lift(struct call *c, struct edge_batch *b)
{
	struct visit *v = &c->visit;
	int rc;

	if (!c->lifted)
		c->lifted = calloc(v->edges.n, sizeof(*c->lifted));
	if (!c->lifted)
		return error_sys(&v->err, ENOMEM, "bans");
	rc = edge_never_lift(b, &c->addresses, command_warn, &v->err);
	if (rc >= 0)
		c->lifted[b->edge - v->edges.items] = (size_t)rc;
	return rc < 0 ? rc : 0;
}

static int add(struct visit *v, struct edge_batch *b)
{
	struct call *c = call_of(v);
	struct edge_entry entry = {.origin = ORIGIN_OPERATOR, .until = entry_until(v->o)};
	char text[CONF_CIDR_TEXT];
	int rc = entry_make_note(v->o, b->edge, &entry.note, &v->err);
	struct entry_kept kept = {0};

	for (size_t i = 0; rc == 0 && i < c->addresses.n; i++) {
		entry.cidr = c->addresses.items[i];
		rc = edge_list_add(b, c->list, &entry, &v->err);
		if (rc > 0) {
			conf_cidr_format(&entry.cidr, text);
			rc = entry_keep(&kept, text);
		}
	}
	if (rc == 0)
		entry_warn_kept(&kept, v->o, b->edge);
	if (rc == 0 && c->list == EDGE_NEVER)
		rc = lift(c, b);
	return rc < 0 ? rc : (int)(c->addresses.n - kept.n);
}

static int del(struct visit *v, struct edge_batch *b)
{
	const struct call *c = call_of(v);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->addresses.n; i++)
		rc = edge_list_del(b, c->list, &c->addresses.items[i], &v->err);
	return rc < 0 ? rc : (int)c->addresses.n;
}

static int flush(struct visit *v, struct edge_batch *b)
{
	_cleanup_(edge_entries_fini) struct edge_entries entries = {0};
	const struct call *c = call_of(v);
	int rc = edge_list_read(b->edge, c->list, &entries, &v->err);

	for (size_t i = 0; rc == 0 && i < entries.n; i++)
		rc = edge_list_del(b, c->list, &entries.items[i].cidr, &v->err);
	return rc < 0 ? rc : (int)entries.n;
}

static void report(struct visit *v, const struct edge *e, const char *done, size_t n)
{
	if (v->json)
		json_array_append_new(v->json,
				      json_pack("{s:s, s:s, s:I}", "interface", e->name, "list",
						v->o->family, done, (json_int_t)n));
	else
		visit_report(v, e, done, n);
}

static void report_added(struct visit *v, const struct edge *e, const char *done, size_t n)
{
	const struct call *c = call_of(v);
	size_t lifted = c->lifted ? c->lifted[e - v->edges.items] : 0;

	report(v, e, done, n);
	if (!c->lifted)
		return;
	if (v->json)
		json_object_set_new(json_array_get(v->json, json_array_size(v->json) - 1),
				    "bans_lifted", json_integer((json_int_t)lifted));
	else if (lifted)
		printf("%s: ban: %zu lifted\n", e->name, lifted);
}

static const struct visit_change changes[] = {
	{"add", "added", add, report_added},
	{"del", "removed", del, report},
	{"flush", "removed", flush, report},
	{0},
};

/* Whether the filters of the command line let an entry through: within a named prefix, or holding it. */
static bool wanted(const struct call *c, const struct edge_entry *entry)
{
	if (c->visit.o->origin && strcmp(c->visit.o->origin, entry_origin(entry)) != 0)
		return false;
	return addresses_not_given(c->visit.o) ||
	       conf_cidr_index_touching(&c->filter, &entry->cidr);
}

static int list(struct call *c, const struct edge *e, const struct edge_entries *entries)
{
	json_t *array = c->visit.json ? json_array() : NULL;

	for (size_t i = 0; i < entries->n; i++) {
		const struct edge_entry *entry = &entries->items[i];
		char text[CONF_CIDR_TEXT];

		if (!wanted(c, entry))
			continue;
		if (array) {
			json_array_append_new(array, entry_json(e, entry));
			continue;
		}
		conf_cidr_format(&entry->cidr, text);
		printf("%-16s %-43s %-8s", e->name, text, entry_origin(entry));
		entry_print_note(e, entry);
	}
	if (c->visit.json)
		json_array_append_new(c->visit.json,
				      json_pack("{s:s, s:s, s:o}", "interface", e->name, "list",
						c->visit.o->family, "entries", array));
	return 0;
}

static int count(struct call *c, const struct edge *e, const struct edge_entries *entries)
{
	size_t n = 0;

	for (size_t i = 0; i < entries->n; i++)
		n += wanted(c, &entries->items[i]);
	report(&c->visit, e, "entries", n);
	return 0;
}

/* As a file that deny: - file: and --file take. */
static int export(struct call *c, const struct edge *e, const struct edge_entries *entries)
{
	if (c->visit.json)
		return list(c, e, entries);
	for (size_t i = 0; i < entries->n; i++) {
		const struct edge_entry *entry = &entries->items[i];
		char text[CONF_CIDR_TEXT];

		if (!wanted(c, entry))
			continue;
		conf_cidr_format(&entry->cidr, text);
		if (entry->until || entry->note) {
			printf("%-43s #", text);
			entry_print_note(e, entry);
		} else {
			printf("%s\n", text);
		}
	}
	return 0;
}

/* Which may deny what the list does not. */
static bool has_feeds(const struct edge *e)
{
	struct edge_set sets[FEED_SETS];
	size_t bytes;

	if (edge_sets_read(e, sets, &bytes, NULL) < 0)
		return false;
	for (int i = 1; i < FEED_SETS; i++)
		if (sets[i].set.name[0])
			return true;
	return false;
}

static int test(struct call *c, const struct edge *e, const struct edge_entries *entries)
{
	bool feeds = c->list == EDGE_DENY && has_feeds(e);
	struct conf_cidr_index index;

	conf_cidr_index_init(&index, entries->items, entries->n, sizeof(*entries->items));
	for (size_t i = 0; i < c->addresses.n; i++) {
		const struct edge_entry *found = conf_cidr_index_longest(&index,
									 &c->addresses.items[i]);
		char address[CONF_CIDR_TEXT];
		char prefix[CONF_CIDR_TEXT];

		conf_cidr_format(&c->addresses.items[i], address);
		c->not_found |= !found;
		if (c->visit.json) {
			json_array_append_new(
				c->visit.json,
				json_pack("{s:s, s:s, s:s, s:b, s:o}", "interface", e->name, "list",
					  c->visit.o->family, "address", address, "listed",
					  found != NULL, "entry",
					  found ? entry_json(e, found) : json_null()));
			continue;
		}
		if (!found) {
			printf("%-16s %s is not on the %s list%s\n", e->name, address,
			       c->visit.o->family,
			       feeds ? " (whether in a feed, 'sluice why' says)" : "");
			continue;
		}
		conf_cidr_format(&found->cidr, prefix);
		printf("%-16s %s is on the %s list by %s, %s", e->name, address, c->visit.o->family,
		       prefix, entry_origin(found));
		entry_print_note(e, found);
	}
	return 0;
}

static const struct view {
	const char *name;
	int (*show)(struct call *c, const struct edge *e, const struct edge_entries *entries);
} views[] = {{"list", list}, {"count", count}, {"export", export}, {"test", test}, {0}};

static int show(struct visit *v, const struct edge *e)
{
	_cleanup_(edge_entries_fini) struct edge_entries entries = {0};
	struct call *c = call_of(v);
	const struct view *view = views;
	int rc = edge_list_read(e, c->list, &entries, &v->err);

	if (strcmp(v->o->action, "test") != 0)
		conf_cidr_index_init(&c->filter, c->addresses.items, c->addresses.n,
				     sizeof(*c->addresses.items));
	while (view->name && strcmp(view->name, v->o->action) != 0)
		view++;
	return rc == 0 && view->name ? view->show(c, e, &entries) : rc;
}

static enum edge_list list_of(const char *name)
{
	if (strcmp(name, "never") == 0)
		return EDGE_NEVER;
	return strcmp(name, "deny") == 0 ? EDGE_DENY : EDGE_ALLOW;
}

enum status cmd_list(const struct options *o)
{
	struct call c = {.visit.o = o, .list = list_of(o->family)};
	int rc = addresses_read(o, &c.addresses, &c.visit.err);
	bool change = strcmp(o->action, "add") == 0 || strcmp(o->action, "del") == 0;
	enum status status;

	if (rc == 0 && change)
		addresses_unique(&c.addresses);
	status = rc < 0 ? visit_refuse(&c.visit) : visit_run(&c.visit, changes, show);
	addresses_fini(&c.addresses);
	free(c.lifted);
	return status == STATUS_DONE && c.not_found ? STATUS_NOT_FOUND : status;
}
