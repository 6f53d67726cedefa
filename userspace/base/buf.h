/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer with a hard maximum from the start; append on one end, consume on the other. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"

struct buf {
	char *data;
	size_t head; /* first unread byte */
	size_t tail; /* one past the last byte */
	size_t cap;
	size_t max;  /* hard maximum of cap */
	bool failed; /* an append was refused: sticky until buf_clear, so callers may check once */
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
	return b->tail - b->head;
}

static inline struct slice buf_slice(const struct buf *b)
{
	return slice_make(b->data ? b->data + b->head : NULL, b->tail - b->head);
}

static inline void buf_clear(struct buf *b)
{
	b->head = 0;
	b->tail = 0;
	b->failed = false;
}

static inline void buf_consume(struct buf *b, size_t n)
{
	b->head += n;
	if (b->head == b->tail) {
		b->head = 0;
		b->tail = 0;
	}
}

/* buf_reserve's way when there is not room enough. */
char *buf_grow(struct buf *b, size_t n);

/* Room for n more bytes at data + tail; NULL (and failed set) beyond max or when memory is out. */
static inline char *buf_reserve(struct buf *b, size_t n)
{
	return b->data && n <= b->cap - b->tail ? b->data + b->tail : buf_grow(b, n);
}

/* 0, or -ENOBUFS with failed set and nothing appended. */
static inline int buf_append(struct buf *b, const void *p, size_t n)
{
	char *at = n ? buf_reserve(b, n) : NULL;

	if (at) {
		memcpy(at, p, n);
		b->tail += n;
	}
	return at || !n ? 0 : -ENOBUFS;
}

int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* In decimal, and in lower-case hexadecimal, without leading zeros. */
int buf_put_uint(struct buf *b, uint64_t value);
int buf_put_hex(struct buf *b, uint64_t value);

static inline int buf_put(struct buf *b, struct slice s)
{
	return buf_append(b, s.ptr, s.len);
}

static inline int buf_puts(struct buf *b, const char *str)
{
	return buf_put(b, slice_str(str));
}

#endif
