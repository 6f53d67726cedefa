/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benchmark's own two programs share: one ring a thread, one pool of receive buffers, listeners. Set up as
 * well as we know how, and apart from the gateway's own io/, so that a fault there does not hide in the floor.
 */
#ifndef BENCH_URING_H
#define BENCH_URING_H

#include <liburing.h>
#include <stdint.h>

struct uring {
	struct io_uring ring;
	struct io_uring_buf_ring *bufs;
	char *memory;
	unsigned int buf_size;
	unsigned int buf_count; /* a power of two */
};

/* Ends the program with a line that says what failed; error is an errno. */
void die(const char *what, int error) __attribute__((noreturn));

/* A listener on 127.0.0.1; what it accepts inherits TCP_NODELAY. */
int listen_local(const char *port);

void uring_init(struct uring *u, unsigned int buf_size, unsigned int buf_count);

/* Submit all, wait for one completion. */
void uring_enter(struct uring *u);

/* An entry whose completion carries the pointer, with a tag of less than 8 in its low bits. */
struct io_uring_sqe *uring_sqe(struct uring *u, void *ptr, unsigned int tag);

/* A receive that goes on until the end, an error or a lack of buffers. */
void uring_recv(struct uring *u, int fd, void *ptr, unsigned int tag);

static inline char *uring_buf(const struct uring *u, unsigned int id)
{
	return u->memory + (size_t)id * u->buf_size;
}

void uring_buf_put(struct uring *u, unsigned int id);

#endif
