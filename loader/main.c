/* SPDX-License-Identifier: Apache-2.0 */
/* sluice: the command line of the packet plane. table.c has its commands, here is how one is found. */
#include <getopt.h> /* optind */
#include <stdio.h>
#include <string.h>

#include "loader/command.h"

static void usage(FILE *to)
{
	fprintf(to, "usage: sluice COMMAND [OPTION]...\n\n");
	for (const struct command *c = commands; c->name; c++) {
		command_usage(c, "  sluice ", "  sluice ", to);
		fprintf(to, "      %s\n", c->help);
	}
	fprintf(to,
		"\n'sluice COMMAND --help' says more. Exit status: 0 done, 1 failed and nothing "
		"changed, 2 usage, 3 not attached or not on the list.\n");
}

static void help(const struct command *c)
{
	uint64_t accepted = c->options;

	command_usage(c, "usage: sluice ", "       sluice ", stdout);
	printf("%s\n", c->help);
	for (const struct command_action *a = c->actions; a && a->name; a++) {
		printf("  %s\n      %s\n", a->name, a->help);
		accepted |= a->options;
	}
	cmdline_help(&command_options, accepted, stdout);
}

static enum status bad_usage(const struct command *c, const char *what, const char *arg)
{
	fprintf(stderr, "sluice %s: %s%s%s\n", c->name, what, arg ? ": " : "", arg ? arg : "");
	command_usage(c, "usage: sluice ", "       sluice ", stderr);
	return STATUS_USAGE;
}

/* The action stands among the options. */
static const struct command_action *find_action(const struct command *c, int argc, char **argv)
{
	for (const struct command_action *a = c->actions; a && a->name; a++)
		if (optind < argc && strcmp(argv[optind], a->name) == 0)
			return a;
	return NULL;
}

static enum status run(const struct command *c, int argc, char **argv)
{
	size_t min = c->min_args, max = c->max_args;
	struct options o = {.family = c->name};
	const struct command_action *a;
	struct error err = {0};
	uint64_t given = 0;
	int rc = cmdline_parse(&command_options, argc, argv, &o, &given, &err);

	if (rc == CMDLINE_HELP) {
		help(c);
		return STATUS_DONE;
	}
	a = find_action(c, argc, argv);
	if (rc == CMDLINE_DONE)
		rc = cmdline_check(&command_options, given, c->options | (a ? a->options : 0),
				   c->required, &err);
	if (rc < 0)
		return bad_usage(c, err.text, NULL);
	if (c->actions && !a)
		return bad_usage(c, optind < argc ? "no such action" : "an action is missing",
				 argv[optind]);
	if (a) {
		min = a->min_args;
		max = a->max_args;
		o.action = argv[optind++];
	}
	o.args = argv + optind;
	o.n_args = (size_t)(argc - optind);
	if (o.n_args < min && !o.input)
		return bad_usage(c, "an argument is missing", NULL);
	if (o.n_args > max)
		return bad_usage(c, "not expected", o.args[max]);
	return c->run(&o);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return STATUS_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return STATUS_DONE;
	}
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(argv[1], c->name) == 0)
			return (int)run(c, argc - 1, argv + 1);
	fprintf(stderr, "sluice: no command '%s' (sluice --help)\n", argv[1]);
	return STATUS_USAGE;
}
