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
 * host and path in normal form (http/uri.h). Of the routes that match, the one is found with
 *   1. the highest priority,
 *   2. the most specific host: exact, then the longest wildcard, then any; with several hosts, the least of them,
 *   3. the most specific path: exact, then with parameters, then the longest prefix,
 *   4. the most further conditions: each header and cookie, and methods together, count one,
 *   5. the first place in the file.
 * "*.example.com" takes every name below it, at any depth, not example.com. "/prefix/" with a star takes "/prefix", too;
 * a parameter takes one segment that is not empty. A header or a cookie compares by value; "*" is any value.
 * The cost grows with the length of host and path and, where more than a few routes of one host and path differ in
 * headers or cookies, with the number of the request's fields; not with the number of routes. Only for each segment that
 * some routes name and others take as a parameter are two ways tried; no node of the tree is looked at twice.
 */
enum router_status router_find(const struct router *r, const struct http_head *head,
			       struct slice host, struct slice path,
			       struct router_match *ret_match);

#endif
