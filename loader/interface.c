/* SPDX-License-Identifier: Apache-2.0 */
/* sluice attach, detach, apply, status: the guard on its interfaces. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "conf/load.h"
#include "edge/bans.h"
#include "edge/edge.h"
#include "edge/feeds.h"
#include "edge/limits.h"
#include "edge/lists.h"
#include "edge/pin.h"
#include "edge/sysctl.h"
#include "loader/command.h"
#include "loader/inventory.h"
#include "loader/limits.h"

DEFINE_CLEANUP(struct config *, config_free)

static const char *const mode_names[] = {"unknown", "native", "generic"};
static const char *const asked_names[] = {"auto", "native", "generic"};
static const char *const syn_names[] = {"off", "auto", "always"};

struct visit {
	struct error err;
	json_t *json; /* NULL: text */
	bool whole;   /* sluice status: with what there is in the kernel */
};

static enum status finish(struct visit *v, int rc)
{
	if (rc == 0 && v->json) {
		command_print(v->json);
	}
	json_decref(v->json);
	return rc < 0 ? command_fail(&v->err) : STATUS_DONE;
}

static void did(struct visit *v, const char *name, const char *what)
{
	if (v->json)
		json_array_append_new(v->json, json_pack("{s:s, s:b}", "interface", name, what, 1));
	else
		printf("%s: %s\n", name, what);
}

/* With every error of the file on standard error. */
static int load(const char *file, struct config **ret)
{
	struct conf_diag diag;
	int rc;

	conf_diag_init(&diag);
	rc = config_load(file, &diag, ret);
	if (rc == 0 && !(*ret)->edge.present) {
		conf_diag_add(&diag, NULL,
			      "there is no 'edge:', which says what the packet plane does");
		config_free(*ret);
		*ret = NULL;
		rc = -EINVAL;
	}
	if (rc < 0)
		conf_diag_print(&diag, stderr);
	conf_diag_fini(&diag);
	return rc;
}

/* What it takes is said before it is taken. */
static int load_feeds(const struct config *cfg, struct edge_feeds *ret, struct error *err)
{
	char text[EDGE_FEEDS_TEXT];
	int rc = edge_feeds_load(cfg, ret, NULL, err);

	if (rc == 0 && ret->n) {
		edge_feeds_describe(ret, text);
		fprintf(stderr, "sluice: loading %s\n", text);
	}
	return rc;
}

struct names {
	char (*items)[IF_NAMESIZE];
	size_t n;
};

static int collect(const char *name, void *arg)
{
	struct names *d = arg;
	void *grown = reallocarray(d->items, d->n + 1, sizeof(*d->items));

	if (!grown)
		return -ENOMEM;
	d->items = grown;
	snprintf(d->items[d->n++], IF_NAMESIZE, "%s", name);
	return 0;
}

/* The lock, and the interfaces that the command is about. */
static int begin(const struct options *o, struct visit *v, int *ret_lock, struct names *ret)
{
	int rc;

	*ret_lock = edge_lock(&v->err);
	if (*ret_lock < 0)
		return *ret_lock;
	rc = command_each(o, collect, ret, &v->err);
	return rc == -ENOMEM ? error_sys(&v->err, ENOMEM, "interfaces") : rc;
}

enum status cmd_detach(const struct options *o)
{
	struct visit v = {.json = o->json ? json_array() : NULL};
	_cleanup_close_ int lock = -1;
	struct names d = {0};
	int rc = begin(o, &v, &lock, &d);

	if (rc == 0)
		rc = edge_detach(d.items, d.n, &v.err);
	for (size_t i = 0; rc == 0 && i < d.n; i++)
		did(&v, d.items[i], "detached");
	free(d.items);
	return finish(&v, rc);
}

static void check_capacity(const struct edge *e, const struct config *cfg)
{
	uint32_t capacity = edge_bans_capacity(e);

	if (capacity != cfg->edge.bans.capacity)
		fprintf(stderr,
			"sluice: warning: %s: there is room for %" PRIu32
			" bans, as when it was attached; %s\n",
			e->name, capacity,
			capacity < cfg->edge.bans.capacity
				? "'sluice upgrade -c FILE' makes it what bans.capacity says"
				: "a smaller bans.capacity counts from the next attach");
}

enum status cmd_apply(const struct options *o)
{
	_cleanup_(config_freep) struct config *cfg = NULL;
	_cleanup_(edge_feeds_fini) struct edge_feeds feeds = {0};
	_cleanup_close_ int lock = -1;
	struct edges edges = {0};
	struct visit v = {0};
	int rc;

	if (load(o->file, &cfg) < 0)
		return STATUS_FAILED;
	if (load_feeds(cfg, &feeds, &v.err) < 0)
		return command_fail(&v.err);
	v.json = o->json ? json_array() : NULL;
	rc = command_open(o, &lock, &edges, &v.err);
	if (rc == 0)
		rc = edge_apply(edges.items, edges.n, cfg, &feeds, command_warn, &v.err);
	if (rc == 0 && edge_sysctl_check(&cfg->edge, NULL, command_warn, &v.err) < 0)
		command_warn(v.err.text);
	for (size_t i = 0; rc == 0 && i < edges.n; i++) {
		check_capacity(&edges.items[i], cfg);
		did(&v, edges.items[i].name, "applied");
	}
	edges_fini(&edges);
	return finish(&v, rc);
}

enum status cmd_upgrade(const struct options *o)
{
	_cleanup_(config_freep) struct config *cfg = NULL;
	_cleanup_free_ bool *changed = NULL;
	_cleanup_close_ int lock = -1;
	struct names d = {0};
	struct visit v = {0};
	int rc;

	if (o->file && load(o->file, &cfg) < 0)
		return STATUS_FAILED;
	v.json = o->json ? json_array() : NULL;
	rc = begin(o, &v, &lock, &d);

	if (rc == 0) {
		changed = calloc(d.n, sizeof(*changed));
		rc = changed ? edge_upgrade(d.items, d.n, cfg, changed, &v.err)
			     : error_sys(&v.err, ENOMEM, "interfaces");
	}
	for (size_t i = 0; rc == 0 && i < d.n; i++)
		did(&v, d.items[i], changed[i] ? "upgraded" : "unchanged");
	free(d.items);
	return finish(&v, rc);
}

static size_t count(const struct edge *e, enum edge_list list)
{
	struct edge_entries entries = {0};

	if (edge_list_read(e, list, &entries, NULL) < 0)
		return 0;
	free(entries.items);
	return entries.n;
}

/* What connections keep that begin with a cookie. */
static void print_cookies(const struct policy *p)
{
	if (p->syn_mode == SYN_OFF)
		return;
	if (p->cookie_options & COOKIE_NONE) {
		printf("; the kernel makes no cookies (net.ipv4.tcp_syncookies is 0)");
		return;
	}
	printf("; cookies keep the MSS%s%s",
	       p->cookie_options & COOKIE_TIMESTAMPS ? ", timestamps" : "",
	       p->cookie_options & COOKIE_SACK ? ", SACK" : "");
	if (p->cookie_options & COOKIE_WSCALE)
		printf(", window scale %u", p->cookie_wscale);
}

/* Null: the kernel makes none. */
static json_t *json_cookies(const struct policy *p)
{
	json_t *kept;

	if (p->cookie_options & COOKIE_NONE)
		return json_null();
	kept = json_pack("{s:b, s:b}", "timestamps", p->cookie_options & COOKIE_TIMESTAMPS, "sack",
			 p->cookie_options & COOKIE_SACK);
	json_object_set_new(kept, "window_scale",
			    p->cookie_options & COOKIE_WSCALE ? json_integer(p->cookie_wscale)
							      : json_null());
	return kept;
}

static void print_bans(const struct policy *p)
{
	char ttl[16], max[16];

	inventory_age(p->ban_ttl * NSEC_PER_SEC, ttl);
	inventory_age(p->ban_max_ttl * NSEC_PER_SEC, max);
	printf("  bans        %s, for %s, %" PRIu32 " times longer each time, at most %s\n",
	       p->ban_mode == BAN_SHADOW ? "shadow: they only count" : "enforced", ttl,
	       p->ban_factor, max);
}

static json_t *json_bans(const struct policy *p)
{
	return json_pack("{s:s, s:I, s:I, s:I}", "mode",
			 p->ban_mode == BAN_SHADOW ? "shadow" : "enforce", "ttl",
			 (json_int_t)p->ban_ttl, "escalate", (json_int_t)p->ban_factor, "max_ttl",
			 (json_int_t)p->ban_max_ttl);
}

/* What it stands on and what it is a member of, where packets meet the guard elsewhere than one may think. */
static void print_device(const char *name)
{
	struct device d;

	if (device_read(name, &d, NULL) < 0)
		return;
	if (d.n_lower) {
		printf("  device      %s on", *d.kind ? d.kind : "device");
		for (size_t i = 0; i < d.n_lower; i++)
			printf(" %s", d.lower[i]);
		putchar('\n');
	}
	if (*d.master)
		printf("  member of   %s (%s): packets meet the guard before it\n", d.master,
		       d.master_kind);
}

/* In the order in which packets meet them. */
static void print_share(const struct edge_status *s)
{
	printf("  program     %" PRIu32 "\n", s->program_id);
	if (!s->share.dispatcher) {
		printf("  shared      by libxdp's dispatcher%s\n",
		       s->attached ? ", in another network namespace" : "");
		return;
	}
	printf("  shared      by libxdp's dispatcher, program %" PRIu32 ":", s->share.dispatcher);
	for (size_t i = 0; i < s->share.n; i++)
		printf("%s %s (priority %" PRIu32 ")", i ? "," : "", s->share.programs[i].name,
		       s->share.programs[i].priority);
	putchar('\n');
}

static json_t *json_share(const struct edge_status *s)
{
	json_t *programs;

	if (!s->is_shared)
		return json_null();
	programs = json_array();
	for (size_t i = 0; i < s->share.n; i++)
		json_array_append_new(
			programs, json_pack("{s:s, s:I, s:I}", "name", s->share.programs[i].name,
					    "program_id", (json_int_t)s->share.programs[i].id,
					    "priority", (json_int_t)s->share.programs[i].priority));
	return json_pack("{s:I, s:o}", "dispatcher", (json_int_t)s->share.dispatcher, "programs",
			 programs);
}

static void print_status(const struct edge *e, const struct edge_status *s)
{
	const struct policy *p = &s->policy;
	time_t at = (time_t)(s->loaded_at / NSEC_PER_SEC);
	char pins[EDGE_PATH];
	char since[32];
	struct tm tm;

	strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
	if (!s->attached)
		printf("%s: the interface has gone; its lists are kept until 'sluice detach "
		       "--interface "
		       "%s'\n",
		       e->name, e->name);
	else
		printf("%s: attached, %s mode (asked for: %s), since %s\n", e->name,
		       mode_names[s->mode], asked_names[s->asked], since);
	print_device(e->name);
	if (s->is_shared)
		print_share(s);
	else
		printf("  program     %" PRIu32 " (link %" PRIu32 ")\n", s->program_id, s->link_id);
	printf("  generation  %" PRIu32 "\n", s->generation);
	printf("  lists       %zu allowed, %zu denied\n", count(e, EDGE_ALLOW),
	       count(e, EDGE_DENY));
	printf("  syn_flood   %s", syn_names[p->syn_mode % 3]);
	if (p->syn_mode == SYN_AUTO)
		printf(", above %" PRIu32 " SYN/s", p->syn_threshold);
	if (p->syn_mode != SYN_OFF && p->cookies.interval)
		printf(", %" PRIu64 " cookies/s a CPU", (uint64_t)p->cookies.burst);
	print_cookies(p);
	putchar('\n');
	print_bans(p);
	limits_print(e, p);
	edge_path(pins, EDGE_DIR, e->name, NULL);
	printf("  pins        %s\n", pins);
}

static json_t *json_status(const struct edge *e, const struct edge_status *s)
{
	const struct policy *p = &s->policy;
	const struct limit *packets = &p->tier[TIER_EVERYBODY].limit[LIMIT_PACKETS];
	json_t *all;

	all = json_pack("{s:s, s:I, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:o, s:I, s:I}",
			"interface", e->name, "generation", (json_int_t)s->generation, "attached",
			s->attached, "mode", mode_names[s->mode], "program_id",
			(json_int_t)s->program_id, "link_id", (json_int_t)s->link_id, "since",
			(json_int_t)(s->loaded_at / NSEC_PER_SEC), "allowed",
			(json_int_t)count(e, EDGE_ALLOW), "denied", (json_int_t)count(e, EDGE_DENY),
			"syn_mode", syn_names[p->syn_mode % 3], "syn_threshold",
			(json_int_t)p->syn_threshold, "cookies", json_cookies(p), "rate",
			(json_int_t)edge_limit_rate(LIMIT_PACKETS, packets), "burst",
			(json_int_t)edge_limit_burst(LIMIT_PACKETS, packets));
	json_object_set_new(all, "cookies_per_cpu", json_integer((json_int_t)p->cookies.burst));
	json_object_set_new(all, "bans", json_bans(p));
	json_object_set_new(all, "shared", json_share(s));
	json_object_set_new(all, "asked", json_string(asked_names[s->asked]));
	limits_json(e, p, all);
	return all;
}

static int show(const char *name, void *arg)
{
	struct visit *v = arg;
	struct edge_status status;
	struct edge e;
	int rc = edge_open(name, &e, &v->err);

	if (rc < 0)
		return rc;
	rc = edge_status(&e, &status, &v->err);
	if (rc == 0 && v->json) {
		json_t *all = json_status(&e, &status);

		if (v->whole)
			rc = inventory_json(&e, &status, all, &v->err);
		json_array_append_new(v->json, all);
	} else if (rc == 0) {
		print_status(&e, &status);
		if (v->whole)
			rc = inventory_print(&e, &status, &v->err);
	}
	edge_close(&e);
	return rc;
}

enum status cmd_status(const struct options *o)
{
	struct visit v = {.json = o->json ? json_array() : NULL, .whole = true};

	return command_shown(finish(&v, command_each(o, show, &v, &v.err)));
}

/* --interface, --mode and --share, or what the file says. */
static struct edge_attachment *what_to_attach(const struct options *o, const struct conf_edge *conf,
					      size_t *ret_n)
{
	size_t n = o->interface ? 1 : conf->n_interfaces;
	struct edge_attachment *a = calloc(n + 1, sizeof(*a));

	for (size_t i = 0; a && i < n; i++) {
		a[i].mode = o->mode_given || o->interface ? o->mode : conf->interfaces[i].mode;
		a[i].share = o->share || (!o->interface && conf->interfaces[i].share);
		if (o->interface)
			snprintf(a[i].name, IF_NAMESIZE, "%s", o->interface);
		else
			snprintf(a[i].name, IF_NAMESIZE, "%.*s",
				 SLICE_FMT(conf->interfaces[i].name));
	}
	*ret_n = n;
	return a;
}

static int attach(const struct options *o, const struct config *cfg, struct edge_attachment *a,
		  size_t n, int *ret_lock, struct error *err)
{
	_cleanup_(edge_feeds_fini) struct edge_feeds feeds = {0};
	struct edge_sysctl_undo undo = {0};
	int rc;

	if (n == 0)
		return error_set(err, EINVAL,
				 "%s names no interface: --interface IF, or edge.interfaces",
				 o->file);
	rc = load_feeds(cfg, &feeds, err);
	if (rc < 0)
		return rc;
	*ret_lock = edge_lock(err);
	if (*ret_lock < 0)
		return *ret_lock;
	rc = edge_sysctl_check(&cfg->edge, o->fix_sysctl ? &undo : NULL, command_warn, err);
	if (rc == 0)
		rc = edge_attach(a, n, cfg, &feeds, err);
	if (rc < 0)
		edge_sysctl_undo(&undo);
	return rc;
}

enum status cmd_attach(const struct options *o)
{
	_cleanup_(config_freep) struct config *cfg = NULL;
	_cleanup_free_ struct edge_attachment *a = NULL;
	_cleanup_close_ int lock = -1;
	struct visit v = {0};
	size_t n;
	int rc;

	if (load(o->file, &cfg) < 0)
		return STATUS_FAILED;
	a = what_to_attach(o, &cfg->edge, &n);
	rc = a ? attach(o, cfg, a, n, &lock, &v.err) : error_sys(&v.err, ENOMEM, "interfaces");
	v.json = o->json ? json_array() : NULL;
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (*a[i].note)
			fprintf(stderr, "sluice: note: %s\n", a[i].note);
		rc = show(a[i].name, &v);
		if (rc < 0) /* it is attached all the same */
			command_warn(v.err.text);
		rc = 0;
	}
	return finish(&v, rc);
}
