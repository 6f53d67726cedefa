/* SPDX-License-Identifier: Apache-2.0 */
/* One listening socket of one worker: from its first accept to its end without a connection lost. */
#ifndef DAEMON_ACCEPTOR_H
#define DAEMON_ACCEPTOR_H

#include <stdbool.h>

#include "proxy/proxy.h"

struct acceptor {
	struct list node; /* in the worker's list */
	struct proxy *proxy;
	struct proxy_listener *listener; /* what its connections refer to */
	struct io_op accept_op;
	struct timer timer; /* accept again after descriptors ran out, or close */
	int fd;
	bool armed;   /* an accept is in flight */
	bool leaving; /* takes no new connections; those in the queue still come */
	bool ending;  /* to be freed when the accept has ended */
	bool kept;    /* while a configuration is being taken over */
};

/* Takes the descriptor. NULL: no memory, and it is closed. Nothing is accepted yet. */
struct acceptor *acceptor_new(struct proxy *p, int fd, struct list *list);

void acceptor_start(struct acceptor *a);

/*
 * Stop: SYNs are dropped from now on, handshakes under way may end for a moment, what is in the queue is accepted. Then
 * the object frees itself. Its connections go on, each to the end of its next answer.
 */
void acceptor_leave(struct acceptor *a);

/* Accept what is in the queue and close now, or when the accept in flight has ended: then it frees itself. */
void acceptor_stop(struct acceptor *a);

/* After the ring has been shut down. */
void acceptor_free(struct acceptor *a);

#endif
