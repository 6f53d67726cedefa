/* SPDX-License-Identifier: Apache-2.0 */
/* sluice ban: add, del, list, flush. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/text.h"
#include "conf/cidr.h"
#include "conf/cidr_index.h"
#include "edge/bans.h"
#include "loader/addresses.h"
#include "loader/entry.h"
#include "loader/visit.h"

struct verdicts {
	struct edge_ban *items;
	size_t n;
	struct edge_ban model; /* what the command line says of all */
};

struct call {
	struct visit visit;
	struct verdicts verdicts;      /* ban add */
	struct conf_cidrs addresses;   /* the others */
	struct conf_cidr_index filter; /* of addresses: list */
	struct edge_banned *added;     /* ban add: the verdicts' bans, of each interface */
};

static struct call *call_of(struct visit *v)
{
	return container_of(v, struct call, visit);
}

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

static struct edge_ban model_of(const struct options *o)
{
	struct edge_ban model = {.ttl = o->ttl};

	text_clean(model.by, sizeof(model.by), slice_str(o->by ? o->by : command_user()));
	text_clean(model.why, sizeof(model.why), slice_str(o->note));
	return model;
}

static int read_verdicts(struct call *c)
{
	struct verdicts *v = &c->verdicts;
	const struct options *o = c->visit.o;
	int rc = 0;

	v->model = model_of(o);
	for (size_t i = 0; rc == 0 && i < o->n_args; i++)
		rc = add_line(slice_str(o->args[i]), v, &c->visit.err);
	return rc == 0 && o->input ? lines_read(o->input, add_line, v, &c->visit.err) : rc;
}

static void print(const struct edge *e, const struct edge_banned *ban)
{
	char prefix[CONF_CIDR_TEXT];

	conf_cidr_format(&ban->cidr, prefix);
	printf("%-16s %-43s", e->name, prefix);
	entry_print_end(ban->until);
	if (ban->offences > 1)
		printf("  %u times", ban->offences);
	if (*ban->by)
		printf("  %s%s%s", ban->by, *ban->why ? ": " : "", ban->why);
	putchar('\n');
}

/* Where the bans of an interface begin. */
static struct edge_banned *added_on(const struct call *c, const struct edge *e)
{
	return c->added + (size_t)(e - c->visit.edges.items) * c->verdicts.n;
}

static int add(struct visit *v, struct edge_batch *b)
{
	_cleanup_(edge_bans_fini) struct edge_bans bans = {0};
	struct call *c = call_of(v);
	int rc = edge_bans_begin(&bans, b, &v->err);

	if (!c->added)
		c->added = calloc(v->edges.n * c->verdicts.n + 1, sizeof(*c->added));
	if (rc == 0 && !c->added)
		rc = error_sys(&v->err, ENOMEM, "bans");
	for (size_t i = 0; rc == 0 && i < c->verdicts.n; i++)
		rc = edge_ban(&bans, &c->verdicts.items[i], added_on(c, b->edge) + i, &v->err);
	return rc < 0 ? rc : (int)c->verdicts.n;
}

static int del(struct visit *v, struct edge_batch *b)
{
	const struct conf_cidrs *a = &call_of(v)->addresses;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < a->n; i++)
		rc = edge_unban(b, &a->items[i], &v->err);
	return rc < 0 ? rc : (int)a->n;
}

static int flush(struct visit *v, struct edge_batch *b)
{
	_cleanup_(edge_banned_list_fini) struct edge_banned_list list = {0};
	int rc = edge_bans_read(b->edge, &list, &v->err);

	if (rc == 0)
		rc = edge_unban_all(b, &v->err);
	return rc < 0 ? rc : (int)list.n;
}

static void report_added(struct visit *v, const struct edge *e, const char *done, size_t n)
{
	const struct edge_banned *added = added_on(call_of(v), e);
	json_t *array;

	if (!v->json) {
		visit_report(v, e, done, n);
		if (n == 1)
			print(e, added);
		return;
	}
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, entry_ban_json(&added[i]));
	json_array_append_new(v->json, json_pack("{s:s, s:o}", "interface", e->name, done, array));
}

static const struct visit_change changes[] = {
	{"add", "added", add, report_added},
	{"del", "removed", del, visit_report},
	{"flush", "removed", flush, visit_report},
	{0},
};

static bool wanted(const struct call *c, const struct edge_banned *ban)
{
	return addresses_not_given(c->visit.o) || conf_cidr_index_touching(&c->filter, &ban->cidr);
}

static int compare(const void *a, const void *b)
{
	const struct edge_banned *x = a, *y = b;

	return conf_cidr_compare(&x->cidr, &y->cidr);
}

static int list(struct visit *v, const struct edge *e)
{
	_cleanup_(edge_banned_list_fini) struct edge_banned_list bans = {0};
	struct call *c = call_of(v);
	int rc = edge_bans_read(e, &bans, &v->err);
	json_t *array = v->json ? json_array() : NULL;

	conf_cidr_index_init(&c->filter, c->addresses.items, c->addresses.n,
			     sizeof(*c->addresses.items));
	if (bans.n)
		qsort(bans.items, bans.n, sizeof(*bans.items), compare);
	for (size_t i = 0; i < bans.n; i++) {
		if (!wanted(c, &bans.items[i]))
			continue;
		if (array)
			json_array_append_new(array, entry_ban_json(&bans.items[i]));
		else
			print(e, &bans.items[i]);
	}
	if (v->json)
		json_array_append_new(v->json,
				      json_pack("{s:s, s:I, s:o}", "interface", e->name, "capacity",
						(json_int_t)edge_bans_capacity(e), "bans", array));
	return rc;
}

/* What was read of the command line gave rc. Ends the call. */
static enum status finish(struct call *c, int rc)
{
	enum status status = rc < 0 ? visit_refuse(&c->visit) : visit_run(&c->visit, changes, list);

	free(c->verdicts.items);
	free(c->added);
	addresses_fini(&c->addresses);
	return status;
}

struct following {
	const struct options *o;
	bool refused; /* a line was */
	size_t line;  /* of the file; 0: an argument */
};

/* Whoever writes the lines may wait for what is said about each. */
static int follow_line(struct slice line, void *arg, struct error *err __attribute__((unused)))
{
	struct following *f = arg;
	struct call c = {.visit.o = f->o, .verdicts.model = model_of(f->o)};
	int rc = add_line(line, &c.verdicts, &c.visit.err);

	if (rc < 0 && f->line)
		error_prefix(&c.visit.err, "%s:%zu", lines_name(f->o->input), f->line);
	if (rc < 0 || c.verdicts.n)
		f->refused |= finish(&c, rc) != STATUS_DONE;
	fflush(stdout);
	f->line += f->line != 0;
	return 0;
}

static enum status follow(const struct options *o)
{
	struct following f = {.o = o};
	struct error err = {0};

	if (!o->input) {
		fprintf(stderr, "sluice ban: --follow is for --file\n");
		return STATUS_USAGE;
	}
	for (size_t i = 0; i < o->n_args; i++)
		follow_line(slice_str(o->args[i]), &f, &err);
	f.line = 1;
	if (lines_read(o->input, follow_line, &f, &err) < 0) {
		fprintf(stderr, "sluice ban: %s\n", err.text);
		f.refused = true;
	}
	return f.refused ? STATUS_FAILED : STATUS_DONE;
}

enum status cmd_ban(const struct options *o)
{
	struct call c = {.visit.o = o};
	int rc;

	if (o->follow)
		return follow(o);
	if (strcmp(o->action, "add") == 0)
		return finish(&c, read_verdicts(&c));
	rc = addresses_read(o, &c.addresses, &c.visit.err);
	if (rc == 0)
		addresses_unique(&c.addresses);
	return finish(&c, rc);
}
