/* SPDX-License-Identifier: Apache-2.0 */
/* Every option of a configuration file, the filters' included, has what the manual needs: a sentence, and a form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/load.h"
#include "filter/filter.h"

/* How many options the manual could not describe; their names go to standard error. */
static size_t missing(const struct conf_table *t, const char *of, size_t *n)
{
	size_t found = 0;

	for (const struct conf_option *o = t->options; o->name; o++) {
		size_t len = o->help ? strlen(o->help) : 0;

		++*n;
		if (len < 4 || o->help[len - 1] != '.' || strlen(o->name) > 20 ||
		    (o->type == CONF_CUSTOM && !o->form)) {
			fprintf(stderr, "%s: %s: no .help with a full stop, or no .form\n", of,
				o->name);
			found++;
		}
		if (o->table)
			found += missing(o->table, o->name, n);
	}
	return found;
}

static void all_have_help(void **state)
{
	size_t n = 0;

	(void)state;
	assert_int_equal(missing(&conf_file_table, "the file", &n), 0);
	assert_true(n > 50);
	for (const char *const *name = filter_names(); *name; name++)
		assert_int_equal(missing(filter_find(slice_str(*name))->options, *name, &n), 0);
	assert_true(n > 60);
}

static void what_is_missing_is_seen(void **state)
{
	static const struct conf_option inner[] = {
		{"no_full_stop", CONF_UINT, .help = "A number"},
		{"no_form", CONF_CUSTOM, .help = "A number."},
		{"right", CONF_CUSTOM, .form = "number", .help = "A number."},
		{0},
	};
	static const struct conf_table inner_table = {inner, 0, 0, 0};
	static const struct conf_option outer[] = {
		{"nothing", CONF_STRUCT, .table = &inner_table},
		{0},
	};
	static const struct conf_table table = {outer, 0, 0, 0};
	size_t n = 0;

	(void)state;
	assert_int_equal(missing(&table, "the test", &n), 3);
	assert_int_equal(n, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_have_help),
		cmocka_unit_test(what_is_missing_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
