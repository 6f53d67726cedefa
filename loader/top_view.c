/* SPDX-License-Identifier: Apache-2.0 */
/* What sluice top shows, as text and as JSON. */
#include "loader/top.h"

#include <string.h>

#include "conf/cidr.h"
#include "edge/reason.h"

#define SOURCES 20 /* shown, at most */

static void write_rate(FILE *to, double value)
{
	static const char units[] = " kMGT";
	size_t i = 0;

	while (value >= 10000 && units[i + 1]) {
		value /= 1000;
		i++;
	}
	fprintf(to, " %7.0f%c", value, units[i]);
}

/* Of the interfaces that are shown together. */
static bool is_shown(const struct top *t, size_t i)
{
	return !t->shown || t->shown == i + 1;
}

static void write_title(const struct top *t, FILE *to)
{
	double packets = 0, measured = 0, nsec = 0;

	for (size_t i = 0; i < t->edges.n; i++) {
		if (!is_shown(t, i))
			continue;
		packets += t->rates[i].packets;
		measured += t->rates[i].cost > 0 ? t->rates[i].packets : 0;
		nsec += t->rates[i].packets * t->rates[i].cost;
	}
	fprintf(to, "sluice top: %s",
		t->shown	  ? t->rates[t->shown - 1].name
		: t->edges.n == 1 ? t->rates[0].name
				  : "all interfaces");
	write_rate(to, packets);
	fprintf(to, " packets/s");
	if (nsec > 0)
		fprintf(to, ", %.0f ns of CPU a packet, %.1f %% of one", nsec / measured,
			nsec / 1e7);
	if (t->screen)
		fprintf(to, "   q: quit%s", t->edges.n > 1 ? ", Tab: next interface" : "");
	fputs("\n\n", to);
	for (size_t i = 0; i < t->edges.n; i++)
		if (is_shown(t, i) && t->rates[i].gone)
			fprintf(to, "%s is not attached any more\n\n", t->rates[i].name);
}

static void write_reasons(const struct top *t, FILE *to)
{
	fprintf(to, "%-20s %-5s %8s %8s\n", "reason", "", "packets/s", "bits/s");
	for (int r = 0; r < REASON_COUNT; r++) {
		const char *verdict = edge_reasons[r].verdict;
		double packets = 0, bits = 0;

		for (size_t i = 0; i < t->edges.n; i++) {
			if (!is_shown(t, i))
				continue;
			if (t->rates[i].reasons[r].packets > 0)
				verdict = edge_verdict(r, &t->rates[i].now.policy);
			packets += t->rates[i].reasons[r].packets;
			bits += t->rates[i].reasons[r].bits;
		}
		if (packets == 0)
			continue;
		fprintf(to, "%-20s %-5s", edge_reasons[r].name, verdict);
		write_rate(to, packets);
		write_rate(to, bits);
		fputc('\n', to);
	}
}

/* Of the sources that are not written yet, the interface of the one that sends the most; NULL: there is none. */
static struct rates *next_source(const struct top *t)
{
	struct rates *best = NULL;
	double most = 0;

	for (size_t i = 0; i < t->edges.n; i++) {
		struct rates *r = &t->rates[i];
		double rate;

		if (!is_shown(t, i) || r->written == r->talkers.n)
			continue;
		rate = (double)r->talkers.items[r->written].packets / r->seconds;
		if (best && rate <= most)
			continue;
		best = r;
		most = rate;
	}
	return best;
}

static void write_source(const struct rates *r, const struct edge_talker *s, bool where, FILE *to)
{
	char text[CONF_CIDR_TEXT];

	edge_source_format(s->source, text);
	fprintf(to, "%-30s", text);
	write_rate(to, (double)s->packets / r->seconds);
	write_rate(to, (double)s->dropped / r->seconds);
	write_rate(to, 8 * (double)s->bytes / r->seconds);
	fprintf(to, where ? "   %-19s  %s\n" : "   %s\n",
		s->reason ? edge_reasons[s->reason].name : "", r->name);
}

static void write_sources(const struct top *t, FILE *to)
{
	bool where = t->edges.n > 1 && !t->shown;
	struct rates *r;

	fprintf(to, where ? "\n%-30s %8s %8s %8s  %-20s  %s\n" : "\n%-30s %8s %8s %8s  %s\n",
		"source (estimated)", "packets/s", "dropped/s", "bits/s", "last drop", "interface");
	for (size_t i = 0; i < t->edges.n; i++)
		t->rates[i].written = 0;
	for (size_t n = 0; n < SOURCES && (r = next_source(t)); n++)
		write_source(r, &r->talkers.items[r->written++], where, to);
}

/* Of all interfaces that are shown. */
static double set_packets(const struct top *t, const char *name)
{
	double packets = 0;

	for (size_t i = 0; i < t->edges.n; i++)
		for (int n = 0; is_shown(t, i) && n < FEED_SETS; n++)
			if (strcmp(t->rates[i].now.sets[n].set.name, name) == 0)
				packets += t->rates[i].set_packets[n];
	return packets;
}

/* Whether an interface before this one has a feed of this name, too. */
static bool is_written(const struct top *t, size_t i, const char *name)
{
	while (i--)
		for (int n = 0; is_shown(t, i) && n < FEED_SETS; n++)
			if (strcmp(t->rates[i].now.sets[n].set.name, name) == 0)
				return true;
	return false;
}

static void write_sets(const struct top *t, FILE *to)
{
	const char *title = "\nfeeds that hit\n";

	for (size_t i = 0; i < t->edges.n; i++) {
		for (int n = 0; is_shown(t, i) && n < FEED_SETS; n++) {
			const char *name = t->rates[i].now.sets[n].set.name;
			double packets = *name ? set_packets(t, name) : 0;

			if (packets == 0 || is_written(t, i, name))
				continue;
			fprintf(to, "%s%-30s", title, name);
			write_rate(to, packets);
			fputc('\n', to);
			title = "";
		}
	}
}

void top_write(const struct top *t, FILE *to)
{
	write_title(t, to);
	write_reasons(t, to);
	write_sets(t, to);
	write_sources(t, to);
}

json_t *top_json(const struct rates *r)
{
	json_t *reasons = json_object(), *sources = json_array(), *feeds = json_object();

	for (int i = 0; i < REASON_COUNT; i++)
		json_object_set_new(reasons, edge_reasons[i].name,
				    json_pack("{s:s, s:f, s:f}", "verdict",
					      edge_verdict(i, &r->now.policy), "packets",
					      r->reasons[i].packets, "bits", r->reasons[i].bits));
	for (size_t i = 0; i < r->talkers.n && i < SOURCES; i++) {
		const struct edge_talker *s = &r->talkers.items[i];
		char text[CONF_CIDR_TEXT];

		edge_source_format(s->source, text);
		json_array_append_new(
			sources, json_pack("{s:s, s:f, s:f, s:f, s:o}", "source", text, "packets",
					   (double)s->packets / r->seconds, "dropped",
					   (double)s->dropped / r->seconds, "bits",
					   8 * (double)s->bytes / r->seconds, "last_drop",
					   s->reason ? json_string(edge_reasons[s->reason].name)
						     : json_null()));
	}
	for (int i = 0; i < FEED_SETS; i++)
		if (*r->now.sets[i].set.name)
			json_object_set_new(feeds, r->now.sets[i].set.name,
					    json_real(r->set_packets[i]));
	return json_pack("{s:s, s:f, s:f, s:o, s:o, s:o, s:o}", "interface", r->name, "seconds",
			 r->seconds, "packets", r->packets, "ns_a_packet",
			 r->cost > 0 ? json_real(r->cost) : json_null(), "reasons", reasons,
			 "sources", sources, "feeds", feeds);
}
