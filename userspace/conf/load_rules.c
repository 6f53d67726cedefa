/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/load_rules.h"

#include <stdlib.h>

#include "base/clock.h"
#include "conf/cidr.h"
#include "conf/load_limits.h"

#define AT(type, member) .offset = offsetof(type, member)

static void parse_targets(struct conf_parse *p, const struct conf_node *node, void *out)
{
	struct conf_rule *rule = out;

	rule->to = conf_parse_list(p, node, sizeof(*rule->to), "a list of ports such as tcp/22");
	for (size_t i = 0; rule->to && i < node->n; i++) {
		const struct conf_node *item = node->items[i];
		const char *why = item->kind == CONF_SCALAR
					  ? conf_port_parse(item->text, &rule->to[rule->n_to])
					  : "is not a port such as tcp/22 or udp/53";

		if (why)
			conf_diag_add(p->diag, item, "'%.*s' %s", SLICE_FMT(item->text), why);
		else
			rule->n_to++;
	}
}

static void check_rule(struct conf_parse *p, const struct conf_node *node,
		       void *out __attribute__((unused)))
{
	int n = !!conf_node_get(node, "deny") + !!conf_node_get(node, "allow") +
		!!conf_node_get(node, "only");

	if (n != 1)
		conf_diag_add(p->diag, node, "a rule has one of deny, allow and only");
	for (size_t i = 0; i < node->n; i++)
		if (node->items[i]->kind == CONF_LIST && node->items[i]->n == 0)
			conf_diag_add(p->diag, node->items[i],
				      "is empty, and the rule would be about nobody or no port");
}

static const struct conf_option rule_options[] = {
	{"deny", CONF_CUSTOM, AT(struct conf_rule, deny), .parse = conf_parse_cidrs,
	 .form = "list of addresses and prefixes",
	 .help = "Sources that may not speak to the ports."},
	{"allow", CONF_CUSTOM, AT(struct conf_rule, allow), .parse = conf_parse_cidrs,
	 .form = "list of addresses and prefixes",
	 .help = "Sources that may, though a shorter prefix is denied."},
	{"only", CONF_CUSTOM, AT(struct conf_rule, only), .parse = conf_parse_cidrs,
	 .form = "list of addresses and prefixes",
	 .help = "Sources that may, and nobody else whom no rule names."},
	{"to", CONF_CUSTOM, .offset = 0, .required = true, .parse = parse_targets,
	 .form = "list of ports", .help = "The ports: tcp/22, udp/53."},
	{0},
};
const struct conf_table conf_rule_table = {rule_options, sizeof(struct conf_rule), 0, check_rule};

#define AT_BAN(member)                                                                             \
	.offset = offsetof(struct conf_edge, bans.member) - offsetof(struct conf_edge, bans)

/* "2x" */
static void parse_times(struct conf_parse *p, const struct conf_node *node, void *out)
{
	uint64_t *ret = out;
	uint64_t value = 0;
	size_t i = 0;

	for (; i < node->text.len && i < 4 && node->text.ptr[i] >= '0' && node->text.ptr[i] <= '9';
	     i++)
		value = value * 10 + (uint64_t)(node->text.ptr[i] - '0');
	if (node->kind != CONF_SCALAR || !slice_eq(slice_skip(node->text, i), SLICE("x")) ||
	    value < 1 || value > 1000)
		conf_diag_add(p->diag, node, "'%.*s' is not a factor from 1x to 1000x, such as 2x",
			      SLICE_FMT(node->text));
	else
		*ret = value;
}

static const char *const ban_modes[] = {"enforce", "shadow", NULL};

#define LONGEST (10 * 365 * 86400 * NSEC_PER_SEC)

static const struct conf_option ban_options[] = {
	{"ttl", CONF_DURATION, AT_BAN(ttl), .fallback = "10m", .min = NSEC_PER_SEC, .max = LONGEST,
	 .help = "How long a ban holds that does not say."},
	{"escalate", CONF_CUSTOM, AT_BAN(escalate), .fallback = "2x", .parse = parse_times,
	 .form = "factor",
	 .help = "How many times longer each repeated ban of the same prefix holds."},
	{"max_ttl", CONF_DURATION, AT_BAN(max_ttl), .fallback = "24h", .min = NSEC_PER_SEC,
	 .max = LONGEST, .help = "The longest ban; as long is it remembered after its end."},
	{"never", CONF_CUSTOM, AT_BAN(never), .parse = conf_parse_cidrs,
	 .form = "list of addresses and prefixes", .help = "Who is never banned."},
	{"mode", CONF_ENUM, AT_BAN(mode), .fallback = "enforce", .names = ban_modes,
	 .help = "Whether bans are enforced or, in shadow, only counted."},
	{"capacity", CONF_UINT, AT_BAN(capacity), .fallback = "65536", .min = 1, .max = 4194304,
	 .help = "How many bans there is room for; one more is refused. More count from sluiced's "
		 "next start or 'sluice upgrade -c FILE' on, fewer from the next attach."},
	{0},
};

static void check_bans(struct conf_parse *p, const struct conf_node *node, void *out)
{
	struct conf_edge *edge =
		(struct conf_edge *)(void *)((char *)out - offsetof(struct conf_edge, bans));

	if (edge->bans.ttl > edge->bans.max_ttl)
		conf_diag_add(p->diag, node, "ttl is longer than max_ttl");
}

const struct conf_table conf_ban_table = {ban_options, 0, 0, check_bans};

/* What one rule says of one prefix and port. */
struct said {
	const struct conf_cidr *cidr;
	const struct conf_port *to;
	int action;
	size_t rule;
};

static int compare_said(const void *a, const void *b)
{
	const struct said *x = a, *y = b;
	int rc = conf_cidr_compare(x->cidr, y->cidr);

	if (rc)
		return rc;
	if (x->to->protocol != y->to->protocol)
		return x->to->protocol < y->to->protocol ? -1 : 1;
	if (x->to->number != y->to->number)
		return x->to->number < y->to->number ? -1 : 1;
	return x->rule < y->rule ? -1 : x->rule > y->rule;
}

static size_t say(const struct conf_rule *rule, size_t number, struct said *out)
{
	const struct conf_cidrs *parts[] = {&rule->deny, &rule->allow, &rule->only};
	size_t n = 0;

	for (int action = 0; action < 3; action++)
		for (size_t i = 0; i < parts[action]->n; i++)
			for (size_t to = 0; to < rule->n_to; to++) {
				if (out)
					out[n] = (struct said){&parts[action]->items[i],
							       &rule->to[to], action, number};
				n++;
			}
	return n;
}

static void check_contradictions(struct conf_parse *p, const struct conf_node *node,
				 const struct said *said, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		const struct said *a = &said[i - 1], *b = &said[i];
		char text[CONF_CIDR_TEXT];

		if (a->action == b->action || conf_cidr_compare(a->cidr, b->cidr) != 0 ||
		    a->to->protocol != b->to->protocol || a->to->number != b->to->number)
			continue;
		conf_cidr_format(a->cidr, text);
		conf_diag_add(p->diag, node,
			      "rules[%zu] and rules[%zu] say different things of %s and %s/%u",
			      b->rule, a->rule, text,
			      a->to->protocol == IPPROTO_TCP ? "tcp" : "udp", a->to->number);
	}
}

/* Sorted ones: by family, then length. */
static void check_lengths(struct conf_parse *p, const struct conf_node *node,
			  const struct said *said, size_t n)
{
	size_t lengths = 0;

	for (size_t i = 0; i < n; i++) {
		const struct conf_cidr *c = said[i].cidr, *before = i ? said[i - 1].cidr : NULL;

		if (!before || before->family != c->family)
			lengths = 1;
		else if (before->prefixlen != c->prefixlen)
			lengths++;
		else
			continue;
		if (lengths == CONF_RULE_LENGTHS + 1)
			conf_diag_add(p->diag, node,
				      "rules have %s prefixes of more than %d lengths",
				      c->family == AF_INET ? "IPv4" : "IPv6", CONF_RULE_LENGTHS);
	}
}

void conf_check_rules(struct conf_parse *p, const struct conf_node *node,
		      const struct conf_edge *edge)
{
	struct said *said;
	size_t n = 0;

	for (size_t i = 0; i < edge->n_rules; i++)
		n += say(&edge->rules[i], i, NULL);
	said = calloc(n + 1, sizeof(*said));
	if (!said) {
		conf_diag_add(p->diag, NULL, "out of memory");
		return;
	}
	n = 0;
	for (size_t i = 0; i < edge->n_rules; i++)
		n += say(&edge->rules[i], i, said + n);
	qsort(said, n, sizeof(*said), compare_said);
	check_contradictions(p, node, said, n);
	check_lengths(p, node, said, n);
	free(said);
}
