/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.x heads (RFC 9112): bytes in, struct http_head out. No I/O, no allocation, no state. */
#ifndef HTTP_H1_H
#define HTTP_H1_H

#include "http/message.h"

enum h1_status {
	H1_OK,
	H1_PARTIAL, /* not all there yet: call again with more */
	H1_BAD,	    /* malformed or ambiguous: 400 and close */
	H1_FIELDS,  /* more than HTTP_MAX_FIELDS: 431 and close */
	H1_URI, /* target too long for the caller's limit: never from here; for symmetry of replies */
	H1_VERSION,	/* a major version other than 1: 505 and close */
	H1_UNSUPPORTED, /* a transfer coding other than chunked: 501 and close */
};

/*
 * Parse the head at the start of in. On H1_OK *ret_used is the head's length with its empty line (and with
 * empty lines before a request line, RFC 9112, section 2.2). Strict where laxity has been used for request
 * smuggling: bare CR or LF, obs-fold, white space before the colon, a field name that is no token, control
 * characters in values, Content-Length twice or beside Transfer-Encoding or not all digits or over 2^63-1,
 * Transfer-Encoding in HTTP/1.0 or with chunked not last or twice, no or two Host fields in HTTP/1.1, a Host
 * with invalid characters, a target that is not visible ASCII: H1_BAD.
 */
enum h1_status h1_parse_request(struct http_head *h, struct slice in, size_t *ret_used);

/*
 * The same for a response head. Framing fields are read as they stand; that a HEAD, 1xx, 204 or 304 has no
 * body is for the caller, who knows the request.
 */
enum h1_status h1_parse_response(struct http_head *h, struct slice in, size_t *ret_used);

/*
 * Is the end of a head in the bytes? Cheap test before parsing what came in many small pieces: *scanned is
 * how far an earlier call looked (0 at first) and is moved on, so that the whole cost stays linear.
 */
bool h1_complete(struct slice in, size_t *scanned);

#endif
