/* SPDX-License-Identifier: Apache-2.0 */
/* sluice deny and allow: add, del, list, flush. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/cidr.h"
#include "edge/edge.h"
#include "edge/lists.h"
#include "loader/command.h"

static const char *const origins[] = {"operator", "file"};

struct visit {
	enum edge_list list;
	const char *name; /* "deny", "allow" */
	const struct conf_cidr *cidrs;
	size_t n;
	struct error err;
	json_t *json; /* NULL: text */
};

static void changed(const struct edge *e, struct visit *v, const char *verb, size_t n)
{
	if (v->json)
		json_array_append_new(v->json, json_pack("{s:s, s:s, s:I}", "interface", e->name,
							 "list", v->name, verb, (json_int_t)n));
	else
		printf("%s: %s: %zu %s\n", e->name, v->name, n, verb);
}

static const struct edge_entry *find(const struct edge_entries *entries,
				     const struct conf_cidr *cidr)
{
	for (size_t i = 0; i < entries->n; i++)
		if (conf_cidr_compare(&entries->items[i].cidr, cidr) == 0)
			return &entries->items[i];
	return NULL;
}

/* All or none: on failure what was there before is there again, a file's entry as the file's. */
static int add(const struct edge *e, struct visit *v)
{
	_cleanup_(edge_entries_fini) struct edge_entries before = {0};
	int rc = edge_list_read(e, v->list, &before, &v->err);
	size_t i = 0;

	while (rc == 0 && i < v->n) {
		rc = edge_list_add(e, v->list, &v->cidrs[i], ORIGIN_OPERATOR, &v->err);
		i += rc == 0;
	}
	if (rc == 0)
		changed(e, v, "added", v->n);
	while (rc < 0 && i--) {
		const struct edge_entry *old = find(&before, &v->cidrs[i]);

		if (old)
			edge_list_add(e, v->list, &old->cidr, old->origin, NULL);
		else
			edge_list_del(e, v->list, &v->cidrs[i], NULL);
	}
	return rc;
}

/* All or none: what is not on the list is found before anything is removed. */
static int del(const struct edge *e, struct visit *v)
{
	_cleanup_(edge_entries_fini) struct edge_entries entries = {0};
	int rc = edge_list_read(e, v->list, &entries, &v->err);

	for (size_t i = 0; rc == 0 && i < v->n; i++) {
		char text[CONF_CIDR_TEXT];

		if (find(&entries, &v->cidrs[i]))
			continue;
		conf_cidr_format(&v->cidrs[i], text);
		rc = error_set(&v->err, ENOENT, "%s is not on the %s list of %s", text, v->name,
			       e->name);
	}
	for (size_t i = 0; rc == 0 && i < v->n; i++)
		rc = edge_list_del(e, v->list, &v->cidrs[i], &v->err);
	if (rc == 0)
		changed(e, v, "removed", v->n);
	return rc;
}

static int list(const struct edge *e, struct visit *v)
{
	_cleanup_(edge_entries_fini) struct edge_entries entries = {0};
	int rc = edge_list_read(e, v->list, &entries, &v->err);
	json_t *array = v->json ? json_array() : NULL;

	for (size_t i = 0; i < entries.n; i++) {
		const char *origin = origins[entries.items[i].origin == ORIGIN_FILE];
		char text[CONF_CIDR_TEXT];

		conf_cidr_format(&entries.items[i].cidr, text);
		if (array)
			json_array_append_new(
				array, json_pack("{s:s, s:s}", "prefix", text, "origin", origin));
		else
			printf("%-16s %-43s %s\n", e->name, text, origin);
	}
	if (v->json)
		json_array_append_new(v->json, json_pack("{s:s, s:s, s:o}", "interface", e->name,
							 "list", v->name, "entries", array));
	return rc;
}

static int flush(const struct edge *e, struct visit *v)
{
	_cleanup_(edge_entries_fini) struct edge_entries entries = {0};
	int rc = edge_list_read(e, v->list, &entries, &v->err);

	for (size_t i = 0; rc == 0 && i < entries.n; i++) {
		rc = edge_list_del(e, v->list, &entries.items[i].cidr, &v->err);
		if (rc == -ENOENT)
			rc = 0;
	}
	if (rc == 0)
		changed(e, v, "removed", entries.n);
	return rc;
}

static const struct action {
	const char *name;
	int (*run)(const struct edge *e, struct visit *v);
	bool changes;
} actions[] = {
	{"add", add, true},
	{"del", del, true},
	{"list", list, false},
	{"flush", flush, true},
};

struct call {
	const struct action *action;
	struct visit visit;
};

static int visit(const char *name, void *arg)
{
	struct call *c = arg;
	struct edge e;
	int rc = edge_open(name, &e, &c->visit.err);

	if (rc < 0)
		return rc;
	rc = c->action->run(&e, &c->visit);
	edge_close(&e);
	return rc;
}

static enum status parse(const struct options *o, struct conf_cidr *out)
{
	for (size_t i = 0; i < o->n_args; i++) {
		const char *why = conf_cidr_parse(slice_str(o->args[i]), &out[i]);

		if (why) {
			fprintf(stderr, "sluice %s: '%s' %s\n", o->family, o->args[i], why);
			return STATUS_USAGE;
		}
	}
	return STATUS_DONE;
}

enum status cmd_list(const struct options *o)
{
	_cleanup_free_ struct conf_cidr *cidrs = calloc(o->n_args + 1, sizeof(*cidrs));
	_cleanup_close_ int lock = -1;
	struct call c = {0};
	int rc;

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(o->action, actions[i].name) == 0)
			c.action = &actions[i];
	if (!c.action || !cidrs)
		return STATUS_FAILED;
	if (parse(o, cidrs) != STATUS_DONE)
		return STATUS_USAGE;
	c.visit = (struct visit){
		.list = strcmp(o->family, "deny") == 0 ? EDGE_DENY : EDGE_ALLOW,
		.name = o->family,
		.cidrs = cidrs,
		.n = o->n_args,
		.json = o->json ? json_array() : NULL,
	};
	if (c.action->changes) {
		lock = edge_lock(&c.visit.err);
		if (lock < 0)
			return command_fail(&c.visit.err);
	}
	rc = command_each(o, visit, &c, &c.visit.err);
	if (rc == 0 && c.visit.json) {
		json_dumpf(c.visit.json, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(c.visit.json);
	return rc < 0 ? command_fail(&c.visit.err) : STATUS_DONE;
}
