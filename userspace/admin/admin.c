/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/admin.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/session.h"
#include "base/clock.h"
#include "base/log.h"

#define BACKLOG		64
#define ACCEPT_PAUSE	(100 * NSEC_PER_MSEC)
#define BIND_TRIES	20
#define BIND_PAUSE_USEC 50000

struct admin_listener {
	struct admin *admin;
	struct io_op op;
	struct timer retry;
	int fd;
	bool accepting; /* the operation is in the kernel */
};

struct admin {
	pthread_t thread;
	sem_t started;
	int state; /* after started: 0 or -errno, with the error */
	struct error error;
	struct ring ring;
	struct session_host host;
	struct admin_listener *listeners;
	size_t n_listeners;
	struct io_op stop_op;
	uint64_t stop_value;
	int stop_fd; /* eventfd */
	bool stopping;
};

static void arm_accept(struct admin_listener *l)
{
	struct io_uring_sqe *sqe = ring_sqe(&l->admin->ring, &l->op);

	io_uring_prep_multishot_accept(sqe, l->fd, NULL, NULL, SOCK_CLOEXEC);
	l->accepting = true;
}

static void accept_again(struct timer *t, uint64_t now)
{
	struct admin_listener *l = container_of(t, struct admin_listener, retry);

	(void)now;
	if (!l->admin->stopping)
		arm_accept(l);
}

static void accepted(struct io_op *op, int res, unsigned int flags)
{
	struct admin_listener *l = container_of(op, struct admin_listener, op);
	struct admin *a = l->admin;

	if (res >= 0 && a->stopping)
		close(res);
	else if (res >= 0)
		session_open(&a->host, res);
	if (flags & IORING_CQE_F_MORE)
		return;
	l->accepting = false;
	if (a->stopping)
		return;
	if (res < 0 && res != -ECONNABORTED && res != -EINTR)
		timer_set(&a->ring.timers, &l->retry, a->ring.now + ACCEPT_PAUSE);
	else
		arm_accept(l);
}

static void stop(struct io_op *op, int res, unsigned int flags)
{
	struct admin *a = container_of(op, struct admin, stop_op);

	(void)res;
	(void)flags;
	a->stopping = true;
	for (size_t i = 0; i < a->n_listeners; i++)
		shutdown(a->listeners[i].fd, SHUT_RDWR);
	session_close_all(&a->host);
}

/*
 * Nothing is left in the kernel. A ring that goes away with operations keeps their sockets for a moment, and who comes next
 * could not bind the address.
 */
static bool ended(const struct admin *a)
{
	for (size_t i = 0; i < a->n_listeners; i++)
		if (a->listeners[i].accepting)
			return false;
	return a->stopping && a->host.n_sessions == 0;
}

static void *run(void *arg)
{
	struct admin *a = arg;
	struct io_uring_sqe *sqe;
	int rc = ring_init(&a->ring, &a->error);

	a->state = rc;
	sem_post(&a->started);
	if (rc < 0)
		return NULL;
	session_host_init(&a->host, &a->ring);
	for (size_t i = 0; i < a->n_listeners; i++)
		arm_accept(&a->listeners[i]);
	sqe = ring_sqe(&a->ring, &a->stop_op);
	io_uring_prep_read(sqe, a->stop_fd, &a->stop_value, sizeof(a->stop_value), 0);
	while (rc == 0 && !ended(a))
		rc = ring_turn(&a->ring);
	if (rc < 0)
		log_error("admin: io_uring_enter: %s", strerror(-rc));
	ring_fini(&a->ring);
	session_host_fini(&a->host);
	return NULL;
}

/* A predecessor that was killed holds its address until the kernel has taken its ring apart. */
static int bind_patiently(int fd, const struct conf_sockaddr *address)
{
	int rc;

	for (int tries = 0;; tries++) {
		rc = bind(fd, (const struct sockaddr *)&address->ss, address->len);
		if (rc == 0 || errno != EADDRINUSE || tries == BIND_TRIES)
			return rc;
		usleep(BIND_PAUSE_USEC);
	}
}

static int open_listener(const struct conf_listener *l, struct error *err)
{
	int one = 1;
	int fd = socket(l->address.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return error_sys(err, errno, "listener %.*s", SLICE_FMT(l->name));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind_patiently(fd, &l->address) < 0 || listen(fd, BACKLOG) < 0) {
		int code = errno;

		close(fd);
		return error_sys(err, code, "listener %.*s: %.*s", SLICE_FMT(l->name),
				 SLICE_FMT(l->address.text));
	}
	return fd;
}

static void admin_free(struct admin *a)
{
	for (size_t i = 0; i < a->n_listeners; i++)
		close(a->listeners[i].fd);
	free(a->listeners);
	if (a->stop_fd >= 0)
		close(a->stop_fd);
	sem_destroy(&a->started);
	free(a);
}

/* The next admin listener from *i on, or NULL. */
static const struct conf_listener *next(const struct config *cfg, size_t *i)
{
	while (*i < cfg->n_listeners) {
		const struct conf_listener *l = &cfg->listeners[(*i)++];

		if (l->role == CONF_ROLE_ADMIN)
			return l;
	}
	return NULL;
}

static int open_all(struct admin *a, const struct config *cfg, struct error *err)
{
	const struct conf_listener *conf;
	size_t i = 0;

	while ((conf = next(cfg, &i))) {
		struct admin_listener *l = &a->listeners[a->n_listeners];

		l->admin = a;
		l->op.done = accepted;
		timer_init(&l->retry, accept_again);
		l->fd = open_listener(conf, err);
		if (l->fd < 0)
			return l->fd;
		a->n_listeners++;
	}
	return 0;
}

static int start_thread(struct admin *a, struct error *err)
{
	int rc = pthread_create(&a->thread, NULL, run, a);

	if (rc)
		return error_sys(err, rc, "starting the admin thread");
	while (sem_wait(&a->started) < 0)
		;
	if (a->state == 0)
		return 0;
	pthread_join(a->thread, NULL);
	*err = a->error;
	return a->state;
}

bool admin_same(const struct config *a, const struct config *b)
{
	const struct conf_listener *la, *lb;
	size_t i = 0, k = 0;

	do {
		la = next(a, &i);
		lb = next(b, &k);
	} while (la && lb && la->address.len == lb->address.len &&
		 memcmp(&la->address.ss, &lb->address.ss, la->address.len) == 0);
	return !la && !lb;
}

int admin_start(const struct config *cfg, const struct admin_page *pages, void *user,
		struct error *err, struct admin **ret_admin)
{
	struct admin *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return error_set(err, ENOMEM, "out of memory for the admin listener");
	sem_init(&a->started, 0, 0);
	a->host.pages = pages;
	a->host.user = user;
	a->stop_op.done = stop;
	a->stop_fd = eventfd(0, EFD_CLOEXEC);
	a->listeners = calloc(cfg->n_listeners + 1, sizeof(*a->listeners));
	if (a->stop_fd < 0 || !a->listeners) {
		admin_free(a);
		return error_set(err, ENOMEM, "out of memory for the admin listener");
	}
	rc = open_all(a, cfg, err);
	if (rc == 0 && a->n_listeners)
		rc = start_thread(a, err);
	if (rc < 0 || a->n_listeners == 0) {
		admin_free(a);
		a = NULL;
	}
	if (rc == 0)
		*ret_admin = a;
	return rc;
}

void admin_stop(struct admin *a)
{
	uint64_t one = 1;

	if (!a)
		return;
	if (write(a->stop_fd, &one, sizeof(one)) < 0)
		log_error("admin: cannot be stopped: %s", strerror(errno));
	pthread_join(a->thread, NULL);
	admin_free(a);
}
