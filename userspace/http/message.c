/* SPDX-License-Identifier: Apache-2.0 */
#include "http/message.h"

#include <errno.h>

/* In the order of enum http_name. */
static const struct slice names[HTTP_NAMES] = {
	[HTTP_NAME_AUTHORIZATION] = SLICE_INIT("authorization"),
	[HTTP_NAME_CONNECTION] = SLICE_INIT("connection"),
	[HTTP_NAME_CONTENT_LENGTH] = SLICE_INIT("content-length"),
	[HTTP_NAME_CONTENT_TYPE] = SLICE_INIT("content-type"),
	[HTTP_NAME_COOKIE] = SLICE_INIT("cookie"),
	[HTTP_NAME_DATE] = SLICE_INIT("date"),
	[HTTP_NAME_EXPECT] = SLICE_INIT("expect"),
	[HTTP_NAME_FORWARDED] = SLICE_INIT("forwarded"),
	[HTTP_NAME_HOST] = SLICE_INIT("host"),
	[HTTP_NAME_KEEP_ALIVE] = SLICE_INIT("keep-alive"),
	[HTTP_NAME_PROXY_AUTHENTICATE] = SLICE_INIT("proxy-authenticate"),
	[HTTP_NAME_PROXY_AUTHORIZATION] = SLICE_INIT("proxy-authorization"),
	[HTTP_NAME_PROXY_CONNECTION] = SLICE_INIT("proxy-connection"),
	[HTTP_NAME_SERVER] = SLICE_INIT("server"),
	[HTTP_NAME_TE] = SLICE_INIT("te"),
	[HTTP_NAME_TRAILER] = SLICE_INIT("trailer"),
	[HTTP_NAME_TRANSFER_ENCODING] = SLICE_INIT("transfer-encoding"),
	[HTTP_NAME_UPGRADE] = SLICE_INIT("upgrade"),
	[HTTP_NAME_USER_AGENT] = SLICE_INIT("user-agent"),
	[HTTP_NAME_VIA] = SLICE_INIT("via"),
	[HTTP_NAME_X_FORWARDED_FOR] = SLICE_INIT("x-forwarded-for"),
	[HTTP_NAME_X_FORWARDED_HOST] = SLICE_INIT("x-forwarded-host"),
	[HTTP_NAME_X_FORWARDED_PORT] = SLICE_INIT("x-forwarded-port"),
	[HTTP_NAME_X_FORWARDED_PROTO] = SLICE_INIT("x-forwarded-proto"),
	[HTTP_NAME_X_REQUEST_ID] = SLICE_INIT("x-request-id"),
};

static enum http_name same(enum http_name id, struct slice name)
{
	return slice_ieq(names[id], name) ? id : HTTP_NAME_OTHER;
}

/* Length and one letter leave at most one candidate, so an unknown name costs no comparison. */
enum http_name http_name_id(struct slice name)
{
	unsigned char first = name.len ? (unsigned char)name.ptr[0] | 0x20 : 0;
	unsigned char last = name.len ? (unsigned char)name.ptr[name.len - 1] | 0x20 : 0;

	switch (name.len) {
	case 2:
		return same(HTTP_NAME_TE, name);
	case 3:
		return same(HTTP_NAME_VIA, name);
	case 4:
		return same(first == 'h' ? HTTP_NAME_HOST : HTTP_NAME_DATE, name);
	case 6:
		if (first == 'c')
			return same(HTTP_NAME_COOKIE, name);
		return same(first == 'e' ? HTTP_NAME_EXPECT : HTTP_NAME_SERVER, name);
	case 7:
		return same(first == 't' ? HTTP_NAME_TRAILER : HTTP_NAME_UPGRADE, name);
	case 9:
		return same(HTTP_NAME_FORWARDED, name);
	case 10:
		if (first == 'u')
			return same(HTTP_NAME_USER_AGENT, name);
		return same(first == 'k' ? HTTP_NAME_KEEP_ALIVE : HTTP_NAME_CONNECTION, name);
	case 12:
		return same(first == 'c' ? HTTP_NAME_CONTENT_TYPE : HTTP_NAME_X_REQUEST_ID, name);
	case 13:
		return same(HTTP_NAME_AUTHORIZATION, name);
	case 14:
		return same(HTTP_NAME_CONTENT_LENGTH, name);
	case 15:
		return same(HTTP_NAME_X_FORWARDED_FOR, name);
	case 16:
		if (first == 'p')
			return same(HTTP_NAME_PROXY_CONNECTION, name);
		/* Both end in "t": the tenth letter of the last word tells. */
		return (name.ptr[12] | 0x20) == 'h' ? same(HTTP_NAME_X_FORWARDED_HOST, name)
						    : same(HTTP_NAME_X_FORWARDED_PORT, name);
	case 17:
		return same(first == 't' ? HTTP_NAME_TRANSFER_ENCODING
					 : HTTP_NAME_X_FORWARDED_PROTO,
			    name);
	case 18:
		return same(HTTP_NAME_PROXY_AUTHENTICATE, name);
	case 19:
		return last == 'n' ? same(HTTP_NAME_PROXY_AUTHORIZATION, name) : HTTP_NAME_OTHER;
	default:
		return HTTP_NAME_OTHER;
	}
}

struct http_field *http_head_find(struct http_head *h, enum http_name id)
{
	if (!http_head_has(h, id))
		return NULL;
	for (size_t i = 0; i < h->n_fields; i++)
		if (h->fields[i].id == id && !h->fields[i].removed)
			return &h->fields[i];
	return NULL;
}

static bool matches(const struct http_field *f, enum http_name id, struct slice name)
{
	if (f->removed || f->id != id)
		return false;
	return id != HTTP_NAME_OTHER || slice_ieq(f->name, name);
}

struct http_field *http_head_find_name(struct http_head *h, struct slice name)
{
	enum http_name id = http_name_id(name);

	for (size_t i = 0; i < h->n_fields; i++)
		if (matches(&h->fields[i], id, name))
			return &h->fields[i];
	return NULL;
}

void http_head_remove(struct http_head *h, enum http_name id)
{
	for (size_t i = 0; i < h->n_fields; i++)
		if (h->fields[i].id == id)
			h->fields[i].removed = true;
}

void http_head_remove_name(struct http_head *h, struct slice name)
{
	enum http_name id = http_name_id(name);

	for (size_t i = 0; i < h->n_fields; i++)
		if (matches(&h->fields[i], id, name))
			h->fields[i].removed = true;
}

int http_head_add(struct http_head *h, struct slice name, struct slice value)
{
	struct http_field *f = &h->fields[h->n_fields];

	if (h->n_fields == sizeof(h->fields) / sizeof(h->fields[0]))
		return -ENOSPC;
	*f = (struct http_field){.name = name, .value = value, .id = http_name_id(name)};
	h->present[f->id / 32] |= 1U << (f->id % 32);
	h->n_fields++;
	return 0;
}

int http_head_set(struct http_head *h, struct slice name, struct slice value)
{
	http_head_remove_name(h, name);
	return http_head_add(h, name, value);
}

bool http_head_cookie(const struct http_head *h, struct slice name, struct slice *ret_value)
{
	if (!http_head_has(h, HTTP_NAME_COOKIE))
		return false;
	for (size_t i = 0; i < h->n_fields; i++) {
		struct slice list = h->fields[i].value;

		if (h->fields[i].id != HTTP_NAME_COOKIE || h->fields[i].removed)
			continue;
		while (list.len) {
			struct slice value = slice_trim(slice_cut(&list, ';'));

			if (slice_eq(slice_cut(&value, '='), name)) {
				*ret_value = value;
				return true;
			}
		}
	}
	return false;
}

struct slice http_reason(unsigned int status)
{
	static const struct {
		unsigned int status;
		struct slice reason;
	} table[] = {
		{100, SLICE_INIT("Continue")},
		{101, SLICE_INIT("Switching Protocols")},
		{103, SLICE_INIT("Early Hints")},
		{200, SLICE_INIT("OK")},
		{201, SLICE_INIT("Created")},
		{202, SLICE_INIT("Accepted")},
		{203, SLICE_INIT("Non-Authoritative Information")},
		{204, SLICE_INIT("No Content")},
		{205, SLICE_INIT("Reset Content")},
		{206, SLICE_INIT("Partial Content")},
		{300, SLICE_INIT("Multiple Choices")},
		{301, SLICE_INIT("Moved Permanently")},
		{302, SLICE_INIT("Found")},
		{303, SLICE_INIT("See Other")},
		{304, SLICE_INIT("Not Modified")},
		{307, SLICE_INIT("Temporary Redirect")},
		{308, SLICE_INIT("Permanent Redirect")},
		{400, SLICE_INIT("Bad Request")},
		{401, SLICE_INIT("Unauthorized")},
		{402, SLICE_INIT("Payment Required")},
		{403, SLICE_INIT("Forbidden")},
		{404, SLICE_INIT("Not Found")},
		{405, SLICE_INIT("Method Not Allowed")},
		{406, SLICE_INIT("Not Acceptable")},
		{407, SLICE_INIT("Proxy Authentication Required")},
		{408, SLICE_INIT("Request Timeout")},
		{409, SLICE_INIT("Conflict")},
		{410, SLICE_INIT("Gone")},
		{411, SLICE_INIT("Length Required")},
		{412, SLICE_INIT("Precondition Failed")},
		{413, SLICE_INIT("Content Too Large")},
		{414, SLICE_INIT("URI Too Long")},
		{415, SLICE_INIT("Unsupported Media Type")},
		{416, SLICE_INIT("Range Not Satisfiable")},
		{417, SLICE_INIT("Expectation Failed")},
		{421, SLICE_INIT("Misdirected Request")},
		{422, SLICE_INIT("Unprocessable Content")},
		{426, SLICE_INIT("Upgrade Required")},
		{428, SLICE_INIT("Precondition Required")},
		{429, SLICE_INIT("Too Many Requests")},
		{431, SLICE_INIT("Request Header Fields Too Large")},
		{451, SLICE_INIT("Unavailable For Legal Reasons")},
		{500, SLICE_INIT("Internal Server Error")},
		{501, SLICE_INIT("Not Implemented")},
		{502, SLICE_INIT("Bad Gateway")},
		{503, SLICE_INIT("Service Unavailable")},
		{504, SLICE_INIT("Gateway Timeout")},
		{505, SLICE_INIT("HTTP Version Not Supported")},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].status == status)
			return table[i].reason;
	return SLICE("Unknown");
}
