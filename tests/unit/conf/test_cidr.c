/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and prefixes: what is taken, what is refused and why, and the way back to text. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "conf/cidr.h"

static void good(const char *text, const char *back, int family, unsigned int prefixlen)
{
	char out[CONF_CIDR_TEXT];
	struct conf_cidr cidr;

	assert_null(conf_cidr_parse(slice_str(text), &cidr));
	assert_int_equal(cidr.family, family);
	assert_int_equal(cidr.prefixlen, prefixlen);
	conf_cidr_format(&cidr, out);
	assert_string_equal(out, back);
}

static void bad(const char *text, const char *why)
{
	struct conf_cidr cidr = {.prefixlen = 77};

	assert_string_equal(conf_cidr_parse(slice_str(text), &cidr), why);
	assert_int_equal(cidr.prefixlen, 77); /* untouched on failure */
}

static void test_good(void **state)
{
	(void)state;
	good("192.0.2.1", "192.0.2.1", AF_INET, 32);
	good("192.0.2.1/32", "192.0.2.1", AF_INET, 32);
	good("10.0.0.0/8", "10.0.0.0/8", AF_INET, 8);
	good("0.0.0.0/0", "0.0.0.0/0", AF_INET, 0);
	good("2001:DB8::1", "2001:db8::1", AF_INET6, 128);
	good("2001:db8:bad::/48", "2001:db8:bad::/48", AF_INET6, 48);
	good("::/0", "::/0", AF_INET6, 0);
	good("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128",
	     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AF_INET6, 128);
}

static void test_bad(void **state)
{
	static const char *const texts[] = {
		"",
		"/",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/08",
		"10.0.0.0/ 8",
		"10.0.0.0/8/8",
		"10.0.0/8",
		"10.0.0.256",
		"10.0.0.0/-1",
		"::1/129",
		"::1/1000",
		"example.com",
		" 10.0.0.1",
		"1:2:3:4:5:6:7:8:9",
		"010.0.0.1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		bad(texts[i], "is not an address or prefix such as 10.0.0.0/8");
	assert_non_null(conf_cidr_parse(slice_make("10.0.0.1\0.2", 11), &(struct conf_cidr){0}));
	bad("10.0.0.1/8", "has bits set behind its prefix");
	bad("::1/64", "has bits set behind its prefix");
	bad("128.0.0.0/0", "has bits set behind its prefix");
}

static void test_order(void **state)
{
	struct conf_cidr a, b;

	(void)state;
	conf_cidr_parse(SLICE("10.0.0.0/8"), &a);
	conf_cidr_parse(SLICE("10.0.0.0/9"), &b);
	assert_true(conf_cidr_compare(&a, &b) < 0);
	assert_int_equal(conf_cidr_compare(&a, &a), 0);
	conf_cidr_parse(SLICE("::/8"), &b);
	assert_true(conf_cidr_compare(&a, &b) < 0);
	conf_cidr_parse(SLICE("9.0.0.0/8"), &b);
	assert_true(conf_cidr_compare(&a, &b) > 0);
}

static void test_holds(void **state)
{
	static const struct {
		const char *outer, *inner;
		bool holds;
	} cases[] = {
		{"10.0.0.0/8", "10.255.255.255", true},	 {"10.0.0.0/8", "11.0.0.0", false},
		{"10.0.0.0/8", "10.0.0.0/8", true},	 {"10.0.0.0/9", "10.0.0.0/8", false},
		{"10.64.0.0/10", "10.127.0.0/16", true}, {"10.64.0.0/10", "10.128.0.0/16", false},
		{"0.0.0.0/0", "10.0.0.1", true},	 {"::/0", "10.0.0.1", false},
		{"2001:db8::1", "2001:db8::1", true},	 {"2001:db8::1", "2001:db8::2", false},
		{"2001:db8::/127", "2001:db8::1", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf_cidr outer, inner;

		assert_null(conf_cidr_parse(slice_str(cases[i].outer), &outer));
		assert_null(conf_cidr_parse(slice_str(cases[i].inner), &inner));
		assert_int_equal(conf_cidr_holds(&outer, &inner), cases[i].holds);
	}
}

static void test_around(void **state)
{
	static const struct {
		const char *inner;
		uint8_t length;
		const char *around;
	} cases[] = {
		{"10.255.255.255", 8, "10.0.0.0/8"},
		{"10.127.1.2", 10, "10.64.0.0/10"},
		{"10.1.2.3", 32, "10.1.2.3"},
		{"10.1.2.3", 31, "10.1.2.2/31"},
		{"10.1.2.3", 0, "0.0.0.0/0"},
		{"2001:db8::ff", 128, "2001:db8::ff"},
		{"2001:db8::ff", 124, "2001:db8::f0/124"},
		{"2001:db8:1::1", 32, "2001:db8::/32"},
		{"ffff::1", 0, "::/0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf_cidr inner, around, want;

		assert_null(conf_cidr_parse(slice_str(cases[i].inner), &inner));
		assert_null(conf_cidr_parse(slice_str(cases[i].around), &want));
		around = conf_cidr_around(&inner, cases[i].length);
		assert_int_equal(conf_cidr_compare(&around, &want), 0);
	}
}

static void test_ports(void **state)
{
	static const char *const bad_ones[] = {"",	  "22",	     "tcp",	  "tcp/",
					       "tcp/0",	  "tcp/022", "tcp/65536", "TCP/22",
					       "sctp/22", "tcp/22/1"};
	struct conf_port port = {0};

	(void)state;
	assert_null(conf_port_parse(SLICE("tcp/22"), &port));
	assert_int_equal(port.protocol, IPPROTO_TCP);
	assert_int_equal(port.number, 22);
	assert_null(conf_port_parse(SLICE("udp/65535"), &port));
	assert_int_equal(port.protocol, IPPROTO_UDP);
	assert_int_equal(port.number, 65535);
	for (size_t i = 0; i < sizeof(bad_ones) / sizeof(bad_ones[0]); i++)
		assert_string_equal(conf_port_parse(slice_str(bad_ones[i]), &port),
				    "is not a port such as tcp/22 or udp/53");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),  cmocka_unit_test(test_bad),
		cmocka_unit_test(test_order), cmocka_unit_test(test_holds),
		cmocka_unit_test(test_ports), cmocka_unit_test(test_around),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
