/* SPDX-License-Identifier: Apache-2.0 */
/* Options by table: how they are stored, what is refused and in which words, and the usage line. */
#include <errno.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cmdline.h"

struct out {
	const char *file;
	bool json;
	int level;
};

static const char *parse_level(const char *value, void *out)
{
	if (strcmp(value, "high") != 0)
		return "no such level";
	((struct out *)out)->level = 2;
	return NULL;
}

enum { FILE_ROW, JSON_ROW, LEVEL_ROW, TEST_ROW };

static const struct cmdline_option options[] = {
	[FILE_ROW] = {"file", 'f', "FILE", offsetof(struct out, file), NULL, "A file."},
	[JSON_ROW] = {"json", 0, NULL, offsetof(struct out, json), NULL, "JSON."},
	[LEVEL_ROW] = {"level", 0, "low|high", 0, parse_level, "A level."},
	[TEST_ROW] = {NULL, 't', NULL, offsetof(struct out, json), NULL, "A letter only."},
};
static const struct cmdline table = {options, 4};

static struct out out;
static uint64_t given;
static struct error err;

static int parse(char *a, char *b, char *c)
{
	char *argv[] = {"program", a, b, c, NULL};
	int argc = 1;

	while (argv[argc])
		argc++;
	optind = 0;
	memset(&out, 0, sizeof(out));
	memset(&err, 0, sizeof(err));
	return cmdline_parse(&table, argc, argv, &out, &given, &err);
}

static void stores(void **state)
{
	(void)state;
	assert_int_equal(parse("--file=x", "arg", "--json"), CMDLINE_DONE);
	assert_string_equal(out.file, "x");
	assert_true(out.json);
	assert_int_equal(given, 1 << FILE_ROW | 1 << JSON_ROW);
	assert_int_equal(optind, 3); /* the argument has gone behind the options */
	assert_int_equal(parse("-fy", "-t", NULL), CMDLINE_DONE);
	assert_string_equal(out.file, "y");
	assert_int_equal(given, 1 << FILE_ROW | 1 << TEST_ROW);
	assert_int_equal(parse("--level", "high", NULL), CMDLINE_DONE);
	assert_int_equal(out.level, 2);
	assert_int_equal(parse("--", "--json", NULL), CMDLINE_DONE);
	assert_int_equal(given, 0);
	assert_int_equal(parse("-h", NULL, NULL), CMDLINE_HELP);
	assert_int_equal(parse("--json", "--help", NULL), CMDLINE_HELP);
}

static void refuses(void **state)
{
	static const struct {
		char *a, *b;
		const char *text;
	} rows[] = {
		{"-x", NULL, "no such option: -x"},
		{"-tx", NULL, "no such option: -x"},
		{"--other", NULL, "no such option: --other"},
		{"--json=1", NULL, "this option takes no argument: --json=1"},
		{"--file", NULL, "--file needs an argument"},
		{"-f", NULL, "-f needs an argument"},
		{"--level", "low", "no such level: low"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(rows[i].a, rows[i].b, NULL), -EINVAL);
		assert_string_equal(err.text, rows[i].text);
	}
}

static void checks(void **state)
{
	(void)state;
	assert_int_equal(cmdline_check(&table, 3, 3, 1, &err), 0);
	assert_int_equal(cmdline_check(&table, 1 << LEVEL_ROW | 1, 3, 1, &err), -EINVAL);
	assert_string_equal(err.text, "this option means nothing here: --level");
	assert_int_equal(cmdline_check(&table, 1 << JSON_ROW, 3, 1, &err), -EINVAL);
	assert_string_equal(err.text, "-f FILE is missing");
}

static void usage(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	(void)state;
	assert_non_null(to);
	cmdline_usage(&table, 15, 1 << LEVEL_ROW, to);
	fclose(to);
	assert_string_equal(text, " --level low|high [--file FILE] [--json] [-t]");
	free(text);
	to = open_memstream(&text, &len);
	assert_non_null(to);
	cmdline_help(&table, 11, to);
	fclose(to);
	assert_string_equal(text, "  -f, --file FILE\n      A file.\n"
				  "      --json\n      JSON.\n"
				  "  -t\n      A letter only.\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stores),
		cmocka_unit_test(refuses),
		cmocka_unit_test(checks),
		cmocka_unit_test(usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
