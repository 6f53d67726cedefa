/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message head (RFC 9110, section 6) as slices into the bytes it was parsed from. A worker has one of each
 * direction as scratch: a head lives from its parsing until it is written to the other side.
 */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum http_method {
	HTTP_OTHER_METHOD, /* a valid token that is none of these */
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_CONNECT,
	HTTP_OPTIONS,
	HTTP_TRACE,
	HTTP_PATCH,
};

/* Field names that the gateway itself looks at; found by the parser, so nobody compares names later. */
enum http_name {
	HTTP_NAME_OTHER,
	HTTP_NAME_AUTHORIZATION,
	HTTP_NAME_CONNECTION,
	HTTP_NAME_CONTENT_LENGTH,
	HTTP_NAME_CONTENT_TYPE,
	HTTP_NAME_COOKIE,
	HTTP_NAME_DATE,
	HTTP_NAME_EXPECT,
	HTTP_NAME_FORWARDED,
	HTTP_NAME_HOST,
	HTTP_NAME_KEEP_ALIVE,
	HTTP_NAME_PROXY_AUTHENTICATE,
	HTTP_NAME_PROXY_AUTHORIZATION,
	HTTP_NAME_PROXY_CONNECTION,
	HTTP_NAME_SERVER,
	HTTP_NAME_TE,
	HTTP_NAME_TRAILER,
	HTTP_NAME_TRANSFER_ENCODING,
	HTTP_NAME_UPGRADE,
	HTTP_NAME_USER_AGENT,
	HTTP_NAME_VIA,
	HTTP_NAME_X_FORWARDED_FOR,
	HTTP_NAME_X_FORWARDED_HOST,
	HTTP_NAME_X_FORWARDED_PORT,
	HTTP_NAME_X_FORWARDED_PROTO,
	HTTP_NAME_X_REQUEST_ID,
	HTTP_NAMES,
};

struct http_field {
	struct slice name;  /* as received */
	struct slice value; /* without surrounding white space */
	enum http_name id;
	bool removed; /* not to be forwarded */
};

#define HTTP_MAX_FIELDS 128 /* received; more are refused */
#define HTTP_ADD_FIELDS 32  /* room for those that filters add */

struct http_head {
	/* request */
	enum http_method method;
	struct slice method_name;
	struct slice target; /* as received; path and query point into it */
	struct slice path;   /* of the target, not decoded, at least "/"; "*" for OPTIONS * */
	struct slice query;  /* without '?'; ptr NULL when there was none */
	struct slice
		host; /* of the absolute target, else the Host field; with port; may be empty */
	/* response */
	unsigned int status;
	struct slice reason;
	/* both */
	unsigned int minor; /* HTTP/1.minor: 0 or 1 */
	bool keep_alive;    /* what version and Connection say */
	bool chunked;	    /* Transfer-Encoding: chunked */
	bool has_length;
	bool expect_continue;			  /* Expect: 100-continue */
	bool upgrade;				  /* Connection: upgrade and an Upgrade field */
	uint64_t length;			  /* Content-Length */
	uint32_t present[(HTTP_NAMES + 31) / 32]; /* a bit for each enum http_name seen */
	size_t n_fields;
	struct http_field fields[HTTP_MAX_FIELDS + HTTP_ADD_FIELDS];
};

static inline bool http_head_has(const struct http_head *h, enum http_name id)
{
	return h->present[id / 32] >> (id % 32) & 1;
}

/* First field of this name that is not removed, or NULL. */
struct http_field *http_head_find(struct http_head *h, enum http_name id);
struct http_field *http_head_find_name(struct http_head *h, struct slice name);

/* Mark all fields of this name as removed. */
void http_head_remove(struct http_head *h, enum http_name id);
void http_head_remove_name(struct http_head *h, struct slice name);

/* Append a field; the slices must outlive the head. -ENOSPC when there is no room. */
int http_head_add(struct http_head *h, struct slice name, struct slice value);

/* Remove all of this name, then append one. */
int http_head_set(struct http_head *h, struct slice name, struct slice value);

/* The enum of a field name, any case. */
enum http_name http_name_id(struct slice name);

/* Value of a cookie in all Cookie fields (RFC 6265, section 5.4); false: there is none. */
bool http_head_cookie(const struct http_head *h, struct slice name, struct slice *ret_value);

/* "Not Found" for 404; "Unknown" for what has no registered phrase (RFC 9110, section 15). */
struct slice http_reason(unsigned int status);

#endif
