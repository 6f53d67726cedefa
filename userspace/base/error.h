/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong, in words for the person at the terminal. Set-up code fills it, the data path returns enums. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

struct error {
	int code;	/* positive errno value, 0: nothing went wrong */
	bool of_system; /* by error_sys: the code is what a call gave, not a meaning of ours */
	char text[512];
};

/*
 * Fill *err (which may be NULL) and return -code, so that a caller can write
 * "return error_set(err, ENOENT, ...)". A text that is too long ends in "...".
 */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with ": strerror(code)" appended. */
int error_sys(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "context: " before the text already there; the code stays. Returns -err->code. */
int error_prefix(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
