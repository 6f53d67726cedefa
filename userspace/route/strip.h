/* SPDX-License-Identifier: Apache-2.0 */
/* The target that the upstream sees. */
#ifndef ROUTE_STRIP_H
#define ROUTE_STRIP_H

#include "base/arena.h"
#include "conf/config.h"

/* path without the route's strip_prefix (whole segments only), "?query" appended when query.ptr is set; "/" at least. ptr NULL: no memory. */
struct slice strip_target(const struct conf_route *route, struct slice path, struct slice query,
			  struct arena *arena);

#endif
