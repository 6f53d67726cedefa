/* SPDX-License-Identifier: Apache-2.0 */
/* The chunked transfer coding (RFC 9112, section 7.1), decoded without copying. */
#ifndef HTTP_CHUNKED_H
#define HTTP_CHUNKED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum chunked_event {
	CHUNKED_MORE,  /* all input used, nothing for the caller in it: feed more */
	CHUNKED_DATA,  /* *ret_data is body */
	CHUNKED_FIELD, /* *ret_data is one trailer field line without CRLF, checked like a head's */
	CHUNKED_END, /* the empty line after the trailers was read; the rest of the input is the next message */
	CHUNKED_BAD, /* malformed: close */
};

#define CHUNKED_MAX_TRAILERS 8192 /* bytes of all trailer fields */

struct chunked {
	uint64_t left; /* of the current chunk */
	uint8_t state;
	uint8_t digits;
	uint16_t overhead;     /* bytes of chunk extensions in this line: bounded */
	uint16_t trailer_used; /* bytes of trailer fields so far */
	uint16_t line_len;     /* of the trailer line being gathered across inputs */
	char line[1024];
};

void chunked_init(struct chunked *c);

/*
 * Take the next event out of *in, which is moved on past what was used; call until CHUNKED_MORE, CHUNKED_END or
 * CHUNKED_BAD. Data points into the input; a field line points into the input or into c.
 * Strict: hexadecimal sizes of at most 16 digits, CRLF only.
 */
enum chunked_event chunked_next(struct chunked *c, struct slice *in, struct slice *ret_data);

#endif
