/* SPDX-License-Identifier: Apache-2.0 */
/* Heads and chunks: no read past the end, and a head in pieces parses as it does whole. */
#include <assert.h>
#include <stdint.h>

#include "http/chunked.h"
#include "http/h1.h"
#include "http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_head head;

static void paths(void)
{
	char out[4096];
	char again[4096];
	struct slice path, second;

	if (head.path.len > sizeof(out) || head.path.ptr[0] != '/' ||
	    uri_normalize(head.path, out, &path) == URI_BAD)
		return;
	/* Normal form is a fixed point: nobody behind us reads it differently. */
	assert(path.len && path.ptr[0] == '/');
	assert(uri_normalize(path, again, &second) != URI_BAD);
	assert(slice_eq(path, second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size);
	struct slice part;
	struct chunked c;
	size_t used;

	if (h1_parse_request(&head, in, &used) == H1_OK) {
		size_t shorter;

		assert(used <= size);
		paths();
		assert(h1_parse_request(&head, slice_first(in, used - 1), &shorter) == H1_PARTIAL);
		assert(h1_parse_request(&head, slice_first(in, used), &shorter) == H1_OK);
		assert(shorter == used);
	}
	h1_parse_response(&head, in, &used);
	chunked_init(&c);
	for (;;) {
		enum chunked_event e = chunked_next(&c, &in, &part);

		if (e == CHUNKED_MORE || e == CHUNKED_END || e == CHUNKED_BAD)
			return 0;
	}
}
