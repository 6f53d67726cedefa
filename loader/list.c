/* SPDX-License-Identifier: Apache-2.0 */
/* sluice deny, allow and never: add, del, flush; list, count, test, export. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "conf/cidr.h"
#include "edge/edge.h"
#include "edge/lists.h"
#include "loader/addresses.h"
#include "loader/command.h"
#include "loader/entry.h"

struct call {
	const struct options *o;
	enum edge_list list;
	struct addresses addresses; /* of the arguments and of --file */
	struct edges edges;
	struct error err;
	json_t *json;	/* NULL: text */
	bool not_found; /* sluice deny test: an address is not on the list */
};

static int add(struct call *c, struct edge_batch *b)
{
	uint64_t now = clock_mono() / NSEC_PER_SEC;
	struct edge_entry entry = {.origin = ORIGIN_OPERATOR};
	int rc = 0;

	/* The second that has begun is not counted. */
	if (c->o->ttl)
		entry.until = (uint32_t)(now + 1 + (c->o->ttl + NSEC_PER_SEC - 1) / NSEC_PER_SEC);
	if (c->o->note || c->o->by)
		rc = edge_note_make(b->edge, c->o->by ? c->o->by : command_user(),
				    c->o->note ? c->o->note : "", &entry.note, &c->err);
	for (size_t i = 0; rc == 0 && i < c->addresses.n; i++) {
		entry.cidr = c->addresses.items[i];
		rc = edge_list_add(b, c->list, &entry, &c->err);
	}
	return rc;
}

static int del(struct call *c, struct edge_batch *b)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->addresses.n; i++)
		rc = edge_list_del(b, c->list, &c->addresses.items[i], &c->err);
	return rc;
}

static int flush(struct call *c, struct edge_batch *b)
{
	_cleanup_(edge_entries_fini) struct edge_entries entries = {0};
	int rc = edge_list_read(b->edge, c->list, &entries, &c->err);

	for (size_t i = 0; rc == 0 && i < entries.n; i++)
		rc = edge_list_del(b, c->list, &entries.items[i].cidr, &c->err);
	return rc;
}

static const struct change {
	const char *name;
	const char *done;
	int (*stage)(struct call *c, struct edge_batch *b);
} changes[] = {{"add", "added", add}, {"del", "removed", del}, {"flush", "removed", flush}, {0}};

static void report(struct call *c, const struct edge *e, const char *done, size_t n)
{
	if (c->json)
		json_array_append_new(c->json,
				      json_pack("{s:s, s:s, s:I}", "interface", e->name, "list",
						c->o->family, done, (json_int_t)n));
	else
		printf("%s: %s: %zu %s\n", e->name, c->o->family, n, done);
}

/* Stage it everywhere, then let it count everywhere: a failure leaves all lists as they were. */
static int run_change(struct call *c, const struct change *change)
{
	struct edge_batch *batches = calloc(c->edges.n + 1, sizeof(*batches));
	size_t *sizes = calloc(c->edges.n + 1, sizeof(*sizes));
	int rc = batches && sizes ? 0 : error_sys(&c->err, ENOMEM, "lists");
	size_t begun = 0;

	while (rc == 0 && begun < c->edges.n) {
		struct edge_batch *b = &batches[begun];

		rc = edge_sweep(&c->edges.items[begun], &c->err);
		if (rc >= 0)
			rc = edge_batch_begin(b, &c->edges.items[begun], &c->err);
		if (rc < 0)
			break;
		begun++;
		rc = change->stage(c, b);
	}
	for (size_t i = 0; rc < 0 && i < begun; i++)
		edge_batch_abort(&batches[i]);
	if (rc == 0) {
		for (size_t i = 0; i < begun; i++)
			sizes[i] = batches[i].n;
		rc = edge_batch_commit_all(batches, begun, false, &c->err);
	}
	for (size_t i = 0; rc == 0 && i < begun; i++)
		report(c, &c->edges.items[i], change->done, sizes[i]);
	free(batches);
	free(sizes);
	return rc;
}

/* Whether the filters of the command line let an entry through: within a named prefix, or holding it. */
static bool wanted(const struct call *c, const struct edge_entry *entry)
{
	if (c->o->origin && strcmp(c->o->origin, entry_origin(entry)) != 0)
		return false;
	for (size_t i = 0; i < c->addresses.n; i++)
		if (conf_cidr_holds(&c->addresses.items[i], &entry->cidr) ||
		    conf_cidr_holds(&entry->cidr, &c->addresses.items[i]))
			return true;
	return c->addresses.n == 0;
}

static int list(struct call *c, const struct edge *e, const struct edge_entries *entries)
{
	json_t *array = c->json ? json_array() : NULL;

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
	if (c->json)
		json_array_append_new(c->json, json_pack("{s:s, s:s, s:o}", "interface", e->name,
							 "list", c->o->family, "entries", array));
	return 0;
}

static int count(struct call *c, const struct edge *e, const struct edge_entries *entries)
{
	size_t n = 0;

	for (size_t i = 0; i < entries->n; i++)
		n += wanted(c, &entries->items[i]);
	report(c, e, "entries", n);
	return 0;
}

/* As a file that deny: - file: and --file take. */
static int export(struct call *c, const struct edge *e, const struct edge_entries *entries)
{
	for (size_t i = 0; i < entries->n; i++) {
		const struct edge_entry *entry = &entries->items[i];
		char text[CONF_CIDR_TEXT];

		if (!wanted(c, entry))
			continue;
		conf_cidr_format(&entry->cidr, text);
		printf("%-43s #", text);
		entry_print_note(e, entry);
	}
	return 0;
}

static int test(struct call *c, const struct edge *e, const struct edge_entries *entries)
{
	for (size_t i = 0; i < c->addresses.n; i++) {
		const struct edge_entry *found = edge_entries_match(entries,
								    &c->addresses.items[i]);
		char address[CONF_CIDR_TEXT];
		char prefix[CONF_CIDR_TEXT];

		conf_cidr_format(&c->addresses.items[i], address);
		c->not_found |= !found;
		if (c->json) {
			json_array_append_new(
				c->json,
				json_pack("{s:s, s:s, s:s, s:b, s:o}", "interface", e->name, "list",
					  c->o->family, "address", address, "listed", found != NULL,
					  "entry", found ? entry_json(e, found) : json_null()));
			continue;
		}
		if (!found) {
			printf("%-16s %s is not on the %s list\n", e->name, address, c->o->family);
			continue;
		}
		conf_cidr_format(&found->cidr, prefix);
		printf("%-16s %s is on the %s list by %s, %s", e->name, address, c->o->family,
		       prefix, entry_origin(found));
		entry_print_note(e, found);
	}
	return 0;
}

static const struct view {
	const char *name;
	int (*show)(struct call *c, const struct edge *e, const struct edge_entries *entries);
} views[] = {{"list", list}, {"count", count}, {"export", export}, {"test", test}, {0}};

static int run_view(struct call *c, const struct view *view)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->edges.n; i++) {
		_cleanup_(edge_entries_fini) struct edge_entries entries = {0};

		rc = edge_list_read(&c->edges.items[i], c->list, &entries, &c->err);
		if (rc == 0)
			rc = view->show(c, &c->edges.items[i], &entries);
	}
	return rc;
}

static int run(struct call *c)
{
	const struct change *change = changes;
	const struct view *view = views;
	_cleanup_close_ int lock = -1;
	int rc;

	while (change->name && strcmp(change->name, c->o->action) != 0)
		change++;
	while (view->name && strcmp(view->name, c->o->action) != 0)
		view++;
	rc = command_open(c->o, change->name ? &lock : NULL, &c->edges, &c->err);
	if (rc < 0)
		return rc;
	return change->name ? run_change(c, change) : run_view(c, view);
}

static enum edge_list list_of(const char *name)
{
	if (strcmp(name, "never") == 0)
		return EDGE_NEVER;
	return strcmp(name, "deny") == 0 ? EDGE_DENY : EDGE_ALLOW;
}

enum status cmd_list(const struct options *o)
{
	struct call c = {
		.o = o,
		.list = list_of(o->family),
		.json = o->json ? json_array() : NULL,
	};
	int rc = addresses_read(o, &c.addresses, &c.err);
	enum status status = STATUS_DONE;

	if (rc < 0) {
		fprintf(stderr, "sluice %s: %s\n", o->family, c.err.text);
		status = rc == -EINVAL ? STATUS_USAGE : STATUS_FAILED;
	} else {
		rc = run(&c);
		if (rc < 0)
			status = command_fail(&c.err);
		else if (c.not_found)
			status = STATUS_NOT_FOUND;
	}
	if (rc == 0 && c.json) {
		command_print(c.json);
	}
	json_decref(c.json);
	addresses_fini(&c.addresses);
	edges_fini(&c.edges);
	return status;
}
