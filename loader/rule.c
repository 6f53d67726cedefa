/* SPDX-License-Identifier: Apache-2.0 */
/* sluice rule: add, del, list, flush. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "conf/cidr.h"
#include "edge/rules.h"
#include "loader/entry.h"
#include "loader/visit.h"

static const char *const verbs[] = {
	[RULE_DENY] = "deny",
	[RULE_ALLOW] = "allow",
	[RULE_ONLY] = "only",
};

struct call {
	struct visit visit;
	struct edge_rules rules; /* of the arguments: every prefix with every port */
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

static int each(struct visit *v, struct edge_batch *b,
		int (*fn)(struct edge_batch *b, const struct edge_rule *rule, struct error *err),
		const struct edge_rules *rules)
{
	struct entry_kept kept = {0};
	char text[EDGE_RULE_TEXT];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < rules->n; i++) {
		rc = fn(b, &rules->items[i], &v->err);
		if (rc > 0) {
			edge_rule_format(&rules->items[i], text);
			rc = entry_keep(&kept, text);
		}
	}
	if (rc == 0)
		rc = edge_rules_prepare(b, &v->err);
	if (rc == 0)
		entry_warn_kept(&kept, v->o, b->edge);
	return rc < 0 ? rc : (int)(rules->n - kept.n);
}

static int add(struct visit *v, struct edge_batch *b)
{
	struct edge_rules *rules = &container_of(v, struct call, visit)->rules;
	uint16_t note;
	int rc = entry_make_note(v->o, b->edge, &note, &v->err);

	for (size_t i = 0; i < rules->n; i++) {
		rules->items[i].note = note; /* the interface's own number */
		rules->items[i].until = entry_until(v->o);
	}
	return rc < 0 ? rc : each(v, b, edge_rule_add, rules);
}

static int del(struct visit *v, struct edge_batch *b)
{
	return each(v, b, edge_rule_del, &container_of(v, struct call, visit)->rules);
}

static int flush(struct visit *v, struct edge_batch *b)
{
	_cleanup_(edge_rules_fini) struct edge_rules all = {0};
	int rc = edge_rules_read(b->edge, &all, &v->err);

	if (rc == 0)
		rc = edge_rules_del_all(b, &v->err);
	if (rc == 0)
		rc = edge_rules_prepare(b, &v->err);
	return rc < 0 ? rc : (int)all.n;
}

static const struct visit_change changes[] = {
	{"add", "added", add, visit_report},
	{"del", "removed", del, visit_report},
	{"flush", "removed", flush, visit_report},
	{0},
};

static int list(struct visit *v, const struct edge *e)
{
	_cleanup_(edge_rules_fini) struct edge_rules all = {0};
	int rc = edge_rules_read(e, &all, &v->err);
	json_t *array = v->json ? json_array() : NULL;

	for (size_t i = 0; i < all.n; i++)
		if (array)
			json_array_append_new(array, entry_rule_json(e, &all.items[i]));
		else
			entry_list_rule(e, &all.items[i]);
	if (v->json)
		json_array_append_new(
			v->json, json_pack("{s:s, s:o}", "interface", e->name, "rules", array));
	return rc;
}

enum status cmd_rule(const struct options *o)
{
	struct call c = {.visit.o = o};
	int rc = o->n_args ? read_rules(o, &c.rules, &c.visit.err) : 0;
	enum status status = rc < 0 ? visit_refuse(&c.visit) : visit_run(&c.visit, changes, list);

	edge_rules_fini(&c.rules);
	return status;
}
