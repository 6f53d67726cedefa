/* SPDX-License-Identifier: Apache-2.0 */
/* What text_clean makes of bytes: one line of UTF-8 that fits. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/text.h"

#define expect(size, in, want)                                                                     \
	do {                                                                                       \
		char out[64];                                                                      \
                                                                                                   \
		memset(out, 'x', sizeof(out));                                                     \
		text_clean(out, size, SLICE(in));                                                  \
		assert_string_equal(out, want);                                                    \
		for (size_t i = strlen(want); i < (size); i++)                                     \
			assert_int_equal(out[i], 0);                                               \
		assert_int_equal(out[size], 'x');                                                  \
	} while (0)

static void test_clean(void **state)
{
	(void)state;
	expect(16, "", "");
	expect(1, "abc", "");
	expect(16, "scans ssh", "scans ssh");
	expect(16, "a\nb\tc\0d\x7f", "a b c d ");
	expect(16, "a\xc2\x85z", "a z"); /* next line, U+0085 */
	expect(16, "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
	expect(16, "gr\xfc\xdf", "gr??");
	expect(16, "\xed\xa0\x80", "???"); /* a surrogate */
}

static void test_cut(void **state)
{
	(void)state;
	expect(4, "abcdef", "abc");
	expect(4, "ab\xc3\xbc", "ab");
	expect(5, "ab\xc3\xbc", "ab\xc3\xbc");
	expect(5, "a\xf0\x9f\x98\x80", "a");
	expect(3,
	       "ab\xc3\xbc"
	       "c",
	       "ab"); /* nor what would fit behind it */
	expect(16, "ab\xc3", "ab?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
