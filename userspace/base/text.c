/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

size_t text_sequence(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (s.len < n)
		return 0;
	/* Neither overlong nor a surrogate nor beyond U+10FFFF: all that the second byte decides. */
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* U+0080 to U+009F are control characters, too. */
static bool is_control(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;

	return p[0] < ' ' || p[0] == 0x7f ||
	       (p[0] == 0xc2 && s.len > 1 && p[1] >= 0x80 && p[1] < 0xa0);
}

void text_clean(char *out, size_t size, struct slice in)
{
	size_t at = 0;

	while (in.len) {
		bool ascii = (unsigned char)*in.ptr < 0x80;
		size_t n = ascii ? 1 : text_sequence(in);
		struct slice c = slice_first(in, n);

		in = slice_skip(in, n ? n : 1);
		if (n == 0)
			c = SLICE("?");
		else if (is_control(c))
			c = SLICE(" ");
		if (at + c.len >= size)
			break;
		memcpy(out + at, c.ptr, c.len);
		at += c.len;
	}
	memset(out + at, 0, size - at);
}
