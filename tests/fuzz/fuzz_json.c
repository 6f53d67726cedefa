/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes become a JSON string that reads back, and that reading twice does not change. */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *read_back(struct slice in)
{
	struct buf b;
	json_t *root;

	buf_init(&b, JSON_ESCAPED_MAX(in.len) + 2);
	json_put(&b, in);
	assert(!b.failed);
	root = json_loadb(b.data + b.head, buf_len(&b), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert(root);
	buf_fini(&b);
	return root;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *once = read_back(slice_make((const char *)data, size));
	json_t *twice = read_back(slice_make(json_string_value(once), json_string_length(once)));

	assert(json_equal(once, twice));
	json_decref(once);
	json_decref(twice);
	return 0;
}
