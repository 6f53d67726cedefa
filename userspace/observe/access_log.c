/* SPDX-License-Identifier: Apache-2.0 */
#include "observe/access_log.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"

/* Longer values are cut off here, so that a line has a size. */
#define MAX_PATH  4096
#define MAX_AGENT 1024
#define MAX_NAME  256

#define N_NAMES	  9 /* of the strings, those of MAX_NAME */
#define FIXED	  1024

_Static_assert(JSON_ESCAPED_MAX(MAX_PATH + MAX_AGENT + N_NAMES * MAX_NAME) + FIXED <
		       sizeof(((struct log_source *)0)->line),
	       "the longest line has room");

static inline char *put(char *at, struct slice s)
{
	memcpy(at, s.ptr, s.len);
	return at + s.len;
}

static char *put_u64(char *at, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	return put(at, slice_make(digits + i, sizeof(digits) - i));
}

static char *put_string(char *at, struct slice s, size_t max)
{
	if (!s.ptr)
		return put(at, SLICE("null"));
	*at++ = '"';
	at = json_escape(at, slice_first(s, max));
	*at++ = '"';
	return at;
}

/* What holds nothing that needs an escape. */
static char *put_safe(char *at, struct slice s)
{
	if (!s.ptr)
		return put(at, SLICE("null"));
	*at++ = '"';
	at = put(at, slice_first(s, MAX_NAME));
	*at++ = '"';
	return at;
}

/* RFC 3339 with milliseconds, in UTC. The second is worked out once for all requests that end in it. */
static char *put_time(char *at, struct log_source *s, uint64_t wall)
{
	uint64_t sec = wall / NSEC_PER_SEC;
	unsigned int msec = (unsigned int)(wall % NSEC_PER_SEC / NSEC_PER_MSEC);

	if (sec != s->clock_sec) {
		time_t t = (time_t)sec;
		struct tm tm;
		char text[32];

		gmtime_r(&t, &tm);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.", &tm);
		memcpy(s->clock_text, text, sizeof(s->clock_text));
		s->clock_sec = sec;
	}
	at = put(at, slice_make(s->clock_text, sizeof(s->clock_text)));
	*at++ = (char)('0' + msec / 100);
	*at++ = (char)('0' + msec / 10 % 10);
	*at++ = (char)('0' + msec % 10);
	*at++ = 'Z';
	return at;
}

char *access_log_format(struct log_source *s, const struct access_record *r)
{
	char *at = s->line;

	at = put(at, SLICE("{\"time\":\""));
	at = put_time(at, s, r->wall);
	at = put(at, SLICE("\",\"client_ip\":"));
	at = put_safe(at, r->client);
	at = put(at, SLICE(",\"client_port\":"));
	at = put_u64(at, r->client_port);
	at = put(at, SLICE(",\"method\":"));
	at = put_safe(at, r->method);
	at = put(at, SLICE(",\"host\":"));
	at = put_string(at, r->host, MAX_NAME);
	at = put(at, SLICE(",\"path\":"));
	at = put_string(at, r->path, MAX_PATH);
	at = put(at, SLICE(",\"route\":"));
	at = put_string(at, r->route, MAX_NAME);
	at = put(at, SLICE(",\"service\":"));
	at = put_string(at, r->service, MAX_NAME);
	at = put(at, SLICE(",\"upstream\":"));
	at = put_string(at, r->upstream, MAX_NAME);
	at = put(at, SLICE(",\"status\":"));
	at = put_u64(at, r->status);
	at = put(at, SLICE(",\"verdict\":"));
	at = put_safe(at, r->verdict);
	at = put(at, SLICE(",\"bytes_in\":"));
	at = put_u64(at, r->bytes_in);
	at = put(at, SLICE(",\"bytes_out\":"));
	at = put_u64(at, r->bytes_out);
	at = put(at, SLICE(",\"duration_us\":"));
	at = put_u64(at, r->duration / NSEC_PER_USEC);
	at = put(at, SLICE(",\"upstream_us\":"));
	at = r->forwarded ? put_u64(at, r->upstream_time / NSEC_PER_USEC) : put(at, SLICE("null"));
	at = put(at, SLICE(",\"request_id\":"));
	at = put_safe(at, r->request_id);
	at = put(at, SLICE(",\"consumer\":"));
	at = put_string(at, r->consumer, MAX_NAME);
	at = put(at, SLICE(",\"user_agent\":"));
	at = put_string(at, r->user_agent, MAX_AGENT);
	return put(at, SLICE("}\n"));
}

void access_log_write(const struct access_log *l, struct log_source *s,
		      const struct access_record *r)
{
	const char *end = access_log_format(s, r);

	log_source_put(s, l->file, slice_make(s->line, (size_t)(end - s->line)));
}
