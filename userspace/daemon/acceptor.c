/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define PAUSE (100 * NSEC_PER_MSEC)

/* Less than the second after which a client repeats a SYN: the repeated one is refused, not dropped again. */
#define LEAVE (500 * NSEC_PER_MSEC)

static io_op_fn accepted;
static timer_fn expired;

struct acceptor *acceptor_new(struct proxy *p, int fd, struct list *list)
{
	struct acceptor *a = calloc(1, sizeof(*a));
	struct proxy_listener *l = proxy_listener_new();

	if (!a || !l) {
		free(a);
		free(l);
		close(fd);
		return NULL;
	}
	a->proxy = p;
	a->listener = l;
	a->accept_op.done = accepted;
	a->fd = fd;
	timer_init(&a->timer, expired);
	list_add_tail(list, &a->node);
	return a;
}

void acceptor_free(struct acceptor *a)
{
	timer_fini(&a->timer);
	list_del(&a->node);
	close(a->fd);
	proxy_listener_unref(a->listener);
	free(a);
}

void acceptor_start(struct acceptor *a)
{
	struct io_uring_sqe *sqe = ring_sqe(a->proxy->ring, &a->accept_op);

	io_uring_prep_multishot_accept(sqe, a->fd, NULL, NULL, SOCK_CLOEXEC);
	a->armed = true;
}

/* Closing a listening socket resets what waits in its queue: take it out before. */
static void drain(struct acceptor *a)
{
	int fd;

	fcntl(a->fd, F_SETFL, fcntl(a->fd, F_GETFL) | O_NONBLOCK);
	while ((fd = accept4(a->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == ECONNABORTED ||
	       errno == EINTR)
		if (fd >= 0)
			proxy_accept(a->proxy, fd, a->listener);
}

static void accepted(struct io_op *op, int res, unsigned int flags)
{
	struct acceptor *a = container_of(op, struct acceptor, accept_op);

	if (res >= 0)
		proxy_accept(a->proxy, res, a->listener);
	if (flags & IORING_CQE_F_MORE)
		return;
	a->armed = false;
	if (a->ending) {
		drain(a);
		acceptor_free(a);
	} else if (res < 0 && res != -ECONNABORTED && res != -EINTR) {
		/* Out of descriptors or memory: connections wait in the backlog until some are free. */
		if (!a->leaving)
			timer_set(&a->proxy->ring->timers, &a->timer, a->proxy->ring->now + PAUSE);
	} else {
		acceptor_start(a);
	}
}

static void expired(struct timer *t, uint64_t now)
{
	struct acceptor *a = container_of(t, struct acceptor, timer);

	(void)now;
	if (!a->leaving) {
		acceptor_start(a);
	} else if (a->armed) {
		a->ending = true;
		io_uring_prep_cancel(ring_sqe(a->proxy->ring, NULL), &a->accept_op, 0);
	} else {
		drain(a);
		acceptor_free(a);
	}
}

void acceptor_leave(struct acceptor *a)
{
	/* The filter sees the TCP header: of segments with SYN nothing passes, of others all. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x02, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (a->leaving)
		return;
	a->leaving = true;
	a->listener->leaving = true;
	/* Where that is not allowed, a connection that comes at the last moment is reset. */
	setsockopt(a->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
	timer_set(&a->proxy->ring->timers, &a->timer, a->proxy->ring->now + LEAVE);
}

void acceptor_stop(struct acceptor *a)
{
	timer_stop(&a->timer);
	drain(a);
	if (!a->armed) {
		acceptor_free(a);
		return;
	}
	a->leaving = true;
	a->ending = true;
	/* Ends the accept in flight; close(2) alone would not. */
	shutdown(a->fd, SHUT_RDWR);
}
