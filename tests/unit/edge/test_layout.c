/* SPDX-License-Identifier: Apache-2.0 */
/* What counts as the same layout: types made here, as an old and a new version would have them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <bpf/btf.h>
#include <cmocka.h>

#include "edge/layout.h"

/* struct entry { enum origin origin; u32 until; struct pair { u32 a, b } pairs[n]; }; and what differs. */
struct version {
	const char *first, *second; /* of pair */
	uint32_t n;
	int operator_is; /* the enumerator's number */
	bool is_signed;	 /* until */
	bool is_more;	 /* a member behind the others */
	bool is_typedef; /* a name in between */
	bool is_unused;	 /* until */
};

static const struct version plain = {.first = "a", .second = "b", .n = 2};

static int make(const struct version *v, struct btf **ret)
{
	struct btf *btf = btf__new_empty();
	int u32 = btf__add_int(btf, "u32", 4, 0);
	int s32 = btf__add_int(btf, "s32", 4, BTF_INT_SIGNED);
	int name = v->is_typedef ? btf__add_typedef(btf, "number", u32) : u32;
	int origin = btf__add_enum(btf, "origin", 4);
	int pair, pairs;

	btf__add_enum_value(btf, "OPERATOR", v->operator_is);
	pair = btf__add_struct(btf, "pair", 8);
	btf__add_field(btf, v->first, name, 0, 0);
	btf__add_field(btf, v->second, u32, 32, 0);
	pairs = btf__add_array(btf, u32, pair, v->n);
	*ret = btf;
	pair = btf__add_struct(btf, "entry", 8 + 8 * v->n + (v->is_more ? 4 : 0));
	btf__add_field(btf, "origin", origin, 0, 0);
	btf__add_field(btf, v->is_unused ? "unused" : "until", v->is_signed ? s32 : u32, 32, 0);
	btf__add_field(btf, "pairs", pairs, 64, 0);
	if (v->is_more)
		btf__add_field(btf, "more", u32, 64 + 64 * v->n, 0);
	return pair;
}

static bool same(const struct version *a, const struct version *b, bool may_grow,
		 char where[LAYOUT_WHERE])
{
	struct btf *old, *now;
	uint32_t from = (uint32_t)make(a, &old);
	uint32_t to = (uint32_t)make(b, &now);
	bool is = layout_same((struct layout){old, from}, (struct layout){now, to}, may_grow,
			      where);

	btf__free(old);
	btf__free(now);
	return is;
}

static void same_is_same(void **state)
{
	struct version named = plain;
	char where[LAYOUT_WHERE];

	(void)state;
	named.is_typedef = true;
	assert_true(same(&plain, &plain, false, where));
	assert_true(same(&plain, &named, false, where));
}

static void differences_are_named(void **state)
{
	static const struct {
		struct version v;
		const char *where;
	} rows[] = {
		{{"b", "a", 2, 0, 0, 0, 0, 0}, "entry.pairs.a"},
		{{"a", "c", 2, 0, 0, 0, 0, 0}, "entry.pairs.b"},
		{{"a", "b", 3, 0, 0, 0, 0, 0}, "entry.pairs"},
		{{"a", "b", 2, 1, 0, 0, 0, 0}, "entry.origin"},
		{{"a", "b", 2, 0, 1, 0, 0, 0}, "entry.until"},
		{{"a", "b", 2, 0, 0, 1, 0, 0}, "entry"},
	};
	char where[LAYOUT_WHERE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_false(same(&plain, &rows[i].v, false, where));
		assert_string_equal(where, rows[i].where);
	}
}

/* Of what a map of maps holds, which has no types of its own: an array without elements in another map says them. */
static void empty_arrays_have_a_type(void **state)
{
	struct version none = plain, swapped = {.first = "b", .second = "a"};
	char where[LAYOUT_WHERE];

	(void)state;
	none.n = 0;
	assert_true(same(&none, &none, false, where));
	assert_false(same(&none, &swapped, false, where));
	assert_string_equal(where, "entry.pairs.a");
}

static void growth_is_one_way(void **state)
{
	struct version more = plain, wrong = plain;
	char where[LAYOUT_WHERE];

	(void)state;
	more.is_more = true;
	assert_true(same(&plain, &more, true, where));
	assert_false(same(&more, &plain, true, where));
	assert_string_equal(where, "entry.more");
	wrong.is_more = true;
	wrong.first = "b";
	wrong.second = "a";
	assert_false(same(&plain, &wrong, true, where));
	assert_string_equal(where, "entry.pairs.a");
}

/* What was unused can be used by another version, once it is copied. */
static void growth_into_unused_bytes(void **state)
{
	struct version unused = plain;
	char where[LAYOUT_WHERE];

	(void)state;
	unused.is_unused = true;
	assert_true(same(&unused, &plain, true, where));
	assert_false(same(&unused, &plain, false, where));
	assert_string_equal(where, "entry.unused");
	assert_false(same(&plain, &unused, true, where));
	assert_string_equal(where, "entry.until");
}

static void no_type_is_no_layout(void **state)
{
	struct btf *btf = btf__new_empty();
	char where[LAYOUT_WHERE];

	(void)state;
	assert_false(layout_same((struct layout){btf, 7}, (struct layout){btf, 7}, false, where));
	assert_string_equal(where, "");
	btf__free(btf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_is_same),
		cmocka_unit_test(differences_are_named),
		cmocka_unit_test(empty_arrays_have_a_type),
		cmocka_unit_test(growth_is_one_way),
		cmocka_unit_test(growth_into_unused_bytes),
		cmocka_unit_test(no_type_is_no_layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
