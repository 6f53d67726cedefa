/* SPDX-License-Identifier: Apache-2.0 */
/* A region: many small allocations, freed all at once. One a request, one a configuration snapshot. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/slice.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunk; /* newest first; NULL until the first allocation */
	size_t used;		   /* bytes used in the newest chunk */
	size_t total;		   /* bytes of all chunks */
	size_t chunk_size;	   /* bytes of an ordinary chunk, header included */
	size_t max;		   /* hard maximum of total */
};

/* Never fails: memory is taken with the first allocation. chunk_size >= 256, max >= chunk_size. */
void arena_init(struct arena *a, size_t chunk_size, size_t max);
void arena_fini(struct arena *a);

/* Drop all allocations, keep one ordinary chunk so that the next request needs no malloc. */
void arena_reset(struct arena *a);

/* 16-byte aligned, not cleared; NULL when max is reached or memory is out. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((malloc, alloc_size(2)));
void *arena_zalloc(struct arena *a, size_t size) __attribute__((malloc, alloc_size(2)));

/* A NUL-terminated copy (the NUL is not counted); ptr is NULL on failure. */
struct slice arena_dup(struct arena *a, struct slice s);
char *arena_strdup(struct arena *a, const char *str);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define arena_new(a, type)	((type *)arena_zalloc((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (n)))

#endif
