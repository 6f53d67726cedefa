/* SPDX-License-Identifier: Apache-2.0 */
#include "observe/log_writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define RING_SIZE     (1U << 20)
#define MAX_FILES     64
#define BATCH	      (256U << 10) /* bytes that wait before they are written */
#define INTERVAL_MSEC 100	   /* what a line waits at most, when nothing else hurries */
#define LAST_NSEC     NSEC_PER_SEC /* for what is left at the end */

struct log_writer {
	pthread_t thread;
	bool running;
	int wake_fd;	   /* eventfd */
	atomic_bool woken; /* it has been written to */
	atomic_bool reopen;
	atomic_bool stop;
	pthread_mutex_t
		lock; /* of the list and the counts of references; file contents are the thread's */
	struct list files;
	unsigned int n_files;
	struct metrics_thread *count;
	unsigned int n_sources;
	struct log_source **sources;
};

static void wake(struct log_writer *w)
{
	uint64_t one = 1;

	if (!atomic_exchange(&w->woken, true) && write(w->wake_fd, &one, sizeof(one)) < 0)
		log_error("access log: the writer cannot be woken: %s", strerror(errno));
}

void log_source_put(struct log_source *s, struct log_file *f, struct slice line)
{
	if (!spsc_put(&s->ring, f, line))
		metrics_add(&s->count->log_dropped, 1);
	if (spsc_half_full(&s->ring) &&
	    !atomic_load_explicit(&s->writer->woken, memory_order_relaxed))
		wake(s->writer);
}

struct log_source *log_writer_source(struct log_writer *w, unsigned int index)
{
	return w->sources[index];
}

static void flush(struct log_writer *w, struct log_file *f, uint64_t now)
{
	if (buf_len(&f->pending) && !log_file_flush(f, now))
		metrics_add(&w->count->log_errors, 1);
	metrics_add(&w->count->log_dropped, f->lost);
	f->lost = 0;
}

/* From a worker's ring to the files' buffers. */
static void drain(struct log_writer *w, struct log_source *s, uint64_t now)
{
	struct spsc_message m;

	spsc_look(&s->ring);
	while (spsc_get(&s->ring, &m)) {
		struct log_file *f = m.tag;

		if (log_file_add(f, m.parts[0], m.parts[1]))
			metrics_add(&w->count->log_lines, 1);
		else
			metrics_add(&w->count->log_dropped, 1);
		spsc_next(&s->ring);
		if (buf_len(&f->pending) >= BATCH && !f->blocked)
			flush(w, f, now);
	}
}

static void drain_all(struct log_writer *w, uint64_t now)
{
	for (unsigned int i = 0; i < w->n_sources; i++)
		drain(w, w->sources[i], now);
}

/* The files of now: others may be added meanwhile, but only this thread takes one away. */
static unsigned int list_files(struct log_writer *w, struct log_file **ret_files,
			       bool *ret_released)
{
	struct list *node, *tmp;
	unsigned int n = 0;

	pthread_mutex_lock(&w->lock);
	list_for_each (node, tmp, &w->files) {
		struct log_file *f = container_of(node, struct log_file, node);

		ret_released[n] = f->refs == 0;
		ret_files[n++] = f;
	}
	pthread_mutex_unlock(&w->lock);
	return n;
}

static void report_lost(const struct log_file *f)
{
	if (buf_len(&f->pending))
		log_error("access log %s: %zu bytes could not be written", f->path,
			  buf_len(&f->pending));
}

/* A released file, after its lines were drained; a reload may have come back to it. */
static void remove_file(struct log_writer *w, struct log_file *f)
{
	bool gone;

	pthread_mutex_lock(&w->lock);
	gone = f->refs == 0;
	if (gone) {
		list_del(&f->node);
		w->n_files--;
	}
	pthread_mutex_unlock(&w->lock);
	if (!gone)
		return;
	report_lost(f);
	log_file_free(f);
}

/* What the workers have handed over goes to the files. */
static void turn(struct log_writer *w)
{
	struct log_file *files[MAX_FILES];
	bool released[MAX_FILES];
	uint64_t now = clock_mono();
	bool reopen = atomic_exchange(&w->reopen, false);
	unsigned int n = list_files(w, files, released);

	/* Lines of a released file were all handed over before it was: they are drained now. */
	drain_all(w, now);
	for (unsigned int i = 0; i < n; i++) {
		flush(w, files[i], now);
		if (reopen)
			log_file_reopen(files[i], now);
		if (released[i])
			remove_file(w, files[i]);
	}
}

static void wait_for_work(struct log_writer *w)
{
	struct pollfd fds[MAX_FILES + 1] = {{.fd = w->wake_fd, .events = POLLIN}};
	struct list *node, *tmp;
	nfds_t n = 1;
	uint64_t value;

	pthread_mutex_lock(&w->lock);
	list_for_each (node, tmp, &w->files) {
		const struct log_file *f = container_of(node, struct log_file, node);

		if (f->blocked && f->fd >= 0)
			fds[n++] = (struct pollfd){.fd = f->fd, .events = POLLOUT};
	}
	pthread_mutex_unlock(&w->lock);
	poll(fds, n, INTERVAL_MSEC);
	if (fds[0].revents & POLLIN && read(w->wake_fd, &value, sizeof(value)) > 0)
		atomic_store(&w->woken, false);
}

static bool all_written(struct log_writer *w)
{
	struct list *node, *tmp;

	list_for_each (node, tmp, &w->files)
		if (buf_len(&container_of(node, struct log_file, node)->pending))
			return false;
	return true;
}

static void *run(void *arg)
{
	struct log_writer *w = arg;
	uint64_t deadline;

	while (!atomic_load(&w->stop)) {
		turn(w);
		wait_for_work(w);
	}
	deadline = clock_mono() + LAST_NSEC;
	turn(w);
	while (!all_written(w) && clock_mono() < deadline) {
		wait_for_work(w);
		turn(w);
	}
	return NULL;
}

struct log_writer *log_writer_new(struct metrics *m, unsigned int n_sources)
{
	struct log_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->count = metrics_thread(m, n_sources);
	list_init(&w->files);
	pthread_mutex_init(&w->lock, NULL);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->sources = calloc(n_sources, sizeof(*w->sources));
	for (unsigned int i = 0; w->sources && i < n_sources; i++) {
		struct log_source *s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);

		if (!s || spsc_init(&s->ring, RING_SIZE) < 0) {
			free(s);
			break;
		}
		s->writer = w;
		s->count = metrics_thread(m, i);
		s->clock_sec = UINT64_MAX;
		w->sources[w->n_sources++] = s;
	}
	if (w->wake_fd >= 0 && w->n_sources == n_sources)
		return w;
	log_writer_free(w);
	return NULL;
}

void log_writer_free(struct log_writer *w)
{
	struct list *node;

	if (!w)
		return;
	atomic_store(&w->stop, true);
	if (w->running) {
		wake(w);
		pthread_join(w->thread, NULL);
	}
	while ((node = list_pop(&w->files))) {
		struct log_file *f = container_of(node, struct log_file, node);

		report_lost(f);
		log_file_free(f);
	}
	for (unsigned int i = 0; i < w->n_sources; i++) {
		spsc_fini(&w->sources[i]->ring);
		free(w->sources[i]);
	}
	free(w->sources);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

/* With the lock held. */
static int find_or_open(struct log_writer *w, const char *path, struct error *err,
			struct log_file **ret_file)
{
	struct list *node, *tmp;
	int rc;

	list_for_each (node, tmp, &w->files) {
		struct log_file *f = container_of(node, struct log_file, node);

		if (strcmp(f->path, path) == 0) {
			f->refs++;
			*ret_file = f;
			return 0;
		}
	}
	if (w->n_files == MAX_FILES)
		return error_set(err, EMFILE, "%s: more than %d log files", path, MAX_FILES);
	rc = log_file_open(path, err, ret_file);
	if (rc < 0)
		return rc;
	list_add_tail(&w->files, &(*ret_file)->node);
	w->n_files++;
	return 0;
}

int log_writer_file(struct log_writer *w, struct slice path, struct error *err,
		    struct log_file **ret_file)
{
	char text[4096];
	int rc;

	if (path.len >= sizeof(text))
		return error_set(err, ENAMETOOLONG, "access log: too long a name");
	snprintf(text, sizeof(text), "%.*s", SLICE_FMT(path));
	pthread_mutex_lock(&w->lock);
	rc = find_or_open(w, text, err, ret_file);
	pthread_mutex_unlock(&w->lock);
	if (rc == 0 && !w->running) {
		rc = pthread_create(&w->thread, NULL, run, w);
		if (rc)
			return error_sys(err, rc, "starting the writer of the access log");
		w->running = true;
	}
	return rc;
}

void log_writer_release(struct log_writer *w, struct log_file *f)
{
	pthread_mutex_lock(&w->lock);
	f->refs--;
	pthread_mutex_unlock(&w->lock);
}

void log_writer_reopen(struct log_writer *w)
{
	atomic_store(&w->reopen, true);
	wake(w);
}
