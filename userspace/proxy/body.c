/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/body.h"

#include <errno.h>

#include "http/message.h"

void body_init(struct body *b, enum body_kind in, uint64_t length, bool out_chunked)
{
	b->in = in;
	b->out_chunked = out_chunked;
	b->trailer = NULL;
	b->last_chunk = false;
	b->left = length;
	b->bytes = 0;
	b->done = in == BODY_NONE || (in == BODY_LENGTH && length == 0);
	if (in == BODY_CHUNKED)
		chunked_init(&b->chunked);
}

static void put_data(struct body *b, struct outq *out, struct slice data)
{
	b->bytes += data.len;
	if (data.len == 0)
		return;
	if (b->out_chunked) {
		buf_put_hex(&out->own, data.len);
		buf_put(&out->own, SLICE("\r\n"));
	}
	outq_put(out, data);
	if (b->out_chunked)
		buf_put(&out->own, SLICE("\r\n"));
}

/* Some peers merge them with the head: only what frames, routes and controls nothing passes (RFC 9110, section 6.5.1). */
static void put_trailer(struct body *b, struct outq *out, struct slice line)
{
	struct slice name = slice_first(line, slice_index(line, ':'));

	if (!b->trailer || !b->out_chunked || http_name_id(name) != HTTP_NAME_OTHER ||
	    !b->trailer(b, name))
		return;
	if (!b->last_chunk)
		buf_put(&out->own, SLICE("0\r\n"));
	b->last_chunk = true;
	buf_put(&out->own, line);
	buf_put(&out->own, SLICE("\r\n"));
}

static void finish(struct body *b, struct outq *out)
{
	b->done = true;
	if (!b->out_chunked)
		return;
	if (!b->last_chunk)
		buf_put(&out->own, SLICE("0\r\n"));
	buf_put(&out->own, SLICE("\r\n"));
}

static int move_chunked(struct body *b, struct slice *in, struct outq *out)
{
	struct slice part;

	for (;;) {
		switch (chunked_next(&b->chunked, in, &part)) {
		case CHUNKED_MORE:
			return 0;
		case CHUNKED_DATA:
			put_data(b, out, part);
			break;
		case CHUNKED_FIELD:
			put_trailer(b, out, part);
			break;
		case CHUNKED_END:
			finish(b, out);
			return 0;
		case CHUNKED_BAD:
			return -EBADMSG;
		}
	}
}

int body_move(struct body *b, struct slice *in, struct outq *out)
{
	struct slice part;
	int rc = 0;

	if (b->done)
		return 0;
	switch (b->in) {
	case BODY_NONE:
		break;
	case BODY_LENGTH:
		part = slice_first(*in, b->left < in->len ? (size_t)b->left : in->len);
		put_data(b, out, part);
		b->left -= part.len;
		*in = slice_skip(*in, part.len);
		if (b->left == 0)
			finish(b, out);
		break;
	case BODY_CHUNKED:
		rc = move_chunked(b, in, out);
		break;
	case BODY_CLOSE:
		put_data(b, out, *in);
		*in = slice_skip(*in, in->len);
		break;
	}
	if (rc == 0 && out->own.failed)
		rc = -ENOBUFS;
	return rc;
}

int body_eof(struct body *b, struct outq *out)
{
	if (b->done)
		return 0;
	if (b->in != BODY_CLOSE)
		return -EPIPE;
	finish(b, out);
	return out->own.failed ? -ENOBUFS : 0;
}
