/* SPDX-License-Identifier: Apache-2.0 */
/* A message body on its way from one connection's input to another's output, framing included (RFC 9112, section 6). */
#ifndef PROXY_BODY_H
#define PROXY_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "http/chunked.h"
#include "io/outq.h"

enum body_kind {
	BODY_NONE,
	BODY_LENGTH,
	BODY_CHUNKED,
	BODY_CLOSE, /* until the connection ends */
};

struct body;

/* May a trailer field of this name pass? */
typedef bool body_trailer_fn(const struct body *b, struct slice name);

struct body {
	enum body_kind in;
	bool out_chunked;
	body_trailer_fn *trailer; /* NULL: none passes; set after body_init */
	bool last_chunk;	  /* "0" was written: trailers may follow */
	bool done;
	uint64_t left;	/* of BODY_LENGTH */
	uint64_t bytes; /* of content so far */
	struct chunked chunked;
};

void body_init(struct body *b, enum body_kind in, uint64_t length, bool out_chunked);

/* Move bytes of *in to out until the body ends or *in is used up. 0; -EBADMSG: malformed; -ENOBUFS: out is full. */
int body_move(struct body *b, struct slice *in, struct outq *out);

/* The input ended: 0 when that ends a BODY_CLOSE body, else -EPIPE. */
int body_eof(struct body *b, struct outq *out);

#endif
