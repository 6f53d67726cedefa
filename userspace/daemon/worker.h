/* SPDX-License-Identifier: Apache-2.0 */
/* A thread with a ring, its share of the listening sockets and a proxy. Others speak to it by messages. */
#ifndef DAEMON_WORKER_H
#define DAEMON_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "proxy/proxy.h"

struct worker;

struct worker_listener {
	struct worker *worker;
	struct io_op accept_op;
	struct timer retry; /* accept again after descriptors or memory ran out */
	int fd;
	size_t index; /* of the snapshot's listeners */
	bool accepting;
};

struct worker {
	pthread_t thread;
	bool running; /* the thread was started */
	int cpu;      /* pinned to it; -1: not */
	unsigned int share;
	struct ring ring;
	struct proxy proxy;
	struct worker_listener *listeners;
	size_t n_listeners;
	struct io_op wake_op;
	uint64_t wake_value;
	int wake_fd; /* eventfd: there is a message */
	struct timer drain_timer;
	bool stopping;
	struct snapshot *first;
	_Atomic(struct snapshot *) next; /* message: use this from now on */
	atomic_bool drain;		 /* message: finish what is in flight, then end */
	atomic_int state;		 /* 0 starting, 1 serving, 2 ended; negative: failed */
	uint64_t drain_nsec;
	struct error error; /* why it failed to start; read after state < 0 */
};

/* Open the worker's own SO_REUSEPORT sockets for all listeners of snap. */
int worker_init(struct worker *w, struct snapshot *snap, int cpu, unsigned int share,
		struct error *err);
int worker_start(struct worker *w, struct error *err);

/* Until the worker serves or has failed: 0 or -errno with its error. */
int worker_wait(struct worker *w, struct error *err);

/* snap must stay until its reference count says that nobody uses it. False: the last one was not taken yet. */
bool worker_reload(struct worker *w, struct snapshot *snap);
void worker_drain(struct worker *w);
void worker_join(struct worker *w);
void worker_fini(struct worker *w);

#endif
