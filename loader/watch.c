/* SPDX-License-Identifier: Apache-2.0 */
/* sluice watch: packets as the guard samples them, as text, JSON or a capture. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "conf/cidr.h"
#include "edge/events.h"
#include "edge/feeds.h"
#include "edge/lists.h"
#include "edge/pcap.h"
#include "edge/reason.h"
#include "loader/command.h"
#include "loader/entry.h"

#define RATE 100 /* a second, unless given */

/* What there is of one interface. */
struct source {
	struct watcher *watcher;
	const struct edge *edge;
	struct edge_events *events;
	/* What decides, to name it: by enum edge_list; read once a second at most. */
	struct edge_entries entries[2];
	uint64_t read_at[2];
	struct edge_banned_list bans;
	uint64_t bans_read_at;
	struct edge_set sets[FEED_SETS];
	uint64_t sets_read_at;
};

struct watcher {
	const struct options *o;
	struct edges edges;
	struct source *sources;
	size_t n; /* of sources that watch */
	FILE *pcap;
	uint64_t shown;
	uint64_t checked_at; /* that the guard still has these maps */
	int unwritten;	     /* errno of a failed write; 0: none did */
	int64_t to_wall;     /* from CLOCK_MONOTONIC */
	struct error err;
};

/* An event, in the words that text and JSON have for it. */
struct words {
	char source[INET6_ADDRSTRLEN];
	char destination[INET6_ADDRSTRLEN];
	char protocol[8];
	char flags[32];
	struct edge_ports ports; /* zeros: none */
	/* What decided, NULL where it is not that. */
	const struct edge_entry *entry;
	const struct edge_banned *ban;
	const char *feed;
	struct edge_rule rule;
	bool ruled; /* by that one */
};

/* Whether an entry of a list decides by this reason, and of which. */
static bool list_of(enum reason reason, enum edge_list *ret)
{
	*ret = reason == REASON_DENIED ? EDGE_DENY : EDGE_ALLOW;
	return reason == REASON_DENIED || reason == REASON_ALLOWED;
}

/* A second, or never: then it is now. */
static bool is_old(uint64_t *read_at)
{
	uint64_t now = clock_mono();
	bool old = !*read_at || now - *read_at > NSEC_PER_SEC;

	if (old)
		*read_at = now;
	return old;
}

static const struct edge_banned *find_ban(struct source *s, const char *address)
{
	struct edge_banned_list fresh;
	struct conf_cidr cidr;

	if (conf_cidr_parse(slice_str(address), &cidr))
		return NULL;
	if (is_old(&s->bans_read_at) && edge_bans_read(s->edge, &fresh, NULL) == 0) {
		edge_banned_list_fini(&s->bans);
		s->bans = fresh;
	}
	return entry_find_ban(&s->bans, &cidr);
}

static const char *find_feed(struct source *s, uint8_t set)
{
	size_t bytes;

	if (is_old(&s->sets_read_at))
		edge_sets_read(s->edge, s->sets, &bytes, NULL);
	return s->sets[set].set.name;
}

/* One that is younger than what was read may not be named yet. */
static const struct edge_entry *find_entry(struct source *s, const struct event *event,
					   const char *address)
{
	struct edge_entries fresh;
	struct conf_cidr cidr;
	enum edge_list list;

	if (!list_of(event->head.reason, &list) || conf_cidr_parse(slice_str(address), &cidr))
		return NULL;
	if (is_old(&s->read_at[list]) && edge_list_read(s->edge, list, &fresh, NULL) == 0) {
		edge_entries_fini(&s->entries[list]);
		s->entries[list] = fresh;
	}
	return edge_entries_match(&s->entries[list], &cidr);
}

/* Looked up as the guard does: of the rules that there are now. */
static bool find_rule(const struct source *s, const struct event *event, const struct words *words,
		      struct edge_rule *ret)
{
	struct conf_port to = {event->head.protocol, words->ports.destination};
	struct conf_cidr cidr;

	return event->head.reason == REASON_PORT_DENIED &&
	       !conf_cidr_parse(slice_str(words->source), &cidr) &&
	       edge_rule_find(s->edge, &cidr, to, ret);
}

static void name_flags(uint8_t flags, char ret[32])
{
	static const char *const names[8] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"};
	const char *before = "";

	*ret = '\0';
	for (int i = 0; i < 8; i++) {
		if (!(flags >> i & 1) || !names[i])
			continue;
		snprintf(ret + strlen(ret), 32 - strlen(ret), "%s%s", before, names[i]);
		before = ",";
	}
}

static void describe(struct source *s, const struct event *event, struct words *ret)
{
	const struct event_head *head = &event->head;

	*ret = (struct words){0};
	edge_event_addresses(event, ret->source, ret->destination);
	if (head->protocol == IPPROTO_TCP)
		snprintf(ret->protocol, sizeof(ret->protocol), "tcp");
	else if (head->protocol == IPPROTO_UDP)
		snprintf(ret->protocol, sizeof(ret->protocol), "udp");
	else if (head->protocol == IPPROTO_ICMP || head->protocol == IPPROTO_ICMPV6)
		snprintf(ret->protocol, sizeof(ret->protocol), "icmp");
	else if (head->family)
		snprintf(ret->protocol, sizeof(ret->protocol), "ip/%u", head->protocol);
	edge_event_ports(event, &ret->ports);
	name_flags(ret->ports.flags, ret->flags);
	ret->entry = find_entry(s, event, ret->source);
	if (head->reason == REASON_BANNED)
		ret->ban = find_ban(s, ret->source);
	if (head->reason == REASON_LISTED)
		ret->feed = find_feed(s, head->set);
	ret->ruled = find_rule(s, event, ret, &ret->rule);
}

static uint64_t wall_of(const struct watcher *w, const struct event *event)
{
	return event->time + (uint64_t)w->to_wall;
}

static void print_end(const char *address, uint8_t family, uint16_t port)
{
	if (port)
		printf(family == 6 ? "[%s]:%u" : "%s:%u", address, port);
	else
		printf("%s", *address ? address : "?");
}

static void print_event(struct source *s, const struct event *event)
{
	uint64_t wall = wall_of(s->watcher, event);
	time_t seconds = (time_t)(wall / NSEC_PER_SEC);
	struct words words;
	struct tm tm;
	char at[16];

	describe(s, event, &words);
	strftime(at, sizeof(at), "%H:%M:%S", localtime_r(&seconds, &tm));
	printf("%s.%06u %s %s", at, (unsigned int)(wall % NSEC_PER_SEC / NSEC_PER_USEC),
	       s->edge->name, edge_reasons[event->head.reason].name);
	if (*words.protocol) {
		printf(" %s ", words.protocol);
		print_end(words.source, event->head.family, words.ports.source);
		printf(" > ");
		print_end(words.destination, event->head.family, words.ports.destination);
	}
	printf("%s%s length %u", *words.flags ? " " : "", words.flags, event->bytes);
	if (words.entry) {
		char prefix[CONF_CIDR_TEXT];

		conf_cidr_format(&words.entry->cidr, prefix);
		printf("  %s, %s", prefix, entry_origin(words.entry));
		entry_print_note(s->edge, words.entry);
	} else if (words.ban) {
		printf("  ");
		entry_print_ban(words.ban);
	} else if (words.feed) {
		printf("  feed %s\n", words.feed);
	} else if (words.ruled) {
		printf("  ");
		entry_print_rule(s->edge, &words.rule);
	} else {
		putchar('\n');
	}
}

static void json_event(struct source *s, const struct event *event)
{
	const struct event_head *head = &event->head;
	struct words words;
	struct policy policy = {0};
	json_t *all;

	describe(s, event, &words);
	edge_policy(s->edge, &policy, NULL); /* without one: enforced */
	all = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:I, s:o}", "time_ns",
			(json_int_t)wall_of(s->watcher, event), "interface", s->edge->name,
			"reason", edge_reasons[head->reason].name, "verdict",
			edge_verdict(head->reason, &policy), "protocol", words.protocol, "source",
			words.source, "destination", words.destination, "source_port",
			(int)words.ports.source, "port", (int)words.ports.destination, "flags",
			words.flags, "bytes", (json_int_t)event->bytes, "entry",
			words.entry ? entry_json(s->edge, words.entry) : json_null());
	json_object_set_new(all, "ban", entry_ban_json(words.ban));
	json_object_set_new(all, "feed", words.feed ? json_string(words.feed) : json_null());
	json_object_set_new(all, "rule",
			    words.ruled ? entry_rule_json(s->edge, &words.rule) : json_null());
	json_dumpf(all, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(all);
}

static void pcap_event(struct watcher *w, const struct event *event)
{
	uint8_t header[PCAP_RECORD_HEADER];

	pcap_record_header(header, wall_of(w, event), event->captured, event->bytes);
	fwrite(header, sizeof(header), 1, w->pcap);
	fwrite(event->frame, event->captured, 1, w->pcap);
}

/* Each at once, so that whoever reads can follow. */
static void show(const struct event *event, void *arg)
{
	struct source *s = arg;
	struct watcher *w = s->watcher;

	if (event->head.reason >= REASON_COUNT || w->unwritten ||
	    (w->o->events && w->shown >= w->o->events))
		return;
	w->shown++;
	if (w->pcap)
		pcap_event(w, event);
	else if (w->o->json)
		json_event(s, event);
	else
		print_event(s, event);
	if (fflush(w->pcap ? w->pcap : stdout))
		w->unwritten = errno;
}

static int open_pcap(struct watcher *w)
{
	uint8_t header[PCAP_FILE_HEADER];

	if (!w->o->pcap)
		return 0;
	w->pcap = strcmp(w->o->pcap, "-") == 0 ? stdout : fopen(w->o->pcap, "we");
	if (!w->pcap)
		return error_sys(&w->err, errno, "%s", w->o->pcap);
	pcap_file_header(header, EVENT_FRAME);
	fwrite(header, sizeof(header), 1, w->pcap);
	return fflush(w->pcap) ? error_sys(&w->err, errno, "%s", w->o->pcap) : 0;
}

/* The signals that end it, as a descriptor. */
static int open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int start(struct watcher *w)
{
	uint64_t reasons = w->o->reasons ? w->o->reasons : edge_reasons_drop();
	_cleanup_close_ int lock = -1;
	int rc = command_open(w->o, &lock, &w->edges, &w->err);

	if (rc < 0)
		return rc;
	if (w->o->passes)
		reasons |= ~edge_reasons_drop();
	w->sources = calloc(w->edges.n, sizeof(*w->sources));
	if (!w->sources)
		return error_sys(&w->err, ENOMEM, "watch");
	for (; rc == 0 && w->n < w->edges.n; w->n += rc == 0) {
		struct source *s = &w->sources[w->n];

		s->watcher = w;
		s->edge = &w->edges.items[w->n];
		rc = edge_events_open(s->edge, reasons, w->o->rate ? (uint32_t)w->o->rate : RATE,
				      show, s, &s->events, &w->err);
	}
	return rc;
}

/* Of maps that the guard has left no event comes. */
static int check_guard(struct watcher *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (!edge_is_current(w->sources[i].edge))
			return error_set(&w->err, ESTALE,
					 "%s: the guard was detached, attached anew or upgraded, "
					 "and this does not see it any more",
					 w->sources[i].edge->name);
	return 0;
}

/* 0: go on; 1: over; -errno. */
static int turn(struct watcher *w, struct pollfd *fds)
{
	if (poll(fds, w->n + 1, 1000) < 0)
		return errno == EINTR ? 0 : error_sys(&w->err, errno, "poll");
	w->to_wall = (int64_t)(clock_wall() - clock_mono());
	for (size_t i = 0; i < w->n; i++) {
		edge_events_renew(w->sources[i].events);
		edge_events_read(w->sources[i].events);
	}
	if (w->unwritten)
		return w->unwritten == EPIPE ? 1 : error_sys(&w->err, w->unwritten, "the output");
	if (is_old(&w->checked_at) && check_guard(w) < 0)
		return -w->err.code;
	return fds[w->n].revents || (w->o->events && w->shown >= w->o->events);
}

static int run(struct watcher *w)
{
	_cleanup_close_ int signals = open_signals();
	_cleanup_free_ struct pollfd *fds = NULL;
	int rc = start(w);

	if (rc == 0)
		rc = open_pcap(w);
	if (rc < 0)
		return rc;
	fds = calloc(w->n + 1, sizeof(*fds));
	if (!fds || signals < 0)
		return error_sys(&w->err, fds ? errno : ENOMEM, "watch");
	for (size_t i = 0; i < w->n; i++)
		fds[i] = (struct pollfd){edge_events_fd(w->sources[i].events), POLLIN, 0};
	fds[w->n] = (struct pollfd){signals, POLLIN, 0};
	while (rc == 0)
		rc = turn(w, fds);
	return rc;
}

/* How much of it all this was. */
static void sum_up(const struct watcher *w)
{
	struct watch_counts sum = {0};

	for (size_t i = 0; i < w->n; i++) {
		struct watch_counts c = {0};

		edge_events_counts(w->sources[i].events, &c, NULL);
		sum.suppressed += c.suppressed;
		sum.lost += c.lost;
	}
	fprintf(stderr,
		"%" PRIu64 " packets shown, %" PRIu64 " more were over the rate, %" PRIu64
		" were lost because this was too slow\n",
		w->shown, (uint64_t)sum.suppressed, (uint64_t)sum.lost);
}

enum status cmd_watch(const struct options *o)
{
	struct watcher w = {.o = o};
	int rc = run(&w);

	if (rc >= 0)
		sum_up(&w);
	for (size_t i = 0; i < w.n; i++) {
		edge_events_close(w.sources[i].events);
		edge_entries_fini(&w.sources[i].entries[EDGE_ALLOW]);
		edge_entries_fini(&w.sources[i].entries[EDGE_DENY]);
		edge_banned_list_fini(&w.sources[i].bans);
	}
	if (w.pcap && w.pcap != stdout && fclose(w.pcap) && rc >= 0)
		rc = error_sys(&w.err, errno, "%s", o->pcap);
	free(w.sources);
	edges_fini(&w.edges);
	return rc < 0 ? command_fail(&w.err) : STATUS_DONE;
}
