/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmark's origin: origin NAME:PORT... answers GET /13, /16k and /256k with bodies of that size, kept in
 * memory ready to send, and /echo with the request's own head; keep-alive and pipelining. X-Origin says the NAME
 * that was asked. Not a server for anything else: a head has at most 16 KiB, requests have no body.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/uring.h"

#define HEAD_MAX    16384
#define BUF_SIZE    4096
#define BUF_COUNT   1024
#define BODY_MAX    262144
#define PENDING_MAX 64 /* pipelined requests that wait for their answers */

enum { RECV, SEND, ACCEPT };

struct answer {
	char *text;
	size_t len;
	bool close;
	bool owned; /* to be freed when sent */
};

static const struct {
	const char *path;
	size_t size;
} pages[] = {{"/13", 13}, {"/16k", 16384}, {"/256k", BODY_MAX}};

#define N_PAGES (sizeof(pages) / sizeof(pages[0]))

struct listener {
	int fd;
	char name[32];
	struct answer pages[N_PAGES][2]; /* the connection stays, or closes */
	struct answer missing;
};

struct conn {
	struct listener *listener;
	int fd;
	unsigned int refs; /* operations in flight */
	bool receiving;
	bool sending;
	bool ended;	   /* no more requests are taken */
	unsigned int head; /* pending[head % PENDING_MAX] is being sent */
	unsigned int tail;
	struct answer pending[PENDING_MAX];
	size_t n_in;
	char in[HEAD_MAX + BUF_SIZE];
};

static struct uring uring;

static struct answer render(const char *name, const char *status, const char *body, size_t size,
			    bool close)
{
	struct answer a = {.close = close};
	int n;

	a.text = malloc(size + 256);
	if (!a.text)
		die("answer", ENOMEM);
	n = snprintf(a.text, 256,
		     "HTTP/1.1 %s\r\nServer: origin\r\nContent-Type: text/plain\r\nX-Origin: %s\r\n"
		     "Content-Length: %zu\r\n%s\r\n",
		     status, name, size, close ? "Connection: close\r\n" : "");
	memcpy(a.text + n, body, size);
	a.len = (size_t)n + size;
	return a;
}

static void listener_init(struct listener *l, char *arg)
{
	static char body[BODY_MAX];
	char *colon = strchr(arg, ':');

	if (!colon)
		die(arg, EINVAL);
	*colon = '\0';
	snprintf(l->name, sizeof(l->name), "%s", arg);
	l->fd = listen_local(colon + 1);
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)('a' + (i * 7 + i / 26) % 26);
	for (size_t i = 0; i < N_PAGES; i++)
		for (int close = 0; close < 2; close++)
			l->pages[i][close] = render(l->name, "200 OK", body, pages[i].size, close);
	l->missing = render(l->name, "404 Not Found", "", 0, true);
}

static bool wants_close(const char *head, size_t len)
{
	static const char field[] = "\nconnection: close\r";
	const char *end = head + len;

	for (const char *at = head; (at = memchr(at, '\n', (size_t)(end - at))); at++)
		if ((size_t)(end - at) >= sizeof(field) - 1 &&
		    strncasecmp(at, field, sizeof(field) - 1) == 0)
			return true;
	return false;
}

static struct answer answer(struct conn *c, const char *head, size_t len)
{
	bool close = wants_close(head, len);

	for (size_t i = 0; i < N_PAGES; i++) {
		size_t n = strlen(pages[i].path);

		if (len > n + 4 && memcmp(head, "GET ", 4) == 0 &&
		    memcmp(head + 4, pages[i].path, n) == 0 && head[4 + n] == ' ')
			return c->listener->pages[i][close];
	}
	if (len > 10 && memcmp(head, "GET /echo ", 10) == 0) {
		struct answer a = render(c->listener->name, "200 OK", head, len, close);

		a.owned = true;
		return a;
	}
	return c->listener->missing;
}

static void send_next(struct conn *c)
{
	struct answer *a = &c->pending[c->head % PENDING_MAX];

	if (c->sending || c->head == c->tail)
		return;
	c->sending = true;
	c->refs++;
	io_uring_prep_send(uring_sqe(&uring, c, SEND), c->fd, a->text, a->len,
			   MSG_NOSIGNAL | MSG_WAITALL);
}

static void finish(struct conn *c)
{
	if (c->ended && c->head == c->tail && !c->sending && c->receiving)
		shutdown(c->fd, SHUT_RDWR); /* ends the receive */
	if (c->refs)
		return;
	for (; c->head != c->tail; c->head++)
		if (c->pending[c->head % PENDING_MAX].owned)
			free(c->pending[c->head % PENDING_MAX].text);
	close(c->fd);
	free(c);
}

/* Answer every whole head; the rest stays for more to come. */
static void take(struct conn *c, const char *data, size_t n)
{
	char *at = c->in;
	char *end;

	if (c->ended)
		return;
	memcpy(c->in + c->n_in, data, n);
	c->n_in += n;
	while (!c->ended && (end = memmem(at, c->n_in, "\r\n\r\n", 4))) {
		size_t len = (size_t)(end + 4 - at);
		struct answer a = answer(c, at, len);

		c->pending[c->tail++ % PENDING_MAX] = a;
		c->ended = a.close || c->tail - c->head == PENDING_MAX;
		at += len;
		c->n_in -= len;
	}
	memmove(c->in, at, c->n_in);
	if (c->n_in > HEAD_MAX)
		c->ended = true;
	send_next(c);
}

static void recv_done(struct conn *c, const struct io_uring_cqe *cqe)
{
	if (cqe->res > 0)
		take(c, uring_buf(&uring, cqe->flags >> IORING_CQE_BUFFER_SHIFT), (size_t)cqe->res);
	if (cqe->flags & IORING_CQE_F_BUFFER)
		uring_buf_put(&uring, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		c->refs--;
		c->receiving = cqe->res > 0 || cqe->res == -ENOBUFS;
		if (c->receiving) {
			c->refs++;
			uring_recv(&uring, c->fd, c, RECV);
		} else {
			c->ended = true;
		}
	}
	finish(c);
}

static void send_done(struct conn *c, int res)
{
	struct answer *a = &c->pending[c->head % PENDING_MAX];

	c->refs--;
	c->sending = false;
	if (a->owned)
		free(a->text);
	c->head++;
	if (res == (int)a->len)
		send_next(c);
	else
		c->ended = true;
	finish(c);
}

static void accepted(struct listener *l, const struct io_uring_cqe *cqe)
{
	struct conn *c = cqe->res >= 0 ? calloc(1, sizeof(*c)) : NULL;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		io_uring_prep_multishot_accept(uring_sqe(&uring, l, ACCEPT), l->fd, NULL, NULL, 0);
	if (!c) {
		if (cqe->res >= 0)
			close(cqe->res);
		return;
	}
	c->listener = l;
	c->fd = cqe->res;
	c->receiving = true;
	c->refs = 1;
	uring_recv(&uring, c->fd, c, RECV);
}

int main(int argc, char **argv)
{
	struct listener *listeners = calloc((size_t)argc, sizeof(*listeners));

	if (argc < 2 || !listeners) {
		fprintf(stderr, "usage: %s NAME:PORT...\n", argv[0]);
		return 2;
	}
	uring_init(&uring, BUF_SIZE, BUF_COUNT);
	for (int i = 1; i < argc; i++) {
		struct listener *l = &listeners[i];

		listener_init(l, argv[i]);
		io_uring_prep_multishot_accept(uring_sqe(&uring, l, ACCEPT), l->fd, NULL, NULL, 0);
	}
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned int head;
		unsigned int seen = 0;

		uring_enter(&uring);
		io_uring_for_each_cqe(&uring.ring, head, cqe)
		{
			void *ptr = (void *)(uintptr_t)(cqe->user_data & ~7ULL);

			seen++;
			switch (cqe->user_data & 7) {
			case RECV:
				recv_done(ptr, cqe);
				break;
			case SEND:
				send_done(ptr, cqe->res);
				break;
			default:
				accepted(ptr, cqe);
			}
		}
		io_uring_cq_advance(&uring.ring, seen);
	}
}
