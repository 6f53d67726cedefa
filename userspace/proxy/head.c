/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/head.h"

#define VIA "1.1 sluice"

static const enum http_name hop_by_hop[] = {
	HTTP_NAME_CONNECTION, HTTP_NAME_KEEP_ALIVE,	   HTTP_NAME_PROXY_CONNECTION,
	HTTP_NAME_TE,	      HTTP_NAME_TRANSFER_ENCODING, HTTP_NAME_UPGRADE,
};

void head_strip_hop(struct http_head *h)
{
	for (size_t i = 0; i < h->n_fields && http_head_has(h, HTTP_NAME_CONNECTION); i++) {
		struct slice list = h->fields[i].value;

		if (h->fields[i].id != HTTP_NAME_CONNECTION)
			continue;
		while (list.len) {
			struct slice name = slice_trim(slice_cut(&list, ','));
			enum http_name id = http_name_id(name);

			/* A client must not make the gateway drop what frames or addresses the message. */
			if (name.len && id != HTTP_NAME_CONTENT_LENGTH && id != HTTP_NAME_HOST)
				http_head_remove_name(h, name);
		}
	}
	for (size_t i = 0; i < sizeof(hop_by_hop) / sizeof(hop_by_hop[0]); i++)
		if (http_head_has(h, hop_by_hop[i]))
			http_head_remove(h, hop_by_hop[i]);
}

bool head_takes_trailers(const struct http_head *h)
{
	for (size_t i = 0; i < h->n_fields && http_head_has(h, HTTP_NAME_TE); i++) {
		struct slice list = h->fields[i].value;

		while (h->fields[i].id == HTTP_NAME_TE && list.len)
			if (slice_ieq(slice_trim(slice_cut(&list, ',')), SLICE("trailers")))
				return true;
	}
	return false;
}

static void put_field(struct buf *out, struct slice name, struct slice value)
{
	char *at = buf_reserve(out, name.len + value.len + 4);

	if (!at)
		return;
	memcpy(at, name.ptr, name.len);
	at += name.len;
	*at++ = ':';
	*at++ = ' ';
	if (value.len)
		memcpy(at, value.ptr, value.len);
	at += value.len;
	*at++ = '\r';
	*at = '\n';
	out->tail += name.len + value.len + 4;
}

static void put_number(struct buf *out, struct slice name_and_colon, uint64_t value)
{
	buf_put(out, name_and_colon);
	buf_put_uint(out, value);
	buf_put(out, SLICE("\r\n"));
}

/* Fields that the gateway writes itself: what the client said of them is not to be believed. */
static bool own_field(enum http_name id)
{
	switch (id) {
	case HTTP_NAME_HOST:
	case HTTP_NAME_EXPECT:
	case HTTP_NAME_CONTENT_LENGTH:
	case HTTP_NAME_FORWARDED:
	case HTTP_NAME_X_FORWARDED_FOR:
	case HTTP_NAME_X_FORWARDED_HOST:
	case HTTP_NAME_X_FORWARDED_PORT:
	case HTTP_NAME_X_FORWARDED_PROTO:
	case HTTP_NAME_X_REQUEST_ID:
	case HTTP_NAME_VIA:
		return true;
	default:
		return false;
	}
}

/* "a_b" and "a-b" are one variable to CGI-like upstreams: names with '_' are dropped. */
static bool forwardable(const struct http_field *f)
{
	return !f->removed && (f->id != HTTP_NAME_OTHER || !memchr(f->name.ptr, '_', f->name.len));
}

static void put_via(struct buf *out, const struct http_head *h)
{
	buf_put(out, SLICE("Via: "));
	for (size_t i = 0; i < h->n_fields && http_head_has(h, HTTP_NAME_VIA); i++) {
		if (h->fields[i].id != HTTP_NAME_VIA || h->fields[i].removed)
			continue;
		buf_put(out, h->fields[i].value);
		buf_put(out, SLICE(", "));
	}
	buf_put(out, SLICE(VIA "\r\n"));
}

void head_write_request(struct buf *out, const struct http_head *h, const struct head_request *q)
{
	bool keep_host = q->route->preserve_host && h->host.len;

	buf_put(out, h->method_name);
	buf_put(out, SLICE(" "));
	buf_put(out, q->target);
	buf_put(out, SLICE(" HTTP/1.1\r\n"));
	put_field(out, SLICE("Host"), keep_host ? h->host : q->endpoint->authority);
	for (size_t i = 0; i < h->n_fields; i++)
		if (!own_field(h->fields[i].id) && forwardable(&h->fields[i]))
			put_field(out, h->fields[i].name, h->fields[i].value);
	put_field(out, SLICE("X-Forwarded-For"), q->client);
	put_field(out, SLICE("X-Forwarded-Proto"), SLICE("http"));
	if (h->host.len)
		put_field(out, SLICE("X-Forwarded-Host"), h->host);
	put_number(out, SLICE("X-Forwarded-Port: "), q->port);
	put_field(out, SLICE("X-Request-ID"), q->request_id);
	put_via(out, h);
	if (q->trailers)
		buf_put(out, SLICE("TE: trailers\r\nConnection: TE\r\n"));
	if (q->chunked)
		buf_put(out, SLICE("Transfer-Encoding: chunked\r\n"));
	else if (h->has_length)
		put_number(out, SLICE("Content-Length: "), h->length);
	buf_put(out, SLICE("\r\n"));
}

void head_write_response(struct buf *out, const struct http_head *h, struct slice request_id,
			 bool chunked, bool close)
{
	buf_put(out, SLICE("HTTP/1.1 "));
	buf_put_uint(out, h->status);
	buf_put(out, SLICE(" "));
	buf_put(out, h->reason.len ? h->reason : http_reason(h->status));
	buf_put(out, SLICE("\r\n"));
	for (size_t i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->fields[i];

		if (f->removed || f->id == HTTP_NAME_VIA || f->id == HTTP_NAME_X_REQUEST_ID)
			continue;
		put_field(out, f->name, f->value);
	}
	put_field(out, SLICE("X-Request-ID"), request_id);
	put_via(out, h);
	if (chunked)
		buf_put(out, SLICE("Transfer-Encoding: chunked\r\n"));
	if (close)
		buf_put(out, SLICE("Connection: close\r\n"));
	buf_put(out, SLICE("\r\n"));
}
