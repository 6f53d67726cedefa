/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gateway counts, declared once with its help text. Each thread that counts has cells of its own and is
 * their only writer; whoever renders reads them without stopping anybody. Routes and services are rows found
 * by name, so that their counters go on over a reload, and go when no configuration names them any more.
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/slice.h"
#include "metrics/histogram.h"

/* Status classes of BY_CODE: "none" (no answer was given or came), "1xx" to "5xx". */
#define METRICS_CODES 6

struct metrics_codes {
	uint64_t cells[METRICS_CODES];
};

#define METRICS_COUNTER	  uint64_t
#define METRICS_GAUGE	  uint64_t
#define METRICS_BY_CODE	  struct metrics_codes
#define METRICS_HISTOGRAM struct histogram

/* clang-format off */
/* X(kind, field, name, help), one table a scope: the thread, a route, a service. */
#define METRICS_THREAD(X) \
	X(COUNTER, accepted, "sluice_connections_total", "Client connections accepted.") \
	X(GAUGE, connections, "sluice_connections", "Client connections open now.") \
	X(COUNTER, refused, "sluice_connections_refused_total", \
	  "Client connections closed at once, for the limit or for want of memory.") \
	X(COUNTER, bad_requests, "sluice_bad_requests_total", \
	  "Requests refused before they were routed: malformed, too large or too slow.") \
	X(COUNTER, timeouts, "sluice_timeouts_total", "Deadlines that ended a connection or an exchange.") \
	X(COUNTER, starved, "sluice_ring_starved_total", "Receives that found no buffer and were asked for again.") \
	X(COUNTER, overflow, "sluice_ring_overflow_total", "Completions that found the completion queue full.") \
	X(COUNTER, log_lines, "sluice_access_log_lines_total", "Lines taken over by the writer.") \
	X(COUNTER, log_dropped, "sluice_access_log_dropped_total", "Lines dropped for want of room, or torn.") \
	X(COUNTER, log_errors, "sluice_access_log_errors_total", "Failures to open or write a file.")

#define METRICS_ROUTE(X) \
	X(BY_CODE, requests, "sluice_requests_total", \
	  "Requests ended, by class of the status sent; none: the client left before.") \
	X(COUNTER, received, "sluice_request_body_bytes_total", "Bytes of request content received.") \
	X(COUNTER, sent, "sluice_response_body_bytes_total", "Bytes of response content sent.") \
	X(HISTOGRAM, duration, "sluice_request_duration_seconds", \
	  "From the end of the request head to the end of the answer.")

#define METRICS_SERVICE(X) \
	X(BY_CODE, requests, "sluice_upstream_requests_total", \
	  "Requests forwarded, by class of the status that came; none: no answer came.") \
	X(COUNTER, errors, "sluice_upstream_errors_total", \
	  "Exchanges that failed: not connected, broken, malformed or late.") \
	X(COUNTER, retries, "sluice_upstream_retries_total", "Requests sent again on a fresh connection.") \
	X(HISTOGRAM, duration, "sluice_upstream_duration_seconds", \
	  "From the choice of an endpoint to the head of its answer.")
/* clang-format on */

#define METRICS_FIELD(kind, field, name, help) METRICS_##kind field;

struct metrics_thread {
	METRICS_THREAD(METRICS_FIELD)
} __attribute__((aligned(64)));

struct metrics_route {
	METRICS_ROUTE(METRICS_FIELD)
} __attribute__((aligned(64)));

struct metrics_service {
	METRICS_SERVICE(METRICS_FIELD)
} __attribute__((aligned(64)));

#undef METRICS_FIELD

enum metrics_scope {
	METRICS_OF_THREAD,
	METRICS_OF_ROUTE,
	METRICS_OF_SERVICE,
	METRICS_SCOPES,
};

/* Everything counted under one name of its scope. */
struct metrics_row {
	void *cells; /* an array, one struct of the scope a thread */
	struct slice name;
	enum metrics_scope scope;
	unsigned int refs;
	struct list node; /* in the order of making */
	struct metrics_row *next;
};

struct metrics;

/* For threads 0 to n_threads - 1, each with a row of METRICS_OF_THREAD from the start. NULL: out of memory. */
struct metrics *metrics_new(unsigned int n_threads);

/* After all rows have been released. NULL is fine. */
void metrics_free(struct metrics *m);

struct metrics_thread *metrics_thread(struct metrics *m, unsigned int thread);

/* The row of a name, made on first use. Takes a lock: not for the request path. NULL: out of memory. */
struct metrics_row *metrics_row_ref(struct metrics *m, enum metrics_scope scope, struct slice name);
void metrics_row_unref(struct metrics *m, struct metrics_row *row);

static inline struct metrics_route *metrics_route(const struct metrics_row *row,
						  unsigned int thread)
{
	return (struct metrics_route *)row->cells + thread;
}

static inline struct metrics_service *metrics_service(const struct metrics_row *row,
						      unsigned int thread)
{
	return (struct metrics_service *)row->cells + thread;
}

/* Only by the thread whose cell it is: an ordinary addition that a reader cannot see half done. */
static inline void metrics_add(uint64_t *cell, uint64_t n)
{
	__atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void metrics_set(uint64_t *cell, uint64_t value)
{
	__atomic_store_n(cell, value, __ATOMIC_RELAXED);
}

static inline uint64_t metrics_get(const uint64_t *cell)
{
	return __atomic_load_n(cell, __ATOMIC_RELAXED);
}

/* status 0: none. */
static inline void metrics_code(struct metrics_codes *codes, unsigned int status)
{
	metrics_add(&codes->cells[status < 600 ? status / 100 : 0], 1);
}

/* Nanoseconds. */
static inline void metrics_observe(struct histogram *h, uint64_t nsec)
{
	metrics_add(&h->buckets[histogram_bucket(nsec)], 1);
	metrics_add(&h->sum, nsec);
}

/* Append all in the Prometheus text format, version 0.0.4. Any thread. Check out->failed. */
void metrics_render(struct metrics *m, struct buf *out);

/* For what others append: a family's HELP and TYPE, then samples. labels: "" or 'a="b",c="d"', escaped. */
void metrics_family(struct buf *out, const char *name, const char *type, const char *help);
void metrics_label(struct buf *out, const char *label, struct slice value);

#endif
