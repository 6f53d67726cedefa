/* SPDX-License-Identifier: Apache-2.0 */
/* sluice top: rates by reason, the heaviest sources, lists that hit, what a packet costs. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "conf/cidr.h"
#include "edge/feeds.h"
#include "edge/inventory.h"
#include "edge/reason.h"
#include "edge/talkers.h"
#include "loader/command.h"
#include "loader/screen.h"

#define SOURCES 20 /* shown of each interface */

/* What is read of one interface at one time. */
struct sample {
	uint64_t at;
	struct counter counters[REASON_COUNT];
	struct edge_talkers talkers;
	struct edge_set sets[FEED_SETS];
	struct edge_run run;
};

/* Of one interface, between two samples: what came a second. */
struct rates {
	const char *name;
	double seconds;
	struct {
		double packets, bits;
	} reasons[REASON_COUNT];
	double packets;
	double set_packets[FEED_SETS];
	double cost;		     /* nanoseconds a packet; 0: there was none */
	struct edge_talkers talkers; /* what each sent between the two, the most first */
	struct sample now;
};

struct top {
	const struct options *o;
	struct edges edges;
	struct rates *rates; /* of each */
	struct screen *screen;
	size_t shown; /* 0: all together; else one of them, from 1 */
	struct error err;
};

static int take(const struct edge *e, struct sample *ret, struct error *err)
{
	size_t bytes;
	int rc;

	ret->at = clock_mono();
	ret->talkers = (struct edge_talkers){0};
	rc = edge_stats(e, ret->counters, err);
	if (rc == 0)
		rc = edge_sets_read(e, ret->sets, &bytes, err);
	if (rc == 0)
		rc = edge_run(e, &ret->run, err);
	return rc == 0 ? edge_talkers_read(e, &ret->talkers, err) : rc;
}

/* Of counters that only grow, unless they are others'. */
static double rate_of(uint64_t before, uint64_t now, double seconds)
{
	return now > before ? (double)(now - before) / seconds : 0;
}

static void compare(struct rates *r, const struct sample *before)
{
	struct sample *now = &r->now;

	r->seconds = (double)(now->at - before->at) / (double)NSEC_PER_SEC;
	r->packets = 0;
	for (int i = 0; i < REASON_COUNT; i++) {
		const struct counter *a = &before->counters[i], *b = &now->counters[i];

		r->reasons[i].packets = rate_of(a->packets, b->packets, r->seconds);
		r->reasons[i].bits = 8 * rate_of(a->bytes, b->bytes, r->seconds);
		r->packets += r->reasons[i].packets;
	}
	for (int i = 0; i < FEED_SETS; i++)
		r->set_packets[i] = rate_of(before->sets[i].hits.packets, now->sets[i].hits.packets,
					    r->seconds);
	r->cost = 0;
	if (now->run.program_id == before->run.program_id && now->run.count > before->run.count)
		r->cost = (double)(now->run.nsec - before->run.nsec) /
			  (double)(now->run.count - before->run.count);
}

static int compare_talkers(struct rates *r, const struct sample *before)
{
	const struct edge_talkers *now = &r->now.talkers;
	struct edge_talkers since = {calloc(now->n + 1, sizeof(*now->items)), now->n};

	if (!since.items)
		return -ENOMEM;
	if (now->n)
		memcpy(since.items, now->items, now->n * sizeof(*now->items));
	edge_talkers_since(&since, &before->talkers);
	edge_talkers_fini(&r->talkers);
	r->talkers = since;
	return 0;
}

/* The next samples, and their rates. Before the first, there are none. */
static int turn(struct top *t)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < t->edges.n; i++) {
		struct rates *r = &t->rates[i];
		struct sample *before = malloc(sizeof(*before));

		if (!before)
			return error_sys(&t->err, ENOMEM, "top");
		*before = r->now;
		r->name = t->edges.items[i].name;
		rc = take(&t->edges.items[i], &r->now, &t->err);
		if (rc == 0 && before->at) {
			compare(r, before);
			if (compare_talkers(r, before) < 0)
				rc = error_sys(&t->err, ENOMEM, "top");
		}
		edge_talkers_fini(&before->talkers);
		free(before);
	}
	return rc;
}

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
	double packets = 0, nsec = 0;

	for (size_t i = 0; i < t->edges.n; i++) {
		if (!is_shown(t, i))
			continue;
		packets += t->rates[i].packets;
		nsec += t->rates[i].packets * t->rates[i].cost;
	}
	fprintf(to, "sluice top: %s",
		t->shown	  ? t->rates[t->shown - 1].name
		: t->edges.n == 1 ? t->rates[0].name
				  : "all interfaces");
	write_rate(to, packets);
	fprintf(to, " packets/s");
	if (nsec > 0)
		fprintf(to, ", %.0f ns of CPU a packet, %.1f %% of one", nsec / packets,
			nsec / 1e7);
	if (t->screen)
		fprintf(to, "   q: quit%s", t->edges.n > 1 ? ", Tab: next interface" : "");
	fputs("\n\n", to);
}

static void write_reasons(const struct top *t, FILE *to)
{
	fprintf(to, "%-20s %-5s %8s %8s\n", "reason", "", "packets/s", "bits/s");
	for (int r = 0; r < REASON_COUNT; r++) {
		double packets = 0, bits = 0;

		for (size_t i = 0; i < t->edges.n; i++) {
			if (!is_shown(t, i))
				continue;
			packets += t->rates[i].reasons[r].packets;
			bits += t->rates[i].reasons[r].bits;
		}
		if (packets == 0)
			continue;
		fprintf(to, "%-20s %-5s", edge_reasons[r].name, edge_reasons[r].verdict);
		write_rate(to, packets);
		write_rate(to, bits);
		fputc('\n', to);
	}
}

static void write_sources(const struct top *t, FILE *to)
{
	fprintf(to, "\n%-30s %8s %8s %8s  %s\n", "source (estimated)", "packets/s", "dropped/s",
		"bits/s", "last drop");
	for (size_t i = 0; i < t->edges.n; i++) {
		const struct rates *r = &t->rates[i];

		for (size_t n = 0; is_shown(t, i) && n < r->talkers.n && n < SOURCES; n++) {
			const struct edge_talker *s = &r->talkers.items[n];
			char text[CONF_CIDR_TEXT];

			edge_source_format(s->source, text);
			fprintf(to, "%-30s", text);
			write_rate(to, (double)s->packets / r->seconds);
			write_rate(to, (double)s->dropped / r->seconds);
			write_rate(to, 8 * (double)s->bytes / r->seconds);
			fprintf(to, "   %s%s%s\n", s->reason ? edge_reasons[s->reason].name : "",
				t->edges.n > 1 ? " " : "", t->edges.n > 1 ? r->name : "");
		}
	}
}

static void write_sets(const struct top *t, FILE *to)
{
	const char *title = "\nfeeds that hit\n";

	for (size_t i = 0; i < t->edges.n; i++) {
		for (int n = 0; is_shown(t, i) && n < FEED_SETS; n++) {
			const struct rates *r = &t->rates[i];

			if (r->set_packets[n] == 0)
				continue;
			fprintf(to, "%s%-30s", title, r->now.sets[n].set.name);
			write_rate(to, r->set_packets[n]);
			fputc('\n', to);
			title = "";
		}
	}
}

static void write_all(const struct top *t, FILE *to)
{
	write_title(t, to);
	write_reasons(t, to);
	write_sets(t, to);
	write_sources(t, to);
}

static json_t *to_json(const struct rates *r)
{
	json_t *reasons = json_object(), *sources = json_array(), *feeds = json_object();

	for (int i = 0; i < REASON_COUNT; i++)
		json_object_set_new(reasons, edge_reasons[i].name,
				    json_pack("{s:s, s:f, s:f}", "verdict", edge_reasons[i].verdict,
					      "packets", r->reasons[i].packets, "bits",
					      r->reasons[i].bits));
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

static void print_json(const struct top *t)
{
	json_t *all = json_array();

	for (size_t i = 0; i < t->edges.n; i++)
		json_array_append_new(all, to_json(&t->rates[i]));
	command_print(all);
	json_decref(all);
}

static int draw(struct top *t)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return error_sys(&t->err, errno, "top");
	write_all(t, to);
	if (fclose(to))
		return error_sys(&t->err, errno, "top");
	screen_draw(t->screen, text);
	return 0;
}

/* Signals that end it, and the one that says that the window has another size. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Wait for the next sample's time, a key or a signal. 1: it is over. */
static int wait_until(struct top *t, int signals, uint64_t end)
{
	struct pollfd fds[] = {{signals, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
	struct signalfd_siginfo info;

	for (uint64_t now = clock_mono(); now < end; now = clock_mono()) {
		enum screen_key key = t->screen ? screen_key(t->screen) : SCREEN_NONE;

		if (key == SCREEN_QUIT)
			return 1;
		if (key == SCREEN_NEXT && t->edges.n > 1)
			t->shown = (t->shown + 1) % (t->edges.n + 1);
		if (key == SCREEN_NEXT && draw(t) < 0)
			return -t->err.code;
		if (poll(fds, t->screen ? 2 : 1, (int)((end - now) / NSEC_PER_MSEC + 1)) < 0 &&
		    errno != EINTR)
			return error_sys(&t->err, errno, "poll");
		while (read(signals, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo != SIGWINCH)
				return 1;
			if (!t->screen)
				continue;
			screen_resize(t->screen);
			if (draw(t) < 0)
				return -t->err.code;
		}
		if (fds[1].revents & (POLLHUP | POLLERR))
			return 1; /* the terminal has gone */
	}
	return 0;
}

static int show(struct top *t)
{
	if (t->screen)
		return draw(t);
	if (t->o->json)
		print_json(t);
	else
		write_all(t, stdout);
	return 1;
}

static int run(struct top *t)
{
	uint64_t interval = t->o->interval ? t->o->interval : NSEC_PER_SEC;
	_cleanup_close_ int signals = open_signals();
	/* Held for as long as this runs: the kernel measures programs, which costs each packet some 20 ns. */
	_cleanup_close_ int measured = bpf_enable_stats(BPF_STATS_RUN_TIME);
	int rc = command_open(t->o, NULL, &t->edges, &t->err);

	if (rc == 0)
		t->rates = calloc(t->edges.n, sizeof(*t->rates));
	if (rc == 0 && (!t->rates || signals < 0))
		rc = error_sys(&t->err, t->rates ? errno : ENOMEM, "top");
	if (rc == 0)
		rc = turn(t);
	if (rc == 0 && !t->o->once)
		rc = screen_open(&t->screen, &t->err);
	while (rc == 0) {
		rc = wait_until(t, signals, clock_mono() + interval);
		if (rc == 0)
			rc = turn(t);
		if (rc == 0)
			rc = show(t);
	}
	return rc < 0 ? rc : 0;
}

enum status cmd_top(const struct options *o)
{
	struct top t = {.o = o};
	int rc;

	if (o->json && !o->once) {
		fprintf(stderr, "sluice top: --json is for --once\n");
		return STATUS_USAGE;
	}
	rc = run(&t);
	screen_close(t.screen);
	for (size_t i = 0; t.rates && i < t.edges.n; i++) {
		edge_talkers_fini(&t.rates[i].talkers);
		edge_talkers_fini(&t.rates[i].now.talkers);
	}
	free(t.rates);
	edges_fini(&t.edges);
	return rc < 0 ? command_fail(&t.err) : STATUS_DONE;
}
