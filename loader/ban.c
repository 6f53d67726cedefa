/* SPDX-License-Identifier: Apache-2.0 */
/* sluice ban: add, del, list, flush. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "conf/cidr.h"
#include "edge/bans.h"
#include "loader/addresses.h"
#include "loader/command.h"

struct verdicts {
	struct edge_ban *items;
	size_t n;
	struct edge_ban model; /* what the command line says of all */
};

struct call {
	const struct options *o;
	struct verdicts verdicts;   /* ban add */
	struct addresses addresses; /* the others */
	struct edges edges;
	struct error err;
	json_t *json; /* NULL: text */
};

static int add_line(struct slice line, void *arg, struct error *err)
{
	struct verdicts *v = arg;
	struct edge_ban ban = v->model;
	int rc = edge_ban_parse(line, &ban, err);

	if (rc <= 0)
		return rc;
	/* Grows at powers of two. */
	if ((v->n & (v->n - 1)) == 0) {
		void *grown = reallocarray(v->items, v->n ? v->n * 2 : 1, sizeof(*v->items));

		if (!grown)
			return error_sys(err, ENOMEM, "bans");
		v->items = grown;
	}
	v->items[v->n++] = ban;
	return 0;
}

static int read_verdicts(struct call *c)
{
	struct verdicts *v = &c->verdicts;
	const struct options *o = c->o;
	int rc = 0;

	v->model.ttl = o->ttl;
	edge_ban_text(v->model.by, sizeof(v->model.by), o->by ? o->by : command_user());
	edge_ban_text(v->model.why, sizeof(v->model.why), o->note ? o->note : "");
	for (size_t i = 0; rc == 0 && i < o->n_args; i++)
		rc = add_line(slice_str(o->args[i]), v, &c->err);
	return rc == 0 && o->input ? lines_read(o->input, add_line, v, &c->err) : rc;
}

static uint64_t seconds_left(const struct edge_banned *ban)
{
	uint64_t now = clock_mono() / NSEC_PER_SEC;

	return ban->until > now ? ban->until - now : 0;
}

static json_t *text(const char *s)
{
	json_t *string = json_string(s);

	return string ? string : json_string("?"); /* not UTF-8 */
}

static json_t *to_json(const struct edge_banned *ban)
{
	char prefix[CONF_CIDR_TEXT];
	json_t *all;

	conf_cidr_format(&ban->cidr, prefix);
	all = json_pack("{s:s, s:I, s:o, s:o}", "prefix", prefix, "offences",
			(json_int_t)ban->offences, "by", text(ban->by), "reason", text(ban->why));
	if (ban->until) {
		uint64_t left = seconds_left(ban);

		json_object_set_new(all, "expires_in", json_integer((json_int_t)left));
		json_object_set_new(all, "until",
				    json_integer((json_int_t)(clock_wall() / NSEC_PER_SEC + left)));
	}
	return all;
}

static void print(const struct edge *e, const struct edge_banned *ban)
{
	char prefix[CONF_CIDR_TEXT];

	conf_cidr_format(&ban->cidr, prefix);
	printf("%-16s %-43s", e->name, prefix);
	if (ban->until)
		printf(" ends in %" PRIu64 "s", seconds_left(ban));
	if (ban->offences > 1)
		printf("  %u times", ban->offences);
	if (*ban->by)
		printf("  %s%s%s", ban->by, *ban->why ? ": " : "", ban->why);
	putchar('\n');
}

/* What a change has done on one interface. */
struct done {
	struct edge_bans bans;
	struct edge_banned *added; /* ban add */
	size_t n;
};

static int add(struct call *c, struct done *d)
{
	const struct verdicts *v = &c->verdicts;
	int rc = 0;

	d->added = calloc(v->n + 1, sizeof(*d->added));
	if (!d->added)
		return error_sys(&c->err, ENOMEM, "bans");
	for (size_t i = 0; rc == 0 && i < v->n; i++)
		rc = edge_ban(&d->bans, &v->items[i], &d->added[i], &c->err);
	d->n = v->n;
	return rc;
}

static int del(struct call *c, struct done *d)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->addresses.n; i++)
		rc = edge_unban(&d->bans, &c->addresses.items[i], &c->err);
	d->n = c->addresses.n;
	return rc;
}

static int flush(struct call *c, struct done *d)
{
	_cleanup_(edge_banned_list_fini) struct edge_banned_list list = {0};
	int rc = edge_bans_read(d->bans.batch.edge, &list, &c->err);

	d->n = list.n;
	return rc == 0 ? edge_unban_all(&d->bans, &c->err) : rc;
}

static const struct change {
	const char *name;
	const char *done;
	int (*stage)(struct call *c, struct done *d);
} changes[] = {{"add", "added", add}, {"del", "removed", del}, {"flush", "removed", flush}, {0}};

static void report(struct call *c, const struct edge *e, const char *verb, const struct done *d)
{
	json_t *array;

	if (!c->json) {
		printf("%s: ban: %zu %s\n", e->name, d->n, verb);
		if (d->added && d->n == 1)
			print(e, d->added);
		return;
	}
	if (!d->added) {
		json_array_append_new(c->json, json_pack("{s:s, s:I}", "interface", e->name, verb,
							 (json_int_t)d->n));
		return;
	}
	array = json_array();
	for (size_t i = 0; i < d->n; i++)
		json_array_append_new(array, to_json(&d->added[i]));
	json_array_append_new(c->json, json_pack("{s:s, s:o}", "interface", e->name, verb, array));
}

/* Let it count everywhere. Ends the changes. */
static int commit(struct call *c, struct done *all, size_t n)
{
	struct edge_batch *batches = calloc(n + 1, sizeof(*batches));
	int rc;

	for (size_t i = 0; batches && i < n; i++) {
		batches[i] = all[i].bans.batch;
		all[i].bans.batch = (struct edge_batch){0};
		edge_entries_fini(&all[i].bans.never);
	}
	rc = batches ? edge_batch_commit_all(batches, n, false, &c->err)
		     : error_sys(&c->err, ENOMEM, "bans");
	free(batches);
	return rc;
}

/* Stage it everywhere, then let it count everywhere: a failure leaves all as it was. */
static int run_change(struct call *c, const struct change *change)
{
	struct done *all = calloc(c->edges.n + 1, sizeof(*all));
	int rc = all ? 0 : error_sys(&c->err, ENOMEM, "bans");
	size_t begun = 0;

	while (rc == 0 && begun < c->edges.n) {
		rc = edge_bans_begin(&all[begun].bans, &c->edges.items[begun], &c->err);
		if (rc < 0)
			break;
		rc = change->stage(c, &all[begun++]);
	}
	if (rc == 0)
		rc = commit(c, all, begun);
	for (size_t i = 0; i < begun; i++) {
		edge_bans_abort(&all[i].bans); /* nothing to do after a commit */
		if (rc == 0)
			report(c, &c->edges.items[i], change->done, &all[i]);
		free(all[i].added);
	}
	free(all);
	return rc;
}

static bool wanted(const struct call *c, const struct edge_banned *ban)
{
	for (size_t i = 0; i < c->addresses.n; i++)
		if (conf_cidr_holds(&c->addresses.items[i], &ban->cidr) ||
		    conf_cidr_holds(&ban->cidr, &c->addresses.items[i]))
			return true;
	return c->addresses.n == 0;
}

static int compare(const void *a, const void *b)
{
	const struct edge_banned *x = a, *y = b;

	return conf_cidr_compare(&x->cidr, &y->cidr);
}

static int list(struct call *c, const struct edge *e)
{
	_cleanup_(edge_banned_list_fini) struct edge_banned_list bans = {0};
	int rc = edge_bans_read(e, &bans, &c->err);
	json_t *array = c->json ? json_array() : NULL;

	if (bans.n)
		qsort(bans.items, bans.n, sizeof(*bans.items), compare);
	for (size_t i = 0; i < bans.n; i++) {
		if (!wanted(c, &bans.items[i]))
			continue;
		if (array)
			json_array_append_new(array, to_json(&bans.items[i]));
		else
			print(e, &bans.items[i]);
	}
	if (c->json)
		json_array_append_new(c->json,
				      json_pack("{s:s, s:I, s:o}", "interface", e->name, "capacity",
						(json_int_t)edge_bans_capacity(e), "bans", array));
	return rc;
}

static int run(struct call *c)
{
	const struct change *change = changes;
	_cleanup_close_ int lock = -1;
	int rc;

	while (change->name && strcmp(change->name, c->o->action) != 0)
		change++;
	rc = command_open(c->o, change->name ? &lock : NULL, &c->edges, &c->err);
	if (rc == 0 && change->name)
		return run_change(c, change);
	for (size_t i = 0; rc == 0 && i < c->edges.n; i++)
		rc = list(c, &c->edges.items[i]);
	return rc;
}

enum status cmd_ban(const struct options *o)
{
	struct call c = {.o = o, .json = o->json ? json_array() : NULL};
	bool is_add = strcmp(o->action, "add") == 0;
	int rc = is_add ? read_verdicts(&c) : addresses_read(o, &c.addresses, &c.err);
	enum status status = STATUS_DONE;

	if (rc < 0) {
		fprintf(stderr, "sluice ban: %s\n", c.err.text);
		status = rc == -EINVAL ? STATUS_USAGE : command_status(&c.err);
	} else if (run(&c) < 0) {
		status = command_fail(&c.err);
	} else if (c.json) {
		command_print(c.json);
	}
	json_decref(c.json);
	free(c.verdicts.items);
	addresses_fini(&c.addresses);
	edges_fini(&c.edges);
	return status;
}
