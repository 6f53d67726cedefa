/* SPDX-License-Identifier: Apache-2.0 */
#include "observe/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define MAX_PENDING (4U << 20)
#define RETRY_NSEC  NSEC_PER_SEC
#define MODE	    0640

/*
 * Standard output may be what opening cannot give again: a socket, or a file at a place that a new descriptor would
 * not share. Everything else is opened anew, so that O_NONBLOCK is ours alone.
 */
static int open_standard(int fd)
{
	char name[32];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode)) {
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	} else {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		fd = open(name, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	}
	return fd < 0 ? -errno : fd;
}

static int open_path(const char *path)
{
	int fd;

	if (strcmp(path, "/dev/stdout") == 0)
		return open_standard(STDOUT_FILENO);
	if (strcmp(path, "/dev/stderr") == 0)
		return open_standard(STDERR_FILENO);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, MODE);
	return fd < 0 ? -errno : fd;
}

static void use(struct log_file *f, int fd)
{
	struct stat st;

	f->fd = fd;
	f->is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	f->blocked = false;
	f->retry_at = 0;
}

int log_file_open(const char *path, struct error *err, struct log_file **ret_file)
{
	struct log_file *f = calloc(1, sizeof(*f));
	int fd;

	if (!f)
		return error_set(err, ENOMEM, "out of memory for a log file");
	fd = open_path(path);
	/* ENXIO: a pipe without a reader, which may come. */
	if (fd < 0 && fd != -ENXIO) {
		free(f);
		return error_sys(err, -fd, "%s", path);
	}
	f->fd = -1;
	if (fd >= 0)
		use(f, fd);
	f->path = strdup(path);
	if (!f->path) {
		log_file_free(f);
		return error_set(err, ENOMEM, "out of memory for a log file");
	}
	f->refs = 1;
	buf_init(&f->pending, MAX_PENDING);
	*ret_file = f;
	return 0;
}

void log_file_free(struct log_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	buf_fini(&f->pending);
	free(f->path);
	free(f);
}

bool log_file_add(struct log_file *f, struct slice a, struct slice b)
{
	if (a.len + b.len > MAX_PENDING - buf_len(&f->pending) ||
	    !buf_reserve(&f->pending, a.len + b.len))
		return false;
	buf_put(&f->pending, a);
	buf_put(&f->pending, b);
	return true;
}

/* The rest of a line whose start went elsewhere. */
static void drop_torn(struct log_file *f)
{
	struct slice s = buf_slice(&f->pending);
	size_t end = slice_index(s, '\n');

	if (!f->torn)
		return;
	buf_consume(&f->pending, end < s.len ? end + 1 : s.len);
	f->torn = false;
	f->lost++;
}

/* Says so once. */
static bool failed(struct log_file *f, int code, uint64_t now)
{
	if (!f->failing)
		log_error("access log %s: %s; trying again every second", f->path, strerror(code));
	f->failing = true;
	f->retry_at = now + RETRY_NSEC;
	return false;
}

static ssize_t write_some(const struct log_file *f)
{
	struct slice s = buf_slice(&f->pending);

	return f->is_socket ? send(f->fd, s.ptr, s.len, MSG_DONTWAIT | MSG_NOSIGNAL)
			    : write(f->fd, s.ptr, s.len);
}

bool log_file_flush(struct log_file *f, uint64_t now)
{
	ssize_t n = 0;

	if (f->retry_at > now)
		return true;
	if (f->fd < 0) {
		int fd = open_path(f->path);

		if (fd < 0)
			return failed(f, -fd, now);
		use(f, fd);
	}
	f->blocked = false;
	while (buf_len(&f->pending) && (n = write_some(f)) > 0) {
		f->torn = f->pending.data[f->pending.head + (size_t)n - 1] != '\n';
		buf_consume(&f->pending, (size_t)n);
	}
	if (n >= 0) {
		if (f->failing)
			log_info("access log %s: written again", f->path);
		f->failing = false;
		return true;
	}
	if (errno == EINTR)
		return true;
	if (errno == EAGAIN || errno == EWOULDBLOCK) {
		f->blocked = true;
		return true;
	}
	if (errno == EPIPE) {
		/* Whoever reads next starts with a line of its own. */
		close(f->fd);
		f->fd = -1;
		drop_torn(f);
		return failed(f, EPIPE, now);
	}
	return failed(f, errno, now);
}

static bool same_file(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

void log_file_reopen(struct log_file *f, uint64_t now)
{
	int fd = open_path(f->path);

	if (fd < 0) {
		/* The old one is better than none. */
		failed(f, -fd, now);
		return;
	}
	if (f->fd >= 0 && !same_file(f->fd, fd)) {
		f->retry_at = 0;
		log_file_flush(f, now);
		drop_torn(f);
	}
	if (f->fd >= 0)
		close(f->fd);
	use(f, fd);
}
