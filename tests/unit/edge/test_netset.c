/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of addresses as texts: what is an entry, what is none, and where it stands. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "edge/netset.h"

/* The entries as text, in their order. */
static void expect(const char *text, const char *want)
{
	struct feed_entries e = {0};
	char got[4096] = "";
	size_t at = 0;

	assert_int_equal(netset_parse(slice_str(text), 3, &e, NULL), 0);
	for (size_t i = 0; i < e.n; i++) {
		const struct feed_entry *x = &e.items[i];
		uint64_t half[2] = {htobe64(x->hi), htobe64(x->lo)};
		char addr[INET6_ADDRSTRLEN];

		assert_int_equal(x->set, 3);
		inet_ntop(x->family == 4 ? AF_INET : AF_INET6, half, addr, sizeof(addr));
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%s/%u", i ? " " : "", addr,
				       x->len);
	}
	feed_entries_fini(&e);
	assert_string_equal(got, want);
}

static void expect_error(const char *text, size_t len, const char *want)
{
	struct feed_entries e = {0};
	struct error err;

	assert_int_equal(netset_parse(slice_make(text, len), 0, &e, &err), -EINVAL);
	feed_entries_fini(&e);
	assert_string_equal(err.text, want);
}

#define ERROR(text, want) expect_error(text, sizeof(text) - 1, want)

static void test_entries(void **state)
{
	(void)state;
	expect("", "");
	expect("\n\n", "");
	expect("192.0.2.1", "192.0.2.1/32");
	expect("192.0.2.1\n192.0.2.0/24\n2001:db8::/32\n2001:db8::1\n0.0.0.0/0\n::/0\n",
	       "192.0.2.1/32 192.0.2.0/24 2001:db8::/32 2001:db8::1/128 0.0.0.0/0 ::/0");
	expect("\t 192.0.2.1 \r\n192.0.2.2\t\r\n", "192.0.2.1/32 192.0.2.2/32");
}

static void test_comments(void **state)
{
	(void)state;
	expect("# a list\n; another\n#\n192.0.2.1 # why\n192.0.2.0/24;SBL1\n  # 192.0.2.9\n",
	       "192.0.2.1/32 192.0.2.0/24");
}

static void test_ranges(void **state)
{
	(void)state;
	expect("192.0.2.1-192.0.2.1", "192.0.2.1/32");
	expect("192.0.2.0 - 192.0.2.255", "192.0.2.0/24");
	expect("192.0.2.1\t-\t192.0.2.8 # x",
	       "192.0.2.1/32 192.0.2.2/31 192.0.2.4/30 192.0.2.8/32");
	expect("0.0.0.0-255.255.255.255", "0.0.0.0/0");
	/* Of a file that an editor has begun with a byte order mark. */
	expect("\xef\xbb\xbf"
	       "192.0.2.1\n192.0.2.2",
	       "192.0.2.1/32 192.0.2.2/32");
	expect("0.0.0.0-127.255.255.255", "0.0.0.0/1");
	expect("255.255.255.254-255.255.255.255", "255.255.255.254/31");
	expect("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0");
	expect("8000::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "8000::/1");
	expect("2001:db8::-2001:db8:0:0:ffff:ffff:ffff:ffff", "2001:db8::/64");
	expect("2001:db8::ffff-2001:db8::1:0", "2001:db8::ffff/128 2001:db8::1:0/128");
}

static void test_errors(void **state)
{
	(void)state;
	ERROR("192.0.2.1\n\xef\xbb\xbf"
	      "192.0.2.2",
	      "2: '\xef\xbb\xbf"
	      "192.0.2.2' is not an address or prefix such as 10.0.0.0/8");
	ERROR("192.0.2.1\n\n192.0.2\n",
	      "3: '192.0.2' is not an address or prefix such as 10.0.0.0/8");
	ERROR("192.0.2.1/24", "1: '192.0.2.1/24' has bits set behind its prefix");
	ERROR("192.0.2.1/33", "1: '192.0.2.1/33' is not an address or prefix such as 10.0.0.0/8");
	ERROR("192.0.2.1 192.0.2.2",
	      "1: '192.0.2.1 192.0.2.2' is not an address or prefix such as 10.0.0.0/8");
	ERROR("192.0.2.2-192.0.2.1",
	      "1: '192.0.2.2-192.0.2.1' is a range that ends before it begins");
	ERROR("192.0.2.2-2001:db8::",
	      "1: '192.0.2.2-2001:db8::' is not a range such as 192.0.2.1-192.0.2.9");
	ERROR("192.0.2.0/24-192.0.3.0",
	      "1: '192.0.2.0/24-192.0.3.0' is not a range such as 192.0.2.1-192.0.2.9");
	ERROR("-", "1: '-' is not a range such as 192.0.2.1-192.0.2.9");
	ERROR("192.0.2.1\0.example", "1: '192.0.2.1' has a NUL byte");
	ERROR("<html>", "1: '<html>' is not an address or prefix such as 10.0.0.0/8");
}

/* However many prefixes a range is, they are its addresses and no others. */
static void test_worst_range(void **state)
{
	struct feed_entries e = {0};
	unsigned __int128 next = 1;

	(void)state;
	assert_int_equal(
		netset_parse(SLICE("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"), 0, &e, NULL), 0);
	assert_int_equal(e.n, 254);
	for (size_t i = 0; i < e.n; i++) {
		const struct feed_entry *x = &e.items[i];

		assert_true(((unsigned __int128)x->hi << 64 | x->lo) == next);
		next += (unsigned __int128)1 << (128 - x->len);
	}
	assert_true(next == ~(unsigned __int128)0);
	feed_entries_fini(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),	    cmocka_unit_test(test_comments),
		cmocka_unit_test(test_ranges),	    cmocka_unit_test(test_errors),
		cmocka_unit_test(test_worst_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
