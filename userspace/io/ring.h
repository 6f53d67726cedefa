/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One io_uring of one thread: operations in, completions out, a clock read once a turn, a timer wheel and a
 * pool of receive buffers that the kernel picks from. Every call belongs to the thread that made the ring.
 */
#ifndef IO_RING_H
#define IO_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/timer.h"

struct io_op;
typedef void io_op_fn(struct io_op *op, int res, unsigned int flags);

/*
 * An operation in flight. Whoever embeds it counts what is outstanding and is freed only at zero, so that a
 * completion never meets a dead object.
 */
struct io_op {
	io_op_fn *done; /* res and flags as in struct io_uring_cqe */
};

#define RING_BUF_SIZE  32768 /* bytes of a receive buffer */
#define RING_BUF_COUNT 256   /* a power of two */
#define RING_BUF_GROUP 0

struct ring {
	struct io_uring uring;
	struct timer_wheel timers;
	uint64_t now;		 /* CLOCK_MONOTONIC ns of this turn */
	uint64_t wall;		 /* CLOCK_REALTIME ns of this turn */
	unsigned int wait_flags; /* IORING_ENTER_*, probed */
	bool multishot;		 /* receives may go on up to a number of bytes (6.17), probed */
	struct io_uring_buf_ring *bufs;
	char *buf_memory;
	uint64_t n_starved;  /* how often a receive found no buffer */
	uint64_t n_overflow; /* completions that found the queue full */
};

/* To be called in the thread that will use it. Errors name the remedy where io_uring is forbidden. */
int ring_init(struct ring *r, struct error *err);
void ring_fini(struct ring *r);

/* A submission entry, after a submit when the queue is full. Never NULL; the op is its completion's target. */
struct io_uring_sqe *ring_sqe(struct ring *r, struct io_op *op);

/* A receive into the ring's buffers that goes on until at least cap bytes have come; only where r->multishot is set. */
void ring_recv_multishot(struct io_uring_sqe *sqe, int fd, unsigned int cap);

/* Submit all, wait for a completion or the next timer, run both. 0, or -errno that no later turn can mend. */
int ring_turn(struct ring *r);

static inline char *ring_buf(const struct ring *r, unsigned int id)
{
	return r->buf_memory + (size_t)id * RING_BUF_SIZE;
}

/* Give a receive buffer back to the kernel. */
void ring_buf_put(struct ring *r, unsigned int id);

#endif
