/* SPDX-License-Identifier: Apache-2.0 */
#include "http/chunked.h"

enum {
	SIZE,	 /* hexadecimal digits */
	EXT,	 /* chunk extensions: skipped, bounded */
	SIZE_LF, /* the line feed after the size line */
	DATA,
	DATA_CR, /* after the data */
	DATA_LF,
	LINE, /* of a trailer, or the empty last one */
	LINE_LF,
};

#define MAX_DIGITS   16
#define MAX_OVERHEAD 4096

void chunked_init(struct chunked *c)
{
	c->left = 0;
	c->state = SIZE;
	c->digits = 0;
	c->overhead = 0;
	c->trailer_used = 0;
	c->line_len = 0;
}

static int hex(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f')
		return (ch | 0x20) - 'a' + 10;
	return -1;
}

/* One byte of a size line. */
static bool size_byte(struct chunked *c, char ch)
{
	int digit = hex(ch);

	if (c->state == SIZE && digit >= 0) {
		if (c->digits == MAX_DIGITS || c->left >> 59)
			return false;
		c->digits++;
		c->left = c->left << 4 | (uint64_t)digit;
		return true;
	}
	if (c->digits == 0)
		return false;
	if (ch == '\r') {
		c->state = SIZE_LF;
		return true;
	}
	if (c->state == SIZE && ch != ';' && ch != ' ' && ch != '\t')
		return false;
	if (((unsigned char)ch < ' ' && ch != '\t') || ch == 0x7f || ++c->overhead > MAX_OVERHEAD)
		return false;
	c->state = EXT;
	return true;
}

static void next_size(struct chunked *c)
{
	c->state = SIZE;
	c->digits = 0;
	c->overhead = 0;
	c->left = 0;
}

/* Bytes between the data of chunks. */
static bool frame_byte(struct chunked *c, char ch)
{
	switch (c->state) {
	case SIZE:
	case EXT:
		return size_byte(c, ch);
	case SIZE_LF:
		c->state = c->left ? DATA : LINE;
		return ch == '\n';
	case DATA_CR:
		c->state = DATA_LF;
		return ch == '\r';
	default:
		next_size(c);
		return ch == '\n';
	}
}

/* As strict as a field of a head: a token, a colon, no control characters. */
static bool valid_field(struct slice line)
{
	size_t colon = slice_index(line, ':');

	if (colon == 0 || colon == line.len)
		return false;
	for (size_t i = 0; i < line.len; i++) {
		unsigned char ch = (unsigned char)line.ptr[i];

		if (i < colon ? (ch <= ' ' || ch >= 0x7f || strchr("\"(),/;<=>?@[\\]{}", ch))
			      : ((ch < ' ' && ch != '\t') || ch == 0x7f))
			return false;
	}
	return true;
}

static enum chunked_event line_byte(struct chunked *c, char ch, struct slice *ret_data)
{
	if (c->state == LINE_LF) {
		if (ch != '\n')
			return CHUNKED_BAD;
		if (c->line_len == 0)
			return CHUNKED_END;
		*ret_data = slice_make(c->line, c->line_len);
		c->line_len = 0;
		c->state = LINE;
		return valid_field(*ret_data) ? CHUNKED_FIELD : CHUNKED_BAD;
	}
	if (ch == '\r') {
		c->state = LINE_LF;
		return CHUNKED_MORE;
	}
	if (ch == '\n' || c->line_len == sizeof(c->line) ||
	    ++c->trailer_used > CHUNKED_MAX_TRAILERS)
		return CHUNKED_BAD;
	c->line[c->line_len++] = ch;
	return CHUNKED_MORE;
}

enum chunked_event chunked_next(struct chunked *c, struct slice *in, struct slice *ret_data)
{
	while (in->len) {
		char ch = in->ptr[0];
		enum chunked_event event;

		if (c->state == DATA) {
			size_t n = c->left < in->len ? (size_t)c->left : in->len;

			*ret_data = slice_first(*in, n);
			*in = slice_skip(*in, n);
			c->left -= n;
			if (c->left == 0)
				c->state = DATA_CR;
			return CHUNKED_DATA;
		}
		*in = slice_skip(*in, 1);
		if (c->state < LINE) {
			if (!frame_byte(c, ch))
				return CHUNKED_BAD;
			continue;
		}
		event = line_byte(c, ch, ret_data);
		if (event != CHUNKED_MORE)
			return event;
	}
	return CHUNKED_MORE;
}
