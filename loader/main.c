/* SPDX-License-Identifier: Apache-2.0 */
/* sluice: the command line of the packet plane. A table of subcommands, one way to read options. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "edge/edge.h"
#include "loader/command.h"

struct command {
	const char *name;
	const char *args;
	const char *help;
	enum status (*run)(const struct options *o);
	const char *accepts; /* of the options: i, m, c, j, f */
	size_t min_args;
	size_t max_args;
};

static const struct command commands[] = {
	{"attach", "[--interface IF] [--mode auto|native|generic] [--fix-sysctl] -c FILE [--json]",
	 "Attach the guard with FILE's policy to IF, or to all interfaces that FILE names.",
	 cmd_attach, "imcjf", 0, 0},
	{"detach", "[--interface IF] [--json]",
	 "Detach it from IF, or from all, and forget its lists.", cmd_detach, "ij", 0, 0},
	{"apply", "[--interface IF] -c FILE [--json]",
	 "Put FILE's lists, ports and policy in place of those attached; what was added by hand "
	 "stays.",
	 cmd_apply, "icj", 0, 0},
	{"upgrade", "[--interface IF] [--json]",
	 "Put this build's program in place of the attached one; lists, policy and counters stay.",
	 cmd_upgrade, "ij", 0, 0},
	{"status", "[--interface IF] [--json]",
	 "What is attached, how, since when, with what policy.", cmd_status, "ij", 0, 0},
	{"deny", "add|del ADDRESS... | list | flush  [--interface IF] [--json]",
	 "Change or show the deny list: addresses and prefixes, IPv4 and IPv6.", cmd_list, "ij", 1,
	 SIZE_MAX},
	{"allow", "add|del ADDRESS... | list | flush  [--interface IF] [--json]",
	 "The same for the allow list, which comes before everything else.", cmd_list, "ij", 1,
	 SIZE_MAX},
	{"stats", "[--interface IF] [--json]", "Packets and bytes by what became of them.",
	 cmd_stats, "ij", 0, 0},
	{"check", "-c FILE [--json]", "Check a configuration file, as sluiced would.", cmd_check,
	 "cj", 0, 0},
};

static void usage(FILE *to)
{
	fprintf(to, "usage: sluice COMMAND [OPTION]...\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  sluice %s %s\n      %s\n", commands[i].name, commands[i].args,
			commands[i].help);
	fprintf(to, "\nExit status: 0 done, 1 failed and nothing changed, 2 usage, 3 not attached "
		    "or not "
		    "on the list.\n");
}

static enum status bad_usage(const struct command *c, const char *what, const char *arg)
{
	fprintf(stderr, "sluice %s: %s%s%s\nusage: sluice %s %s\n", c->name, what, arg ? ": " : "",
		arg ? arg : "", c->name, c->args);
	return STATUS_USAGE;
}

enum status command_fail(const struct error *err)
{
	fprintf(stderr, "sluice: %s\n", err->text);
	return err->code == ENOENT ? STATUS_NOT_FOUND : STATUS_FAILED;
}

struct each {
	int (*fn)(const char *name, void *arg);
	void *arg;
	size_t n;
};

static int count_and_call(const char *name, void *arg)
{
	struct each *e = arg;

	e->n++;
	return e->fn(name, e->arg);
}

int command_each(const struct options *o, int (*fn)(const char *name, void *arg), void *arg,
		 struct error *err)
{
	struct each e = {fn, arg, 0};
	int rc;

	if (o->interface)
		return fn(o->interface, arg);
	rc = edge_each(count_and_call, &e, err);
	if (rc == 0 && e.n == 0)
		return error_set(err, ENOENT, "the guard is not attached to any interface");
	return rc;
}

static bool parse_mode(const char *text, struct options *o)
{
	static const char *const modes[] = {"auto", "native", "generic"};

	for (size_t i = 0; i < 3; i++)
		if (strcmp(text, modes[i]) == 0) {
			o->mode = (enum conf_xdp_mode)i;
			o->mode_given = true;
			return true;
		}
	return false;
}

static enum status run(const struct command *c, int argc, char **argv)
{
	static const struct option names[] = {
		{"interface", required_argument, NULL, 'i'},
		{"mode", required_argument, NULL, 'm'},
		{"config", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'},
		{"fix-sysctl", no_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct options o = {.family = c->name};
	int opt;

	while ((opt = getopt_long(argc, argv, "i:m:c:jfh", names, NULL)) != -1) {
		if (opt == 'h') {
			printf("usage: sluice %s %s\n%s\n", c->name, c->args, c->help);
			return STATUS_DONE;
		}
		if (opt == '?')
			return bad_usage(c, "what stands above", NULL);
		if (!strchr(c->accepts, opt))
			return bad_usage(c, "this option means nothing here", argv[optind - 1]);
		if (opt == 'i')
			o.interface = optarg;
		if (opt == 'c')
			o.file = optarg;
		if (opt == 'j')
			o.json = true;
		if (opt == 'f')
			o.fix_sysctl = true;
		if (opt == 'm' && !parse_mode(optarg, &o))
			return bad_usage(c, "no such mode", optarg);
	}
	o.args = argv + optind;
	o.n_args = (size_t)(argc - optind);
	if (o.n_args < c->min_args)
		return bad_usage(c, "an argument is missing", NULL);
	if (o.n_args > c->max_args)
		return bad_usage(c, "not expected", o.args[c->max_args]);
	if (strchr(c->accepts, 'c') && !o.file)
		return bad_usage(c, "-c FILE is missing", NULL);
	if (o.interface &&
	    (!*o.interface || strlen(o.interface) >= IF_NAMESIZE || strpbrk(o.interface, "/: ")))
		return bad_usage(c, "not an interface's name", o.interface);
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
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return (int)run(&commands[i], argc - 1, argv + 1);
	fprintf(stderr, "sluice: no command '%s' (sluice --help)\n", argv[1]);
	return STATUS_USAGE;
}
