/* SPDX-License-Identifier: Apache-2.0 */
#include "io/stream.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define BULK_PIECES 8 /* at a time, then others have their turn */

static io_op_fn recv_done;
static io_op_fn send_done;
static io_op_fn connect_done;
static io_op_fn close_done;

void stream_init(struct stream *s, struct ring *r, int fd, size_t max,
		 const struct stream_events *events)
{
	*s = (struct stream){
		.events = events,
		.ring = r,
		.fd = fd,
		.paused = true,
		.recv_op.done = recv_done,
		.send_op.done = send_done,
	};
	outq_init(&s->out[0], r, max);
	outq_init(&s->out[1], r, max);
}

static void release(struct stream *s)
{
	if (!s->closing || s->in_flight)
		return;
	close(s->fd);
	s->fd = -1;
	outq_fini(&s->out[0]);
	outq_fini(&s->out[1]);
	s->events->closed(s);
}

static void end(struct stream *s, int error)
{
	if (s->closing || s->broken || (s->ended && !error))
		return;
	s->ended = true;
	s->broken = error != 0;
	s->events->end(s, error);
}

void stream_connect(struct stream *s, const struct sockaddr *addr, socklen_t len)
{
	struct io_uring_sqe *sqe = ring_sqe(s->ring, &s->send_op);

	s->send_op.done = connect_done;
	s->send_busy = true;
	s->in_flight++;
	io_uring_prep_connect(sqe, s->fd, addr, len);
}

static void connect_done(struct io_op *op, int res, unsigned int flags)
{
	struct stream *s = container_of(op, struct stream, send_op);

	(void)flags;
	s->in_flight--;
	s->send_busy = false;
	s->send_op.done = send_done;
	if (!s->closing) {
		s->events->connected(s, -res);
		if (res == 0)
			stream_flush(s);
	}
	release(s);
}

static io_op_fn poll_done;

static void arm_recv(struct stream *s)
{
	struct io_uring_sqe *sqe = ring_sqe(s->ring, &s->recv_op);

	s->receiving = true;
	s->in_flight++;
	s->recv_op.done = s->bulk ? poll_done : recv_done;
	if (s->bulk) {
		io_uring_prep_poll_add(sqe, s->fd, POLLIN);
		return;
	}
	if (s->ring->multishot) {
		ring_recv_multishot(sqe, s->fd, STREAM_READ_AHEAD - RING_BUF_SIZE + 1);
		return;
	}
	/* Asked for again after data came: there is rarely more yet, so wait for it before trying. */
	io_uring_prep_recv(sqe, s->fd, NULL, RING_BUF_SIZE, 0);
	sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = RING_BUF_GROUP;
}

void stream_resume(struct stream *s)
{
	s->paused = false;
	if (!s->receiving && !s->reading && !s->ended && !s->closing)
		arm_recv(s);
}

/*
 * Large bodies: one piece at a time by a call of our own, always into the buffer that went out last. The data callback
 * sends it on before the next one comes, so that the bytes never leave the cache.
 */
static void read_bulk(struct stream *s)
{
	struct ring *r = s->ring;
	unsigned int id;
	ssize_t n;

	for (int i = 0; i < BULK_PIECES && !s->paused && !s->ended && !s->closing; i++) {
		if (!ring_buf_get(r, &id))
			return;
		n = recv(s->fd, ring_buf(r, id), RING_BUF_SIZE, MSG_DONTWAIT);
		if (n > 0) {
			s->bulk = n >= STREAM_BULK;
			s->events->data(s, slice_make(ring_buf(r, id), (size_t)n));
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			end(s, n == 0 ? 0 : errno);
		}
		ring_buf_unref(r, id);
		if (n < RING_BUF_SIZE)
			return;
	}
}

static void poll_done(struct io_op *op, int res, unsigned int flags)
{
	struct stream *s = container_of(op, struct stream, recv_op);

	(void)flags;
	s->receiving = false;
	s->reading = true;
	if (res > 0 || s->closing)
		read_bulk(s);
	else if (res != -EINTR && res != -EAGAIN)
		end(s, -res);
	s->reading = false;
	if (!s->paused)
		stream_resume(s);
	s->in_flight--;
	release(s);
}

static void recv_done(struct io_op *op, int res, unsigned int flags)
{
	struct stream *s = container_of(op, struct stream, recv_op);
	struct ring *r = s->ring;

	/* No buffer: asked for again, with more on offer. */
	if (res == -ENOBUFS) {
		ring_buf_starved(r);
		res = -EAGAIN;
	}
	s->receiving = flags & IORING_CQE_F_MORE;
	s->bulk = res >= STREAM_BULK;
	if (flags & IORING_CQE_F_BUFFER)
		ring_buf_taken(r);
	if (res > 0 && !s->closing)
		s->events->data(
			s, slice_make(ring_buf(r, flags >> IORING_CQE_BUFFER_SHIFT), (size_t)res));
	if (flags & IORING_CQE_F_BUFFER)
		ring_buf_unref(r, flags >> IORING_CQE_BUFFER_SHIFT);
	if (flags & IORING_CQE_F_MORE)
		return;
	if (res <= 0 && res != -EINTR && res != -EAGAIN)
		end(s, -res);
	else if (!s->paused)
		stream_resume(s);
	s->in_flight--;
	release(s);
}

static void arm_send(struct stream *s)
{
	const struct outq *q = stream_sending(s);
	struct io_uring_sqe *sqe = ring_sqe(s->ring, &s->send_op);

	s->send_busy = true;
	s->in_flight++;
	if (q->n_loans == 0) {
		struct slice own = buf_slice(&q->own);

		io_uring_prep_send(sqe, s->fd, own.ptr, own.len, MSG_NOSIGNAL | MSG_WAITALL);
		return;
	}
	s->msg.msg_iov = s->iov;
	s->msg.msg_iovlen = outq_iov(q, s->iov);
	io_uring_prep_sendmsg(sqe, s->fd, &s->msg, MSG_NOSIGNAL | MSG_WAITALL);
}

/* What can go at once does, and its receive buffers are free for the next piece. Errors come by the ring. */
static void send_now(struct stream *s)
{
	struct outq *q = stream_sending(s);
	ssize_t n;

	s->msg.msg_iov = s->iov;
	s->msg.msg_iovlen = outq_iov(q, s->iov);
	n = sendmsg(s->fd, &s->msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		outq_consume(q, (size_t)n);
}

void stream_flush(struct stream *s)
{
	if (s->send_busy || s->closing || s->broken || outq_len(stream_outq(s)) == 0)
		return;
	assert(outq_len(stream_sending(s)) == 0);
	s->turn = !s->turn;
	buf_clear(stream_out(s));
	if (stream_sending(s)->n_loans)
		send_now(s);
	if (outq_len(stream_sending(s)))
		arm_send(s);
}

static void send_done(struct io_op *op, int res, unsigned int flags)
{
	struct stream *s = container_of(op, struct stream, send_op);

	(void)flags;
	s->send_busy = false;
	if (!s->closing) {
		if (res >= 0) {
			outq_consume(stream_sending(s), (size_t)res);
			if (outq_len(stream_sending(s)))
				arm_send(s);
			else
				stream_flush(s);
			s->events->drained(s);
		} else if (res == -EINTR || res == -EAGAIN) {
			arm_send(s);
		} else {
			end(s, -res);
		}
	}
	s->in_flight--;
	release(s);
}

void stream_shutdown(struct stream *s)
{
	if (s->fd >= 0)
		shutdown(s->fd, SHUT_WR);
}

static void close_done(struct io_op *op, int res, unsigned int flags)
{
	struct stream *s = container_of(op, struct stream, recv_op);

	(void)res;
	(void)flags;
	s->in_flight--;
	release(s);
}

void stream_close(struct stream *s)
{
	struct io_uring_sqe *sqe;

	if (s->closing)
		return;
	s->closing = true;
	/* Ends what is in flight; close(2) alone would neither end it nor send FIN. */
	shutdown(s->fd, SHUT_RDWR);
	if (s->in_flight)
		return;
	/* Nothing in flight: a no-op brings us back from the loop, so that callers may still use the object. */
	s->recv_op.done = close_done;
	sqe = ring_sqe(s->ring, &s->recv_op);
	io_uring_prep_nop(sqe);
	s->in_flight++;
}
