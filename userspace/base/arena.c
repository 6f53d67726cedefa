/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ALIGN 16

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* bytes, this header included */
};

_Static_assert(sizeof(struct arena_chunk) % ALIGN == 0, "payload starts aligned");

void arena_init(struct arena *a, size_t chunk_size, size_t max)
{
	assert(chunk_size >= 256 && max >= chunk_size);
	*a = (struct arena){.chunk_size = chunk_size, .max = max};
}

void arena_fini(struct arena *a)
{
	while (a->chunk) {
		struct arena_chunk *next = a->chunk->next;

		free(a->chunk);
		a->chunk = next;
	}
	a->used = 0;
	a->total = 0;
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *keep = NULL;

	while (a->chunk) {
		struct arena_chunk *next = a->chunk->next;

		if (!keep && a->chunk->size == a->chunk_size)
			keep = a->chunk;
		else
			free(a->chunk);
		a->chunk = next;
	}
	a->chunk = keep;
	a->used = 0;
	a->total = 0;
	if (keep) {
		keep->next = NULL;
		a->used = sizeof(*keep);
		a->total = keep->size;
	}
}

static void *grow(struct arena *a, size_t size)
{
	size_t need = sizeof(struct arena_chunk) + size;
	size_t bytes = need > a->chunk_size ? need : a->chunk_size;
	struct arena_chunk *c;

	if (bytes > a->max - a->total)
		return NULL;
	c = malloc(bytes);
	if (!c)
		return NULL;
	c->size = bytes;
	c->next = a->chunk;
	a->chunk = c;
	a->total += bytes;
	a->used = need;
	return (char *)c + sizeof(*c);
}

void *arena_alloc(struct arena *a, size_t size)
{
	void *p;

	if (size > a->max)
		return NULL;
	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (!a->chunk || size > a->chunk->size - a->used)
		return grow(a, size);
	p = (char *)a->chunk + a->used;
	a->used += size;
	return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
	void *p = arena_alloc(a, size);

	return p ? memset(p, 0, size) : NULL;
}

struct slice arena_dup(struct arena *a, struct slice s)
{
	char *p = arena_alloc(a, s.len + 1);

	if (!p)
		return slice_make(NULL, 0);
	if (s.len)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return slice_make(p, s.len);
}

char *arena_strdup(struct arena *a, const char *str)
{
	return (char *)arena_dup(a, slice_str(str)).ptr;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	p = arena_alloc(a, (size_t)n + 1);
	if (!p)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}
