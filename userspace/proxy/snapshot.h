/* SPDX-License-Identifier: Apache-2.0 */
/* One generation of the configuration, compiled: constant, shared by all workers, freed whole. */
#ifndef PROXY_SNAPSHOT_H
#define PROXY_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "conf/config.h"
#include "filter/filter.h"
#include "metrics/metrics.h"
#include "observe/access_log.h"
#include "route/router.h"

struct plan_filter {
	const struct filter_type *type;
	struct filter *filter;
	bool shared; /* one instance stands in the plans of all routes */
};

/* What happens to a request of one route, in order. */
struct route_plan {
	const struct plan_filter *filters;
	size_t n_filters;
	struct access_log *log; /* NULL: none */
};

struct snapshot {
	struct config *cfg; /* owned */
	struct arena arena;
	struct router *router;
	struct route_plan
		*plans; /* one a route of cfg, by index; behind them what all routes share */
	uint64_t generation;
	struct log_writer *logs;	 /* whose thread writes the access logs */
	struct metrics *metrics;	 /* what the workers count in; set with the rows below */
	struct metrics_row **route_rows; /* one a route, then one for requests without */
	struct metrics_row **service_rows;
	atomic_uint refs; /* one a worker, one for who made it */
};

#endif
