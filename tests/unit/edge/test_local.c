/* SPDX-License-Identifier: Apache-2.0 */
/* What is this host's, by devices that stand on each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "edge/local.h"

#define LINK(number, name_, kind_, last, ...)                                                      \
	{                                                                                          \
		.index = number, .name = name_, .kind = kind_, .has_mac = true,                    \
		.mac = {2, 0, 0, 0, 0, last}, __VA_ARGS__                                          \
	}

#define LINKS(var, ...)                                                                            \
	struct link var##_items[] = {__VA_ARGS__};                                                 \
	const struct links var = {var##_items, sizeof(var##_items) / sizeof(struct link)}

/* The last bytes of the addresses, in their order. */
static void expect_macs(const struct links *all, int index, const char *text)
{
	char got[LOCAL_MACS * 4 + 1] = "";
	struct local local;

	assert_true(local_find(all, index, &local));
	for (size_t i = 0; i < local.macs; i++)
		sprintf(got + strlen(got), "%s%u", i ? " " : "", local.mac[i].addr[5]);
	assert_string_equal(got, text);
}

static void expect_routes(const struct links *all, int index, uint32_t route4, uint32_t route6)
{
	struct local local;

	assert_true(local_find(all, index, &local));
	assert_int_equal(local.route4, route4);
	assert_int_equal(local.route6, route6);
}

static void test_a_card_alone(void **state)
{
	LINKS(all, LINK(1, "lo", "", 0), LINK(3, "eth1", "", 3), LINK(2, "eth0", "", 2));
	struct local local;

	(void)state;
	expect_macs(&all, 2, "2");
	expect_macs(&all, 1, "0");
	expect_routes(&all, 2, 0, 0);
	assert_false(local_find(&all, 7, &local));
	assert_int_equal(local.macs, 0);
}

static void test_what_stands_on_it(void **state)
{
	LINKS(all, LINK(9, "br7", "bridge", 7), LINK(2, "eth0", "", 2, .master = 4),
	      LINK(4, "br0", "bridge", 4), LINK(5, "vnet0", "tun", 5, .master = 4),
	      LINK(6, "br0.7", "vlan", 4, .below = 4, .master = 9),
	      LINK(8, "vrrp.1", "macvlan", 8, .below = 4),
	      LINK(10, "macvtap0", "macvtap", 10, .below = 2),
	      LINK(11, "vxlan1", "vxlan", 11, .below = 2));

	(void)state;
	/* Not those of machines: of a bridge's other members, of a macvtap; nor of a tunnel's end. */
	expect_macs(&all, 2, "2 7 4 8");
	expect_macs(&all, 4, "4 7 8");
}

static void test_members_that_answer_by_themselves(void **state)
{
	LINKS(all, LINK(2, "eth0", "", 2, .master = 4), LINK(3, "eth1", "", 3, .master = 4),
	      LINK(4, "bond0", "bond", 2), LINK(5, "eth2", "", 5, .master = 6),
	      LINK(6, "ovs-system", "openvswitch", 6), LINK(7, "br-ex", "openvswitch", 7),
	      LINK(8, "eth3", "", 8));

	(void)state;
	expect_macs(&all, 4, "2 3");
	expect_macs(&all, 3, "3 2");
	expect_macs(&all, 5, "5 6 7");
	expect_macs(&all, 8, "8");
}

static void test_more_than_fit_are_not_known(void **state)
{
	struct link items[LOCAL_MACS + 2] = {LINK(1, "eth0", "", 1, .forwards4 = true)};
	struct links all = {items, LOCAL_MACS};

	(void)state;
	for (int i = 1; i < LOCAL_MACS + 2; i++)
		items[i] = (struct link)LINK(i + 1, "", "macvlan", (uint8_t)(i + 1), .below = 1);
	expect_macs(&all, 1, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16");
	all.n++;
	expect_macs(&all, 1, "");
	expect_routes(&all, 1, 1, 0);
	/* One that has the same does not count twice. */
	items[LOCAL_MACS].mac[5] = 1;
	expect_macs(&all, 1, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16");
	items[0].has_mac = false;
	expect_macs(&all, 1, "");
}

static void test_routes(void **state)
{
	LINKS(all, LINK(1, "lo", "", 0, .forwards6 = true), LINK(2, "eth0", "", 2, .master = 4),
	      LINK(3, "eth1", "", 3, .forwards4 = true),
	      LINK(4, "br0", "bridge", 2, .forwards4 = true));

	(void)state;
	/* Of IPv4 by what takes the packet; of IPv6, when any does. */
	expect_routes(&all, 2, 4, 1);
	expect_routes(&all, 3, 3, 1);
	expect_routes(&all, 1, 0, 1);
	all_items[1].forwards4 = all_items[1].forwards6 = true;
	expect_routes(&all, 2, 2, 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_card_alone),
		cmocka_unit_test(test_what_stands_on_it),
		cmocka_unit_test(test_members_that_answer_by_themselves),
		cmocka_unit_test(test_more_than_fit_are_not_known),
		cmocka_unit_test(test_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
