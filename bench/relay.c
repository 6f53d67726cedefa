/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor: relay PORT UPSTREAM_PORT copies bytes both ways between a client's connection and one upstream connection
 * of its own, on one thread, and knows nothing of HTTP. What a proxy costs above this is what its own work costs.
 * Two completions of a receive that never ends and two sends a request; a buffer goes out as it came in.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/uring.h"

#define BUF_SIZE  65536
#define BUF_COUNT 256 /* a power of two */
#define FEED_AT	  32  /* free buffers that make it worth asking for data again */

enum { RECV, SEND, CONNECT, ACCEPT };

struct conn;

/* One direction: buffers come from one descriptor and leave, in order, by the other. */
struct way {
	struct conn *conn;
	struct way *starved; /* next in the list of those that wait for a buffer */
	int from;
	int to;
	int head; /* the buffer that is being sent, or -1 */
	int tail;
	bool ended;
};

struct conn {
	struct way ways[2];
	unsigned int refs; /* operations in flight */
	bool closing;
};

static struct uring uring;
static struct sockaddr_in upstream = {.sin_family = AF_INET};
static int listener;
static struct way *starved;
static unsigned int n_free = BUF_COUNT;

static struct {
	int next; /* behind this buffer in the same way, or -1 */
	unsigned int len;
} queue[BUF_COUNT];

static void put(int id)
{
	uring_buf_put(&uring, (unsigned int)id);
	n_free++;
}

static void receive(struct way *w)
{
	w->conn->refs++;
	uring_recv(&uring, w->from, w, RECV);
}

static void send_head(struct way *w)
{
	struct io_uring_sqe *sqe = uring_sqe(&uring, w, SEND);

	w->conn->refs++;
	io_uring_prep_send(sqe, w->to, uring_buf(&uring, (unsigned int)w->head), queue[w->head].len,
			   MSG_NOSIGNAL | MSG_WAITALL);
}

static void close_conn(struct conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	shutdown(c->ways[0].from, SHUT_RDWR);
	shutdown(c->ways[1].from, SHUT_RDWR);
}

/* An end is passed on behind all bytes; with both ways at their end the connection is over. */
static void settle(struct way *w)
{
	struct conn *c = w->conn;

	if (w->ended && w->head < 0 && !c->closing) {
		if (c->ways[0].ended && c->ways[1].ended && c->ways[0].head < 0 &&
		    c->ways[1].head < 0)
			close_conn(c);
		else
			shutdown(w->to, SHUT_WR);
	}
	if (c->refs)
		return;
	close(c->ways[0].from);
	close(c->ways[1].from);
	free(c);
}

static void recv_done(struct way *w, const struct io_uring_cqe *cqe)
{
	struct conn *c = w->conn;

	if (cqe->flags & IORING_CQE_F_BUFFER) {
		int id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

		n_free--;
		if (cqe->res > 0 && !c->closing) {
			queue[id].next = -1;
			queue[id].len = (unsigned int)cqe->res;
			if (w->head < 0) {
				w->head = w->tail = id;
				send_head(w);
			} else {
				queue[w->tail].next = id;
				w->tail = id;
			}
		} else {
			put(id);
		}
	}
	if (cqe->flags & IORING_CQE_F_MORE)
		return;
	c->refs--;
	if (cqe->res == -ENOBUFS && !c->closing) {
		/* Counts as in flight: it is armed again when a send gives its buffer back. */
		c->refs++;
		w->starved = starved;
		starved = w;
		return;
	}
	if (cqe->res > 0 && !c->closing) {
		receive(w);
		return;
	}
	w->ended = true;
	if (cqe->res < 0)
		close_conn(c);
	settle(w);
}

static void send_done(struct way *w, int res)
{
	struct conn *c = w->conn;
	bool good = res == (int)queue[w->head].len;

	c->refs--;
	do {
		int id = w->head;

		w->head = queue[id].next;
		put(id);
	} while (!good && w->head >= 0);
	if (!good)
		close_conn(c);
	else if (w->head >= 0)
		send_head(w);
	settle(w);
}

static void feed_starved(void)
{
	struct way *w = starved;

	if (n_free < FEED_AT)
		return;
	starved = NULL;
	while (w) {
		struct way *next = w->starved;

		w->conn->refs--;
		receive(w);
		w = next;
	}
}

static void accepted(const struct io_uring_cqe *cqe)
{
	struct conn *c = cqe->res >= 0 ? calloc(1, sizeof(*c)) : NULL;
	int fd = c ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
	int one = 1;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		io_uring_prep_multishot_accept(uring_sqe(&uring, NULL, ACCEPT), listener, NULL,
					       NULL, 0);
	if (fd < 0) {
		if (cqe->res >= 0)
			close(cqe->res);
		free(c);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->ways[0] = (struct way){.conn = c, .from = cqe->res, .to = fd, .head = -1};
	c->ways[1] = (struct way){.conn = c, .from = fd, .to = cqe->res, .head = -1};
	c->refs = 1;
	io_uring_prep_connect(uring_sqe(&uring, c, CONNECT), fd, (struct sockaddr *)&upstream,
			      sizeof(upstream));
}

static void connected(struct conn *c, int res)
{
	if (res < 0)
		close_conn(c);
	receive(&c->ways[0]);
	receive(&c->ways[1]);
	c->refs--;
}

static void complete(const struct io_uring_cqe *cqe)
{
	void *ptr = (void *)(uintptr_t)(cqe->user_data & ~7ULL);

	switch (cqe->user_data & 7) {
	case RECV:
		recv_done(ptr, cqe);
		break;
	case SEND:
		send_done(ptr, cqe->res);
		break;
	case CONNECT:
		connected(ptr, cqe->res);
		break;
	default:
		accepted(cqe);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: %s PORT UPSTREAM_PORT\n", argv[0]);
		return 2;
	}
	uring_init(&uring, BUF_SIZE, BUF_COUNT);
	listener = listen_local(argv[1]);
	upstream.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	upstream.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	io_uring_prep_multishot_accept(uring_sqe(&uring, NULL, ACCEPT), listener, NULL, NULL, 0);
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned int head;
		unsigned int seen = 0;

		uring_enter(&uring);
		io_uring_for_each_cqe(&uring.ring, head, cqe)
		{
			seen++;
			complete(cqe);
		}
		io_uring_cq_advance(&uring.ring, seen);
		feed_starved();
	}
}
