/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/acceptor.h"

enum { STARTING, SERVING, ENDED };

static void config_free_message(struct worker_config *c)
{
	for (size_t i = 0; i < c->n_fds; i++)
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	atomic_fetch_sub(&c->snap->refs, 1);
	free(c);
}

static struct acceptor *find_acceptor(struct worker *w, const struct conf_listener *conf)
{
	struct list *node, *tmp;

	list_for_each (node, tmp, &w->acceptors) {
		struct acceptor *a = container_of(node, struct acceptor, node);

		if (!a->leaving &&
		    memcmp(&a->listener->address, &conf->address.ss, sizeof(conf->address.ss)) == 0)
			return a;
	}
	return NULL;
}

/* Listeners as the configuration that is current now says. */
static void listen_as_configured(struct worker *w, struct worker_config *c)
{
	struct list *node, *tmp;

	for (size_t i = 0; i < c->n_fds; i++) {
		const struct conf_listener *conf = &c->snap->cfg->listeners[i];
		struct acceptor *a;

		if (conf->role != CONF_ROLE_PUBLIC)
			continue;
		if (c->fds[i] >= 0) {
			a = acceptor_new(&w->proxy, take_fd(c->fds[i]), &w->acceptors);
			if (a)
				acceptor_start(a);
			else
				log_error("worker: out of memory for listener %.*s",
					  SLICE_FMT(conf->name));
		} else {
			a = find_acceptor(w, conf);
		}
		if (!a)
			continue;
		a->kept = true;
		proxy_listener_set(&w->proxy, a->listener, conf);
	}
	list_for_each (node, tmp, &w->acceptors) {
		struct acceptor *a = container_of(node, struct acceptor, node);

		if (!a->kept)
			acceptor_leave(a);
		a->kept = false;
	}
}

static void stop_accepting(struct worker *w)
{
	struct list *node, *tmp;

	w->stopping = true;
	list_for_each (node, tmp, &w->acceptors)
		acceptor_stop(container_of(node, struct acceptor, node));
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
	struct worker_config *next = atomic_exchange(&w->next, NULL);

	(void)res;
	(void)flags;
	if (next) {
		if (proxy_reload(&w->proxy, next->snap) == 0)
			listen_as_configured(w, next);
		else
			log_error("worker: out of memory for the new configuration, the old one "
				  "stays");
		config_free_message(next);
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

static int turn(struct worker *w)
{
	int rc = ring_turn(&w->ring);

	metrics_set(&w->proxy.count->starved, w->ring.n_starved);
	metrics_set(&w->proxy.count->overflow, w->ring.n_overflow);
	return rc;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct list *node, *tmp;
	int rc = 0;

	pin(w);
	if (ring_init(&w->ring, &w->error) < 0) {
		atomic_store(&w->state, -w->error.code);
		return NULL;
	}
	if (proxy_init(&w->proxy, &w->ring, w->first->snap, w->index, w->share, &w->error) < 0) {
		ring_fini(&w->ring);
		atomic_store(&w->state, -w->error.code);
		return NULL;
	}
	timer_init(&w->drain_timer, drain_expired);
	listen_as_configured(w, w->first);
	config_free_message(take_ptr(w->first));
	arm_wake(w);
	atomic_store(&w->state, SERVING);
	while (rc == 0 && !(w->stopping && w->proxy.n_conns == 0))
		rc = turn(w);
	if (rc < 0)
		log_error("worker: io_uring_enter: %s", strerror(-rc));
	/* The ring ends every operation before the objects go that they point to. */
	proxy_abort(&w->proxy);
	for (int turns = 0; rc == 0 && turns < 100 && proxy_busy(&w->proxy); turns++)
		rc = ring_turn(&w->ring);
	ring_fini(&w->ring);
	list_for_each (node, tmp, &w->acceptors)
		acceptor_free(container_of(node, struct acceptor, node));
	proxy_fini(&w->proxy);
	atomic_store(&w->state, ENDED);
	return NULL;
}

static struct worker_config *config_message(struct snapshot *snap, struct sockets *sockets,
					    unsigned int index)
{
	size_t n = sockets->n_listeners;
	struct worker_config *c = malloc(sizeof(*c) + n * sizeof(c->fds[0]));

	if (!c)
		return NULL;
	c->snap = snap;
	c->n_fds = n;
	for (size_t i = 0; i < n; i++)
		c->fds[i] = sockets_take(sockets, index, i);
	atomic_fetch_add(&snap->refs, 1);
	return c;
}

int worker_init(struct worker *w, struct snapshot *snap, struct sockets *sockets, int cpu,
		unsigned int index, unsigned int share, struct error *err)
{
	*w = (struct worker){
		.cpu = cpu,
		.index = index,
		.share = share,
		.drain_nsec = snap->cfg->drain,
		.wake_op.done = woken,
		.wake_fd = eventfd(0, EFD_CLOEXEC),
	};
	list_init(&w->acceptors);
	if (w->wake_fd < 0)
		return error_sys(err, errno, "eventfd");
	w->first = config_message(snap, sockets, index);
	if (!w->first)
		return error_set(err, ENOMEM, "out of memory for the listeners");
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

int worker_prepare(struct worker *w, struct snapshot *snap, struct sockets *sockets)
{
	w->prepared = config_message(snap, sockets, w->index);
	return w->prepared ? 0 : -ENOMEM;
}

void worker_forget(struct worker *w)
{
	if (w->prepared)
		config_free_message(take_ptr(w->prepared));
}

void worker_reload(struct worker *w)
{
	struct worker_config *c = take_ptr(w->prepared);
	struct worker_config *none = NULL;

	while (!atomic_compare_exchange_strong(&w->next, &none, c)) {
		none = NULL;
		sched_yield();
	}
	wake(w);
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
	struct worker_config *next = atomic_exchange(&w->next, NULL);

	if (next)
		config_free_message(next);
	if (w->first)
		config_free_message(w->first);
	w->first = NULL;
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	w->wake_fd = -1;
}
