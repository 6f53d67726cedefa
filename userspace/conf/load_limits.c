/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/load_limits.h"

#include <string.h>

#include "conf/cidr.h"

#define AT(type, member) .offset = offsetof(type, member)

#define MIN_BYTE_RATE	 1024ULL
#define MAX_BYTE_RATE	 (20ULL << 30)
#define MAX_RATE	 100000000ULL
#define MAX_BURST	 1000000000ULL
#define MAX_BYTE_BURST	 (1ULL << 40)

void conf_parse_cidrs(struct conf_parse *p, const struct conf_node *node, void *field)
{
	struct conf_cidrs *out = field;

	out->items = conf_parse_list(p, node, sizeof(*out->items),
				     "a list of addresses and prefixes");
	for (size_t i = 0; out->items && i < node->n; i++)
		if (conf_parse_cidr(p, node->items[i], &out->items[out->n]))
			out->n++;
}

static const struct conf_option count_options[] = {
	{"rate", CONF_RATE, AT(struct conf_limit, rate), .max = MAX_RATE,
	 .help = "So many a second; 0: no limit. A limit that is only a rate can be written as "
		 "one."},
	{"burst", CONF_UINT, AT(struct conf_limit, burst), .max = MAX_BURST,
	 .help = "So many at once; default: twice the rate."},
	{0},
};

static const struct conf_option byte_options[] = {
	{"rate", CONF_BYTE_RATE, AT(struct conf_limit, rate), .max = MAX_BYTE_RATE,
	 .help = "Bytes a second, 1KiB/s or more; 0: no limit."},
	{"burst", CONF_SIZE, AT(struct conf_limit, burst), .max = MAX_BYTE_BURST,
	 .help = "Bytes at once; default: twice the rate."},
	{0},
};

static void count_scalar(struct conf_parse *p, const struct conf_node *node, void *out)
{
	conf_fill_option(p, &count_options[0], node, out);
}

static void byte_scalar(struct conf_parse *p, const struct conf_node *node, void *out)
{
	conf_fill_option(p, &byte_options[0], node, out);
}

static void check_limit(struct conf_parse *p, const struct conf_node *node, void *out)
{
	struct conf_limit *limit = out;

	(void)p;
	(void)node;
	limit->given = true;
	if (limit->burst == 0)
		limit->burst = 2 * limit->rate;
}

static void check_byte_limit(struct conf_parse *p, const struct conf_node *node, void *out)
{
	struct conf_limit *limit = out;

	if (limit->rate && limit->rate < MIN_BYTE_RATE)
		conf_diag_add(p->diag, node, "less than 1KiB/s can't be told from nothing");
	check_limit(p, node, out);
}

static const struct conf_table count_table = {count_options, sizeof(struct conf_limit),
					      count_scalar, check_limit};
static const struct conf_table byte_table = {byte_options, sizeof(struct conf_limit), byte_scalar,
					     check_byte_limit};

#define OF(class) .offset = offsetof(struct conf_limits, of[class])

static const struct conf_option class_options[] = {
	{"packets", CONF_STRUCT, OF(CONF_LIMIT_PACKETS), .table = &count_table,
	 .help = "Packets to protected ports, and pings."},
	{"bytes", CONF_STRUCT, OF(CONF_LIMIT_BYTES), .table = &byte_table,
	 .help = "Bytes of the frames of these."},
	{"syns", CONF_STRUCT, OF(CONF_LIMIT_SYNS), .table = &count_table,
	 .help = "SYNs to protected ports, as far as no cookie answers them."},
	{"connections", CONF_STRUCT, OF(CONF_LIMIT_CONNECTIONS), .table = &count_table,
	 .help = "TCP handshakes that are completed on protected ports. Costs a socket look-up for "
		 "every segment."},
	{"udp", CONF_STRUCT, OF(CONF_LIMIT_UDP), .table = &count_table,
	 .help = "UDP packets to protected ports."},
	{"icmp", CONF_STRUCT, OF(CONF_LIMIT_ICMP), .table = &count_table,
	 .help = "ICMP messages, but for those between IPv6 neighbours."},
	{"fragments", CONF_STRUCT, OF(CONF_LIMIT_FRAGMENTS), .table = &count_table,
	 .help = "Fragments, whatever they are of."},
	{0},
};
static const struct conf_table class_table = {class_options, sizeof(struct conf_limits), 0, 0};

#define IN_LIMITS(member)                                                                          \
	.offset = offsetof(struct conf_edge, limits.member) - offsetof(struct conf_edge, limits)

static const struct conf_option limits_options[] = {
	{"source", CONF_STRUCT, IN_LIMITS(source), .table = &class_table,
	 .help = "Limits of each source."},
	{"port", CONF_STRUCT, IN_LIMITS(port), .table = &class_table,
	 .help = "Limits of each protected port, for all sources together that have not shown that "
		 "they are where they say."},
	{0},
};
const struct conf_table conf_limits_table = {limits_options, 0, 0, 0};

#define IN_RATE_LIMIT(member)                                                                      \
	.offset = offsetof(struct conf_edge, rate_limit.member) -                                  \
		  offsetof(struct conf_edge, rate_limit)

static const struct conf_option rate_limit_options[] = {
	{"rate", CONF_RATE, IN_RATE_LIMIT(packets.rate), .max = MAX_RATE,
	 .help = "Packets a second of one source; 0: no limit. The same as "
		 "limits.source.packets.rate."},
	{"burst", CONF_UINT, IN_RATE_LIMIT(packets.burst), .max = MAX_BURST,
	 .help = "Packets that a source may send at once; default: twice the rate."},
	{"ipv4_prefix", CONF_UINT, IN_RATE_LIMIT(ipv4_prefix), .fallback = "32", .min = 8,
	 .max = 32, .help = "An IPv4 source is all addresses with this many bits in common."},
	{"ipv6_prefix", CONF_UINT, IN_RATE_LIMIT(ipv6_prefix), .fallback = "64", .min = 32,
	 .max = 64, .help = "An IPv6 source is all addresses with this many bits in common."},
	{0},
};

static void check_rate_limit(struct conf_parse *p, const struct conf_node *node, void *out)
{
	struct conf_limit *packets = out;

	if (conf_node_get(node, "rate") || conf_node_get(node, "burst"))
		check_limit(p, node, packets);
}

const struct conf_table conf_rate_limit_table = {rate_limit_options, 0, 0, check_rate_limit};

static const struct conf_option tier_options[] = {
	{"name", CONF_STRING, AT(struct conf_tier, name), .required = true,
	 .help = "What it is called, in at most 23 bytes."},
	{"sources", CONF_CUSTOM, AT(struct conf_tier, sources), .parse = conf_parse_cidrs,
	 .required = true, .form = "list of addresses and prefixes",
	 .help = "Who is in it; of several prefixes that hold an address the longest counts."},
	{"limits", CONF_STRUCT, AT(struct conf_tier, limits), .table = &class_table,
	 .help = "Limits of each of these sources, instead of those of limits.source; what is not "
		 "said is as there."},
	{0},
};
const struct conf_table conf_tier_table = {tier_options, sizeof(struct conf_tier), 0, 0};

static void check_names(struct conf_parse *p, const struct conf_node *node,
			const struct conf_edge *edge)
{
	if (edge->n_tiers > CONF_TIERS)
		conf_diag_add(p->diag, node, "tiers: there can be %d, not %zu", CONF_TIERS,
			      edge->n_tiers);
	for (size_t i = 0; i < edge->n_tiers; i++) {
		struct slice name = edge->tiers[i].name;

		if (name.len > 23)
			conf_diag_add(p->diag, node,
				      "tiers[%zu].name: '%.*s' is longer than 23 bytes", i,
				      SLICE_FMT(name));
		for (size_t j = 0; j < i; j++)
			if (slice_eq(name, edge->tiers[j].name))
				conf_diag_add(p->diag, node,
					      "tiers[%zu].name: '%.*s' is taken by tiers[%zu]", i,
					      SLICE_FMT(name), j);
	}
}

static bool has(const struct conf_cidrs *cidrs, size_t n, const struct conf_cidr *cidr)
{
	for (size_t i = 0; i < n; i++)
		if (conf_cidr_compare(&cidrs->items[i], cidr) == 0)
			return true;
	return false;
}

static void check_sources(struct conf_parse *p, const struct conf_node *node,
			  const struct conf_edge *edge)
{
	for (size_t i = 0; i < edge->n_tiers; i++) {
		const struct conf_cidrs *sources = &edge->tiers[i].sources;

		for (size_t k = 0; k < sources->n; k++) {
			char text[CONF_CIDR_TEXT];

			conf_cidr_format(&sources->items[k], text);
			for (size_t j = 0; j <= i; j++)
				if (has(&edge->tiers[j].sources,
					j < i ? edge->tiers[j].sources.n : k, &sources->items[k]))
					conf_diag_add(p->diag, node,
						      "tiers[%zu].sources: %s is in tiers[%zu]", i,
						      text, j);
		}
	}
}

void conf_limits_check(struct conf_parse *p, const struct conf_node *node, struct conf_edge *edge)
{
	struct conf_limit *packets = &edge->limits.source.of[CONF_LIMIT_PACKETS];

	if (edge->rate_limit.packets.given && packets->given)
		conf_diag_add(p->diag, node,
			      "rate_limit and limits.source.packets are one limit: say it once");
	else if (edge->rate_limit.packets.given)
		*packets = edge->rate_limit.packets;
	check_names(p, node, edge);
	check_sources(p, node, edge);
}
