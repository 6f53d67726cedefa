/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/plane.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "edge/edge.h"
#include "edge/feeds.h"
#include "edge/reason.h"
#include "edge/sweep.h"
#include "edge/sysctl.h"
#include "metrics/metrics.h"

static void warn(const char *text)
{
	log_warn("packet plane: %s", text);
}

static int sync_interface(const char *name, const struct conf_interface *conf,
			  const struct config *cfg, const struct edge_feeds *feeds, bool starting,
			  struct error *err)
{
	struct edge_attachment a = {.mode = conf->mode, .share = conf->share};
	struct edge_status status = {0};
	struct edge e;
	int rc;

	snprintf(a.name, sizeof(a.name), "%s", name);
	rc = starting ? edge_upgrade(&a.name, 1, cfg, NULL, err) : 0;
	if (rc < 0 && rc != -ENOENT && rc != -ENODEV)
		return rc;
	rc = edge_open(name, &e, err);
	if (rc == 0) {
		rc = edge_status(&e, &status, err);
		if (rc == 0 && status.attached)
			rc = edge_apply(&e, 1, cfg, feeds, warn, err);
		edge_close(&e);
	}
	if (rc == -ENOENT || (rc == 0 && !status.attached))
		rc = edge_attach(&a, 1, cfg, feeds, err);
	else if (rc == 0 && status.is_shared != conf->share)
		log_info("packet plane: %s is %sshared, as when it was attached; 'share' counts "
			 "from the next attach",
			 name, status.is_shared ? "" : "not ");
	if (rc == 0 && *a.note)
		log_info("packet plane: %s", a.note);
	return rc;
}

static void interface_name(const struct config *cfg, size_t i, char ret[IF_NAMESIZE])
{
	snprintf(ret, IF_NAMESIZE, "%.*s", SLICE_FMT(cfg->edge.interfaces[i].name));
}

/* NULL, and why is logged, when the files are not in order: what is loaded stays. */
static struct edge_feeds *load_feeds(const struct config *cfg, struct edge_feeds *feeds)
{
	struct error err = {0};
	char text[EDGE_FEEDS_TEXT];

	if (edge_feeds_load(cfg, feeds, &err) < 0) {
		log_warn("packet plane: feeds stay as they are: %s", err.text);
		return NULL;
	}
	edge_feeds_describe(feeds, text);
	if (feeds->n)
		log_info("packet plane: loading %s", text);
	return feeds;
}

static void sync_one(const struct config *cfg, size_t i, const struct edge_feeds *feeds,
		     bool starting)
{
	struct error err = {0};
	char name[IF_NAMESIZE];

	interface_name(cfg, i, name);
	if (sync_interface(name, &cfg->edge.interfaces[i], cfg, feeds, starting, &err) < 0)
		log_warn("packet plane off: %s; serving without it", err.text);
	else
		log_info("packet plane: %s follows %.*s", name, SLICE_FMT(cfg->path));
}

/* By what edge_sweep_due says. */
static bool has_guard(int due)
{
	return due != -ENOENT;
}

/* -1: another command has it, and plane_sync is due; or why not is logged. */
static int take_lock(struct plane *p)
{
	struct error err = {0};
	int lock = edge_lock_now(&err);

	if (lock >= 0)
		return lock;
	if (lock != -EWOULDBLOCK)
		log_warn("packet plane off: %s; serving without it", err.text);
	else if (!p->due)
		log_info("packet plane: another command is changing it; waiting for its end");
	p->due = lock == -EWOULDBLOCK;
	return -1;
}

void plane_sync(struct plane *p, const struct config *cfg)
{
	_cleanup_(edge_feeds_fini) struct edge_feeds feeds = {0};
	const struct edge_feeds *loaded;
	_cleanup_close_ int lock = -1;
	struct error err = {0};

	plane_fini(p);
	if (!cfg->edge.present)
		return;
	if (cfg->edge.n_interfaces == 0) {
		log_warn("packet plane: edge.interfaces names none, so nothing was attached");
		return;
	}
	feed_watch_init(&p->feeds, cfg);
	loaded = load_feeds(cfg, &feeds);
	lock = take_lock(p);
	if (lock < 0)
		return;
	p->settings = edge_sysctl_digest();
	if (edge_sysctl_check(&cfg->edge, false, warn, &err) < 0)
		log_warn("packet plane: %s", err.text);
	p->seen = calloc(cfg->edge.n_interfaces, sizeof(*p->seen));
	for (size_t i = 0; i < cfg->edge.n_interfaces; i++) {
		struct plane_interface now;
		char name[IF_NAMESIZE];

		interface_name(cfg, i, name);
		now.index = if_nametoindex(name);
		sync_one(cfg, i, loaded, p->starting);
		now.guarded = has_guard(edge_sweep_due(name));
		if (p->seen)
			p->seen[i] = now;
	}
	p->starting = false;
}

/* Take entries that have ended off the lists of an interface. */
static void sweep(const char *name)
{
	_cleanup_close_ int lock = -1;
	struct error err = {0};
	struct edge e;
	int n;

	lock = edge_lock_now(&err);
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

static void look_after(struct plane_interface *seen, const char *name)
{
	int due = edge_sweep_due(name);
	bool guarded = has_guard(due);

	if (seen->guarded && !guarded)
		log_warn("packet plane: %s has lost its guard (detached, or bpffs unmounted); "
			 "SIGHUP attaches it again",
			 name);
	if (!seen->guarded && guarded)
		log_info("packet plane: %s has a guard", name);
	seen->guarded = guarded;
	if (due > 0)
		sweep(name);
}

/* What answers with cookies offer must be what the kernel does when the ACK comes. */
static void follow_settings(struct plane *p, const struct config *cfg)
{
	if (!p->seen || cfg->edge.syn_flood.mode == CONF_SYN_OFF ||
	    p->settings == edge_sysctl_digest())
		return;
	log_info("packet plane: the kernel's settings have changed");
	plane_sync(p, cfg);
}

static void come_back(struct plane *p, const struct config *cfg, size_t i)
{
	_cleanup_(edge_feeds_fini) struct edge_feeds feeds = {0};
	const struct edge_feeds *loaded = load_feeds(cfg, &feeds);
	_cleanup_close_ int lock = take_lock(p);

	char name[IF_NAMESIZE];

	if (lock < 0)
		return;
	sync_one(cfg, i, loaded, false);
	interface_name(cfg, i, name);
	p->seen[i].guarded = has_guard(edge_sweep_due(name));
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
	for (size_t i = 0; i < cfg->edge.n_interfaces; i++) {
		char name[IF_NAMESIZE];

		interface_name(cfg, i, name);
		if (replace_feeds(name, &feeds, &err) < 0)
			log_warn("packet plane: feeds stay as they are: %s", err.text);
		else
			log_info("packet plane: %s has the new feeds", name);
	}
}

/* What waits for the lock: files are not read again before it is free. */
static void catch_up(struct plane *p, const struct config *cfg)
{
	int lock = take_lock(p);

	if (lock < 0)
		return;
	close(lock);
	plane_sync(p, cfg);
}

static void watch_interface(struct plane *p, const struct config *cfg, size_t i)
{
	unsigned int before = p->seen[i].index;
	char name[IF_NAMESIZE];

	interface_name(cfg, i, name);
	look_after(&p->seen[i], name);
	p->seen[i].index = if_nametoindex(name);
	if (p->seen[i].index == before)
		return;
	if (!p->seen[i].index) {
		log_warn("packet plane: %s has gone; its lists wait for it", name);
		return;
	}
	log_info("packet plane: %s is there", name);
	come_back(p, cfg, i);
}

void plane_watch(struct plane *p, const struct config *cfg)
{
	if (p->due) {
		catch_up(p, cfg);
		return;
	}
	follow_settings(p, cfg);
	for (size_t i = 0; p->seen && i < cfg->edge.n_interfaces; i++)
		watch_interface(p, cfg, i);
	if (feed_watch_changed(&p->feeds, cfg))
		reload_feeds(p, cfg);
}

void plane_fini(struct plane *p)
{
	free(p->seen);
	p->seen = NULL;
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
	ret->guarded = edge_status(&e, &ret->status, NULL) == 0 && ret->status.attached &&
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
