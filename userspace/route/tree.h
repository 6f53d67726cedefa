/* SPDX-License-Identifier: Apache-2.0 */
/* What a router consists of: made by tree.c, walked by router.c. */
#ifndef ROUTE_TREE_H
#define ROUTE_TREE_H

#include "base/error.h"
#include "conf/config.h"
#include "http/message.h"
#include "route/radix.h"

/* A route; its place in the array is its rank. */
struct tree_route {
	const struct conf_match *match;
	uint32_t index;	  /* into cfg->routes */
	uint16_t methods; /* a bit (1 << enum http_method) for each known one that it takes */
	bool conditional; /* has headers or cookies */
};

/* Methods that Allow may name: the gateway itself refuses the others. */
#define TREE_ALLOWED (~(1U << HTTP_OTHER_METHOD | 1U << HTTP_CONNECT | 1U << HTTP_TRACE))

/* Routes of one host and one path. */
struct tree_list {
	uint32_t start; /* into ranks, best first */
	uint32_t n;
	uint32_t index; /* further ones, by a condition: a tree of lists; or RADIX_NONE */
};

/*
 * A tree of hosts, read from their end, whose values are the roots of trees of paths, whose values are lists. A
 * wildcard is a prefix of the hosts' tree, "/prefix/" a prefix of a paths' tree.
 */
struct router {
	struct radix radix;
	const struct tree_route *routes;
	const struct tree_list *lists;
	const uint32_t *ranks;
	uint32_t hosts; /* root, or RADIX_NONE */
	uint32_t any;	/* paths of the routes for all hosts, or RADIX_NONE */
};

/* Longer ones are no hosts (RFC 1035, section 2.3.4). */
#define TREE_MAX_HOST 255

/* Kinds of keys in the tree of conditions. */
enum tree_condition {
	TREE_HEADER = 'h', /* name in lower case, NUL, value */
	TREE_HEADER_ANY = 'H',
	TREE_COOKIE = 'c',
	TREE_COOKIE_ANY = 'C',
};

/* 0 or -ENOMEM; all that remains is in the arena. */
int tree_build(const struct config *cfg, struct arena *arena, struct router *r);

#endif
