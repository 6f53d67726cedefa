/* SPDX-License-Identifier: Apache-2.0 */
/* A thread with a ring, its share of the listening sockets and a proxy. Others speak to it by messages. */
#ifndef DAEMON_WORKER_H
#define DAEMON_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/sockets.h"
#include "proxy/proxy.h"

/* What a worker starts with, and what it gets with each new configuration. */
struct worker_config {
	struct snapshot *snap; /* a reference */
	size_t n_fds;
	int fds[]; /* a listening socket for each listener of snap; -1: it has one with that address */
};

struct worker {
	pthread_t thread;
	bool running; /* the thread was started */
	int cpu;      /* pinned to it; -1: not */
	unsigned int index;
	unsigned int share;
	struct ring ring;
	struct proxy proxy;
	struct list acceptors;
	struct io_op wake_op;
	uint64_t wake_value;
	int wake_fd; /* eventfd: there is a message */
	struct timer drain_timer;
	bool stopping;
	struct worker_config *first;
	struct worker_config *prepared;	      /* of the thread that reloads */
	_Atomic(struct worker_config *) next; /* message: use this from now on */
	atomic_bool drain;		      /* message: finish what is in flight, then end */
	atomic_int state;		      /* 0 starting, 1 serving, 2 ended; negative: failed */
	uint64_t drain_nsec;
	struct error error; /* why it failed to start; read after state < 0 */
};

/* Takes the worker's own sockets for the listeners of snap. index: its place among share workers. */
int worker_init(struct worker *w, struct snapshot *snap, struct sockets *sockets, int cpu,
		unsigned int index, unsigned int share, struct error *err);
int worker_start(struct worker *w, struct error *err);

/* Until the worker serves or has failed: 0 or -errno with its error. */
int worker_wait(struct worker *w, struct error *err);

/*
 * A new configuration is handed over in two steps, of which only the first can fail (-ENOMEM): snap and the sockets that
 * are new in it are put into a message, which is then sent or forgotten. Sending waits until the one before has been
 * taken. snap must stay until its reference count says that nobody uses it.
 */
int worker_prepare(struct worker *w, struct snapshot *snap, struct sockets *sockets);
void worker_forget(struct worker *w);
void worker_reload(struct worker *w);
void worker_drain(struct worker *w);
void worker_join(struct worker *w);
void worker_fini(struct worker *w);

#endif
