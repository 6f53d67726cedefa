/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/load_edge.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/load_feed.h"
#include "conf/load_limits.h"
#include "conf/load_rules.h"

#define AT(type, member) .offset = offsetof(type, member)

static const char *const xdp_modes[] = {"auto", "native", "generic", NULL};
static const char *const guard_modes[] = {"enforce", "shadow", NULL};
static const char *const syn_modes[] = {"off", "auto", "always", NULL};

static const struct conf_option interface_options[] = {
	{"name", CONF_STRING, AT(struct conf_interface, name), .required = true,
	 .help = "The interface, for instance eth0."},
	{"mode", CONF_ENUM, AT(struct conf_interface, mode), .fallback = "auto", .names = xdp_modes,
	 .help = "Where the program runs: in the driver, in the kernel's receive path, or in the "
		 "better one that works."},
	{"share", CONF_BOOL, AT(struct conf_interface, share), .fallback = "false",
	 .help = "Whether other XDP programs may be there, too, called after the guard by libxdp's "
		 "dispatcher; counts from the next attach."},
	{0},
};
static const struct conf_table interface_table = {interface_options, sizeof(struct conf_interface),
						  0, 0};

static const struct conf_option syn_options[] = {
	{"mode", CONF_ENUM,
	 .offset = offsetof(struct conf_edge, syn_flood.mode) -
		   offsetof(struct conf_edge, syn_flood),
	 .fallback = "off", .names = syn_modes,
	 .help = "When SYNs are answered with cookies: never, always, or (auto) while more than "
		 "threshold arrive; with net.ipv4.tcp_syncookies=1 auto is while the listener's "
		 "queue is full."},
	{"threshold", CONF_RATE,
	 .offset = offsetof(struct conf_edge, syn_flood.threshold) -
		   offsetof(struct conf_edge, syn_flood),
	 .fallback = "10k/s", .min = 1, .max = 1000000000,
	 .help = "SYNs a second, from all sources to protected ports, from which on auto answers "
		 "with cookies."},
	{"cookies", CONF_RATE,
	 .offset = offsetof(struct conf_edge, syn_flood.cookies) -
		   offsetof(struct conf_edge, syn_flood),
	 .fallback = "2k/s", .max = 1000000000,
	 .help = "Cookies a second that each CPU sends while few of them come back: to new "
		 "sources, "
		 "to new ones whose SYN comes again, and to verified ones, so many to each. Other "
		 "SYNs "
		 "are dropped. 0/s: no limit."},
	{0},
};
static const struct conf_table syn_table = {syn_options, 0, 0, 0};

static void parse_ports(struct conf_parse *p, const struct conf_node *node, void *out)
{
	struct conf_edge *edge = out;

	edge->ports = conf_parse_list(p, node, sizeof(*edge->ports), "a list of ports");
	for (size_t i = 0; edge->ports && i < node->n; i++) {
		const struct conf_node *item = node->items[i];
		uint64_t port;

		if (item->kind != CONF_SCALAR || !conf_parse_number(item->text, &port) ||
		    port == 0 || port > 65535)
			conf_diag_add(p->diag, item, "a port is a number from 1 to 65535");
		else
			edge->ports[edge->n_ports++] = (uint16_t)port;
	}
}

/* Stricter than the kernel in one thing: what begins with a dot would be pinned where changes are prepared (edge/pin.c). */
const char *conf_interface_check(struct slice name)
{
	if (name.len == 0 || name.len >= IF_NAMESIZE)
		return "an interface's name has 1 to 15 bytes";
	if (name.ptr[0] == '.')
		return "no interface whose name begins with '.' can be guarded";
	for (size_t i = 0; i < name.len; i++)
		if (strchr("/: \t\n\v\f\r", name.ptr[i])) /* NUL, too */
			return "an interface's name has no '/', ':' or white space";
	return NULL;
}

static void check_edge(struct conf_parse *p, const struct conf_node *node, void *out)
{
	struct conf_edge *edge = out;

	edge->present = true;
	conf_limits_check(p, node, edge);
	conf_check_rules(p, node, edge);
	for (size_t i = 0; i < edge->n_interfaces; i++) {
		struct slice name = edge->interfaces[i].name;
		const char *why = conf_interface_check(name);

		if (why)
			conf_diag_add(p->diag, node, "interfaces[%zu].name: '%.*s': %s", i,
				      SLICE_FMT(name), why);
		for (size_t j = 0; j < i; j++)
			if (slice_eq(name, edge->interfaces[j].name))
				conf_diag_add(
					p->diag, node,
					"interfaces[%zu].name: '%.*s' is taken by interfaces[%zu]",
					i, SLICE_FMT(name), j);
	}
}

static const struct conf_option edge_options[] = {
	{"interfaces", CONF_LIST_OF, AT(struct conf_edge, interfaces),
	 .count = offsetof(struct conf_edge, n_interfaces), .table = &interface_table,
	 .help = "What the guard is attached to."},
	{"mode", CONF_ENUM, AT(struct conf_edge, mode), .fallback = "enforce", .names = guard_modes,
	 .help = "In shadow mode every packet passes, counted as it would be, and no cookies are "
		 "sent."},
	{"ports", CONF_CUSTOM, .offset = 0, .parse = parse_ports, .form = "list of ports",
	 .help = "TCP and UDP ports that the SYN gate and the buckets look after; default: those "
		 "of the public listeners."},
	{"allow", CONF_CUSTOM, AT(struct conf_edge, allow), .parse = conf_parse_cidrs,
	 .form = "list of addresses and prefixes",
	 .help = "Sources that pass before everything else."},
	{"deny", CONF_CUSTOM, .offset = 0, .parse = conf_parse_deny, .table = &conf_feed_table,
	 .form = "list of addresses, prefixes and feeds", .help = "Sources that are dropped."},
	{"feeds", CONF_STRUCT, AT(struct conf_edge, feeds), .table = &conf_feeds_table,
	 .help = "What holds for all feeds."},
	{"syn_flood", CONF_STRUCT, AT(struct conf_edge, syn_flood), .table = &syn_table,
	 .help = "What is done about floods of SYNs."},
	{"rate_limit", CONF_STRUCT, AT(struct conf_edge, rate_limit),
	 .table = &conf_rate_limit_table, .help = "How many packets a source may send."},
	{"limits", CONF_STRUCT, AT(struct conf_edge, limits), .table = &conf_limits_table,
	 .help = "What sources may send, by kind."},
	{"tiers", CONF_LIST_OF, AT(struct conf_edge, tiers),
	 .count = offsetof(struct conf_edge, n_tiers), .table = &conf_tier_table,
	 .help = "Sources that have limits of their own, up to 15 kinds of them."},
	{"rules", CONF_LIST_OF, AT(struct conf_edge, rules),
	 .count = offsetof(struct conf_edge, n_rules), .table = &conf_rule_table,
	 .help = "Who may speak to which ports; of the rules for a port the longest prefix "
		 "decides."},
	{"bans", CONF_STRUCT, AT(struct conf_edge, bans), .table = &conf_ban_table,
	 .help = "Sources that are kept away for a while."},
	{0},
};
const struct conf_table conf_edge_table = {edge_options, sizeof(struct conf_edge), 0, check_edge};

void conf_edge_resolve(struct conf_parse *p, struct config *cfg)
{
	struct conf_edge *edge = &cfg->edge;

	if (!edge->present || edge->n_ports)
		return;
	edge->ports = arena_zalloc(p->arena, sizeof(*edge->ports) * (cfg->n_listeners + 1));
	for (size_t i = 0; edge->ports && i < cfg->n_listeners; i++) {
		const void *ss = &cfg->listeners[i].address.ss;

		if (cfg->listeners[i].role == CONF_ROLE_PUBLIC)
			edge->ports[edge->n_ports++] =
				ntohs(((const struct sockaddr_in *)ss)->sin_port);
	}
}
