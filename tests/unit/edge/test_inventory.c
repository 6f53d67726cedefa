/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of the kernel is what libbpf's probes find; here they find what the test says. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <string.h>

#include <bpf/libbpf.h>

#include "edge/inventory.h"

static int helpers, ring_buffers;

/* In place of the library's. */
int libbpf_probe_bpf_helper(enum bpf_prog_type type, enum bpf_func_id id, const void *opts)
{
	(void)id;
	(void)opts;
	assert_int_equal(type, BPF_PROG_TYPE_XDP);
	return helpers;
}

int libbpf_probe_bpf_map_type(enum bpf_map_type type, const void *opts)
{
	(void)opts;
	assert_int_equal(type, BPF_MAP_TYPE_RINGBUF);
	return ring_buffers;
}

static bool found(const char *name)
{
	for (const struct edge_feature *f = edge_features(); f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f->found;
	fail_msg("%s is not named", name);
	return false;
}

static void test_features_are_probed(void **state)
{
	static const char *const of_helpers[] = {"bpf_loop", "ktime_get_coarse_ns",
						 "skc_lookup_tcp", "tcp_gen_syncookie",
						 "tcp_raw_gen_syncookie"};

	(void)state;
	for (helpers = -1; helpers <= 1; helpers++) { /* an error is not a yes */
		for (size_t i = 0; i < sizeof(of_helpers) / sizeof(of_helpers[0]); i++)
			assert_int_equal(found(of_helpers[i]), helpers == 1);
		ring_buffers = -helpers;
		assert_int_equal(found("ringbuf"), helpers == -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features_are_probed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
