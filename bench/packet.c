/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a packet costs on each of the guard's ways, in nanoseconds over the empty program, beside other programs:
 * BPF_PROG_TEST_RUN of the driver, which calls one or the other, in turns. In a network namespace of its own. Every
 * packet's verdict is checked, and that the guard counted it for the reason that the way is about. Prints JSON.
 *
 *     packet ROUNDS RUNS FLOOD BY_HAND[+IN_FEED]...
 *
 * RUNS: packets a run, from up to 300,000 sources. FLOOD: the flood's sources, in all rounds together.
 */
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench/driver.h"
#include "bench/driver.skel.h"
#include "bench/entries.h"
#include "bench/filters.h"
#include "bench/ways.h"
#include "tests/bpf/pass.skel.h"

#define MAX_ROUNDS  101
#define MAX_WAYS    32
#define SOURCES	    300000U
#define LISTED_SEED 1
#define BESIDES	    1000 /* bans, and as many rules */
#define BEFORE	    2000 /* packets, so that what a program has just loaded isn't measured cold */

static struct driver *driver;
static struct pass *empty;
static struct source_line *table; /* the driver's, mapped */

struct options {
	int rounds;
	uint32_t runs;
	uint32_t flood;
};

/* Of a way: its part of the table, and what came out. */
struct course {
	uint32_t first_line, n_sources;
	bool none; /* no such source on this list, or the way is not about it */
	double empty_ns[MAX_ROUNDS];
	double over_ns[FILTER_COUNT][MAX_ROUNDS];
	uint32_t verified,
		lost; /* sources before the flood began, and of these without a place after it */
};

static uint32_t in_line(const struct way *w)
{
	return w->family == 4 ? LINE_SOURCES4 : LINE_SOURCES6;
}

static uint32_t runs_of(const struct way *w, const struct options *o)
{
	return w->kind == WAY_FLOOD ? (o->flood + (uint32_t)o->rounds - 1) / (uint32_t)o->rounds
				    : o->runs;
}

static int test_run(uint32_t repeat, uint32_t *ret_verdict)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .repeat = (int)repeat, .data_in = driver->bss->frame,
		    .data_size_in = driver->bss->frame_len);

	if (bpf_prog_test_run_opts(bpf_program__fd(driver->progs.driver), &opts) < 0)
		die("test run");
	*ret_verdict = opts.retval;
	return (int)opts.duration;
}

/* Nanoseconds a packet with the program behind the driver; the round says with which source it begins. */
static int run_once(int program, const struct way *w, const struct course *c, uint32_t runs,
		    int round, uint32_t *ret_verdict)
{
	uint64_t start = (uint64_t)round * runs;
	uint32_t key = 0;
	struct frame f;

	ways_frame(w, &f);
	memset(driver->bss->frame, 0, sizeof(driver->bss->frame));
	memcpy(driver->bss->frame, f.bytes, f.len);
	driver->bss->frame_len = f.len < FRAME_SHORT ? FRAME_SHORT : (uint32_t)f.len;
	driver->bss->family = w->family;
	driver->bss->protocol = f.protocol;
	driver->bss->first_line = c->first_line;
	driver->bss->n_sources = c->n_sources;
	driver->bss->turn = c->n_sources ? (uint32_t)(start % c->n_sources) : 0;
	if (bpf_map_update_elem(bpf_map__fd(driver->maps.program), &key, &program, BPF_ANY) < 0)
		die("program");
	return test_run(runs, ret_verdict);
}

static uint32_t verdict_of(enum reason reason)
{
	static const uint32_t verdicts[] = {
#define GUARD_REASON(id, name, verdict, help) [REASON_##id] = XDP_##verdict,
		GUARD_REASONS(GUARD_REASON)
#undef GUARD_REASON
	};

	return verdicts[reason];
}

static _Noreturn void wrong(const struct way *w, enum filter_id id, const char *what, uint64_t n)
{
	fprintf(stderr, "%s, %s: %s %llu\n", w->name, filters[id].name, what,
		(unsigned long long)n);
	exit(1);
}

/* Packets that went this way; whoever is denied is so by hand or by a feed. */
static uint64_t count_of(const struct way *w)
{
	return filters_guard_count(w->reason) +
	       (w->reason == REASON_DENIED ? filters_guard_count(REASON_LISTED) : 0);
}

/* Of the places that sources had, those that are not theirs any more. */
static uint32_t lost_since(const uint64_t before[FILTERS_PLACES])
{
	static uint64_t now[FILTERS_PLACES];
	uint32_t lost = 0;

	filters_guard_verified(now);
	for (size_t i = 0; i < FILTERS_PLACES; i++)
		lost += before[i] && now[i] != before[i];
	return lost;
}

/* What of the verified sources a run with the guard leaves. */
static int run_beside_verified(const struct way *w, struct course *c, uint32_t runs, int round,
			       uint32_t *ret_verdict)
{
	static uint64_t before[FILTERS_PLACES];
	uint32_t lost;
	size_t some = 0;
	int ns;

	filters_guard_verified(before);
	ns = run_once(filters[FILTER_GUARD].fd, w, c, runs, round, ret_verdict);
	lost = lost_since(before);
	c->lost += lost;
	for (size_t i = 0; i < FILTERS_PLACES; i++) {
		c->verified += round == 0 && before[i];
		some = before[i] ? i : some;
	}
	if (lost)
		return ns;
	/* None is lost: one would be seen. */
	filters_guard_give(some, 0);
	if (lost_since(before) != 1)
		wrong(w, FILTER_GUARD, "verified sources lost, of one:", lost_since(before));
	filters_guard_give(some, before[some]);
	return ns;
}

/* How many go another way first: a limit lets through what each source may have, and cookies what each CPU may send. */
static uint32_t first_of(const struct way *w, const struct course *c)
{
	if (w->reason == REASON_LIMITED)
		return c->n_sources + 2;
	return w->reason == REASON_SYN_EXCESS ? (uint32_t)libbpf_num_possible_cpus() * 2 : 0;
}

static int run_filter(enum filter_id id, const struct way *w, struct course *c, uint32_t runs,
		      int round)
{
	uint32_t first = first_of(w, c);
	uint32_t verdict;
	uint64_t before;
	int ns;

	if (id != FILTER_GUARD) {
		ns = run_once(filters[id].fd, w, c, runs, round, &verdict);
	} else {
		ways_prepare(w);
		/* Others have left debts that end while this runs, and this one leaves debts. */
		if (w->reason == REASON_LIMITED)
			filters_guard_refill();
		before = count_of(w);
		ns = w->kind == WAY_FLOOD ? run_beside_verified(w, c, runs, round, &verdict)
					  : run_once(filters[id].fd, w, c, runs, round, &verdict);
		before = count_of(w) - before;
		if (before > runs || before + first < runs)
			wrong(w, id, "packets that went this way, of all:", before);
		if (w->reason == REASON_LIMITED)
			filters_guard_refill();
	}
	if (verdict != verdict_of(w->reason))
		wrong(w, id, "verdict", verdict);
	return ns;
}

static void run_way(const struct way *w, struct course *c, const struct options *o, int round)
{
	uint32_t runs = runs_of(w, o), verdict;

	run_once(bpf_program__fd(empty->progs.pass), w, c, BEFORE, round, &verdict);
	c->empty_ns[round] = run_once(bpf_program__fd(empty->progs.pass), w, c, runs, round,
				      &verdict);
	for (enum filter_id id = 0; id < FILTER_COUNT; id++)
		if (id == FILTER_GUARD || w->others & FILTER_BIT(id))
			c->over_ns[id][round] = run_filter(id, w, c, runs, round) -
						c->empty_ns[round];
}

/* Whose sources a way has, or has not. */
struct lists {
	struct entries by_hand, in_feed, all; /* all: both */
	struct entries bans, rules, besides;  /* besides: both */
};

static const struct entries *list_of(const struct way *w, const struct lists *l)
{
	return w->kind != WAY_BESIDES		 ? &l->all
	       : w->reason == REASON_BANNED	 ? &l->bans
	       : w->reason == REASON_PORT_DENIED ? &l->rules
						 : &l->besides;
}

/* A way before this one that has the same sources, or NULL. */
static const struct course *same_sources(const struct lists *lists, const struct course *courses,
					 size_t way)
{
	for (size_t i = 0; i < way; i++)
		if (list_of(&ways[i], lists) == list_of(&ways[way], lists) &&
		    ways[i].source == ways[way].source && ways[i].family == ways[way].family &&
		    ways[i].kind == ways[way].kind)
			return &courses[i];
	return NULL;
}

/* The ways' sources, one behind the other. */
static void fill_table(const struct lists *lists, const struct options *o, struct course *courses)
{
	uint32_t line = 0;

	for (size_t i = 0; i < n_ways; i++) {
		const struct way *w = &ways[i];
		uint32_t n = w->kind == WAY_FLOOD ? o->flood
			     : o->runs < SOURCES  ? o->runs
						  : SOURCES;
		const struct course *same = same_sources(lists, courses, i);
		struct course *c = &courses[i];

		memset(c, 0, sizeof(*c));
		if (w->source == SOURCE_FIXED)
			continue;
		c->none = w->kind == WAY_BESIDES && lists->all.n;
		if (c->none)
			continue;
		if (same) {
			c->first_line = same->first_line;
			c->n_sources = same->n_sources;
			c->none = same->none;
			continue;
		}
		if (n / in_line(w) + 1 > SOURCE_LINES - line) {
			fputs("packet: too many sources for the table\n", stderr);
			exit(1);
		}
		c->first_line = line;
		c->n_sources = (uint32_t)ways_sources(w, list_of(w, lists), n, table[line].word);
		c->none = !c->n_sources;
		line += c->n_sources / in_line(w) + 1;
	}
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
	return values[n / 2];
}

static void report(const struct setting *s, const struct options *o, struct course *courses)
{
	static bool more;

	for (size_t i = 0; i < n_ways; i++)
		for (enum filter_id id = 0; id < FILTER_COUNT; id++) {
			if (courses[i].none ||
			    (id != FILTER_GUARD && !(ways[i].others & FILTER_BIT(id))))
				continue;
			printf("%s  {\"way\": \"%s\", \"by_hand\": %u, \"in_feed\": %u, "
			       "\"subject\": \"%s\", \"packets\": %u, \"sources\": %u, "
			       "\"empty_ns\": %.0f, \"over_ns\": %.0f, "
			       "\"verified\": %u, \"lost\": %u}",
			       more ? ",\n" : "", ways[i].name, s->by_hand, s->in_feed,
			       filters[id].name, runs_of(&ways[i], o),
			       courses[i].n_sources ? courses[i].n_sources : 1,
			       median(courses[i].empty_ns, o->rounds),
			       median(courses[i].over_ns[id], o->rounds), courses[i].verified,
			       courses[i].lost);
			more = true;
		}
}

static void make_lists(const struct setting *s, struct lists *ret)
{
	entries_make(s->by_hand, LISTED_SEED, &ret->by_hand);
	entries_make(s->in_feed, LISTED_SEED + 1, &ret->in_feed);
	entries_join(&ret->by_hand, &ret->in_feed, &ret->all);
	entries_make_few(BESIDES, LISTED_SEED + 2, &ret->bans);
	entries_make_few(BESIDES, LISTED_SEED + 3, &ret->rules);
	entries_join(&ret->bans, &ret->rules, &ret->besides);
}

static void lists_fini(struct lists *l)
{
	entries_fini(&l->by_hand);
	entries_fini(&l->in_feed);
	entries_fini(&l->all);
	entries_fini(&l->bans);
	entries_fini(&l->rules);
	entries_fini(&l->besides);
}

static void measure(const struct setting *s, const struct options *o)
{
	static struct course courses[MAX_WAYS];
	struct lists lists;

	make_lists(s, &lists);
	fill_table(&lists, o, courses);
	for (enum filter_id id = 0; id < FILTER_COUNT; id++)
		filters[id].load(&lists.by_hand, &lists.in_feed);
	ways_add_besides(&lists.bans, &lists.rules);
	for (int round = 0; round < o->rounds; round++)
		for (size_t i = 0; i < n_ways; i++)
			if (!courses[i].none)
				run_way(&ways[i], &courses[i], o, round);
	for (enum filter_id id = 0; id < FILTER_COUNT; id++)
		filters[id].unload();
	report(s, o, courses);
	lists_fini(&lists);
}

static void open_driver(void)
{
	driver = driver__open_and_load();
	empty = pass__open_and_load();
	if (!driver || !empty)
		die("driver");
	table = mmap(NULL, sizeof(*table) * SOURCE_LINES, PROT_READ | PROT_WRITE, MAP_SHARED,
		     bpf_map__fd(driver->maps.sources), 0);
	if (table == MAP_FAILED)
		die("sources");
}

int main(int argc, char **argv)
{
	struct options o = {.rounds = argc > 1 ? atoi(argv[1]) : 0,
			    .runs = argc > 2 ? (uint32_t)atol(argv[2]) : 0,
			    .flood = argc > 3 ? (uint32_t)atol(argv[3]) : 0};

	if (argc < 5 || o.rounds < 1 || o.rounds > MAX_ROUNDS || !o.runs || !o.flood) {
		fputs("usage: packet ROUNDS RUNS FLOOD BY_HAND[+IN_FEED]...\n", stderr);
		return 2;
	}
	if (n_ways > MAX_WAYS)
		return 2;
	ways_init();
	open_driver();
	printf("[\n");
	for (int i = 4; i < argc; i++) {
		const char *plus = strchr(argv[i], '+');
		struct setting s = {(uint32_t)atol(argv[i]), plus ? (uint32_t)atol(plus + 1) : 0};

		measure(&s, &o);
	}
	printf("\n]\n");
	driver__destroy(driver);
	pass__destroy(empty);
	return 0;
}
