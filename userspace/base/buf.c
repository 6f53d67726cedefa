/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_CAP 256

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

char *buf_grow(struct buf *b, size_t n)
{
	size_t len = buf_len(b);
	size_t cap = b->cap ? b->cap : FIRST_CAP;
	char *data;

	if (n > b->max || len > b->max - n) {
		b->failed = true;
		return NULL;
	}
	if (b->head) {
		memmove(b->data, b->data + b->head, len);
		b->head = 0;
		b->tail = len;
		if (n <= b->cap - len)
			return b->data + len;
	}
	while (cap < len + n)
		cap *= 2;
	if (cap > b->max)
		cap = b->max;
	data = realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return NULL;
	}
	b->data = data;
	b->cap = cap;
	return data + b->tail;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *at;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	at = buf_reserve(b, (size_t)n + 1);
	if (!at)
		return -ENOBUFS;
	va_start(ap, fmt);
	vsnprintf(at, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->tail += (size_t)n;
	return 0;
}

static int put_number(struct buf *b, uint64_t value, unsigned int base)
{
	char text[20];
	char *at = text + sizeof(text);

	do
		*--at = "0123456789abcdef"[value % base];
	while (value /= base);
	return buf_append(b, at, (size_t)(text + sizeof(text) - at));
}

int buf_put_uint(struct buf *b, uint64_t value)
{
	return put_number(b, value, 10);
}

int buf_put_hex(struct buf *b, uint64_t value)
{
	return put_number(b, value, 16);
}
