/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/filters.h"

#include <arpa/inet.h>
#include <endian.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "bench/cookie.skel.h"
#include "bench/lpm.skel.h"
#include "bpf/guard.skel.h"
#include "edge/bans.h"
#include "edge/edge.h"
#include "edge/feeds.h"
#include "edge/lengths.h"
#include "edge/rules.h"

#define LIST_SEED	   1
#define XDP_FILTER	   "/usr/lib/*/bpf/xdpfilt_alw_ip.o" /* everybody allowed but for the list */
#define XDP_FILTER_SOURCE  1ULL				     /* its value: look at sources */
#define XDP_FILTER_DEFAULT 10000			     /* entries; more is our change */

#define BAN_TTL		   (86400 * NSEC_PER_SEC) /* longer than this runs */

static struct guard *guard;
static struct lengths besides; /* the guard's, when its bans and rules count */
static struct lpm *lpm;
static struct cookie *cookie;
static struct bpf_object *xdp_filter;

void die(const char *what)
{
	perror(what);
	exit(1);
}

static void map_set(const struct bpf_map *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY) < 0)
		die(bpf_map__name(map));
}

/* Entries into a trie a family; the value is zeros of any size up to that of the guard's. */
static void fill_tries(const struct entries *e, const struct bpf_map *trie4,
		       const struct bpf_map *trie6)
{
	static const struct list_value zeros;

	for (size_t i = 0; i < e->n; i++) {
		struct prefix6 key = {.prefixlen = e->at[i].len};

		memcpy(key.addr, e->at[i].addr, sizeof(key.addr));
		map_set(e->at[i].family == 4 ? trie4 : trie6, &key, &zeros);
	}
}

/* As sluice compiles a feed and puts it in place. */
static void fill_feed(const struct entries *e)
{
	struct edge_feeds feeds = {.n = 1, .sets[0].name = "bench"};
	struct error err = {0};
	struct edge edge;

	for (size_t i = 0; i < e->n; i++) {
		struct feed_entry entry = {.family = e->at[i].family, .len = e->at[i].len};
		uint64_t half[2];

		memcpy(half, e->at[i].addr, sizeof(half));
		entry.hi = be64toh(half[0]);
		entry.lo = be64toh(half[1]);
		if (feed_entries_add(&feeds.entries, &entry) < 0)
			die("feed");
	}
	if (feed_plan(&feeds.entries, LIST_SEED, &feeds.plan, &err) < 0 ||
	    edge_open_object("bench", guard->obj, &edge, &err) < 0 ||
	    edge_feeds_prepare(&edge, &feeds, edge.shared->generation, &err) < 0) {
		fprintf(stderr, "feed: %s\n", err.text);
		exit(1);
	}
	edge_feeds_settle(&edge);
	edge_close(&edge);
	edge_feeds_fini(&feeds);
}

static struct conf_cidr cidr_of(const struct entry *e)
{
	return edge_cidr(e->family, e->len, e->addr);
}

/* By the door that sluice uses. */
static int add_bans(const struct entries *bans, struct edge_batch *batch, struct error *err)
{
	struct edge_bans b;
	int rc = edge_bans_begin(&b, batch, err);

	for (size_t i = 0; rc == 0 && i < bans->n; i++) {
		struct edge_ban ban = {.cidr = cidr_of(&bans->at[i]), .ttl = BAN_TTL};

		rc = edge_ban(&b, &ban, NULL, err);
	}
	edge_bans_fini(&b);
	return rc;
}

static int add_rules(const struct entries *rules, uint16_t port, struct edge_batch *batch,
		     struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < rules->n; i++) {
		struct edge_rule rule = {.cidr = cidr_of(&rules->at[i]), .to = {IPPROTO_TCP, port}};

		rc = edge_rule_add(batch, &rule, err);
	}
	return rc == 0 ? edge_rules_prepare(batch, err) : rc;
}

void filters_guard_besides(const struct entries *bans, const struct entries *rules, uint16_t port)
{
	struct edge_batch batch = {0};
	struct error err = {0};
	struct edge edge;

	if (edge_open_object("bench", guard->obj, &edge, &err) < 0 ||
	    edge_batch_begin(&batch, &edge, &err) < 0 || add_bans(bans, &batch, &err) < 0 ||
	    add_rules(rules, port, &batch, &err) < 0) {
		fprintf(stderr, "bans and rules: %s\n", err.text);
		exit(1);
	}
	edge_batch_commit(&batch, false);
	besides = *edge.in_use;
	edge_close(&edge);
	filters_guard_use_besides(false);
}

void filters_guard_use_besides(bool use)
{
	static const struct lengths nothing;
	uint32_t key = 0;

	map_set(guard->maps.lengths, &key, use ? &besides : &nothing);
}

static void guard_load(const struct entries *by_hand, const struct entries *in_feed)
{
	guard = guard__open_and_load();
	if (!guard)
		die("guard");
	fill_tries(by_hand, guard->maps.deny4, guard->maps.deny6);
	if (in_feed->n)
		fill_feed(in_feed);
	filters[FILTER_GUARD].fd = bpf_program__fd(guard->progs.sluice_guard);
}

static void guard_unload(void)
{
	guard__destroy(guard);
	guard = NULL;
}

void filters_guard_policy(const struct policy *p)
{
	uint32_t key = 0;

	map_set(guard->maps.policy, &key, p);
}

void filters_guard_port(uint16_t port, enum port_state state)
{
	struct port_value value = {.state = {state, state}};
	uint32_t key = port;

	map_set(guard->maps.ports, &key, &value);
}

void filters_guard_allow(const char *network, uint32_t prefixlen, bool listed)
{
	struct prefix4 key = {.prefixlen = prefixlen};
	struct list_value value = {0};

	inet_pton(AF_INET, network, key.addr);
	if (listed)
		map_set(guard->maps.allow4, &key, &value);
	else
		bpf_map_delete_elem(bpf_map__fd(guard->maps.allow4), &key);
}

uint64_t filters_guard_count(enum reason reason)
{
	int cpus = libbpf_num_possible_cpus();
	struct counters *values;
	uint32_t key = 0;
	uint64_t sum = 0;

	values = cpus > 0 ? calloc((size_t)cpus, sizeof(*values)) : NULL;
	if (!values || bpf_map_lookup_elem(bpf_map__fd(guard->maps.counters), &key, values) < 0)
		die("counters");
	for (int i = 0; i < cpus; i++)
		sum += ((const struct counter *)&values[i])[reason].packets;
	free(values);
	return sum;
}

static void *map_memory(const struct bpf_map *map, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (memory == MAP_FAILED)
		die(bpf_map__name(map));
	return memory;
}

void filters_guard_verified(uint64_t keys[FILTERS_PLACES])
{
	size_t size = FILTERS_PLACES * sizeof(*keys);
	void *sets = map_memory(guard->maps.known, size);

	memcpy(keys, sets, size);
	munmap(sets, size);
}

void filters_guard_give(size_t place, uint64_t key)
{
	size_t size = FILTERS_PLACES * sizeof(key);
	uint64_t *keys = map_memory(guard->maps.known, size);

	keys[place] = key;
	munmap(keys, size);
}

void filters_guard_refill(void)
{
	size_t others_size = BUCKET_SETS * sizeof(struct bucket_set);
	size_t verified_size = FILTERS_PLACES * sizeof(struct verified);
	struct bucket_set *others = map_memory(guard->maps.buckets, others_size);
	struct verified *verified = map_memory(guard->maps.verified, verified_size);

	for (size_t i = 0; i < BUCKET_SETS; i++)
		for (size_t j = 0; j < BUCKET_WAYS; j++)
			others[i].way[j].full_at = 0;
	for (size_t i = 0; i < FILTERS_PLACES; i++)
		memset(verified[i].full_at, 0, sizeof(verified[i].full_at));
	munmap(others, others_size);
	munmap(verified, verified_size);
}

static void lpm_load(const struct entries *by_hand, const struct entries *in_feed)
{
	lpm = lpm__open_and_load();
	if (!lpm)
		die("lpm");
	fill_tries(by_hand, lpm->maps.trie4, lpm->maps.trie6);
	fill_tries(in_feed, lpm->maps.trie4, lpm->maps.trie6);
	filters[FILTER_LPM].fd = bpf_program__fd(lpm->progs.lpm);
}

static void lpm_unload(void)
{
	lpm__destroy(lpm);
	lpm = NULL;
}

static void cookie_load(const struct entries *by_hand, const struct entries *in_feed)
{
	(void)by_hand;
	(void)in_feed;
	cookie = cookie__open_and_load();
	if (!cookie)
		die("cookie");
	filters[FILTER_COOKIE].fd = bpf_program__fd(cookie->progs.cookie);
}

static void cookie_unload(void)
{
	cookie__destroy(cookie);
	cookie = NULL;
}

/* The object has sections for a loader of its own, which libbpf mentions. */
static int print_warnings(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static struct bpf_object *xdp_filter_open(void)
{
	struct bpf_object *obj;
	glob_t found;

	libbpf_set_print(print_warnings);
	if (glob(XDP_FILTER, 0, NULL, &found) != 0) {
		fputs(XDP_FILTER
		      " is missing: tests/deps.sh bench installs it (package xdp-tools)\n",
		      stderr);
		exit(1);
	}
	obj = bpf_object__open_file(found.gl_pathv[0], NULL);
	if (!obj)
		die(found.gl_pathv[0]);
	globfree(&found);
	return obj;
}

/* Of the entries those that it can hold: single addresses. A value for each CPU. */
static void xdp_filter_fill(const struct entries *e, uint64_t *values, const struct bpf_map *map4,
			    const struct bpf_map *map6)
{
	for (size_t i = 0; i < e->n; i++) {
		const struct entry *entry = &e->at[i];

		if (entry->len == (entry->family == 4 ? 32 : 128))
			map_set(entry->family == 4 ? map4 : map6, entry->addr, values);
	}
}

static void xdp_filter_load(const struct entries *by_hand, const struct entries *in_feed)
{
	uint32_t most = (uint32_t)(by_hand->n + in_feed->n);
	struct bpf_map *map, *map4, *map6;
	struct bpf_program *prog;
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values;

	xdp_filter = xdp_filter_open();
	for (map = bpf_object__next_map(xdp_filter, NULL); map;
	     map = bpf_object__next_map(xdp_filter, map))
		bpf_map__set_pin_path(map, NULL);
	map4 = bpf_object__find_map_by_name(xdp_filter, "filter_ipv4");
	map6 = bpf_object__find_map_by_name(xdp_filter, "filter_ipv6");
	prog = bpf_object__next_program(xdp_filter, NULL);
	if (!map4 || !map6 || !prog || cpus <= 0)
		die("xdp-filter's maps");
	if (most > XDP_FILTER_DEFAULT) {
		bpf_map__set_max_entries(map4, most);
		bpf_map__set_max_entries(map6, most);
	}
	/* As the driver's, or the one can't call the other. */
	bpf_program__set_flags(prog, BPF_F_XDP_HAS_FRAGS);
	values = calloc((size_t)cpus, sizeof(*values));
	if (!values || bpf_object__load(xdp_filter) < 0)
		die("xdp-filter");
	for (int i = 0; i < cpus; i++)
		values[i] = XDP_FILTER_SOURCE;
	xdp_filter_fill(by_hand, values, map4, map6);
	xdp_filter_fill(in_feed, values, map4, map6);
	free(values);
	filters[FILTER_XDP_FILTER].fd = bpf_program__fd(prog);
}

static void xdp_filter_unload(void)
{
	bpf_object__close(xdp_filter);
	xdp_filter = NULL;
}

struct filter filters[FILTER_COUNT] = {
	[FILTER_GUARD] = {"guard", guard_load, guard_unload, -1},
	[FILTER_LPM] = {"lpm", lpm_load, lpm_unload, -1},
	[FILTER_XDP_FILTER] = {"xdp-filter", xdp_filter_load, xdp_filter_unload, -1},
	[FILTER_COOKIE] = {"bare cookie", cookie_load, cookie_unload, -1},
};
