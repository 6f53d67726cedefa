/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/load_feed.h"

#include <stdio.h>
#include <stdlib.h>

#define AT(type, member) .offset = offsetof(type, member)

static void parse_countries(struct conf_parse *p, const struct conf_node *node, void *out)
{
	struct conf_feed *feed = out;

	feed->countries = conf_parse_list(p, node, sizeof(*feed->countries),
					  "a list of countries such as [DE, FR]");
	for (size_t i = 0; feed->countries && i < node->n; i++) {
		const struct conf_node *item = node->items[i];

		if (item->kind != CONF_SCALAR || item->text.len != 2 || item->text.ptr[0] < 'A' ||
		    item->text.ptr[0] > 'Z' || item->text.ptr[1] < 'A' || item->text.ptr[1] > 'Z')
			conf_diag_add(p->diag, item,
				      "a country is two capital letters, DE for instance");
		else
			feed->countries[feed->n_countries++] = item->text;
	}
}

static void parse_asns(struct conf_parse *p, const struct conf_node *node, void *out)
{
	struct conf_feed *feed = out;

	feed->asns = conf_parse_list(p, node, sizeof(*feed->asns),
				     "a list of numbers such as [64496]");
	for (size_t i = 0; feed->asns && i < node->n; i++) {
		const struct conf_node *item = node->items[i];
		uint64_t asn;

		if (item->kind != CONF_SCALAR || !conf_parse_number(item->text, &asn) || asn == 0 ||
		    asn > UINT32_MAX)
			conf_diag_add(p->diag, item,
				      "an autonomous system is a number from 1 to 4294967295");
		else
			feed->asns[feed->n_asns++] = (uint32_t)asn;
	}
}

static struct slice stem(struct slice path)
{
	for (size_t i = path.len; i-- > 0;)
		if (path.ptr[i] == '/') {
			path = slice_skip(path, i + 1);
			break;
		}
	for (size_t i = path.len; i-- > 1;)
		if (path.ptr[i] == '.')
			return slice_first(path, i);
	return path;
}

static bool is_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~')
			return false;
	return name.len > 0 && name.len <= CONF_FEED_NAME;
}

static void check_feed(struct conf_parse *p, const struct conf_node *node, void *out)
{
	struct conf_feed *feed = out;
	struct slice path = feed->file.len ? feed->file : feed->mmdb;

	if (!feed->file.len == !feed->mmdb.len) {
		conf_diag_add(p->diag, node, "a feed has a file or an mmdb");
		return;
	}
	feed->node = node;
	if (!feed->file.len == !(feed->n_countries || feed->n_asns))
		conf_diag_add(p->diag, node,
			      feed->file.len ? "countries and asns are of an mmdb"
					     : "an mmdb needs countries or asns");
	else
		feed->path = path.ptr[0] == '/'
				     ? arena_printf(p->arena, "%.*s", SLICE_FMT(path))
				     : arena_printf(p->arena, "%s/%.*s", p->dir, SLICE_FMT(path));
	if (!feed->name.len)
		feed->name = stem(path);
	if (!is_name(feed->name))
		conf_diag_add(p->diag, node,
			      "'%.*s' can't be a feed's name: up to %d visible ASCII characters",
			      SLICE_FMT(feed->name), CONF_FEED_NAME);
}

static const struct conf_option feed_options[] = {
	{"file", CONF_STRING, AT(struct conf_feed, file),
	 .help = "A netset: addresses, prefixes and ranges, one a line, '#' or ';' before "
		 "comments; "
		 "relative to this file's directory."},
	{"mmdb", CONF_STRING, AT(struct conf_feed, mmdb),
	 .help = "A MaxMind-format database, of which countries and asns say what is taken."},
	{"countries", CONF_CUSTOM, .offset = 0, .parse = parse_countries,
	 .form = "list of countries", .help = "By ISO code, [DE, FR] for instance."},
	{"asns", CONF_CUSTOM, .offset = 0, .parse = parse_asns, .form = "list of numbers",
	 .help = "Autonomous systems."},
	{"name", CONF_STRING, AT(struct conf_feed, name),
	 .help = "What its counter is called; default: the file's name without its extension."},
	{0},
};
const struct conf_table conf_feed_table = {feed_options, sizeof(struct conf_feed), 0, check_feed};

static void add_feed(struct conf_parse *p, const struct conf_node *node, struct conf_edge *edge)
{
	struct conf_feed *feed = &edge->deny_feeds[edge->n_deny_feeds++];

	conf_fill(p, &conf_feed_table, node, feed);
	for (const struct conf_feed *f = edge->deny_feeds; f < feed; f++)
		if (f->name.len && slice_eq(f->name, feed->name))
			conf_diag_add(p->diag, node, "there is another feed '%.*s': give it a name",
				      SLICE_FMT(feed->name));
	if (edge->n_deny_feeds > CONF_FEEDS)
		conf_diag_add(p->diag, node, "more than %d feeds", CONF_FEEDS);
}

void conf_parse_deny(struct conf_parse *p, const struct conf_node *node, void *out)
{
	struct conf_edge *edge = out;
	struct conf_cidrs *cidrs = &edge->deny;

	cidrs->items = conf_parse_list(p, node, sizeof(*cidrs->items),
				       "a list of addresses, prefixes and feeds");
	if (cidrs->items)
		edge->deny_feeds = conf_parse_list(p, node, sizeof(*edge->deny_feeds), "a list");
	for (size_t i = 0; edge->deny_feeds && i < node->n; i++)
		if (node->items[i]->kind == CONF_MAP)
			add_feed(p, node->items[i], edge);
		else if (conf_parse_cidr(p, node->items[i], &cidrs->items[cidrs->n]))
			cidrs->n++;
}

static const struct conf_option feeds_options[] = {
	{"memory", CONF_SIZE,
	 .offset = offsetof(struct conf_edge, feeds.memory) - offsetof(struct conf_edge, feeds),
	 .fallback = "256MiB", .min = 1 << 20, .max = 1 << 30,
	 .help = "What an interface's compiled feeds may take of the kernel's memory, and once "
		 "more "
		 "while they are replaced."},
	{0},
};
const struct conf_table conf_feeds_table = {feeds_options, 0, 0, 0};
