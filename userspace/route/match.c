/* SPDX-License-Identifier: Apache-2.0 */
#include "route/match.h"

static bool match_header(const struct conf_pair *want, const struct http_head *head)
{
	enum http_name id = http_name_id(want->name);

	for (size_t i = 0; i < head->n_fields; i++) {
		const struct http_field *f = &head->fields[i];

		if (f->id == id && (id != HTTP_NAME_OTHER || slice_ieq(f->name, want->name)) &&
		    (want->any || slice_eq(f->value, want->value)))
			return true;
	}
	return false;
}

bool match_conditions(const struct conf_match *m, const struct http_head *head)
{
	for (size_t i = 0; i < m->headers.n; i++)
		if (!match_header(&m->headers.items[i], head))
			return false;
	for (size_t i = 0; i < m->cookies.n; i++) {
		const struct conf_pair *want = &m->cookies.items[i];
		struct slice value;

		if (!http_head_cookie(head, want->name, &value) ||
		    (!want->any && !slice_eq(value, want->value)))
			return false;
	}
	return true;
}

bool match_method(const struct conf_match *m, struct slice method)
{
	for (size_t i = 0; i < m->methods.n; i++)
		if (slice_eq(m->methods.items[i], method))
			return true;
	return m->methods.n == 0;
}

unsigned int match_method_bits(const struct conf_match *m)
{
	static const struct slice names[] = {
		[HTTP_GET] = SLICE_INIT("GET"),		[HTTP_HEAD] = SLICE_INIT("HEAD"),
		[HTTP_POST] = SLICE_INIT("POST"),	[HTTP_PUT] = SLICE_INIT("PUT"),
		[HTTP_DELETE] = SLICE_INIT("DELETE"),	[HTTP_CONNECT] = SLICE_INIT("CONNECT"),
		[HTTP_OPTIONS] = SLICE_INIT("OPTIONS"), [HTTP_TRACE] = SLICE_INIT("TRACE"),
		[HTTP_PATCH] = SLICE_INIT("PATCH"),
	};
	unsigned int bits = 0;

	for (size_t i = HTTP_GET; i < sizeof(names) / sizeof(names[0]); i++)
		if (match_method(m, names[i]))
			bits |= 1U << i;
	return bits;
}
