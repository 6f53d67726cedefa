/* SPDX-License-Identifier: Apache-2.0 */
/* Cells of several threads add up, rows outlive a reload, every value has its bucket, names are escaped. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "metrics/metrics.h"

static unsigned int bucket_by_search(uint64_t nsec)
{
	unsigned int i = 0;

	while (nsec > histogram_bounds[i])
		i++;
	return i;
}

static void every_value_has_its_bucket(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t bound = histogram_bounds[i];

		assert_int_equal(histogram_bucket(bound), i);
		assert_int_equal(histogram_bucket(bound - 1), bucket_by_search(bound - 1));
		if (i + 1 < HISTOGRAM_BUCKETS) {
			assert_int_equal(histogram_bucket(bound + 1), i + 1);
			assert_true(bound == (uint64_t)(strtod(histogram_le[i], NULL) * 1e9 + 0.5));
		}
	}
	for (unsigned int bit = 0; bit < 64; bit++) {
		for (int i = 0; i < 1000; i++) {
			uint64_t v = 1ULL << bit;

			v |= (((uint64_t)random() << 32) ^ (uint64_t)random()) & (v - 1);
			assert_int_equal(histogram_bucket(v), bucket_by_search(v));
		}
	}
	assert_int_equal(histogram_bucket(0), 0);
}

static bool has(struct buf *page, const char *line)
{
	buf_append(page, "", 1);
	page->tail--;
	return strstr(page->data + page->head, line) != NULL;
}

static struct buf render(struct metrics *m)
{
	struct buf page;

	buf_init(&page, 1 << 20);
	metrics_render(m, &page);
	assert_false(page.failed);
	return page;
}

static void threads_add_up(void **state)
{
	struct metrics *m = metrics_new(3);
	struct metrics_row *row = metrics_row_ref(m, METRICS_OF_ROUTE, SLICE("users"));
	struct buf page;

	(void)state;
	for (unsigned int t = 0; t < 3; t++) {
		struct metrics_route *r = metrics_route(row, t);

		assert_int_equal((uintptr_t)r % 64, 0);
		metrics_code(&r->requests, 200);
		metrics_code(&r->requests, 404);
		metrics_add(&r->sent, 100);
		metrics_observe(&r->duration, 3000000);
		metrics_add(&metrics_thread(m, t)->accepted, t);
		metrics_set(&metrics_thread(m, t)->connections, 7);
	}
	metrics_code(&metrics_route(row, 0)->requests, 0);
	metrics_code(&metrics_route(row, 0)->requests, 999);
	page = render(m);
	assert_true(has(&page, "\nsluice_requests_total{route=\"users\",code=\"2xx\"} 3\n"));
	assert_true(has(&page, "\nsluice_requests_total{route=\"users\",code=\"4xx\"} 3\n"));
	assert_true(has(&page, "\nsluice_requests_total{route=\"users\",code=\"none\"} 2\n"));
	assert_true(has(&page, "\nsluice_response_body_bytes_total{route=\"users\"} 300\n"));
	assert_true(has(&page, "_duration_seconds_bucket{route=\"users\",le=\"0.0025\"} 0\n"));
	assert_true(has(&page, "_duration_seconds_bucket{route=\"users\",le=\"0.005\"} 3\n"));
	assert_true(has(&page, "_duration_seconds_bucket{route=\"users\",le=\"+Inf\"} 3\n"));
	assert_true(has(&page, "_duration_seconds_sum{route=\"users\"} 0.009000000\n"));
	assert_true(has(&page, "_duration_seconds_count{route=\"users\"} 3\n"));
	assert_true(has(&page, "\nsluice_connections_total 3\n"));
	assert_true(has(&page, "\nsluice_connections 21\n"));
	buf_fini(&page);
	metrics_row_unref(m, row);
	metrics_free(m);
}

static void a_row_lives_as_long_as_it_is_named(void **state)
{
	struct metrics *m = metrics_new(1);
	struct metrics_row *first = metrics_row_ref(m, METRICS_OF_SERVICE, SLICE("api"));
	struct metrics_row *other = metrics_row_ref(m, METRICS_OF_ROUTE, SLICE("api"));
	struct metrics_row *again;
	struct buf page;

	(void)state;
	assert_ptr_not_equal(first, other);
	metrics_add(&metrics_service(first, 0)->errors, 5);
	/* A reload: the new configuration is there before the old one goes. */
	again = metrics_row_ref(m, METRICS_OF_SERVICE, SLICE("api"));
	assert_ptr_equal(first, again);
	metrics_row_unref(m, first);
	page = render(m);
	assert_true(has(&page, "\nsluice_upstream_errors_total{service=\"api\"} 5\n"));
	buf_fini(&page);
	metrics_row_unref(m, again);
	page = render(m);
	assert_false(has(&page, "service=\"api\""));
	assert_true(has(&page, "route=\"api\""));
	buf_fini(&page);
	metrics_row_unref(m, other);
	metrics_free(m);
}

static void many_rows_are_found_by_name(void **state)
{
	enum { N = 5000 };
	static struct metrics_row *rows[N];
	struct metrics *m = metrics_new(1);
	char name[32];

	(void)state;
	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < N; i++) {
			int n = snprintf(name, sizeof(name), "route%d", i);
			struct metrics_row *row = metrics_row_ref(m, METRICS_OF_ROUTE,
								  slice_make(name, (size_t)n));

			assert_true(pass == 0 || row == rows[i]);
			rows[i] = row;
		}
	}
	for (int i = 0; i < N; i++) {
		metrics_row_unref(m, rows[i]);
		metrics_row_unref(m, rows[i]);
	}
	metrics_free(m);
}

static void names_are_escaped(void **state)
{
	struct metrics *m = metrics_new(1);
	struct metrics_row *row = metrics_row_ref(m, METRICS_OF_ROUTE, SLICE("a\"b\\c\nd"));
	struct buf page = render(m);

	(void)state;
	assert_true(has(&page, "{route=\"a\\\"b\\\\c\\nd\",code=\"2xx\"} 0\n"));
	buf_fini(&page);
	metrics_row_unref(m, row);
	metrics_free(m);
}

static void too_small_a_buffer_is_seen(void **state)
{
	struct metrics *m = metrics_new(1);
	struct buf page;

	(void)state;
	buf_init(&page, 512);
	metrics_render(m, &page);
	assert_true(page.failed);
	buf_fini(&page);
	metrics_free(m);
}

#define ADDITIONS 200000

static void *add_up(void *arg)
{
	struct metrics_route *r = arg;

	for (int i = 0; i < ADDITIONS; i++) {
		metrics_code(&r->requests, 200);
		metrics_observe(&r->duration, 1000);
	}
	return NULL;
}

/* For ThreadSanitizer, and for what a reader may see. */
static void rendering_disturbs_nobody(void **state)
{
	struct metrics *m = metrics_new(2);
	struct metrics_row *row = metrics_row_ref(m, METRICS_OF_ROUTE, SLICE("r"));
	pthread_t threads[2];
	struct buf page;

	(void)state;
	for (unsigned int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, add_up, metrics_route(row, i));
	for (int i = 0; i < 20; i++) {
		page = render(m);
		buf_fini(&page);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	page = render(m);
	assert_true(has(&page, "{route=\"r\",code=\"2xx\"} 400000\n"));
	buf_fini(&page);
	metrics_row_unref(m, row);
	metrics_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_has_its_bucket),
		cmocka_unit_test(threads_add_up),
		cmocka_unit_test(a_row_lives_as_long_as_it_is_named),
		cmocka_unit_test(many_rows_are_found_by_name),
		cmocka_unit_test(names_are_escaped),
		cmocka_unit_test(too_small_a_buffer_is_seen),
		cmocka_unit_test(rendering_disturbs_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
