/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/metrics.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"

#define CHAINS 1024 /* a power of two */
#define LINE   64   /* of the cache */

struct metrics {
	pthread_mutex_t lock; /* of all below, never of cells */
	unsigned int n_threads;
	struct metrics_row *threads;
	struct list rows[METRICS_SCOPES];
	struct metrics_row *chains[CHAINS];
};

static const size_t cell_size[METRICS_SCOPES] = {
	[METRICS_OF_THREAD] = sizeof(struct metrics_thread),
	[METRICS_OF_ROUTE] = sizeof(struct metrics_route),
	[METRICS_OF_SERVICE] = sizeof(struct metrics_service),
};

static struct metrics_row **chain(struct metrics *m, enum metrics_scope scope, struct slice name)
{
	/* Names are the operator's own: no secret is needed. */
	const struct hash_key key = {.k0 = scope, .k1 = 0};

	return &m->chains[hash_slice(&key, name) % CHAINS];
}

static void row_free(struct metrics_row *row)
{
	free(row->cells);
	free((char *)row->name.ptr);
	free(row);
}

static struct metrics_row *row_new(const struct metrics *m, enum metrics_scope scope,
				   struct slice name)
{
	struct metrics_row *row = calloc(1, sizeof(*row));
	size_t size = cell_size[scope] * m->n_threads;
	char *text = malloc(name.len + 1);

	if (!row || !text) {
		free(row);
		free(text);
		return NULL;
	}
	if (name.len)
		memcpy(text, name.ptr, name.len);
	row->name = slice_make(text, name.len);
	row->scope = scope;
	row->refs = 1;
	row->cells = aligned_alloc(LINE, size);
	if (!row->cells) {
		row_free(row);
		return NULL;
	}
	memset(row->cells, 0, size);
	return row;
}

struct metrics_row *metrics_row_ref(struct metrics *m, enum metrics_scope scope, struct slice name)
{
	struct metrics_row **head = chain(m, scope, name);
	struct metrics_row *row;

	pthread_mutex_lock(&m->lock);
	for (row = *head; row; row = row->next)
		if (row->scope == scope && slice_eq(row->name, name))
			break;
	if (row) {
		row->refs++;
	} else {
		row = row_new(m, scope, name);
		if (row) {
			row->next = *head;
			*head = row;
			list_add_tail(&m->rows[scope], &row->node);
		}
	}
	pthread_mutex_unlock(&m->lock);
	return row;
}

void metrics_row_unref(struct metrics *m, struct metrics_row *row)
{
	struct metrics_row **at;

	if (!row)
		return;
	pthread_mutex_lock(&m->lock);
	if (--row->refs == 0) {
		for (at = chain(m, row->scope, row->name); *at != row;)
			at = &(*at)->next;
		*at = row->next;
		list_del(&row->node);
		row_free(row);
	}
	pthread_mutex_unlock(&m->lock);
}

struct metrics *metrics_new(unsigned int n_threads)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->n_threads = n_threads;
	pthread_mutex_init(&m->lock, NULL);
	for (size_t i = 0; i < METRICS_SCOPES; i++)
		list_init(&m->rows[i]);
	m->threads = metrics_row_ref(m, METRICS_OF_THREAD, slice_make(NULL, 0));
	if (m->threads)
		return m;
	metrics_free(m);
	return NULL;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	metrics_row_unref(m, m->threads);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

struct metrics_thread *metrics_thread(struct metrics *m, unsigned int thread)
{
	return (struct metrics_thread *)m->threads->cells + thread;
}

/* What the tables say, as data. */

enum kind { COUNTER, GAUGE, BY_CODE, HISTOGRAM };

struct metric {
	enum metrics_scope scope;
	enum kind kind;
	size_t offset;
	const char *name;
	const char *help;
};

#define ROW(scope, type, kind, field, name, help) {scope, kind, offsetof(type, field), name, help},
#define THREAD_ROW(...)				  ROW(METRICS_OF_THREAD, struct metrics_thread, __VA_ARGS__)
#define ROUTE_ROW(...)				  ROW(METRICS_OF_ROUTE, struct metrics_route, __VA_ARGS__)
#define SERVICE_ROW(...)			  ROW(METRICS_OF_SERVICE, struct metrics_service, __VA_ARGS__)

static const struct metric table[] = {METRICS_THREAD(THREAD_ROW) METRICS_ROUTE(ROUTE_ROW)
					      METRICS_SERVICE(SERVICE_ROW)};

static const char *const kind_types[] = {
	[COUNTER] = "counter",
	[GAUGE] = "gauge",
	[BY_CODE] = "counter",
	[HISTOGRAM] = "histogram",
};
static const char *const scope_labels[METRICS_SCOPES] = {NULL, "route", "service"};
static const char *const codes[METRICS_CODES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

void metrics_family(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_label(struct buf *out, const char *label, struct slice value)
{
	buf_printf(out, "%s=\"", label);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '\n')
			buf_put(out, SLICE("\\n"));
		else if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else
			buf_append(out, &c, 1);
	}
	buf_put(out, SLICE("\""));
}

/* The sum over all threads of the cell that stands at offset in the first thread's. */
static uint64_t sum(const struct metrics *m, const struct metrics_row *row, size_t offset)
{
	uint64_t n = 0;

	for (unsigned int t = 0; t < m->n_threads; t++) {
		const char *cells = (const char *)row->cells + t * cell_size[row->scope];

		n += metrics_get((const uint64_t *)(cells + offset));
	}
	return n;
}

static void put_u64(struct buf *out, uint64_t n)
{
	buf_printf(out, " %llu\n", (unsigned long long)n);
}

static void put_plain(struct metrics *m, const struct metric *d, const struct metrics_row *row,
		      struct slice labels, struct buf *out)
{
	buf_puts(out, d->name);
	if (labels.len)
		buf_printf(out, "{%.*s}", SLICE_FMT(labels));
	put_u64(out, sum(m, row, d->offset));
}

static void put_codes(struct metrics *m, const struct metric *d, const struct metrics_row *row,
		      struct slice labels, struct buf *out)
{
	for (size_t i = 0; i < METRICS_CODES; i++) {
		buf_printf(out, "%s{%.*s,code=\"%s\"}", d->name, SLICE_FMT(labels), codes[i]);
		put_u64(out, sum(m, row, d->offset + i * sizeof(uint64_t)));
	}
}

static void put_histogram(struct metrics *m, const struct metric *d, const struct metrics_row *row,
			  struct slice labels, struct buf *out)
{
	uint64_t nsec = sum(m, row, d->offset + offsetof(struct histogram, sum));
	uint64_t count = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		count += sum(m, row, d->offset + i * sizeof(uint64_t));
		buf_printf(out, "%s_bucket{%.*s,le=\"%s\"}", d->name, SLICE_FMT(labels),
			   histogram_le[i]);
		put_u64(out, count);
	}
	buf_printf(out, "%s_sum{%.*s} %llu.%09llu\n", d->name, SLICE_FMT(labels),
		   (unsigned long long)(nsec / 1000000000),
		   (unsigned long long)(nsec % 1000000000));
	buf_printf(out, "%s_count{%.*s}", d->name, SLICE_FMT(labels));
	put_u64(out, count);
}

typedef void put_fn(struct metrics *m, const struct metric *d, const struct metrics_row *row,
		    struct slice labels, struct buf *out);

static put_fn *const putters[] = {
	[COUNTER] = put_plain,
	[GAUGE] = put_plain,
	[BY_CODE] = put_codes,
	[HISTOGRAM] = put_histogram,
};

void metrics_render(struct metrics *m, struct buf *out)
{
	struct list *node, *tmp;
	struct buf labels;

	_Static_assert(offsetof(struct histogram, buckets) == 0, "put_histogram counts on it");
	buf_init(&labels, 1 << 20);
	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct metric *d = &table[i];
		const struct list *rows = &m->rows[d->scope];

		metrics_family(out, d->name, kind_types[d->kind], d->help);
		list_for_each (node, tmp, rows) {
			const struct metrics_row *row = container_of(node, struct metrics_row,
								     node);

			buf_clear(&labels);
			if (scope_labels[d->scope])
				metrics_label(&labels, scope_labels[d->scope], row->name);
			putters[d->kind](m, d, row, buf_slice(&labels), out);
		}
	}
	pthread_mutex_unlock(&m->lock);
	buf_fini(&labels);
}
