/* SPDX-License-Identifier: Apache-2.0 */
#include "http/uri.h"

static int hex(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f')
		return (ch | 0x20) - 'a' + 10;
	return -1;
}

static bool unreserved(unsigned char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
	       c == '.' || c == '_' || c == '~';
}

/* Nothing that normalisation would touch? */
static bool plain(struct slice path)
{
	for (size_t i = 0; i < path.len; i++) {
		unsigned char c = (unsigned char)path.ptr[i];

		if (c == '%' || c == '\\' || c <= ' ' || c == 0x7f)
			return false;
		if (c == '/' && i + 1 < path.len &&
		    (path.ptr[i + 1] == '/' || path.ptr[i + 1] == '.'))
			return false;
	}
	return true;
}

/* One escape at path[i]; writes one or three bytes. */
static bool escape(struct slice path, size_t i, char *out, size_t *len)
{
	static const char digits[] = "0123456789ABCDEF";
	int hi = i + 2 < path.len ? hex(path.ptr[i + 1]) : -1;
	int lo = i + 2 < path.len ? hex(path.ptr[i + 2]) : -1;
	int c;

	if (hi < 0 || lo < 0)
		return false;
	c = hi << 4 | lo;
	if (c == '/' || c == '\\' || c == 0)
		return false;
	if (unreserved((unsigned char)c)) {
		out[(*len)++] = (char)c;
		return true;
	}
	out[(*len)++] = '%';
	out[(*len)++] = digits[hi];
	out[(*len)++] = digits[lo];
	return true;
}

/* Remove dot segments and empty ones in place: RFC 3986, section 5.2.4. */
static bool squeeze(char *s, size_t *len)
{
	size_t out = 0;
	size_t i = 0;

	while (i < *len) {
		size_t start = i + 1;
		size_t end = start;
		bool last;

		while (end < *len && s[end] != '/')
			end++;
		last = end == *len;
		if (end - start == 2 && s[start] == '.' && s[start + 1] == '.') {
			if (out == 0)
				return false;
			while (s[--out] != '/')
				;
			if (last)
				s[out++] = '/';
		} else if (end - start == 0 || (end - start == 1 && s[start] == '.')) {
			if (last)
				s[out++] = '/';
		} else {
			memmove(s + out, s + i, end - i);
			out += end - i;
		}
		i = end;
	}
	*len = out;
	return true;
}

enum uri_status uri_normalize(struct slice path, char *out, struct slice *ret_path)
{
	size_t len = 0;

	if (plain(path)) {
		*ret_path = path;
		return URI_SAME;
	}
	for (size_t i = 0; i < path.len; i++) {
		unsigned char c = (unsigned char)path.ptr[i];

		if (c == '\\' || c <= ' ' || c == 0x7f)
			return URI_BAD;
		if (c != '%') {
			out[len++] = (char)c;
			continue;
		}
		if (!escape(path, i, out, &len))
			return URI_BAD;
		i += 2;
	}
	if (!squeeze(out, &len))
		return URI_BAD;
	*ret_path = slice_make(out, len);
	return URI_CHANGED;
}

/* Length of the host part of "host:port" or "[v6]:port". */
static size_t host_len(struct slice host)
{
	if (host.len && host.ptr[0] == '[') {
		size_t end = slice_index(host, ']');

		return end < host.len ? end + 1 : host.len;
	}
	return slice_index(host, ':');
}

struct slice uri_host(struct slice host, char *out)
{
	size_t n = host_len(host);

	if (n && host.ptr[n - 1] == '.')
		n--;
	for (size_t i = 0; i < n; i++) {
		char c = host.ptr[i];

		out[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	return slice_make(out, n);
}

static bool host_char(unsigned char c, bool v6)
{
	if (v6)
		return hex((char)c) >= 0 || c == ':' || c == '.';
	/* reg-name of RFC 3986 without escapes, which no resolver takes. */
	return unreserved(c) || (c && strchr("!$&'()*+,;=", c));
}

bool uri_host_valid(struct slice host)
{
	size_t n = host_len(host);
	bool v6 = host.len && host.ptr[0] == '[';
	struct slice name = slice_first(host, n);
	struct slice port = slice_skip(host, n);

	if (v6) {
		if (name.len < 4 || name.ptr[name.len - 1] != ']')
			return false;
		name = slice_make(name.ptr + 1, name.len - 2);
	}
	if (name.len == 0 || name.len > 255)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!host_char((unsigned char)name.ptr[i], v6))
			return false;
	if (port.len == 0)
		return true;
	if (port.ptr[0] != ':' || port.len > 6)
		return false;
	for (size_t i = 1; i < port.len; i++)
		if (port.ptr[i] < '0' || port.ptr[i] > '9')
			return false;
	return true;
}
