/* SPDX-License-Identifier: Apache-2.0 */
/* Which route takes a request: by host, path, method, headers and cookies. Immutable once built. */
#ifndef ROUTE_ROUTER_H
#define ROUTE_ROUTER_H

#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "conf/config.h"
#include "http/message.h"

struct router;

enum router_status {
	ROUTER_FOUND,
	ROUTER_NONE,   /* 404 */
	ROUTER_METHOD, /* 405: other methods would be routed */
};

struct router_match {
	size_t route;	      /* index into cfg->routes, with ROUTER_FOUND */
	unsigned int allowed; /* with ROUTER_METHOD: a bit (1 << enum http_method) for each */
};

/* All in the arena; cfg must outlive it. 0 or -ENOMEM. */
int router_new(const struct config *cfg, struct arena *arena, struct error *err,
	       struct router **ret_router);

/*
 * host and path in normal form (http/uri.h). The best route is the one of the highest priority, then of the most
 * specific host (exact, longest wildcard, any), then path (exact, parameters, longest prefix), then of
 * the most other conditions, then the first in the file.
 */
enum router_status router_find(const struct router *r, const struct http_head *head,
			       struct slice host, struct slice path,
			       struct router_match *ret_match);

#endif
