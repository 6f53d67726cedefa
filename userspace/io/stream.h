/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connected TCP socket on a ring: bytes in by callback, bytes out through a bounded pair of buffers, one
 * receive and one send in flight. Reading goes on only while the owner wants it, which is the backpressure.
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "io/outq.h"
#include "io/ring.h"

/* Above this many bytes not yet taken by the peer, stream_full holds: whoever feeds it should pause. */
#define STREAM_HIGH_WATER 65536

/* At most this many bytes still come after stream_pause: what the receive in flight may bring. */
#define STREAM_READ_AHEAD 65536

/* Bytes at once that make it worth receiving by a call for each piece. */
#define STREAM_BULK 8192

struct stream;

struct stream_events {
	/* Bytes arrived; they are the ring's and end with the call, but for what an outq borrows of them. */
	void (*data)(struct stream *s, struct slice bytes);
	/*
	 * The peer will send no more (error 0) or the connection broke (errno). No data follows; but a connection that
	 * ended well may still break while it is written to.
	 */
	void (*end)(struct stream *s, int error);
	/* All or part of the output was taken: stream_full may have become false, stream_idle true. */
	void (*drained)(struct stream *s);
	/* connect() ended: 0 or an errno. */
	void (*connected)(struct stream *s, int error);
	/* After stream_close, when nothing is in flight: the owner frees it. */
	void (*closed)(struct stream *s);
};

struct stream {
	const struct stream_events *events;
	struct ring *ring;
	struct io_op recv_op;
	struct io_op send_op; /* connect, too: there is no send before it ended */
	struct outq out[2];   /* one in the kernel's hands, one behind it */
	struct msghdr msg;
	struct iovec iov[OUTQ_IOVS];
	int fd;
	unsigned int in_flight;
	bool turn;	/* out[turn] is the one behind */
	bool receiving; /* a receive is armed */
	bool bulk;	/* the last receive brought STREAM_BULK or more */
	bool reading;	/* read_bulk is on the stack */
	bool paused;
	bool send_busy;
	bool ended;  /* the end callback was made */
	bool broken; /* with an error: nothing can be sent any more */
	bool closing;
};

/* Takes the descriptor; max is the hard maximum of each output buffer. Nothing is armed yet. */
void stream_init(struct stream *s, struct ring *r, int fd, size_t max,
		 const struct stream_events *events);

/* Connect; address must live until the connected callback. */
void stream_connect(struct stream *s, const struct sockaddr *addr, socklen_t len);

/* Start or go on reading. */
void stream_resume(struct stream *s);

/* No new receive until stream_resume; the one in flight may still bring STREAM_READ_AHEAD bytes. */
static inline void stream_pause(struct stream *s)
{
	s->paused = true;
}

/* Where to put output; stream_flush sends it. */
static inline struct outq *stream_outq(struct stream *s)
{
	return &s->out[s->turn];
}

static inline struct buf *stream_out(struct stream *s)
{
	return &stream_outq(s)->own;
}

static inline struct outq *stream_sending(struct stream *s)
{
	return &s->out[!s->turn];
}

void stream_flush(struct stream *s);

static inline bool stream_full(const struct stream *s)
{
	return outq_len(&s->out[0]) + outq_len(&s->out[1]) >= STREAM_HIGH_WATER;
}

/* Everything written has been taken by the kernel. */
static inline bool stream_idle(const struct stream *s)
{
	return !s->send_busy && outq_len(&s->out[s->turn]) == 0;
}

/* Send FIN once all output is gone (call when stream_idle); reading may go on. */
void stream_shutdown(struct stream *s);

/* Give up the connection; ends with the closed callback, not before this call returns. */
void stream_close(struct stream *s);

#endif
