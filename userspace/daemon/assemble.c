/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/assemble.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/load.h"
#include "edge/feeds.h"
#include "filter/filter_types.h"

#define MAX_ARENA (1U << 30)

/* The name under which requests without a route are counted. */
#define NO_ROUTE SLICE("-")

/* A plan's access log, unless it is the one of all routes, which stands at the end of the plans. */
static struct access_log *own_log(const struct snapshot *snap, size_t plan)
{
	struct access_log *l = snap->plans[plan].log;

	return plan < snap->cfg->n_routes && l == snap->plans[snap->cfg->n_routes].log ? NULL : l;
}

void assemble_free(struct snapshot *snap)
{
	if (!snap)
		return;
	for (size_t i = 0; snap->plans && i <= snap->cfg->n_routes; i++)
		for (size_t f = 0; f < snap->plans[i].n_filters; f++) {
			const struct plan_filter *pf = &snap->plans[i].filters[f];

			if (pf->type->free && pf->filter && !pf->shared)
				pf->type->free(pf->filter);
		}
	for (size_t i = 0; snap->plans && i <= snap->cfg->n_routes; i++) {
		const struct access_log *l = own_log(snap, i);

		if (l && l->file)
			log_writer_release(snap->logs, l->file);
	}
	for (size_t i = 0; snap->route_rows && i <= snap->cfg->n_routes; i++)
		metrics_row_unref(snap->metrics, snap->route_rows[i]);
	for (size_t i = 0; snap->service_rows && i < snap->cfg->n_services; i++)
		metrics_row_unref(snap->metrics, snap->service_rows[i]);
	config_free(snap->cfg);
	arena_fini(&snap->arena);
	free(snap);
}

/* A route's own filter of the same name stands for the one that all routes have. */
static bool overridden(const struct conf_filters *own, struct slice name)
{
	for (size_t i = 0; i < own->n; i++)
		if (slice_eq(own->items[i].name, name))
			return true;
	return false;
}

static void plan_add(struct route_plan *plan, const struct plan_filter *f)
{
	((struct plan_filter *)plan->filters)[plan->n_filters++] = *f;
}

static void use_log(struct route_plan *plan, struct access_log *l)
{
	plan->log = l->enabled ? l : NULL;
}

static void compile_filter(struct snapshot *snap, const struct conf_filter *conf,
			   struct conf_diag *diag, struct route_plan *plan)
{
	const struct filter_type *type = filter_find(conf->name);
	struct plan_filter out = {.type = type};

	if (!type) {
		struct slice names[32];
		size_t n = 0;

		for (const char *const *name = filter_names(); n < 32 && *name; name++)
			names[n++] = slice_str(*name);
		conf_diag_add(diag, conf->node, "no filter '%.*s'", SLICE_FMT(conf->name));
		conf_diag_suggest(diag, conf->name, names, n);
		return;
	}
	if (type->compile(snap->cfg, conf, &snap->arena, diag, &out.filter) < 0)
		return;
	if (type == &filter_access_log)
		use_log(plan, (struct access_log *)out.filter);
	else
		plan_add(plan, &out);
}

/* n filters at most will be added. */
static int plan_init(struct snapshot *snap, struct route_plan *plan, size_t n)
{
	plan->filters = arena_array(&snap->arena, struct plan_filter, n + 1);
	return plan->filters ? 0 : -ENOMEM;
}

/* The filters of all routes are compiled once, whether or not a route uses them: their errors are errors anyway. */
static int compile_plans(struct snapshot *snap, struct conf_diag *diag)
{
	const struct config *cfg = snap->cfg;
	struct route_plan *all;

	snap->plans = arena_array(&snap->arena, struct route_plan, cfg->n_routes + 1);
	if (!snap->plans)
		return -ENOMEM;
	all = &snap->plans[cfg->n_routes];
	if (plan_init(snap, all, cfg->filters.n) < 0)
		return -ENOMEM;
	for (size_t f = 0; f < cfg->filters.n; f++)
		compile_filter(snap, &cfg->filters.items[f], diag, all);
	for (size_t i = 0; i < cfg->n_routes; i++) {
		const struct conf_filters *own = &cfg->routes[i].filters;
		struct route_plan *plan = &snap->plans[i];

		if (plan_init(snap, plan, all->n_filters + own->n) < 0)
			return -ENOMEM;
		for (size_t f = 0; f < all->n_filters; f++) {
			struct plan_filter shared = all->filters[f];

			shared.shared = true;
			if (!overridden(own, slice_str(shared.type->name)))
				plan_add(plan, &shared);
		}
		plan->log = all->log;
		for (size_t f = 0; f < own->n; f++)
			compile_filter(snap, &own->items[f], diag, plan);
	}
	return 0;
}

static int compile(struct snapshot *snap, struct conf_diag *diag)
{
	struct error err = {0};
	int rc = compile_plans(snap, diag);

	if (rc == 0 && diag->errors == 0)
		rc = router_new(snap->cfg, &snap->arena, &err, &snap->router);
	if (rc < 0)
		conf_diag_add(diag, NULL, "%s", err.text[0] ? err.text : "out of memory");
	return rc < 0 ? rc : diag->errors ? -EINVAL : 0;
}

static int attach_metrics(struct snapshot *snap)
{
	const struct config *cfg = snap->cfg;
	struct metrics *m = snap->metrics;

	snap->route_rows = arena_array(&snap->arena, struct metrics_row *, cfg->n_routes + 1);
	snap->service_rows = arena_array(&snap->arena, struct metrics_row *, cfg->n_services + 1);
	if (!snap->route_rows || !snap->service_rows)
		return -ENOMEM;
	for (size_t i = 0; i <= cfg->n_routes; i++) {
		struct slice name = i < cfg->n_routes ? cfg->routes[i].name : NO_ROUTE;

		snap->route_rows[i] = metrics_row_ref(m, METRICS_OF_ROUTE, name);
		if (!snap->route_rows[i])
			return -ENOMEM;
	}
	for (size_t i = 0; i < cfg->n_services; i++) {
		snap->service_rows[i] = metrics_row_ref(m, METRICS_OF_SERVICE,
							cfg->services[i].name);
		if (!snap->service_rows[i])
			return -ENOMEM;
	}
	return 0;
}

static int attach_logs(struct snapshot *snap, struct error *err)
{
	for (size_t i = 0; i <= snap->cfg->n_routes; i++) {
		struct access_log *l = own_log(snap, i);
		int rc = l ? log_writer_file(snap->logs, l->path, err, &l->file) : 0;

		if (rc < 0)
			return error_prefix(err, "access_log");
	}
	return 0;
}

int assemble_attach(struct snapshot *snap, struct metrics *m, struct log_writer *logs,
		    struct error *err)
{
	snap->metrics = m;
	snap->logs = logs;
	if (attach_metrics(snap) < 0)
		return error_set(err, ENOMEM, "out of memory for the metrics");
	return attach_logs(snap, err);
}

/* Also where there are errors: all that the file has are told at once. *ret_snap is to be freed, NULL: nothing could be read. */
static int build(const char *path, uint64_t generation, struct conf_diag *diag,
		 struct snapshot **ret_snap)
{
	struct config *cfg;
	struct snapshot *snap;
	int rc = config_load(path, diag, &cfg);

	if (!cfg)
		return rc;
	snap = calloc(1, sizeof(*snap));
	if (!snap) {
		config_free(cfg);
		return -ENOMEM;
	}
	snap->cfg = cfg;
	snap->generation = generation;
	atomic_init(&snap->refs, 1);
	arena_init(&snap->arena, 16384, MAX_ARENA);
	*ret_snap = snap;
	return compile(snap, diag);
}

int assemble(const char *path, uint64_t generation, struct conf_diag *diag,
	     struct snapshot **ret_snap)
{
	struct snapshot *snap = NULL;
	int rc = build(path, generation, diag, &snap);

	if (rc < 0)
		assemble_free(snap);
	else
		*ret_snap = snap;
	return rc;
}

int assemble_check(const char *path, struct conf_diag *diag)
{
	struct snapshot *snap = NULL;
	int rc = build(path, 1, diag, &snap);

	if (snap)
		edge_feeds_check(snap->cfg, diag);
	assemble_free(snap);
	return rc == 0 && diag->errors ? -EINVAL : rc;
}
