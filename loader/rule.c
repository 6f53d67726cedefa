/* SPDX-License-Identifier: Apache-2.0 */
/* sluice rule: add, del, list, flush. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/cidr.h"
#include "edge/rules.h"
#include "loader/command.h"

static const char *const verbs[] = {
	[RULE_DENY] = "deny",
	[RULE_ALLOW] = "allow",
	[RULE_ONLY] = "only",
};
static const char *const origins[] = {"operator", "file"};

struct call {
	const struct options *o;
	struct edge_rules rules; /* of the arguments: every prefix with every port */
	struct edges edges;
	struct error err;
	json_t *json; /* NULL: text */
};

static bool is_port(const char *arg)
{
	return strncmp(arg, "tcp/", 4) == 0 || strncmp(arg, "udp/", 4) == 0;
}

/* The action, which stands first; del needs none. */
static int read_verb(const struct options *o, enum rule_action *ret, size_t *ret_first,
		     struct error *err)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (o->n_args && strcmp(o->args[0], verbs[i]) == 0) {
			*ret = (enum rule_action)i;
			*ret_first = 1;
			return 0;
		}
	*ret_first = 0;
	if (strcmp(o->action, "add") == 0)
		return error_set(err, EINVAL, "'%s' is not one of deny, allow and only",
				 o->args[0]);
	return 0;
}

/* Every address with every port; they may stand in any order. */
static int read_rules(const struct options *o, struct edge_rules *rules, struct error *err)
{
	enum rule_action action = RULE_DENY;
	size_t first;
	int rc = read_verb(o, &action, &first, err);

	if (rc < 0)
		return rc;
	rules->items = calloc(o->n_args * o->n_args + 1, sizeof(*rules->items));
	if (!rules->items)
		return error_sys(err, ENOMEM, "rules");
	for (size_t a = first; a < o->n_args; a++) {
		struct edge_rule rule = {.action = action, .origin = ORIGIN_OPERATOR};
		const char *why = is_port(o->args[a])
					  ? conf_port_parse(slice_str(o->args[a]), &rule.to)
					  : conf_cidr_parse(slice_str(o->args[a]), &rule.cidr);

		if (why)
			return error_set(err, EINVAL, "'%s' %s", o->args[a], why);
		for (size_t p = first; !is_port(o->args[a]) && p < o->n_args; p++)
			if (is_port(o->args[p]) &&
			    !conf_port_parse(slice_str(o->args[p]), &rule.to))
				rules->items[rules->n++] = rule;
	}
	return rules->n ? 0
			: error_set(err, EINVAL,
				    "an address and a port such as tcp/22 are expected");
}

static int add(struct call *c, struct edge_batch *b, size_t *ret_n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->rules.n; i++)
		rc = edge_rule_add(b, &c->rules.items[i], &c->err);
	*ret_n = c->rules.n;
	return rc;
}

static int del(struct call *c, struct edge_batch *b, size_t *ret_n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->rules.n; i++)
		rc = edge_rule_del(b, &c->rules.items[i], &c->err);
	*ret_n = c->rules.n;
	return rc;
}

static int flush(struct call *c, struct edge_batch *b, size_t *ret_n)
{
	_cleanup_(edge_rules_fini) struct edge_rules all = {0};
	int rc = edge_rules_read(b->edge, &all, &c->err);

	for (size_t i = 0; rc == 0 && i < all.n; i++)
		rc = edge_rule_del(b, &all.items[i], &c->err);
	*ret_n = all.n;
	return rc;
}

static const struct change {
	const char *name;
	const char *done;
	int (*stage)(struct call *c, struct edge_batch *b, size_t *ret_n);
} changes[] = {{"add", "added", add}, {"del", "removed", del}, {"flush", "removed", flush}, {0}};

static void report(struct call *c, const struct edge *e, const char *done, size_t n)
{
	if (c->json)
		json_array_append_new(c->json, json_pack("{s:s, s:I}", "interface", e->name, done,
							 (json_int_t)n));
	else
		printf("%s: rule: %zu %s\n", e->name, n, done);
}

/* Stage it everywhere, then let it count everywhere: a failure leaves all as it was. */
static int run_change(struct call *c, const struct change *change)
{
	struct edge_batch *batches = calloc(c->edges.n + 1, sizeof(*batches));
	int rc = batches ? 0 : error_sys(&c->err, ENOMEM, "rules");
	size_t begun = 0, n = 0;

	while (rc == 0 && begun < c->edges.n) {
		struct edge_batch *b = &batches[begun];

		rc = edge_batch_begin(b, &c->edges.items[begun], &c->err);
		if (rc < 0)
			break;
		begun++;
		rc = change->stage(c, b, &n);
		if (rc == 0)
			rc = edge_rules_prepare(b, &c->err);
	}
	for (size_t i = 0; rc < 0 && i < begun; i++)
		edge_batch_abort(&batches[i]);
	if (rc == 0)
		rc = edge_batch_commit_all(batches, begun, false, &c->err);
	for (size_t i = 0; i < begun; i++) {
		const struct edge *e = &c->edges.items[i];

		edge_rules_index(e, NULL);
		if (rc == 0)
			report(c, e, change->done, n);
	}
	free(batches);
	return rc;
}

static int list(struct call *c, const struct edge *e)
{
	_cleanup_(edge_rules_fini) struct edge_rules all = {0};
	int rc = edge_rules_read(e, &all, &c->err);
	json_t *array = c->json ? json_array() : NULL;

	for (size_t i = 0; i < all.n; i++) {
		const struct edge_rule *r = &all.items[i];
		const char *verb = verbs[r->action % 3];
		const char *origin = origins[r->origin == ORIGIN_FILE];
		char prefix[CONF_CIDR_TEXT] = "others";
		char port[16];

		if (r->cidr.family)
			conf_cidr_format(&r->cidr, prefix);
		snprintf(port, sizeof(port), "%s/%u", r->to.protocol == IPPROTO_TCP ? "tcp" : "udp",
			 r->to.number);
		if (array)
			json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s}", "action",
							       verb, "prefix", prefix, "port", port,
							       "origin", origin));
		else
			printf("%-16s %-5s %-43s %-9s %s\n", e->name, verb, prefix, port, origin);
	}
	if (c->json)
		json_array_append_new(
			c->json, json_pack("{s:s, s:o}", "interface", e->name, "rules", array));
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

enum status cmd_rule(const struct options *o)
{
	struct call c = {.o = o, .json = o->json ? json_array() : NULL};
	enum status status = STATUS_DONE;
	int rc = o->n_args ? read_rules(o, &c.rules, &c.err) : 0;

	if (rc < 0) {
		fprintf(stderr, "sluice rule: %s\n", c.err.text);
		status = rc == -EINVAL ? STATUS_USAGE : command_status(&c.err);
	} else if (run(&c) < 0) {
		status = command_fail(&c.err);
	} else if (c.json) {
		command_print(c.json);
	}
	json_decref(c.json);
	edge_rules_fini(&c.rules);
	edges_fini(&c.edges);
	return status;
}
