/* SPDX-License-Identifier: Apache-2.0 */
/* sluice top: rates by reason, the heaviest sources, lists that hit, what a packet costs. */
#include "loader/top.h"

#include <errno.h>
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

static int take(const struct edge *e, struct sample *ret, struct error *err)
{
	size_t bytes;
	int rc;

	ret->at = clock_mono();
	ret->talkers = (struct edge_talkers){0};
	rc = edge_policy(e, &ret->policy, err);
	if (rc == 0)
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

/* The guard may have been detached, and attached anew with other maps. */
static int follow(struct edge *e, bool *ret_gone, struct error *err)
{
	struct edge now;
	int rc = 0;

	*ret_gone = false;
	if (edge_is_current(e))
		return 0;
	rc = edge_open(e->name, &now, err);
	*ret_gone = rc == -ENOENT;
	if (rc < 0)
		return *ret_gone ? 0 : rc;
	edge_close(e);
	*e = now;
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
		rc = follow(&t->edges.items[i], &r->gone, &t->err);
		if (rc == 0)
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

static void print_json(const struct top *t)
{
	json_t *all = json_array();

	for (size_t i = 0; i < t->edges.n; i++)
		json_array_append_new(all, top_json(&t->rates[i]));
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
	top_write(t, to);
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
		top_write(t, stdout);
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
	return rc < 0 ? command_fail(&t.err) : command_shown(STATUS_DONE);
}
