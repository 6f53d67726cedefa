/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output on its way to a socket: bytes of its own, and between them receive buffers on loan from the ring, so that a
 * body goes out from where it came in. In order, bounded, described by an iovec.
 */
#ifndef IO_OUTQ_H
#define IO_OUTQ_H

#include <sys/uio.h>

#include "base/buf.h"
#include "io/ring.h"

#define OUTQ_LOANS 6
#define OUTQ_IOVS  (2 * OUTQ_LOANS + 1)
#define OUTQ_LEND                                                                                  \
	2048 /* bytes; less is copied, which costs less than a second element of an iovec */

struct outq_loan {
	uint64_t at; /* how many bytes of its own, since the last clear, come before it */
	struct slice bytes;
	unsigned int buffer;
};

struct outq {
	struct ring *ring; /* NULL: everything is copied */
	struct buf own;	   /* to be appended to directly: it goes behind all that is there */
	uint64_t sent;	   /* of its own, since the last clear */
	size_t lent;	   /* bytes on loan */
	unsigned int n_loans;
	struct outq_loan loans[OUTQ_LOANS];
};

/* max: of its own bytes. */
void outq_init(struct outq *q, struct ring *ring, size_t max);
void outq_fini(struct outq *q);

/* Borrow what lies in a receive buffer and is worth it, copy the rest. own.failed tells when there is no room. */
void outq_put(struct outq *q, struct slice bytes);

static inline size_t outq_len(const struct outq *q)
{
	return buf_len(&q->own) + q->lent;
}

/* Fill iov, which has OUTQ_IOVS elements; how many. What they point to stays until outq_consume or a new append. */
unsigned int outq_iov(const struct outq *q, struct iovec *iov);

/* The first n bytes have gone. */
void outq_consume(struct outq *q, size_t n);

#endif
