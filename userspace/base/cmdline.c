/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cmdline.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>

#define MAX_OPTIONS 63
#define FROM_NAME   256 /* what getopt gives for a row without a letter: its number above this */
#define HELP	    (FROM_NAME + MAX_OPTIONS)

static void fill(const struct cmdline *c, struct option names[MAX_OPTIONS + 2],
		 char letters[2 * MAX_OPTIONS + 4])
{
	size_t n = 0;

	*letters++ = ':'; /* a missing argument is ':', and getopt prints nothing */
	*letters++ = 'h';
	for (size_t i = 0; i < c->n; i++) {
		const struct cmdline_option *o = &c->options[i];

		if (o->letter)
			*letters++ = o->letter;
		if (o->letter && o->arg)
			*letters++ = ':';
		if (o->name)
			names[n++] = (struct option){o->name, o->arg ? required_argument : 0, NULL,
						     FROM_NAME + (int)i};
	}
	*letters = '\0';
	names[n++] = (struct option){"help", no_argument, NULL, HELP};
	names[n] = (struct option){0};
}

static size_t find(const struct cmdline *c, int opt)
{
	size_t i;

	if (opt >= FROM_NAME)
		return (size_t)(opt - FROM_NAME);
	for (i = 0; i < c->n && c->options[i].letter != opt; i++)
		;
	return i;
}

static const char *store(const struct cmdline_option *o, const char *value, void *out)
{
	if (o->parse)
		return o->parse(value, out);
	if (o->arg)
		*(const char **)((char *)out + o->offset) = value;
	else
		*(bool *)((char *)out + o->offset) = true;
	return NULL;
}

/* -c or --config: by the letter where there is one, if wanted. */
static const char *shown(const struct cmdline_option *o, bool letter, char buf[32])
{
	if (o->letter && (letter || !o->name))
		snprintf(buf, 32, "-%c", o->letter);
	else
		snprintf(buf, 32, "--%s", o->name);
	return buf;
}

static int bad_option(int opt, const char *arg, struct error *err)
{
	if (opt == ':')
		return error_set(err, EINVAL, "%s needs an argument", arg);
	if (optopt && optopt < FROM_NAME)
		return error_set(err, EINVAL, "no such option: -%c", optopt);
	return error_set(err, EINVAL, "%s: %s",
			 optopt ? "this option takes no argument" : "no such option", arg);
}

int cmdline_parse(const struct cmdline *c, int argc, char **argv, void *out, uint64_t *ret_given,
		  struct error *err)
{
	struct option names[MAX_OPTIONS + 2];
	char letters[2 * MAX_OPTIONS + 4];
	uint64_t given = 0;
	int opt;

	if (c->n > MAX_OPTIONS)
		return error_set(err, EINVAL, "more options than fit the table");
	fill(c, names, letters);
	opterr = 0;
	while ((opt = getopt_long(argc, argv, letters, names, NULL)) != -1) {
		const char *wrong;
		size_t i;

		if (opt == 'h' || opt == HELP)
			return CMDLINE_HELP;
		if (opt == ':' || opt == '?')
			return bad_option(opt, argv[optind - 1], err);
		i = find(c, opt);
		wrong = store(&c->options[i], optarg, out);
		if (wrong)
			return error_set(err, EINVAL, "%s: %s", wrong, optarg);
		given |= 1ULL << i;
	}
	*ret_given = given;
	return CMDLINE_DONE;
}

int cmdline_check(const struct cmdline *c, uint64_t given, uint64_t accepted, uint64_t required,
		  struct error *err)
{
	char buf[32];

	for (size_t i = 0; i < c->n; i++) {
		if (given & ~accepted & 1ULL << i)
			return error_set(err, EINVAL, "this option means nothing here: %s",
					 shown(&c->options[i], false, buf));
		if (required & ~given & 1ULL << i)
			return error_set(err, EINVAL, "%s %s is missing",
					 shown(&c->options[i], true, buf), c->options[i].arg);
	}
	return 0;
}

void cmdline_usage(const struct cmdline *c, uint64_t accepted, uint64_t required, FILE *to)
{
	char buf[32];

	for (size_t i = 0; i < c->n; i++)
		if (required & 1ULL << i)
			fprintf(to, " %s %s", shown(&c->options[i], true, buf), c->options[i].arg);
	for (size_t i = 0; i < c->n; i++) {
		const struct cmdline_option *o = &c->options[i];

		if (accepted & ~required & 1ULL << i)
			fprintf(to, " [%s%s%s]", shown(o, false, buf), o->arg ? " " : "",
				o->arg ? o->arg : "");
	}
}

void cmdline_help(const struct cmdline *c, uint64_t set, FILE *to)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct cmdline_option *o = &c->options[i];
		char letter[8] = "    ";
		char name[64] = "";

		if (!(set & 1ULL << i))
			continue;
		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c%s", o->letter, o->name ? ", " : "");
		if (o->name)
			snprintf(name, sizeof(name), "--%s", o->name);
		fprintf(to, "  %s%s%s%s\n      %s\n", letter, name, o->arg ? " " : "",
			o->arg ? o->arg : "", o->help);
	}
}
