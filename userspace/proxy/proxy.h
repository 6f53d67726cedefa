/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request plane of one worker: client connections, their requests, the upstream connections that they
 * borrow. Everything here belongs to the worker's thread.
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "io/ring.h"
#include "proxy/snapshot.h"
#include "upstream/pool.h"

struct jwt_cache;

/* A snapshot as one worker uses it: its pools go when the last of its requests has gone. */
struct worker_snapshot {
	struct snapshot *snap;
	struct pool_limit *limits; /* [service] */
	struct pool **pools;	   /* [service][endpoint] */
	uint64_t *split_turns;	   /* a counter a route, for weighted splits */
	uint64_t *endpoint_turns;
	unsigned int requests; /* in flight */
};

/* A listening socket as its connections see it. Lives as long as any of them. */
struct proxy_listener {
	struct sockaddr_storage address;
	struct {
		uint64_t headers; /* ns */
		uint64_t idle;
		uint64_t max_head;
		uint64_t max_requests;
		uint64_t max_conns; /* of this worker */
	} limits;
	unsigned int refs;
	unsigned int n_conns;
	bool leaving; /* no longer in the configuration: each connection ends with its next answer */
};

struct proxy {
	struct ring *ring;
	struct worker_snapshot *current;
	struct list retired; /* of struct retired, see proxy.c */
	struct list conns;
	unsigned int n_conns;
	unsigned int share; /* one over this of the limits that count over all workers */
	bool draining;
	uint64_t rng;
	struct hash_key sticky_key;
	struct jwt_cache *tokens;
	unsigned int index;	      /* of the worker */
	struct metrics_thread *count; /* what this worker alone counts */
	struct log_source *log;	      /* its end of the access logs */
	struct http_head request; /* scratch: a head lives from its parsing until it is written */
	struct http_head response;
};

/* Takes its own reference of snap. index: this worker's, of share workers. */
int proxy_init(struct proxy *p, struct ring *ring, struct snapshot *snap, unsigned int index,
	       unsigned int share, struct error *err);

/* After the ring has been shut down and all connections have gone. */
void proxy_fini(struct proxy *p);

/* New requests use snap from now on; those in flight keep theirs. -ENOMEM: nothing changed. */
int proxy_reload(struct proxy *p, struct snapshot *snap);

/* With one reference; NULL: no memory. */
struct proxy_listener *proxy_listener_new(void);
void proxy_listener_unref(struct proxy_listener *l);

/* For connections from now on. */
void proxy_listener_set(const struct proxy *p, struct proxy_listener *l,
			const struct conf_listener *conf);

/* A connection that was accepted; takes the descriptor. */
void proxy_accept(struct proxy *p, int fd, struct proxy_listener *listener);

/* Answer what is in flight, then close; idle connections close now. */
void proxy_drain(struct proxy *p);

/* Is there a connection, to a client or an upstream? */
bool proxy_busy(const struct proxy *p);

/* Close all, in whatever state. */
void proxy_abort(struct proxy *p);

struct worker_snapshot *proxy_snapshot_ref(struct proxy *p);
void proxy_snapshot_unref(struct proxy *p, struct worker_snapshot *w);

/* xorshift-multiply (Vigna, splitmix64): identifiers and choices, nothing secret. */
uint64_t proxy_random(struct proxy *p);

#endif
