/* SPDX-License-Identifier: Apache-2.0 */
/* The index finds what a walk over all prefixes finds. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>

#include "conf/cidr.h"
#include "conf/cidr_index.h"

#define N 200

struct item {
	struct conf_cidr cidr;
	int number;
};

/* Few bits, so that prefixes meet: of the first byte and the last. */
static struct conf_cidr any_cidr(void)
{
	struct conf_cidr cidr = {.family = rand() % 2 ? AF_INET : AF_INET6};
	int bits = cidr.family == AF_INET ? 32 : 128;
	static const int lengths[] = {0, 1, 3, 7, 8, 9, 24, 31, 32, 64, 127, 128};
	int length = lengths[rand() % 12];

	cidr.addr[0] = (uint8_t)(rand() % 8 << 5);
	cidr.addr[bits / 8 - 1] = (uint8_t)(rand() % 4);
	return conf_cidr_around(&cidr, (uint8_t)(length < bits ? length : bits));
}

static void check(const struct conf_cidr_index *index, const struct conf_cidr *cidr)
{
	const struct item *items = (const void *)index->items, *found;
	const struct conf_cidr *longest = NULL;
	bool touching = false;

	for (size_t i = 0; i < index->n; i++) {
		const struct conf_cidr *c = &items[i].cidr;

		touching |= conf_cidr_holds(c, cidr) || conf_cidr_holds(cidr, c);
		if (conf_cidr_holds(c, cidr) && (!longest || c->prefixlen > longest->prefixlen))
			longest = c;
	}
	found = conf_cidr_index_longest(index, cidr);
	assert_int_equal(!found, !longest);
	assert_true(!found || conf_cidr_compare(&found->cidr, longest) == 0);
	found = conf_cidr_index_touching(index, cidr);
	assert_int_equal(!found, !touching);
	assert_true(!found || conf_cidr_holds(&found->cidr, cidr) ||
		    conf_cidr_holds(cidr, &found->cidr));
}

static void test_random(void **state)
{
	struct conf_cidr_index index;
	struct item items[N];

	(void)state;
	srand(1);
	for (size_t n = 0; n < N; n = n * 2 + 1) {
		for (size_t i = 0; i < n; i++)
			items[i] = (struct item){any_cidr(), (int)i};
		conf_cidr_index_init(&index, items, n, sizeof(*items));
		for (int i = 0; i < 500; i++) {
			struct conf_cidr cidr = any_cidr();

			check(&index, &cidr);
		}
	}
}

/* A walk over all for each would take minutes. */
static void test_many(void **state)
{
	enum { MANY = 1 << 18 };
	struct conf_cidr *items = calloc(MANY, sizeof(*items));
	struct conf_cidr_index index;

	(void)state;
	assert_non_null(items);
	for (uint32_t i = 0; i < MANY; i++)
		items[i] = (struct conf_cidr){
			.family = AF_INET,
			.prefixlen = 32,
			.addr = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
	conf_cidr_index_init(&index, items, MANY, sizeof(*items));
	for (uint32_t i = 0; i < MANY; i++) {
		struct conf_cidr other = items[i];

		assert_ptr_equal(conf_cidr_index_longest(&index, &items[i]), &items[i]);
		other.addr[0] = 11;
		assert_null(conf_cidr_index_touching(&index, &other));
	}
	free(items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
