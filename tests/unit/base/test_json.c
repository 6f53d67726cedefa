/* SPDX-License-Identifier: Apache-2.0 */
/* Strings that are escaped read back as what they were; jansson, which reads strictly, is the judge. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <jansson.h>
#include <stdlib.h>

#include "base/json.h"

/* What jansson reads from the escaped bytes, owned by *ret_root. */
static struct slice read_back(struct slice in, json_t **ret_root)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	json_put(&b, in);
	assert_false(b.failed);
	assert_true(buf_len(&b) <= JSON_ESCAPED_MAX(in.len) + 2);
	*ret_root = json_loadb(b.data + b.head, buf_len(&b), JSON_DECODE_ANY | JSON_ALLOW_NUL,
			       NULL);
	assert_non_null(*ret_root);
	buf_fini(&b);
	return slice_make(json_string_value(*ret_root), json_string_length(*ret_root));
}

static void expect(struct slice in, struct slice expected)
{
	json_t *root;

	assert_true(slice_eq(read_back(in, &root), expected));
	json_decref(root);
}

static void same(struct slice in)
{
	expect(in, in);
}

static void ascii_reads_back(void **state)
{
	char all[128 + 16];

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)(i & 127);
	/* Each byte at each place of a word of eight. */
	for (size_t from = 0; from < 16; from++)
		for (size_t len = 0; len + from <= sizeof(all); len++)
			same(slice_make(all + from, len));
	for (int c = 0; c < 128; c++) {
		char text[24];

		for (size_t at = 0; at < sizeof(text); at++) {
			memset(text, 'x', sizeof(text));
			text[at] = (char)c;
			same(slice_make(text, sizeof(text)));
		}
	}
}

static void utf8_passes(void **state)
{
	(void)state;
	same(SLICE("caf\xc3\xa9, \xe2\x82\xac, \xf0\x9f\x8c\x8a, \xf4\x8f\xbf\xbf, \xed\x9f\xbf"));
	same(SLICE("\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80"));
}

#define BAD "\xef\xbf\xbd"

static void other_bytes_are_replaced(void **state)
{
	(void)state;
	expect(SLICE("\xff"), SLICE(BAD));
	expect(SLICE("a\xe9z"), SLICE("a" BAD "z"));
	expect(SLICE("\xc3"), SLICE(BAD));			   /* cut off */
	expect(SLICE("\xe2\x82"), SLICE(BAD BAD));		   /* cut off */
	expect(SLICE("\xc0\xaf"), SLICE(BAD BAD));		   /* overlong */
	expect(SLICE("\xe0\x9f\xbf"), SLICE(BAD BAD BAD));	   /* overlong */
	expect(SLICE("\xf0\x8f\xbf\xbf"), SLICE(BAD BAD BAD BAD)); /* overlong */
	expect(SLICE("\xed\xa0\x80"), SLICE(BAD BAD BAD));	   /* a surrogate */
	expect(SLICE("\xf4\x90\x80\x80"), SLICE(BAD BAD BAD BAD)); /* beyond U+10FFFF */
	expect(SLICE("\xe2\x28\xa1"), SLICE(BAD "(" BAD));
}

static void any_bytes_are_valid_json(void **state)
{
	char text[64];
	json_t *root;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		size_t n = (size_t)random() % sizeof(text);

		for (size_t k = 0; k < n; k++)
			text[k] = (char)(random() % 4 ? random() : 'a' + random() % 26);
		read_back(slice_make(text, n), &root);
		json_decref(root);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ascii_reads_back),
		cmocka_unit_test(utf8_passes),
		cmocka_unit_test(other_bytes_are_replaced),
		cmocka_unit_test(any_bytes_are_valid_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
