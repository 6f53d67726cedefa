/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/plane.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "edge/edge.h"
#include "edge/feeds.h"
#include "edge/links.h"
#include "edge/reason.h"
#include "edge/sweep.h"
#include "edge/sysctl.h"
#include "metrics/metrics.h"

#define RETRY_SEC 15

static void warn(const char *text)
{
	log_warn("packet plane: %s", text);
}

static void warn_left_out(const char *text)
{
	log_warn("packet plane: a feed is left out: %s", text);
}

static void tell(const struct edge_feeds *feeds)
{
	char text[EDGE_FEEDS_TEXT];

	edge_feeds_describe(feeds, text);
	if (feeds->n)
		log_info("packet plane: loading %s", text);
}

/* NULL, and why is logged, when the files are not in order: what is loaded stays. */
static struct edge_feeds *load_feeds(const struct config *cfg, struct edge_feeds *feeds)
{
	struct error err = {0};

	if (edge_feeds_load(cfg, feeds, NULL, &err) < 0) {
		log_warn("packet plane: feeds stay as they are: %s", err.text);
		return NULL;
	}
	tell(feeds);
	return feeds;
}

/* Where none is loaded, those that are in order are better than none. */
static int attach(struct edge_attachment *a, const struct config *cfg,
		  const struct edge_feeds *feeds, bool first, struct error *err)
{
	_cleanup_(edge_feeds_fini) struct edge_feeds some = {0};

	if (!feeds && first && edge_feeds_load(cfg, &some, warn_left_out, err) == 0) {
		tell(&some);
		feeds = &some;
	}
	return edge_attach(a, 1, cfg, feeds, err);
}

static int sync_interface(const char *name, const struct conf_interface *conf,
			  const struct config *cfg, const struct edge_feeds *feeds, bool starting,
			  struct error *err)
{
	struct edge_attachment a = {.mode = conf->mode, .share = conf->share};
	struct edge_status status = {0};
	bool guarded = hook_guards(name);
	struct edge e;
	int rc;

	snprintf(a.name, sizeof(a.name), "%s", name);
	rc = starting ? edge_upgrade(&a.name, 1, cfg, NULL, err) : 0;
	if (rc < 0 && rc != -ENOENT && rc != -ENODEV)
		return rc;
	rc = edge_open(name, &e, err);
	if (rc == 0) {
		rc = edge_status(&e, &status, err);
		if (rc == 0 && guarded)
			rc = edge_apply(&e, 1, cfg, feeds, warn, err);
		edge_close(&e);
	}
	if (rc == -ENOENT || (rc == 0 && !guarded))
		rc = attach(&a, cfg, feeds, rc == -ENOENT, err);
	else if (rc == 0 && status.is_shared != conf->share)
		log_info("packet plane: %s is %sshared, as when it was attached; 'share' counts "
			 "from the next attach",
			 name, status.is_shared ? "" : "not ");
	if (rc == 0 && *a.note)
		log_info("packet plane: %s", a.note);
	return rc;
}

/* What fails again is not logged again. */
static void sync_one(const struct config *cfg, size_t i, struct plane_interface *p,
		     const struct edge_feeds *feeds, bool starting)
{
	bool again = p->retry;
	struct error err = {0};

	p->index = if_nametoindex(p->name);
	p->retry = 0;
	p->local = (struct local){0};
	/* Before the policy is made of it: what changes later is followed. */
	if (p->index)
		local_read(p->name, (int)p->index, &p->local, NULL);
	if (sync_interface(p->name, &cfg->edge.interfaces[i], cfg, feeds, starting, &err) == 0) {
		log_info("packet plane: %s follows %.*s", p->name, SLICE_FMT(cfg->path));
	} else {
		p->retry = RETRY_SEC;
		if (!again)
			log_warn("packet plane off: %s; serving without it", err.text);
	}
	p->guarded = hook_guards(p->name);
}

/* -1: another command has it, and plane_sync is due; or why not is logged. */
static int take_lock(struct plane *p)
{
	struct error err = {0};
	int lock = edge_lock_soon(&err);

	if (lock >= 0)
		return lock;
	if (lock != -EWOULDBLOCK)
		log_warn("packet plane off: %s; serving without it", err.text);
	else if (!p->due)
		log_info("packet plane: another command is changing it; waiting for its end");
	p->due = lock == -EWOULDBLOCK;
	return -1;
}

/* Whether the file has an interface of this name. */
static bool is_named(const struct config *cfg, const char *name)
{
	for (size_t i = 0; cfg->edge.present && i < cfg->edge.n_interfaces; i++)
		if (slice_eq(cfg->edge.interfaces[i].name, slice_str(name)))
			return true;
	return false;
}

/* What an older file named stays guarded: who takes it off says so. */
static void tell_left(const struct plane *p, const struct config *cfg)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->seen[i].guarded && !is_named(cfg, p->seen[i].name))
			log_warn("packet plane: %s is no longer in %.*s; its guard stays as it is "
				 "until 'sluice detach --interface %s'",
				 p->seen[i].name, SLICE_FMT(cfg->path), p->seen[i].name);
}

static int see_all(struct plane *p, const struct config *cfg)
{
	p->seen = calloc(cfg->edge.n_interfaces, sizeof(*p->seen));
	if (!p->seen)
		return -ENOMEM;
	p->n = cfg->edge.n_interfaces;
	for (size_t i = 0; i < p->n; i++)
		snprintf(p->seen[i].name, IF_NAMESIZE, "%.*s",
			 SLICE_FMT(cfg->edge.interfaces[i].name));
	return 0;
}

/* held: the lock, or -1. */
static void sync_all(struct plane *p, const struct config *cfg, int held)
{
	_cleanup_(edge_feeds_fini) struct edge_feeds feeds = {0};
	const struct edge_feeds *loaded;
	_cleanup_close_ int lock = held;
	struct error err = {0};

	tell_left(p, cfg);
	plane_fini(p);
	if (!cfg->edge.present)
		return;
	if (cfg->edge.n_interfaces == 0) {
		log_warn("packet plane: edge.interfaces names none, so nothing was attached");
		return;
	}
	feed_watch_init(&p->feeds, cfg);
	loaded = load_feeds(cfg, &feeds);
	if (lock < 0)
		lock = take_lock(p);
	if (lock < 0)
		return;
	p->settings = edge_sysctl_digest();
	if (edge_sysctl_check(&cfg->edge, NULL, warn, &err) < 0)
		log_warn("packet plane: %s", err.text);
	if (see_all(p, cfg) < 0) {
		log_warn("packet plane off: out of memory; serving without it");
		return;
	}
	for (size_t i = 0; i < p->n; i++)
		sync_one(cfg, i, &p->seen[i], loaded, p->starting);
	p->starting = false;
}

void plane_sync(struct plane *p, const struct config *cfg)
{
	sync_all(p, cfg, -1);
}

/* Take entries that have ended off the lists of an interface. */
static void sweep(const char *name)
{
	_cleanup_close_ int lock = -1;
	struct error err = {0};
	struct edge e;
	int n;

	if (!edge_sweep_due(name))
		return;
	lock = edge_lock_soon(&err);
	if (lock == -EWOULDBLOCK) /* it is due in a second, too */
		return;
	n = lock < 0 ? lock : edge_open(name, &e, &err);
	if (n == 0) {
		n = edge_sweep(&e, &err);
		edge_close(&e);
	}
	if (n < 0)
		log_warn("packet plane: %s", err.text);
}

/* Whether another address is this host's than the policy says, or it has begun to route, by an interface that has stayed. */
static bool local_changed(const struct plane *p)
{
	bool changed = false;
	struct links all;

	if (links_read(&all) < 0)
		return false;
	for (size_t i = 0; i < p->n; i++) {
		struct local now;

		if (local_find(&all, (int)p->seen[i].index, &now) &&
		    memcmp(&now, &p->seen[i].local, sizeof(now)) != 0)
			changed = true;
	}
	links_fini(&all);
	return changed;
}

/* What answers with cookies offer must be what the kernel does when the ACK comes, and they must be this host's to give. */
static void follow_settings(struct plane *p, const struct config *cfg)
{
	if (!p->seen || cfg->edge.syn_flood.mode == CONF_SYN_OFF ||
	    (p->settings == edge_sysctl_digest() && !local_changed(p)))
		return;
	log_info("packet plane: the kernel's settings have changed");
	plane_sync(p, cfg);
}

static void try_again(struct plane *p, const struct config *cfg, size_t i)
{
	_cleanup_(edge_feeds_fini) struct edge_feeds feeds = {0};
	const struct edge_feeds *loaded = load_feeds(cfg, &feeds);
	_cleanup_close_ int lock = take_lock(p);

	if (lock >= 0)
		sync_one(cfg, i, &p->seen[i], loaded, false);
}

static int replace_feeds(const char *name, const struct edge_feeds *feeds, struct error *err)
{
	struct edge e;
	int rc = edge_open(name, &e, err);

	if (rc < 0)
		return rc;
	rc = edge_feeds_replace(&e, feeds, err);
	edge_close(&e);
	return rc;
}

static void reload_feeds(struct plane *p, const struct config *cfg)
{
	_cleanup_(edge_feeds_fini) struct edge_feeds feeds = {0};
	_cleanup_close_ int lock = -1;
	struct error err = {0};

	if (!load_feeds(cfg, &feeds))
		return;
	lock = take_lock(p);
	if (lock < 0)
		return;
	for (size_t i = 0; i < p->n; i++)
		if (replace_feeds(p->seen[i].name, &feeds, &err) < 0)
			log_warn("packet plane: feeds stay as they are: %s", err.text);
		else
			log_info("packet plane: %s has the new feeds", p->seen[i].name);
}

/* Of the same interface as before. */
static void watch_guard(struct plane_interface *p)
{
	bool guarded = hook_guards(p->name);

	if (p->guarded && !guarded)
		log_warn("packet plane: %s has lost its guard (detached, or bpffs unmounted); "
			 "SIGHUP attaches it again",
			 p->name);
	if (!p->guarded && guarded)
		log_info("packet plane: %s has a guard", p->name);
	p->guarded = guarded;
}

static void watch_interface(struct plane *p, const struct config *cfg, size_t i)
{
	struct plane_interface *seen = &p->seen[i];
	unsigned int before = seen->index;

	sweep(seen->name);
	seen->index = if_nametoindex(seen->name);
	if (!seen->index) {
		if (before)
			log_warn("packet plane: %s has gone; its lists wait for it", seen->name);
		seen->retry = 0;
	} else if (seen->index != before) {
		log_info("packet plane: %s is there", seen->name);
		seen->retry = 0;
		try_again(p, cfg, i);
	} else if (seen->retry == 1) {
		try_again(p, cfg, i);
	} else {
		seen->retry -= seen->retry > 0;
		watch_guard(seen);
	}
}

void plane_watch(struct plane *p, const struct config *cfg)
{
	if (p->due) {
		/* Files are not read again before it is free. */
		int lock = take_lock(p);

		if (lock >= 0)
			sync_all(p, cfg, lock);
		return;
	}
	follow_settings(p, cfg);
	for (size_t i = 0; i < p->n; i++)
		watch_interface(p, cfg, i);
	if (p->seen && feed_watch_changed(&p->feeds, cfg))
		reload_feeds(p, cfg);
}

void plane_fini(struct plane *p)
{
	free(p->seen);
	p->seen = NULL;
	p->n = 0;
	p->due = false;
	feed_watch_fini(&p->feeds);
}

/* What the guard of one interface of the file is and has counted. */
struct view {
	struct slice name;
	struct edge_status status;
	bool guarded;
	struct counter counters[REASON_COUNT];
	uint64_t tallies[TALLY_COUNT];
};

static void look(struct slice interface, struct view *ret)
{
	char name[IF_NAMESIZE];
	struct edge e;

	*ret = (struct view){.name = interface};
	snprintf(name, sizeof(name), "%.*s", SLICE_FMT(interface));
	if (edge_open(name, &e, NULL) < 0)
		return;
	ret->guarded = edge_status(&e, &ret->status, NULL) == 0 && hook_guards(name) &&
		       edge_stats(&e, ret->counters, NULL) == 0 &&
		       edge_tallies(&e, ret->tallies, NULL) == 0;
	edge_close(&e);
}

static void put_counters(struct buf *out, const char *metric, const struct view *views, size_t n,
			 size_t member)
{
	for (size_t i = 0; i < n; i++)
		for (int r = 0; views[i].guarded && r < REASON_COUNT; r++) {
			const char *counter = (const char *)&views[i].counters[r];

			buf_printf(out, "%s{", metric);
			metrics_label(out, "interface", views[i].name);
			buf_printf(out, ",reason=\"%s\",verdict=\"%s\"} %llu\n",
				   edge_reasons[r].name, edge_verdict(r, &views[i].status.policy),
				   *(const unsigned long long *)(counter + member));
		}
}

static void put_tallies(struct buf *out, const struct view *views, size_t n)
{
	static const char *const names[] = {
#define GUARD_TALLY(id, name, help) #name,
		GUARD_TALLIES(GUARD_TALLY)
#undef GUARD_TALLY
	};

	for (size_t i = 0; i < n; i++)
		for (int t = 0; views[i].guarded && t < TALLY_COUNT; t++) {
			buf_puts(out, "sluice_packet_events_total{");
			metrics_label(out, "interface", views[i].name);
			buf_printf(out, ",event=\"%s\"} %llu\n", names[t],
				   (unsigned long long)views[i].tallies[t]);
		}
}

void plane_metrics(const struct config *cfg, struct buf *out)
{
	size_t n = cfg->edge.n_interfaces;
	_cleanup_free_ struct view *views = calloc(n + 1, sizeof(*views));

	if (!views || !cfg->edge.present)
		return;
	for (size_t i = 0; i < n; i++)
		look(cfg->edge.interfaces[i].name, &views[i]);
	metrics_family(out, "sluice_interface_guarded", "gauge",
		       "Whether the packet plane is attached to an interface of the file.");
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, "sluice_interface_guarded{");
		metrics_label(out, "interface", views[i].name);
		buf_printf(out, "} %d\n", views[i].guarded);
	}
	metrics_family(out, "sluice_packets_total", "counter", "Packets by what became of them.");
	put_counters(out, "sluice_packets_total", views, n, offsetof(struct counter, packets));
	metrics_family(out, "sluice_packet_bytes_total", "counter", "Bytes of their frames.");
	put_counters(out, "sluice_packet_bytes_total", views, n, offsetof(struct counter, bytes));
	metrics_family(out, "sluice_packet_events_total", "counter",
		       "What happened besides, whatever became of the packet.");
	put_tallies(out, views, n);
}

void plane_status(const struct config *cfg, struct buf *out)
{
	static const char *const modes[] = {"unknown", "native", "generic"};

	buf_puts(out, "[");
	for (size_t i = 0; i < cfg->edge.n_interfaces; i++) {
		struct view v;

		look(cfg->edge.interfaces[i].name, &v);
		buf_puts(out, i ? ",{\"name\":" : "{\"name\":");
		json_put(out, v.name);
		buf_printf(out, ",\"guarded\":%s,\"mode\":\"%s\",\"program\":%u}",
			   v.guarded ? "true" : "false", modes[v.status.mode], v.status.program_id);
	}
	buf_puts(out, "]");
}
