/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define BACKLOG	     4096
#define ACCEPT_PAUSE (100 * NSEC_PER_MSEC)

enum { STARTING, SERVING, ENDED };

static void arm_accept(struct worker_listener *l)
{
	struct io_uring_sqe *sqe = ring_sqe(&l->worker->ring, &l->accept_op);

	io_uring_prep_multishot_accept(sqe, l->fd, NULL, NULL, SOCK_CLOEXEC);
	l->accepting = true;
}

static void accept_again(struct timer *t, uint64_t now)
{
	struct worker_listener *l = container_of(t, struct worker_listener, retry);

	(void)now;
	if (!l->worker->stopping)
		arm_accept(l);
}

static void accepted(struct io_op *op, int res, unsigned int flags)
{
	struct worker_listener *l = container_of(op, struct worker_listener, accept_op);
	struct worker *w = l->worker;

	if (res >= 0) {
		const struct config *cfg = w->proxy.current->snap->cfg;

		proxy_accept(&w->proxy, res, &cfg->listeners[l->index]);
	}
	if (flags & IORING_CQE_F_MORE)
		return;
	l->accepting = false;
	if (w->stopping)
		return;
	/* Out of descriptors or memory: connections wait in the backlog until some are free. */
	if (res < 0 && res != -ECONNABORTED && res != -EINTR)
		timer_set(&w->ring.timers, &l->retry, w->ring.now + ACCEPT_PAUSE);
	else
		arm_accept(l);
}

static void stop_accepting(struct worker *w)
{
	w->stopping = true;
	for (size_t i = 0; i < w->n_listeners; i++)
		shutdown(w->listeners[i].fd, SHUT_RDWR);
}

static void drain_expired(struct timer *t, uint64_t now)
{
	struct worker *w = container_of(t, struct worker, drain_timer);

	(void)now;
	proxy_abort(&w->proxy);
}

static void arm_wake(struct worker *w)
{
	struct io_uring_sqe *sqe = ring_sqe(&w->ring, &w->wake_op);

	io_uring_prep_read(sqe, w->wake_fd, &w->wake_value, sizeof(w->wake_value), 0);
}

static void woken(struct io_op *op, int res, unsigned int flags)
{
	struct worker *w = container_of(op, struct worker, wake_op);
	struct snapshot *next = atomic_exchange(&w->next, NULL);

	(void)res;
	(void)flags;
	if (next) {
		if (proxy_reload(&w->proxy, next) < 0)
			log_error("worker: out of memory for the new configuration, the old one "
				  "stays");
		atomic_fetch_sub(&next->refs, 1);
	}
	if (atomic_load(&w->drain) && !w->stopping) {
		stop_accepting(w);
		proxy_drain(&w->proxy);
		timer_set(&w->ring.timers, &w->drain_timer, w->ring.now + w->drain_nsec);
	}
	arm_wake(w);
}

static void pin(const struct worker *w)
{
	cpu_set_t set;

	if (w->cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned int)w->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		log_warn("worker: cannot be pinned to CPU %d", w->cpu);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	int rc = 0;

	pin(w);
	if (ring_init(&w->ring, &w->error) < 0) {
		atomic_store(&w->state, -w->error.code);
		return NULL;
	}
	if (proxy_init(&w->proxy, &w->ring, w->first, w->share, &w->error) < 0) {
		ring_fini(&w->ring);
		atomic_store(&w->state, -w->error.code);
		return NULL;
	}
	timer_init(&w->drain_timer, drain_expired);
	for (size_t i = 0; i < w->n_listeners; i++) {
		timer_init(&w->listeners[i].retry, accept_again);
		arm_accept(&w->listeners[i]);
	}
	arm_wake(w);
	atomic_store(&w->state, SERVING);
	while (rc == 0 && !(w->stopping && w->proxy.n_conns == 0))
		rc = ring_turn(&w->ring);
	if (rc < 0)
		log_error("worker: io_uring_enter: %s", strerror(-rc));
	/* The ring ends every operation before the objects go that they point to. */
	proxy_abort(&w->proxy);
	for (int turns = 0; rc == 0 && turns < 100 && w->proxy.n_conns; turns++)
		rc = ring_turn(&w->ring);
	ring_fini(&w->ring);
	proxy_fini(&w->proxy);
	atomic_store(&w->state, ENDED);
	return NULL;
}

static int open_listener(const struct conf_listener *l, struct error *err)
{
	int one = 1;
	int fd = socket(l->address.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return error_sys(err, errno, "listener %.*s", SLICE_FMT(l->name));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
	    bind(fd, (const struct sockaddr *)&l->address.ss, l->address.len) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		int code = errno;

		close(fd);
		return error_sys(err, code, "listener %.*s: %.*s", SLICE_FMT(l->name),
				 SLICE_FMT(l->address.text));
	}
	return fd;
}

int worker_init(struct worker *w, struct snapshot *snap, int cpu, unsigned int share,
		struct error *err)
{
	const struct config *cfg = snap->cfg;

	*w = (struct worker){
		.cpu = cpu,
		.share = share,
		.first = snap,
		.drain_nsec = cfg->drain,
		.wake_op.done = woken,
		.wake_fd = eventfd(0, EFD_CLOEXEC),
	};
	if (w->wake_fd < 0)
		return error_sys(err, errno, "eventfd");
	w->listeners = calloc(cfg->n_listeners, sizeof(*w->listeners));
	if (!w->listeners)
		return error_set(err, ENOMEM, "out of memory for the listeners");
	for (size_t i = 0; i < cfg->n_listeners; i++) {
		struct worker_listener *l = &w->listeners[i];

		*l = (struct worker_listener){
			.worker = w,
			.accept_op.done = accepted,
			.index = i,
			.fd = open_listener(&cfg->listeners[i], err),
		};
		if (l->fd < 0)
			return l->fd;
		w->n_listeners++;
	}
	return 0;
}

int worker_start(struct worker *w, struct error *err)
{
	int rc = pthread_create(&w->thread, NULL, run, w);

	if (rc)
		return error_sys(err, rc, "starting a worker");
	w->running = true;
	return 0;
}

int worker_wait(struct worker *w, struct error *err)
{
	int state;

	/* Set-up takes milliseconds and happens once. */
	while ((state = atomic_load(&w->state)) == STARTING)
		usleep(1000);
	if (state > 0)
		return 0;
	*err = w->error;
	return state;
}

static void wake(struct worker *w)
{
	uint64_t one = 1;

	if (write(w->wake_fd, &one, sizeof(one)) < 0)
		log_error("worker: cannot be woken: %s", strerror(errno));
}

bool worker_reload(struct worker *w, struct snapshot *snap)
{
	struct snapshot *none = NULL;

	atomic_fetch_add(&snap->refs, 1);
	if (!atomic_compare_exchange_strong(&w->next, &none, snap)) {
		atomic_fetch_sub(&snap->refs, 1);
		return false;
	}
	wake(w);
	return true;
}

void worker_drain(struct worker *w)
{
	atomic_store(&w->drain, true);
	wake(w);
}

void worker_join(struct worker *w)
{
	if (w->running)
		pthread_join(w->thread, NULL);
	w->running = false;
}

void worker_fini(struct worker *w)
{
	for (size_t i = 0; i < w->n_listeners; i++)
		close(w->listeners[i].fd);
	free(w->listeners);
	w->listeners = NULL;
	w->n_listeners = 0;
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	w->wake_fd = -1;
}
