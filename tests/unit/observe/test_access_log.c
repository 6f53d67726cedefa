/* SPDX-License-Identifier: Apache-2.0 */
/* Lines are JSON whatever the peer sent; all arrive or are counted; a file that fails or stands still hurts nobody. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "observe/access_log.h"

#define WORKERS 2

struct fixture {
	char dir[64];
	char path[128];
	struct metrics *metrics;
	struct log_writer *writer;
};

static int set_up(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	snprintf(fx->dir, sizeof(fx->dir), "/tmp/sluice-log-XXXXXX");
	assert_non_null(mkdtemp(fx->dir));
	snprintf(fx->path, sizeof(fx->path), "%s/access.json", fx->dir);
	fx->metrics = metrics_new(WORKERS + 1);
	fx->writer = log_writer_new(fx->metrics, WORKERS);
	assert_non_null(fx->writer);
	*state = fx;
	return 0;
}

static void close_writer(struct fixture *fx)
{
	log_writer_free(fx->writer);
	fx->writer = NULL;
}

static int tear_down(void **state)
{
	struct fixture *fx = *state;
	char command[128];

	close_writer(fx);
	metrics_free(fx->metrics);
	snprintf(command, sizeof(command), "rm -r %s", fx->dir);
	assert_int_equal(system(command), 0);
	free(fx);
	return 0;
}

static struct log_file *open_file(struct fixture *fx, const char *path)
{
	struct error err = {0};
	struct log_file *f = NULL;

	assert_int_equal(log_writer_file(fx->writer, slice_str(path), &err, &f), 0);
	return f;
}

/* Sum over the threads of a cell. */
#define COUNT(fx, field)                                                                           \
	(metrics_get(&metrics_thread((fx)->metrics, 0)->field) +                                   \
	 metrics_get(&metrics_thread((fx)->metrics, 1)->field) +                                   \
	 metrics_get(&metrics_thread((fx)->metrics, WORKERS)->field))

#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		uint64_t end_ = clock_mono() + 20 * NSEC_PER_SEC;                                  \
		while (!(condition)) {                                                             \
			assert_true(clock_mono() < end_);                                          \
			usleep(1000);                                                              \
		}                                                                                  \
	} while (0)

static size_t count_lines(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t n = 0;
	int c;

	if (!f)
		return 0;
	while ((c = fgetc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static json_t *format(struct fixture *fx, const struct access_record *r)
{
	struct log_source *s = log_writer_source(fx->writer, 0);
	const char *end = access_log_format(s, r);
	json_t *root;

	assert_true(end > s->line && end[-1] == '\n');
	assert_null(memchr(s->line, '\n', (size_t)(end - s->line) - 1));
	root = json_loadb(s->line, (size_t)(end - s->line), JSON_ALLOW_NUL, NULL);
	assert_non_null(root);
	return root;
}

static void a_line_says_it_all(void **state)
{
	static const char expected[] =
		"{\"time\":\"2026-11-24T04:05:41.375Z\",\"client_ip\":\"2001:db8::1\",\"client_"
		"port\":65535,"
		"\"method\":\"GET\",\"host\":\"h\",\"path\":\"/a?b=\\\"c\\\"\",\"route\":\"all\","
		"\"service\":\"api\",\"upstream\":\"127.0.0.1:9000\",\"status\":200,\"verdict\":"
		"null,"
		"\"bytes_in\":1,\"bytes_out\":18446744073709551615,\"duration_us\":1234,\"upstream_"
		"us\":0,"
		"\"request_id\":\"0123\",\"consumer\":\"\",\"user_agent\":\"caf\\ufffd\"}\n";
	struct fixture *fx = *state;
	struct log_source *s = log_writer_source(fx->writer, 0);
	struct access_record r = {
		.wall = 1795493141375949181ULL,
		.client = SLICE("2001:db8::1"),
		.client_port = 65535,
		.method = SLICE("GET"),
		.path = SLICE("/a?b=\"c\""),
		.host = SLICE("h"),
		.user_agent = SLICE("caf\xe9"),
		.route = SLICE("all"),
		.service = SLICE("api"),
		.upstream = SLICE("127.0.0.1:9000"),
		.request_id = SLICE("0123"),
		.consumer = SLICE(""),
		.status = 200,
		.bytes_in = 1,
		.bytes_out = UINT64_MAX,
		.duration = 1234567,
		.forwarded = true,
		.upstream_time = 999,
	};
	const char *end = access_log_format(s, &r);

	assert_int_equal(end - s->line, sizeof(expected) - 1);
	assert_memory_equal(s->line, expected, sizeof(expected) - 1);
	/* The second is remembered: the next one must not be. */
	r.wall += NSEC_PER_SEC;
	access_log_format(s, &r);
	assert_memory_equal(s->line, "{\"time\":\"2026-11-24T04:05:42.375Z\"", 33);
}

static void any_bytes_and_any_length_fit(void **state)
{
	static char noise[65536];
	struct access_record r = {.status = 999, .client_port = 65535, .wall = UINT64_MAX / 2};
	struct slice *slices[] = {
		&r.path, &r.host, &r.user_agent, &r.route, &r.service, &r.upstream, &r.consumer,
	};
	struct slice *safe[] = {&r.client, &r.method, &r.verdict, &r.request_id};
	static char letters[1024];

	memset(letters, 'x', sizeof(letters));
	for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
		*safe[i] = slice_make(letters, sizeof(letters));

	for (int round = 0; round < 300; round++) {
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = round ? (char)random() : 0x01; /* first the longest */
		for (size_t i = 0; i < sizeof(slices) / sizeof(slices[0]); i++)
			*slices[i] = slice_make(noise + i, round ? (size_t)random() % 60000
								 : sizeof(noise) - i);
		json_decref(format(*state, &r));
	}
}

struct load {
	struct fixture *fx;
	struct log_file *file;
	unsigned int index;
	unsigned int n;
};

static void *write_lines(void *arg)
{
	const struct load *l = arg;
	struct access_log log = {.file = l->file};
	struct access_record r = {.path = SLICE("/some/path"), .wall = clock_wall()};

	for (unsigned int i = 0; i < l->n; i++) {
		r.client_port = l->index;
		r.bytes_in = i;
		access_log_write(&log, log_writer_source(l->fx->writer, l->index), &r);
		if (i % 1000 == 999)
			usleep(1000);
	}
	return NULL;
}

static void every_line_arrives_or_is_counted(void **state)
{
	enum { N = 20000 };
	struct fixture *fx = *state;
	struct log_file *f = open_file(fx, fx->path);
	struct load loads[WORKERS];
	pthread_t threads[WORKERS];

	for (unsigned int i = 0; i < WORKERS; i++) {
		loads[i] = (struct load){.fx = fx, .file = f, .index = i, .n = N};
		pthread_create(&threads[i], NULL, write_lines, &loads[i]);
	}
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	close_writer(fx);
	assert_int_equal(COUNT(fx, log_lines) + COUNT(fx, log_dropped), WORKERS * N);
	assert_int_equal(count_lines(fx->path), COUNT(fx, log_lines));
	assert_true(COUNT(fx, log_lines) > N);
}

static void put_lines(struct fixture *fx, struct log_file *f, unsigned int n)
{
	struct load l = {.fx = fx, .file = f, .n = n};

	write_lines(&l);
}

static void a_full_disk_drops_and_counts(void **state)
{
	struct fixture *fx = *state;
	struct log_file *full = open_file(fx, "/dev/full");
	struct log_file *good = open_file(fx, fx->path);
	uint64_t start = clock_mono();

	/* More than ring and buffer hold together. */
	for (int i = 0; i < 40; i++) {
		uint64_t before = COUNT(fx, log_lines) + COUNT(fx, log_dropped);

		put_lines(fx, full, 1000);
		WAIT_FOR(COUNT(fx, log_lines) + COUNT(fx, log_dropped) == before + 1000);
	}
	assert_true(COUNT(fx, log_dropped) > 0);
	assert_true(COUNT(fx, log_lines) > 1000);
	/* Tried again, but not in a circle. */
	assert_true(COUNT(fx, log_errors) >= 1);
	assert_true(COUNT(fx, log_errors) <= 2 + (clock_mono() - start) / NSEC_PER_SEC);
	put_lines(fx, good, 10);
	WAIT_FOR(count_lines(fx->path) == 10);
}

static void a_reader_that_stands_still_is_waited_for(void **state)
{
	struct fixture *fx = *state;
	struct log_file *f, *good;
	char text[65536];
	size_t lines = 0;
	ssize_t n;
	int fd;

	assert_int_equal(mkfifo(fx->path, 0600), 0);
	/* Nobody reads yet: that is no error, and lines wait. */
	f = open_file(fx, fx->path);
	put_lines(fx, f, 100);
	fd = open(fx->path, O_RDONLY | O_NONBLOCK);
	assert_true(fd >= 0);
	/* More than the pipe holds. */
	put_lines(fx, f, 3000);
	good = open_file(fx, "/dev/null");
	put_lines(fx, good, 10);
	WAIT_FOR(COUNT(fx, log_lines) == 3110);
	while (lines < 3100) {
		n = read(fd, text, sizeof(text));
		if (n <= 0) {
			usleep(1000);
			continue;
		}
		for (ssize_t i = 0; i < n; i++)
			lines += text[i] == '\n';
	}
	/* The reader goes: the rest waits for the next one, and starts with a whole line. */
	put_lines(fx, f, 3000);
	WAIT_FOR((n = read(fd, text, 1)) == 1);
	close(fd);
	put_lines(fx, f, 1);
	WAIT_FOR(COUNT(fx, log_errors) > 0);
	fd = open(fx->path, O_RDONLY | O_NONBLOCK);
	WAIT_FOR((n = read(fd, text, sizeof(text))) > 0);
	assert_memory_equal(text, "{\"time\":", 8);
	close(fd);
}

static void rotation_loses_nothing(void **state)
{
	struct fixture *fx = *state;
	struct log_file *f = open_file(fx, fx->path);
	char old[160];

	snprintf(old, sizeof(old), "%s.1", fx->path);
	put_lines(fx, f, 50);
	WAIT_FOR(count_lines(fx->path) == 50);
	assert_int_equal(rename(fx->path, old), 0);
	put_lines(fx, f, 50);
	WAIT_FOR(count_lines(old) == 100);
	log_writer_reopen(fx->writer);
	WAIT_FOR(access(fx->path, F_OK) == 0);
	put_lines(fx, f, 50);
	WAIT_FOR(count_lines(fx->path) == 50);
	/* Again, with nothing moved. */
	log_writer_reopen(fx->writer);
	put_lines(fx, f, 50);
	close_writer(fx);
	assert_int_equal(count_lines(fx->path), 100);
	assert_int_equal(count_lines(old), 100);
	assert_int_equal(COUNT(fx, log_dropped), 0);
}

static size_t open_fds(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void a_released_file_is_written_and_closed(void **state)
{
	struct fixture *fx = *state;
	size_t before = open_fds();
	struct log_file *f = open_file(fx, fx->path);
	struct error err = {0};

	/* By its name it is one file, however often it is named. */
	assert_ptr_equal(open_file(fx, fx->path), f);
	assert_int_equal(open_fds(), before + 1);
	put_lines(fx, f, 100);
	log_writer_release(fx->writer, f);
	put_lines(fx, f, 100);
	log_writer_release(fx->writer, f);
	WAIT_FOR(open_fds() == before);
	assert_int_equal(count_lines(fx->path), 200);
	assert_int_equal(log_writer_file(fx->writer, SLICE("/nowhere/access.json"), &err, &f),
			 -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/access.json"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_says_it_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(any_bytes_and_any_length_fit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(every_line_arrives_or_is_counted, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_full_disk_drops_and_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_reader_that_stands_still_is_waited_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(rotation_loses_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_released_file_is_written_and_closed, set_up,
						tear_down),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
