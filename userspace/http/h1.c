/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h1.h"

#include "http/uri.h"

/* Character classes of RFC 9110, section 5.6.2 and 5.5. */
enum { TOKEN = 1, VALUE = 2, TARGET = 4 };

#define ALNUM (TOKEN | VALUE | TARGET)

static const unsigned char class_of[256] = {
	['\t'] = VALUE,		[' '] = VALUE,
	['"'] = VALUE | TARGET, ['('] = VALUE | TARGET,
	[')'] = VALUE | TARGET, [','] = VALUE | TARGET,
	['/'] = VALUE | TARGET, [':' ... '@'] = VALUE | TARGET,
	['['] = VALUE | TARGET, ['\\'] = VALUE | TARGET,
	[']'] = VALUE | TARGET, ['{'] = VALUE | TARGET,
	['}'] = VALUE | TARGET, ['!'] = ALNUM,
	['#'] = ALNUM,		['$'] = ALNUM,
	['%'] = ALNUM,		['&'] = ALNUM,
	['\''] = ALNUM,		['*'] = ALNUM,
	['+'] = ALNUM,		['-'] = ALNUM,
	['.'] = ALNUM,		['0' ... '9'] = ALNUM,
	['A' ... 'Z'] = ALNUM,	['^'] = ALNUM,
	['_'] = ALNUM,		['`'] = ALNUM,
	['a' ... 'z'] = ALNUM,	['|'] = ALNUM,
	['~'] = ALNUM,		[0x80 ... 0xff] = VALUE,
};

struct cursor {
	const char *p;
	const char *end;
};

static struct slice take(struct cursor *c, unsigned char class)
{
	const char *start = c->p;

	while (c->p < c->end && class_of[(unsigned char)*c->p] & class)
		c->p++;
	return slice_make(start, (size_t)(c->p - start));
}

/* CRLF here: H1_OK and past it; anything else is malformed. */
static enum h1_status crlf(struct cursor *c)
{
	if (c->p < c->end && *c->p != '\r')
		return H1_BAD;
	if (c->end - c->p < 2)
		return H1_PARTIAL;
	if (c->p[1] != '\n')
		return H1_BAD;
	c->p += 2;
	return H1_OK;
}

static enum h1_status one(struct cursor *c, char ch)
{
	if (c->p == c->end)
		return H1_PARTIAL;
	if (*c->p != ch)
		return H1_BAD;
	c->p++;
	return H1_OK;
}

static enum http_method method_of(struct slice s)
{
	static const struct {
		struct slice name;
		enum http_method method;
	} table[] = {
		{SLICE_INIT("GET"), HTTP_GET},	       {SLICE_INIT("HEAD"), HTTP_HEAD},
		{SLICE_INIT("POST"), HTTP_POST},       {SLICE_INIT("PUT"), HTTP_PUT},
		{SLICE_INIT("DELETE"), HTTP_DELETE},   {SLICE_INIT("CONNECT"), HTTP_CONNECT},
		{SLICE_INIT("OPTIONS"), HTTP_OPTIONS}, {SLICE_INIT("TRACE"), HTTP_TRACE},
		{SLICE_INIT("PATCH"), HTTP_PATCH},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (slice_eq(s, table[i].name))
			return table[i].method;
	return HTTP_OTHER_METHOD;
}

static enum h1_status version(struct cursor *c, unsigned int *ret_minor)
{
	static const char text[] = "HTTP/1.";

	/* Nearly all say this; what follows tells what is wrong with the others. */
	if (c->end - c->p >= 8 && memcmp(c->p, "HTTP/1.1", 8) == 0) {
		c->p += 8;
		*ret_minor = 1;
		return H1_OK;
	}
	for (size_t i = 0; i < 8; i++) {
		if (c->p == c->end)
			return H1_PARTIAL;
		if (i == 7)
			break;
		if (i == 5 && *c->p >= '0' && *c->p <= '9' && *c->p != '1')
			return H1_VERSION;
		if (*c->p++ != text[i])
			return H1_BAD;
	}
	if (*c->p < '0' || *c->p > '9')
		return H1_BAD;
	/* A higher minor version is spoken to as 1.1 (RFC 9112, section 2.3). */
	*ret_minor = *c->p++ == '0' ? 0 : 1;
	return H1_OK;
}

static void split_path(struct http_head *h, struct slice rest)
{
	size_t q = slice_index(rest, '?');

	h->path = slice_first(rest, q);
	h->query = q < rest.len ? slice_skip(rest, q + 1) : slice_make(NULL, 0);
	if (h->path.len == 0)
		h->path = SLICE("/");
}

/* RFC 9112, section 3.2: origin, absolute, authority (CONNECT) or asterisk form. */
static enum h1_status target(struct http_head *h)
{
	struct slice t = h->target;
	struct slice scheme = slice_first(t, 7);
	size_t end;

	h->host = slice_make(NULL, 0);
	if (memchr(t.ptr, '#', t.len))
		return H1_BAD;
	if (h->method == HTTP_CONNECT) {
		h->host = t;
		h->path = t;
		h->query = slice_make(NULL, 0);
		return uri_host_valid(t) ? H1_OK : H1_BAD;
	}
	if (t.ptr[0] == '/') {
		split_path(h, t);
		return H1_OK;
	}
	if (t.len == 1 && t.ptr[0] == '*' && h->method == HTTP_OPTIONS) {
		h->path = t;
		h->query = slice_make(NULL, 0);
		return H1_OK;
	}
	if (!slice_ieq(scheme, SLICE("http://"))) {
		scheme = slice_first(t, 8);
		if (!slice_ieq(scheme, SLICE("https://")))
			return H1_BAD;
	}
	t = slice_skip(t, scheme.len);
	for (end = 0; end < t.len && t.ptr[end] != '/' && t.ptr[end] != '?'; end++)
		;
	h->host = slice_first(t, end);
	split_path(h, slice_skip(t, end));
	if (h->path.ptr[0] != '/' || h->host.len == 0 || !uri_host_valid(h->host))
		return H1_BAD;
	return H1_OK;
}

static enum h1_status length(struct http_head *h, struct slice v)
{
	uint64_t n = 0;

	/* Twice, even with one value, is how two readers come to disagree. */
	if (h->has_length || v.len == 0 || v.len > 19)
		return H1_BAD;
	for (size_t i = 0; i < v.len; i++) {
		if (v.ptr[i] < '0' || v.ptr[i] > '9')
			return H1_BAD;
		n = n * 10 + (uint64_t)(v.ptr[i] - '0');
	}
	if (n > INT64_MAX)
		return H1_BAD;
	h->has_length = true;
	h->length = n;
	return H1_OK;
}

static enum h1_status transfer_encoding(struct http_head *h, struct slice v)
{
	if (h->chunked)
		return H1_BAD;
	if (slice_ieq(v, SLICE("chunked"))) {
		h->chunked = true;
		return H1_OK;
	}
	while (v.len) {
		struct slice coding = slice_trim(slice_cut(&v, ','));

		if (slice_ieq(coding, SLICE("chunked")) || coding.len == 0)
			return H1_BAD;
	}
	return H1_UNSUPPORTED;
}

static void connection(struct http_head *h, struct slice v)
{
	while (v.len) {
		struct slice option = slice_trim(slice_cut(&v, ','));

		if (slice_ieq(option, SLICE("close")))
			h->keep_alive = false;
		else if (slice_ieq(option, SLICE("keep-alive")) && h->minor == 0)
			h->keep_alive = true;
		else if (slice_ieq(option, SLICE("upgrade")))
			h->upgrade = true;
	}
}

static enum h1_status special(struct http_head *h, const struct http_field *f, bool again,
			      bool request)
{
	switch (f->id) {
	case HTTP_NAME_CONTENT_LENGTH:
		return length(h, f->value);
	case HTTP_NAME_TRANSFER_ENCODING:
		return again ? H1_BAD : transfer_encoding(h, f->value);
	case HTTP_NAME_CONNECTION:
		connection(h, f->value);
		return H1_OK;
	case HTTP_NAME_HOST:
		if (!request)
			return H1_OK;
		if (again || (f->value.len && !uri_host_valid(f->value)))
			return H1_BAD;
		/* The absolute target's host wins (RFC 9112, section 3.2.2). */
		if (h->host.len == 0)
			h->host = f->value;
		return H1_OK;
	case HTTP_NAME_EXPECT:
		h->expect_continue = request && slice_ieq(f->value, SLICE("100-continue"));
		return H1_OK;
	default:
		return H1_OK;
	}
}

static enum h1_status field(struct http_head *h, struct cursor *c, bool request)
{
	struct http_field *f = &h->fields[h->n_fields];
	enum h1_status rc;
	bool again;

	if (h->n_fields == HTTP_MAX_FIELDS)
		return H1_FIELDS;
	f->name = take(c, TOKEN);
	if (f->name.len == 0 && c->p < c->end)
		return H1_BAD;
	rc = one(c, ':');
	if (rc != H1_OK)
		return rc;
	f->value = slice_trim(take(c, VALUE));
	rc = crlf(c);
	if (rc != H1_OK)
		return rc;
	/* obs-fold: a line that goes on is ambiguous (RFC 9112, section 5.2). */
	if (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
		return H1_BAD;
	f->id = http_name_id(f->name);
	f->removed = false;
	again = f->id != HTTP_NAME_OTHER && http_head_has(h, f->id);
	h->present[f->id / 32] |= 1U << (f->id % 32);
	h->n_fields++;
	return special(h, f, again, request);
}

static enum h1_status fields(struct http_head *h, struct cursor *c, bool request)
{
	enum h1_status rc;

	while (c->p < c->end && *c->p != '\r') {
		rc = field(h, c, request);
		if (rc != H1_OK)
			return rc;
	}
	rc = crlf(c);
	if (rc != H1_OK)
		return rc;
	if (http_head_has(h, HTTP_NAME_TRANSFER_ENCODING) && (h->has_length || h->minor == 0))
		return H1_BAD;
	if (!http_head_has(h, HTTP_NAME_UPGRADE))
		h->upgrade = false;
	return H1_OK;
}

static void reset(struct http_head *h)
{
	h->status = 0;
	h->reason = slice_make(NULL, 0);
	h->chunked = false;
	h->has_length = false;
	h->expect_continue = false;
	h->upgrade = false;
	h->length = 0;
	memset(h->present, 0, sizeof(h->present));
	h->n_fields = 0;
}

enum h1_status h1_parse_request(struct http_head *h, struct slice in, size_t *ret_used)
{
	struct cursor c = {.p = in.ptr, .end = in.ptr + in.len};
	enum h1_status rc;

	reset(h);
	while (c.p < c.end && *c.p == '\r') {
		rc = crlf(&c);
		if (rc != H1_OK)
			return rc;
	}
	h->method_name = take(&c, TOKEN);
	if (h->method_name.len == 0)
		return c.p == c.end ? H1_PARTIAL : H1_BAD;
	rc = one(&c, ' ');
	if (rc != H1_OK)
		return rc;
	h->method = method_of(h->method_name);
	h->target = take(&c, TARGET);
	if (c.p == c.end)
		return H1_PARTIAL;
	if (h->target.len == 0 || one(&c, ' ') != H1_OK)
		return H1_BAD;
	rc = target(h);
	if (rc != H1_OK)
		return rc;
	rc = version(&c, &h->minor);
	if (rc == H1_OK)
		rc = crlf(&c);
	if (rc != H1_OK)
		return rc;
	h->keep_alive = h->minor == 1;
	rc = fields(h, &c, true);
	if (rc != H1_OK)
		return rc;
	if (h->minor == 1 && !http_head_has(h, HTTP_NAME_HOST))
		return H1_BAD;
	*ret_used = (size_t)(c.p - in.ptr);
	return H1_OK;
}

enum h1_status h1_parse_response(struct http_head *h, struct slice in, size_t *ret_used)
{
	struct cursor c = {.p = in.ptr, .end = in.ptr + in.len};
	enum h1_status rc;

	reset(h);
	rc = version(&c, &h->minor);
	if (rc == H1_OK)
		rc = one(&c, ' ');
	if (rc != H1_OK)
		return rc;
	for (int i = 0; i < 3; i++) {
		if (c.p == c.end)
			return H1_PARTIAL;
		if (*c.p < '0' || *c.p > '9')
			return H1_BAD;
		h->status = h->status * 10 + (unsigned int)(*c.p++ - '0');
	}
	if (h->status < 100 || h->status > 599)
		return H1_BAD;
	if (c.p < c.end && *c.p == ' ') {
		c.p++;
		h->reason = take(&c, VALUE);
	}
	rc = crlf(&c);
	if (rc != H1_OK)
		return rc;
	h->keep_alive = h->minor == 1;
	rc = fields(h, &c, false);
	if (rc != H1_OK)
		return rc;
	*ret_used = (size_t)(c.p - in.ptr);
	return H1_OK;
}

bool h1_complete(struct slice in, size_t *scanned)
{
	/* The end may straddle what was seen: look three bytes back. */
	size_t at = *scanned > 3 ? *scanned - 3 : 0;
	const char *end = memmem(in.ptr + at, in.len - at, "\r\n\r\n", 4);

	*scanned = in.len;
	return end != NULL;
}
