/* SPDX-License-Identifier: Apache-2.0 */
/* From the file's limits to the policy, and back to what people read. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "edge/limits.h"

static struct policy fill(const struct conf_edge *conf)
{
	struct policy p = {0};

	edge_limits_fill(&p, conf);
	return p;
}

static void test_none(void **state)
{
	struct conf_edge conf = {.rate_limit = {.ipv4_prefix = 32, .ipv6_prefix = 64}};
	struct policy p = fill(&conf);

	(void)state;
	assert_int_equal(p.metered, 0);
	assert_int_equal(p.tiers, 0);
	assert_int_equal(p.ipv4_ignored, 0);
	assert_int_equal(p.ipv6_ignored, 0);
	assert_int_equal(edge_limit_rate(LIMIT_PACKETS, &p.port[LIMIT_PACKETS]), 0);
}

static void test_rates_there_and_back(void **state)
{
	static const uint64_t rates[] = {1, 3, 999, 2000, 1000000, 20000000};
	static const uint64_t bytes[] = {1024, 1025, 1500000, 10 << 20, 1 << 30};
	struct conf_edge conf = {.rate_limit = {.ipv4_prefix = 32, .ipv6_prefix = 64}};

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct conf_limit *limit = &conf.limits.source.of[CONF_LIMIT_UDP];
		struct policy p;

		*limit = (struct conf_limit){true, rates[i], 2 * rates[i]};
		p = fill(&conf);
		assert_int_equal(edge_limit_rate(LIMIT_UDP, &p.tier[0].limit[LIMIT_UDP]), rates[i]);
		assert_int_equal(edge_limit_burst(LIMIT_UDP, &p.tier[0].limit[LIMIT_UDP]),
				 2 * rates[i]);
		assert_int_equal(p.metered, 1 << LIMIT_UDP);
		assert_int_equal(p.port_metered, 0);
	}
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		struct conf_limit *limit = &conf.limits.port.of[CONF_LIMIT_BYTES];
		uint64_t rate;
		struct policy p;

		*limit = (struct conf_limit){true, bytes[i], 2 * bytes[i]};
		p = fill(&conf);
		rate = edge_limit_rate(LIMIT_BYTES, &p.port[LIMIT_BYTES]);
		assert_in_range(rate, bytes[i] - bytes[i] / 1000, bytes[i] + bytes[i] / 1000);
		assert_in_range(edge_limit_burst(LIMIT_BYTES, &p.port[LIMIT_BYTES]), 2 * bytes[i],
				2 * bytes[i] + 1023);
		assert_int_equal(p.port_metered, 1 << LIMIT_BYTES);
	}
}

/* A bucket that empties within two ticks needs the exact clock; one such anywhere is enough. */
static void test_clock(void **state)
{
	struct conf_tier tier = {.name = SLICE("quick")};
	struct conf_edge conf = {
		.rate_limit = {.ipv4_prefix = 20, .ipv6_prefix = 48}, .tiers = &tier, .n_tiers = 1};

	(void)state;
	conf.limits.source.of[CONF_LIMIT_PACKETS] = (struct conf_limit){true, 1000, 20};
	assert_int_equal(fill(&conf).exact_clock, 0);
	assert_int_equal(fill(&conf).ipv4_ignored, 12);
	assert_int_equal(fill(&conf).ipv6_ignored, 0xffff);
	tier.limits.of[CONF_LIMIT_SYNS] = (struct conf_limit){true, 1000, 19};
	assert_int_equal(fill(&conf).exact_clock, 1);
}

static void test_tier_says_the_rest_as_everybody(void **state)
{
	struct conf_tier tier = {.name = SLICE("partners")};
	struct conf_edge conf = {
		.rate_limit = {.ipv4_prefix = 32, .ipv6_prefix = 64}, .tiers = &tier, .n_tiers = 1};
	struct policy p;

	(void)state;
	conf.limits.source.of[CONF_LIMIT_PACKETS] = (struct conf_limit){true, 100, 200};
	conf.limits.source.of[CONF_LIMIT_SYNS] = (struct conf_limit){true, 10, 20};
	conf.limits.source.of[CONF_LIMIT_ICMP] = (struct conf_limit){true, 10, 20};
	tier.limits.of[CONF_LIMIT_PACKETS] = (struct conf_limit){true, 1000, 2000};
	tier.limits.of[CONF_LIMIT_SYNS] = (struct conf_limit){.given = true}; /* 0/s */
	p = fill(&conf);
	assert_int_equal(p.tiers, 1);
	assert_string_equal(p.tier[1].name, "partners");
	assert_int_equal(edge_limit_rate(LIMIT_PACKETS, &p.tier[1].limit[LIMIT_PACKETS]), 1000);
	assert_int_equal(edge_limit_rate(LIMIT_SYNS, &p.tier[1].limit[LIMIT_SYNS]), 0);
	assert_int_equal(edge_limit_rate(LIMIT_ICMP, &p.tier[1].limit[LIMIT_ICMP]), 10);
	assert_int_equal(edge_limit_rate(LIMIT_PACKETS, &p.tier[0].limit[LIMIT_PACKETS]), 100);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(edge_limit_name(LIMIT_PACKETS), "packets");
	assert_string_equal(edge_limit_name(LIMIT_FRAGMENTS), "fragments");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_rates_there_and_back),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_tier_says_the_rest_as_everybody),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
