/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/rules.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "conf/cidr.h"
#include "edge/lengths.h"

#define N_PORTS 65536

static_assert(CONF_RULE_LENGTHS == LENGTHS_MAX, "what a file may have, the guard looks for");

static union edge_key key_of(const struct edge_rule *r)
{
	union edge_key key = {
		.rule.family = r->cidr.family ? edge_family(&r->cidr) : 0,
		.rule.prefixlen = r->cidr.prefixlen,
		.rule.protocol = r->to.protocol,
		.rule.port = r->to.number,
	};

	memcpy(key.rule.addr, r->cidr.addr, sizeof(key.rule.addr));
	return key;
}

static struct edge_rule rule_of(const struct rule_key *k, const struct rule_value *v)
{
	struct edge_rule r = {
		.cidr = edge_cidr(k->family, k->prefixlen, k->addr),
		.to = {k->protocol, k->port},
		.action = v->action,
		.origin = v->origin,
		.until = v->until,
		.held = v->next_until,
		.note = v->note,
	};

	if (k->family == 0)
		r.cidr.family = 0;
	return r;
}

void edge_rule_format(const struct edge_rule *rule, char ret[EDGE_RULE_TEXT])
{
	char text[CONF_CIDR_TEXT] = "others";

	if (rule->cidr.family)
		conf_cidr_format(&rule->cidr, text);
	snprintf(ret, EDGE_RULE_TEXT, "%s to %s/%u", text,
		 rule->to.protocol == IPPROTO_TCP ? "tcp" : "udp", rule->to.number);
}

/* By port, then prefix: equal when the keys are. */
static int compare(const void *a, const void *b)
{
	const struct edge_rule *x = a, *y = b;

	if (x->to.protocol != y->to.protocol)
		return x->to.protocol < y->to.protocol ? -1 : 1;
	if (x->to.number != y->to.number)
		return x->to.number < y->to.number ? -1 : 1;
	return conf_cidr_compare(&x->cidr, &y->cidr);
}

static int put(struct edge_batch *b, const struct edge_rule *rule, struct error *err)
{
	union edge_key key = key_of(rule);
	union edge_value value = {.rule = {.origin = rule->origin,
					   .action = rule->action,
					   .until = rule->until,
					   .note = rule->note}};
	int rc = edge_batch_put(b, b->edge->rules, &key, &value);
	char text[EDGE_RULE_TEXT];

	if (rc == 0)
		return 0;
	edge_rule_format(rule, text);
	if (rc == -ENOSPC)
		return error_set(err, ENOSPC, "%s: there is no room for more rules", text);
	return error_sys(err, -rc, "%s: can't be added", text);
}

int edge_rule_add(struct edge_batch *b, const struct edge_rule *rule, struct error *err)
{
	union edge_key key = key_of(rule);
	char text[EDGE_RULE_TEXT];
	union edge_value there;

	if (!rule->until || !edge_batch_look(b, b->edge->rules, &key, &there) || there.list.until)
		return put(b, rule, err);
	if (there.rule.action == rule->action)
		return 1;
	edge_rule_format(rule, text);
	return error_set(err, EEXIST,
			 "%s: there is a rule without end that says otherwise, and one with an end "
			 "can't take its place",
			 text);
}

int edge_rule_del(struct edge_batch *b, const struct edge_rule *rule, struct error *err)
{
	union edge_key key = key_of(rule);
	int rc = edge_batch_del(b, b->edge->rules, &key);
	char text[EDGE_RULE_TEXT];

	if (rc == 0)
		return 0;
	edge_rule_format(rule, text);
	if (rc == -ENOENT)
		return error_set(err, ENOENT, "there is no rule for %s on %s", text, b->edge->name);
	return error_sys(err, -rc, "%s: can't be removed", text);
}

static int remove_one(const void *key, const void *value __attribute__((unused)), void *arg)
{
	struct edge_batch *b = arg;
	union edge_key k = {.rule = *(const struct rule_key *)key};
	int rc = edge_batch_del(b, b->edge->rules, &k);

	return rc == -ENOENT ? 0 : rc;
}

int edge_rules_del_all(struct edge_batch *b, struct error *err)
{
	const struct edge *e = b->edge;
	int rc = edge_map_each(e->rules, sizeof(struct rule_key), sizeof(struct rule_value),
			       remove_one, b);

	return rc < 0 ? error_sys(err, -rc, "%s: rules", e->name) : 0;
}

/* Whose rules: those that count now, or will once the batch is committed. */
struct reading {
	const struct edge *edge;
	bool next;
	struct edge_rules rules;
};

static int append(const void *key, const void *value, void *arg)
{
	union edge_value v = {.rule = *(const struct rule_value *)value};
	struct reading *r = arg;

	if (!(r->next ? edge_entry_next : edge_entry_view)(r->edge, r->edge->rules, &v))
		return 0;
	/* Grows at powers of two. */
	if ((r->rules.n & (r->rules.n - 1)) == 0) {
		size_t n = r->rules.n ? r->rules.n * 2 : 1;
		void *grown = reallocarray(r->rules.items, n, sizeof(*r->rules.items));

		if (!grown)
			return -ENOMEM;
		r->rules.items = grown;
	}
	r->rules.items[r->rules.n++] = rule_of(key, &v.rule);
	return 0;
}

static int read_rules(const struct edge *e, bool next, struct edge_rules *ret, struct error *err)
{
	struct reading r = {.edge = e, .next = next};
	int rc = edge_map_each(e->rules, sizeof(struct rule_key), sizeof(struct rule_value), append,
			       &r);

	if (rc < 0) {
		free(r.rules.items);
		return error_sys(err, -rc, "%s: the rules can't be read", e->name);
	}
	if (r.rules.n)
		qsort(r.rules.items, r.rules.n, sizeof(*r.rules.items), compare);
	*ret = r.rules;
	return 0;
}

/* What stands for "only"; by hand, that is by bpftool, one is made as deny. */
static bool is_marker(const struct edge_rule *r)
{
	return r->cidr.family == 0 && r->action == RULE_ONLY;
}

int edge_rules_read(const struct edge *e, struct edge_rules *ret, struct error *err)
{
	struct edge_rules all = {0};
	int rc = read_rules(e, false, &all, err);
	size_t n = 0;

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < all.n; i++)
		if (!is_marker(&all.items[i]))
			all.items[n++] = all.items[i];
	all.n = n;
	*ret = all;
	return 0;
}

static bool look(const struct edge *e, const struct edge_rule *rule, struct edge_rule *ret)
{
	union edge_key key = key_of(rule);
	union edge_value v;

	if (bpf_map_lookup_elem(e->rules, &key, &v) < 0 || !edge_entry_view(e, e->rules, &v))
		return false;
	*ret = rule_of(&key.rule, &v.rule);
	return true;
}

bool edge_rule_find(const struct edge *e, const struct conf_cidr *address, struct conf_port to,
		    struct edge_rule *ret)
{
	struct prefix_lengths l = address->family == AF_INET ? e->in_use->rule4 : e->in_use->rule6;
	struct edge_rule rule = {.to = to};

	for (int i = 0; i < LENGTHS_MAX && i < l.n; i++) {
		if (l.length[i] > edge_bits(address->family))
			continue; /* written by hand */
		rule.cidr = conf_cidr_around(address, l.length[i]);
		if (look(e, &rule, ret))
			return true;
	}
	rule.cidr = (struct conf_cidr){0};
	return look(e, &rule, ret);
}

/* The operator's again, of which the file's held the place. */
static int give_back(struct edge_batch *b, const struct edge_rule *old, struct error *err)
{
	struct edge_rule rule = *old;

	rule.origin = ORIGIN_OPERATOR;
	rule.until = old->held;
	return put(b, &rule, err);
}

/* Stage one entry of the file. */
static int follow_one(struct edge_batch *b, const struct edge_rules *old, bool *named,
		      const struct edge_rule *rule, struct error *err)
{
	const struct edge_rule *there =
		old->n ? bsearch(rule, old->items, old->n, sizeof(*rule), compare) : NULL;
	struct edge_rule next = *rule;
	bool same;

	if (!there)
		return put(b, rule, err);
	same = there->action == rule->action;
	named[there - old->items] = true;
	/* The operator's stays the operator's, and nobody whom he denies gets in before the time. */
	if (there->origin == ORIGIN_OPERATOR &&
	    (!there->until || (!same && there->action == RULE_DENY)))
		return 0;
	if (!same && there->action == RULE_DENY && there->held > clock_seconds())
		return give_back(b, there, err);
	if (same && !there->until)
		return 0;
	if (same && there->origin == ORIGIN_OPERATOR)
		next.note = there->note;
	return put(b, &next, err);
}

static int follow_rule(struct edge_batch *b, const struct edge_rules *old, bool *named,
		       const struct conf_rule *conf, struct error *err)
{
	const struct {
		const struct conf_cidrs *cidrs;
		enum rule_action action;
	} parts[] = {
		{&conf->deny, RULE_DENY}, {&conf->allow, RULE_ALLOW}, {&conf->only, RULE_ONLY}};
	int rc = 0;

	for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++)
		for (size_t i = 0; i < parts[p].cidrs->n; i++)
			for (size_t to = 0; rc == 0 && to < conf->n_to; to++) {
				struct edge_rule rule = {.cidr = parts[p].cidrs->items[i],
							 .to = conf->to[to],
							 .action = parts[p].action,
							 .origin = ORIGIN_FILE};

				rc = follow_one(b, old, named, &rule, err);
			}
	return rc;
}

int edge_rules_follow_file(struct edge_batch *b, const struct conf_edge *conf, struct error *err)
{
	_cleanup_(edge_rules_fini) struct edge_rules old = {0};
	_cleanup_free_ bool *named = NULL;
	int rc = edge_rules_read(b->edge, &old, err);

	if (rc < 0)
		return rc;
	named = calloc(old.n + 1, sizeof(*named));
	if (!named)
		return error_sys(err, ENOMEM, "%s: rules", b->edge->name);
	for (size_t i = 0; rc == 0 && i < conf->n_rules; i++)
		rc = follow_rule(b, &old, named, &conf->rules[i], err);
	for (size_t i = 0; rc == 0 && i < old.n; i++)
		if (old.items[i].origin == ORIGIN_FILE && !named[i])
			rc = old.items[i].held > clock_seconds()
				     ? give_back(b, &old.items[i], err)
				     : edge_rule_del(b, &old.items[i], err);
	return rc;
}

/* Of the sorted rules from here on, those of one port. */
static size_t same_port(const struct edge_rules *rules, size_t from)
{
	const struct conf_port *to = &rules->items[from].to;
	size_t i = from;

	while (i < rules->n && rules->items[i].to.protocol == to->protocol &&
	       rules->items[i].to.number == to->number)
		i++;
	return i;
}

/*
 * One port's rules as they will be: whether its marker is missing, has no reason any more, or ends at another time than the
 * last rule that it stands for.
 */
static int mark(struct edge_batch *b, const struct edge_rule *rules, size_t n, struct error *err)
{
	struct edge_rule marker = {.to = rules->to, .action = RULE_ONLY, .origin = ORIGIN_FILE};
	const struct edge_rule *there = NULL;
	bool only = false, endless = false;

	for (size_t i = 0; i < n; i++) {
		if (rules[i].cidr.family == 0) {
			there = &rules[i];
		} else if (rules[i].action == RULE_ONLY) {
			only = true;
			endless |= !rules[i].until;
			if (rules[i].until > marker.until)
				marker.until = rules[i].until;
			if (rules[i].origin == ORIGIN_OPERATOR)
				marker.origin = ORIGIN_OPERATOR;
		}
	}
	if (there && !is_marker(there))
		return 0; /* made by hand, and says the same */
	if (endless)
		marker.until = 0;
	if (only && (!there || there->origin != marker.origin || there->until != marker.until))
		return put(b, &marker, err);
	return !only && there ? edge_rule_del(b, &marker, err) : 0;
}

int edge_rules_prepare(struct edge_batch *b, struct error *err)
{
	_cleanup_(edge_rules_fini) struct edge_rules next = {0};
	int rc = read_rules(b->edge, true, &next, err);

	for (size_t i = 0, end; rc == 0 && i < next.n; i = end) {
		end = same_port(&next, i);
		rc = mark(b, &next.items[i], end - i, err);
	}
	return rc == 0 ? edge_rules_index(b->edge, err) : rc;
}

struct index {
	struct prefix_lengths in_use[2];
	uint8_t *rules; /* enum port_rules, a port each */
	size_t n;
};

/* Whatever its stage is. */
static int index_one(const void *key, const void *value __attribute__((unused)), void *arg)
{
	const struct rule_key *k = key;
	struct index *index = arg;

	index->n++;
	index->rules[k->port] |= k->protocol == IPPROTO_TCP ? RULES_TCP : RULES_UDP;
	return k->family && k->prefixlen <= edge_bits(k->family == 4 ? AF_INET : AF_INET6)
		       ? edge_lengths_add(&index->in_use[k->family == 6], k->prefixlen)
		       : 0;
}

static int store_ports(const struct edge *e, const uint8_t *rules)
{
	_cleanup_free_ struct port_value *values = calloc(N_PORTS, sizeof(*values));
	_cleanup_free_ uint32_t *keys = calloc(N_PORTS, sizeof(*keys));
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t n = N_PORTS, next;
	int rc;

	if (!values || !keys)
		return -ENOMEM;
	rc = bpf_map_lookup_batch(e->ports, NULL, &next, keys, values, &n, &opts);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	for (uint32_t i = 0; i < n; i++) {
		if (values[i].rules == rules[keys[i] % N_PORTS])
			continue;
		values[i].rules = (enum port_rules)rules[keys[i] % N_PORTS];
		rc = bpf_map_update_elem(e->ports, &keys[i], &values[i], BPF_ANY);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int edge_rules_index(const struct edge *e, struct error *err)
{
	_cleanup_free_ uint8_t *rules = calloc(N_PORTS, sizeof(*rules));
	struct index index = {.rules = rules};
	int rc = rules ? edge_map_each(e->rules, sizeof(struct rule_key), sizeof(struct rule_value),
				       index_one, &index)
		       : -ENOMEM;

	if (rc == -ENOSPC)
		return error_set(err, ENOSPC,
				 "%s: the rules, with those that they replace, have prefixes of "
				 "more than %d lengths of a family, and no more are looked for",
				 e->name, LENGTHS_MAX);
	if (rc == 0 && (index.n || e->in_use->rule4.n || e->in_use->rule6.n))
		rc = store_ports(e, rules);
	if (rc < 0)
		return error_sys(err, -rc, "%s: rules", e->name);
	edge_lengths_store(&e->in_use->rule4, index.in_use[0]);
	edge_lengths_store(&e->in_use->rule6, index.in_use[1]);
	return 0;
}
