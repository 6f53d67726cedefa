/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the gateway's own: refusals, errors, what a filter decided. */
#include <stdio.h>

#include "proxy/conn.h"

void reply_send(struct conn *c, unsigned int status, struct slice body,
		const struct http_field *fields, size_t n_fields)
{
	struct buf *out = stream_out(&c->stream);
	struct slice reason = http_reason(status);
	char json[160];
	bool keep;

	if (c->answered) {
		/* Half an answer cannot be taken back; the client sees the connection break. */
		conn_close(c);
		return;
	}
	forward_abort(c);
	keep = c->keep_alive && c->request_body.done;
	if (body.len == 0)
		body = slice_make(json, (size_t)snprintf(json, sizeof(json),
							 "{\"status\":%u,\"error\":\"%.*s\"}\n",
							 status, SLICE_FMT(reason)));
	buf_printf(out,
		   "HTTP/1.1 %u %.*s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n",
		   status, SLICE_FMT(reason), body.len);
	for (size_t i = 0; i < n_fields; i++)
		buf_printf(out, "%.*s: %.*s\r\n", SLICE_FMT(fields[i].name),
			   SLICE_FMT(fields[i].value));
	if (c->snapshot)
		buf_printf(out, "X-Request-ID: %.*s\r\n", (int)sizeof(c->request_id),
			   c->request_id);
	buf_puts(out, keep ? "\r\n" : "Connection: close\r\n\r\n");
	if (!c->is_head)
		buf_put(out, body);
	if (!c->verdict)
		c->verdict = "error";
	c->status = status;
	c->response_body.bytes = c->is_head ? 0 : body.len;
	conn_finish(c, keep);
}

void reply_error(struct conn *c, unsigned int status, const char *verdict)
{
	c->verdict = verdict;
	reply_send(c, status, slice_make(NULL, 0), NULL, 0);
}
