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

/*
 * Receive buffers. The kernel is offered few at a time, the ones last returned first, so that a body is received into
 * memory that is in the cache; as many more as a turn turns out to need. Their memory is real once they are used.
 */
#define RING_BUF_SIZE	 32768 /* bytes */
#define RING_BUF_COUNT	 4096
#define RING_BUF_OFFERED 256 /* at most, at a time; a power of two */
#define RING_BUF_GROUP	 0

struct ring {
	struct io_uring uring;
	struct timer_wheel timers;
	uint64_t now;		 /* CLOCK_MONOTONIC ns of this turn */
	uint64_t wall;		 /* CLOCK_REALTIME ns of this turn */
	unsigned int wait_flags; /* IORING_ENTER_*, probed */
	bool multishot;		 /* receives may go on up to a number of bytes (6.17), probed */
	struct io_uring_buf_ring *bufs;
	char *buf_memory;
	uint16_t *buf_free; /* a stack of ids */
	uint8_t *buf_refs;  /* of each */
	unsigned int n_free;
	unsigned int n_offered;
	unsigned int want_offered;
	unsigned int calm;   /* turns since the last decision on want_offered */
	unsigned int top;    /* one above the highest buffer that has been used */
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

/* A completion brought a buffer, and with it the one reference that it was offered with. */
static inline void ring_buf_taken(struct ring *r)
{
	r->n_offered--;
}

/* A buffer for whoever receives without the ring, the one last returned, with one reference. False: none is left. */
bool ring_buf_get(struct ring *r, unsigned int *ret_id);

/* The last reference gives the buffer back. */
void ring_buf_unref(struct ring *r, unsigned int id);

/*
 * Another reference of the buffer that p points into. False when p is elsewhere, or when so many are on loan that
 * receiving might stop: then copy.
 */
bool ring_buf_lend(struct ring *r, const char *p, unsigned int *ret_id);

/* A receive found no buffer: offer more at a time. */
void ring_buf_starved(struct ring *r);

#endif
