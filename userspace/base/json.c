/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <stdint.h>

#include "base/text.h"

#define U 'u'  /* as \u00XX */
#define M 0x80 /* of a sequence of several bytes */

/* What stands behind the backslash; 0: the byte is copied as it is. */
static const unsigned char escapes[256] = {
	[0 ... 7] = U, ['\b'] = 'b',  ['\t'] = 't', ['\n'] = 'n',
	[0x0b] = U,    ['\f'] = 'f',  ['\r'] = 'r', [0x0e ... 0x1f] = U,
	['"'] = '"',   ['\\'] = '\\', [0x7f] = U,   [0x80 ... 0xff] = M,
};

#define EACH(byte) (0x0101010101010101ULL * (byte))

/* A bit in each byte that is 0; exact as to whether there is one. */
static uint64_t zeros(uint64_t v)
{
	return (v - EACH(1)) & ~v & EACH(0x80);
}

/* Eight bytes none of which needs an escape. */
static bool plain(uint64_t v)
{
	uint64_t control = (v - EACH(0x20)) & ~v & EACH(0x80);

	return !(control | (v & EACH(0x80)) | zeros(v ^ EACH('"')) | zeros(v ^ EACH('\\')) |
		 zeros(v ^ EACH(0x7f)));
}

static char *put(char *out, struct slice s)
{
	memcpy(out, s.ptr, s.len);
	return out + s.len;
}

/* What the byte at the start of *s, which is not plain, or the sequence there, becomes. */
static char *escape_one(char *out, struct slice *s)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char c = (unsigned char)*s->ptr;
	unsigned char e = escapes[c];
	size_t used = 1;

	if (e == M && (used = text_sequence(*s)) > 0) {
		out = put(out, slice_first(*s, used));
	} else if (e == M) {
		used = 1;
		out = put(out, SLICE("\\ufffd"));
	} else if (e == U) {
		out = put(out, SLICE("\\u00"));
		*out++ = digits[c >> 4];
		*out++ = digits[c & 15];
	} else {
		*out++ = '\\';
		*out++ = (char)e;
	}
	*s = slice_skip(*s, used);
	return out;
}

char *json_escape(char *out, struct slice in)
{
	uint64_t v;

	while (in.len) {
		if (in.len >= sizeof(v)) {
			memcpy(&v, in.ptr, sizeof(v));
			if (plain(v)) {
				memcpy(out, &v, sizeof(v));
				out += sizeof(v);
				in = slice_skip(in, sizeof(v));
				continue;
			}
		}
		/* As far as the byte that is not plain, or what is left. */
		while (in.len && !escapes[(unsigned char)*in.ptr]) {
			*out++ = *in.ptr++;
			in.len--;
		}
		if (in.len)
			out = escape_one(out, &in);
	}
	return out;
}

void json_put(struct buf *out, struct slice in)
{
	char *at = buf_reserve(out, JSON_ESCAPED_MAX(in.len) + 2);
	char *end;

	if (!at)
		return;
	*at = '"';
	end = json_escape(at + 1, in);
	*end++ = '"';
	out->tail += (size_t)(end - at);
}
