/* SPDX-License-Identifier: Apache-2.0 */
/* Heads on their way out: which fields pass a proxy, which it adds (RFC 9110, section 7.6). */
#ifndef PROXY_HEAD_H
#define PROXY_HEAD_H

#include <stdbool.h>

#include "base/buf.h"
#include "conf/config.h"
#include "http/message.h"

/* Remove what belongs to one connection only: the fixed list and what Connection names. Trailer goes with the trailers. */
void head_strip_hop(struct http_head *h);

/* Does TE say so (RFC 9110, section 10.1.4)? Before it is removed. */
bool head_takes_trailers(const struct http_head *h);

struct head_request {
	const struct conf_route *route;
	const struct conf_endpoint *endpoint;
	struct slice client;	 /* its address */
	struct slice target;	 /* origin form, prefix stripped */
	struct slice request_id; /* hexadecimal */
	uint16_t port;		 /* that the client connected to, host order */
	bool chunked;		 /* how the body will be framed */
	bool trailers;		 /* of the response are wanted */
};

/* The request head for the upstream. h must have been stripped. */
void head_write_request(struct buf *out, const struct http_head *h, const struct head_request *q);

/* The response head for the client, HTTP/1.1. h must have been stripped. */
void head_write_response(struct buf *out, const struct http_head *h, struct slice request_id,
			 bool chunked, bool close);

#endif
