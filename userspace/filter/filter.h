/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter is a vtable, an option table and two functions. compile turns a configuration node into an immutable
 * object; request and response run on a worker, once a message, and must not block. A filter that a route
 * does not name costs nothing.
 */
#ifndef FILTER_FILTER_H
#define FILTER_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/slice.h"
#include "conf/config.h"
#include "http/message.h"

struct conf_diag;  /* conf/node.h: located errors, all of them */
struct conf_table; /* conf/schema.h: an option table */
struct jwt_cache;  /* filter/jwt_cache.h */

enum filter_verdict {
	FILTER_NEXT,  /* go on with the next filter */
	FILTER_REPLY, /* answer with what req->reply says; later filters do not see the request */
};

/* An answer of the gateway's own. Slices must outlive the call: literals, or from req->arena. */
struct filter_reply {
	unsigned int status;
	struct slice body; /* text; empty: a JSON body is made from the status' reason */
	struct http_field fields[4];
	size_t n_fields;
};

/* What a filter sees and may change. All of it is valid during the call only, unless stated. */
struct filter_request {
	struct http_head *head; /* the request's; fields may be added, set and removed */
	struct arena *arena;	/* the request's */
	const struct sockaddr *peer;
	uint64_t now;		  /* CLOCK_MONOTONIC ns of this loop turn */
	uint64_t wall;		  /* CLOCK_REALTIME ns of this loop turn */
	struct jwt_cache *tokens; /* the worker's */
	struct slice
		consumer; /* who the request was authenticated as, for the log; arena or longer */
	const char
		*verdict; /* why a filter answered, for the log: a literal such as "jwt_expired" */
	struct filter_reply reply;
};

struct filter; /* one compiled instance; embeds nothing known here */

struct filter_type {
	const char *name; /* key in filters: */
	const struct conf_table *options;
	/*
	 * Build an instance in the snapshot's arena. Report every error with its place to diag and return -EINVAL.
	 * Resources that the arena cannot free are released by free (may be NULL).
	 */
	int (*compile)(const struct config *cfg, const struct conf_filter *conf,
		       struct arena *arena, struct conf_diag *diag, struct filter **ret_filter);
	void (*free)(struct filter *f);
	/* NULL: it does not look at requests. */
	enum filter_verdict (*request)(const struct filter *f, struct filter_request *req);
	/* Optional: is it this filter that says what a field of the request is? Then no trailer may say it again. */
	bool (*owns)(const struct filter *f, struct slice name);
};

/* One explicit registry; NULL: no such filter. */
const struct filter_type *filter_find(struct slice name);

/* Names in the registry for suggestions: NULL-terminated. */
const char *const *filter_names(void);

#endif
