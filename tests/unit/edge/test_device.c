/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of devices that stand on others. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "edge/device.h"

static const struct device card = {.name = "eth0", .ethernet = true};
static const struct device vlan = {
	.name = "eth0.7", .kind = "vlan", .ethernet = true, .lower = {"eth0"}, .n_lower = 1};
static const struct device bond = {
	.name = "bond0", .kind = "bond", .ethernet = true, .lower = {"eth0", "eth1"}, .n_lower = 2};
static const struct device bridge = {
	.name = "br0", .kind = "bridge", .ethernet = true, .lower = {"eth0"}, .n_lower = 1};

static void expect(const struct device *d, enum conf_xdp_mode asked, enum conf_xdp_mode obtained,
		   int errnum, const char *text)
{
	char got[DEVICE_TEXT];

	device_explain(d, asked, obtained, errnum, got);
	assert_string_equal(got, text);
}

static void test_what_was_asked_for_needs_no_words(void **state)
{
	(void)state;
	expect(&card, CONF_XDP_AUTO, CONF_XDP_NATIVE, 0, "");
	expect(&card, CONF_XDP_NATIVE, CONF_XDP_NATIVE, 0, "");
	expect(&vlan, CONF_XDP_GENERIC, CONF_XDP_GENERIC, 0, "");
	expect(&bond, CONF_XDP_AUTO, CONF_XDP_NATIVE, 0, "");
}

static void test_auto_that_became_generic(void **state)
{
	(void)state;
	expect(&card, CONF_XDP_AUTO, CONF_XDP_GENERIC, EINVAL,
	       "eth0: its driver takes no native program as it is set up now (Invalid argument), "
	       "so "
	       "the guard runs in generic mode");
	expect(&vlan, CONF_XDP_AUTO, CONF_XDP_GENERIC, EOPNOTSUPP,
	       "eth0.7 is a VLAN device, which takes no native program, so the guard runs in "
	       "generic mode; eth0 below it may take one, and the guard there reads up to two "
	       "tags");
	expect(&bond, CONF_XDP_AUTO, CONF_XDP_GENERIC, EOPNOTSUPP,
	       "bond0 is a bond, which takes a native program when all of its members do (eth0, "
	       "eth1); they do not (Operation not supported), so the guard runs in generic mode");
	expect(&bridge, CONF_XDP_AUTO, CONF_XDP_GENERIC, EOPNOTSUPP,
	       "br0 is a bridge on eth0 and takes no native program (Operation not supported), so "
	       "the guard runs in generic mode");
}

static void test_native_that_is_not_to_be_had(void **state)
{
	(void)state;
	expect(&vlan, CONF_XDP_NATIVE, CONF_XDP_AUTO, EOPNOTSUPP,
	       "eth0.7 is a VLAN device, which takes no native program, and --mode generic works "
	       "on "
	       "every Ethernet interface; eth0 below it may take one, and the guard there reads up "
	       "to two tags");
	expect(&card, CONF_XDP_NATIVE, CONF_XDP_AUTO, EOPNOTSUPP,
	       "eth0: its driver takes no native program as it is set up now (Operation not "
	       "supported), and --mode generic works on every Ethernet interface");
}

static void test_every_text_fits(void **state)
{
	struct device big = bond;
	char got[DEVICE_TEXT];

	(void)state;
	big.n_lower = DEVICE_LOWERS;
	memset(big.name, 'n', sizeof(big.name) - 1);
	for (size_t i = 0; i < DEVICE_LOWERS; i++)
		memset(big.lower[i], 'm', sizeof(big.lower[i]) - 1);
	device_explain(&big, CONF_XDP_AUTO, CONF_XDP_GENERIC, EOPNOTSUPP, got);
	assert_non_null(strstr(got, "so the guard runs in generic mode"));
}

static void test_loopback_is_read(void **state)
{
	struct error err = {0};
	struct device d;

	(void)state;
	assert_int_equal(device_read("lo", &d, &err), 0);
	assert_string_equal(d.name, "lo");
	assert_true(d.ethernet);
	assert_string_equal(d.kind, "");
	assert_int_equal(d.n_lower, 0);
	assert_string_equal(d.master, "");
	assert_int_equal(device_read("nowhere0", &d, &err), -ENODEV);
	assert_string_equal(err.text, "there is no interface 'nowhere0'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_asked_for_needs_no_words),
		cmocka_unit_test(test_auto_that_became_generic),
		cmocka_unit_test(test_native_that_is_not_to_be_had),
		cmocka_unit_test(test_every_text_fits),
		cmocka_unit_test(test_loopback_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
