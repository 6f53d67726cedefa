/* SPDX-License-Identifier: Apache-2.0 */
#include "io/outq.h"

void outq_init(struct outq *q, struct ring *ring, size_t max)
{
	q->ring = ring;
	q->sent = 0;
	q->lent = 0;
	q->n_loans = 0;
	buf_init(&q->own, max);
}

void outq_fini(struct outq *q)
{
	for (unsigned int i = 0; i < q->n_loans; i++)
		ring_buf_unref(q->ring, q->loans[i].buffer);
	q->n_loans = 0;
	q->lent = 0;
	buf_fini(&q->own);
}

void outq_put(struct outq *q, struct slice bytes)
{
	struct outq_loan *loan = &q->loans[q->n_loans];

	if (bytes.len < OUTQ_LEND || q->n_loans == OUTQ_LOANS || !q->ring ||
	    !ring_buf_lend(q->ring, bytes.ptr, &loan->buffer)) {
		buf_put(&q->own, bytes);
		return;
	}
	loan->at = q->sent + buf_len(&q->own);
	loan->bytes = bytes;
	q->lent += bytes.len;
	q->n_loans++;
}

static unsigned int put_iov(struct iovec *iov, unsigned int n, const char *base, size_t len)
{
	if (len == 0)
		return n;
	iov[n].iov_base = (char *)base;
	iov[n].iov_len = len;
	return n + 1;
}

unsigned int outq_iov(const struct outq *q, struct iovec *iov)
{
	struct slice own = buf_slice(&q->own);
	uint64_t at = q->sent;
	unsigned int n = 0;

	for (unsigned int i = 0; i < q->n_loans; i++) {
		const struct outq_loan *loan = &q->loans[i];

		n = put_iov(iov, n, own.ptr, loan->at - at);
		own = slice_skip(own, loan->at - at);
		at = loan->at;
		n = put_iov(iov, n, loan->bytes.ptr, loan->bytes.len);
	}
	return put_iov(iov, n, own.ptr, own.len);
}

static void return_first(struct outq *q)
{
	ring_buf_unref(q->ring, q->loans[0].buffer);
	q->n_loans--;
	for (unsigned int i = 0; i < q->n_loans; i++)
		q->loans[i] = q->loans[i + 1];
}

void outq_consume(struct outq *q, size_t n)
{
	while (n) {
		struct outq_loan *loan = &q->loans[0];
		size_t own = q->n_loans ? loan->at - q->sent : buf_len(&q->own);
		size_t part = n < own ? n : own;

		buf_consume(&q->own, part);
		q->sent += part;
		n -= part;
		if (!q->n_loans)
			continue;
		part = n < loan->bytes.len ? n : loan->bytes.len;
		loan->bytes = slice_skip(loan->bytes, part);
		q->lent -= part;
		n -= part;
		if (loan->bytes.len == 0)
			return_first(q);
	}
}
