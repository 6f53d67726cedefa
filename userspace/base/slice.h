/* SPDX-License-Identifier: Apache-2.0 */
/* A borrowed run of bytes: passed by value, never owns, never outlives what it points into. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct slice {
	const char *ptr; /* not NUL-terminated; may be NULL when len is 0 */
	size_t len;	 /* bytes */
};

/* A slice of a string literal, as an expression and as an initialiser. */
#define SLICE(lit) ((struct slice)SLICE_INIT(lit))
#define SLICE_INIT(lit)                                                                            \
	{                                                                                          \
		.ptr = (lit), .len = sizeof(lit) - 1                                               \
	}

/* For printf("%.*s", SLICE_FMT(s)). */
#define SLICE_FMT(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct slice slice_make(const char *ptr, size_t len)
{
	return (struct slice){.ptr = ptr, .len = len};
}

static inline struct slice slice_str(const char *str)
{
	return slice_make(str, str ? strlen(str) : 0);
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII case-insensitive in the C locale, which is the only one this project sets. */
static inline bool slice_ieq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_eq(slice_make(s.ptr, prefix.len), prefix);
}

/* The slice without its first n bytes; n must not exceed its length. */
static inline struct slice slice_skip(struct slice s, size_t n)
{
	return n ? slice_make(s.ptr + n, s.len - n) : s;
}

/* Without the byte order mark with which some editors begin UTF-8. */
static inline struct slice slice_skip_mark(struct slice s)
{
	return slice_skip(s, slice_starts(s, SLICE("\xef\xbb\xbf")) ? 3 : 0);
}

static inline struct slice slice_first(struct slice s, size_t n)
{
	return slice_make(s.ptr, n < s.len ? n : s.len);
}

/* Index of the first c, or s.len when there is none. */
static inline size_t slice_index(struct slice s, char c)
{
	const char *hit = s.len ? memchr(s.ptr, c, s.len) : NULL;

	return hit ? (size_t)(hit - s.ptr) : s.len;
}

/* Cut off and return what stands before the first sep; *s keeps what follows it (empty at the end). */
static inline struct slice slice_cut(struct slice *s, char sep)
{
	size_t at = slice_index(*s, sep);
	struct slice head = slice_first(*s, at);

	*s = slice_skip(*s, at < s->len ? at + 1 : at);
	return head;
}

/* Without leading and trailing spaces and tabs (OWS of RFC 9110, section 5.6.3). */
static inline struct slice slice_trim(struct slice s)
{
	while (s.len && (*s.ptr == ' ' || *s.ptr == '\t'))
		s = slice_skip(s, 1);
	while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

#endif
