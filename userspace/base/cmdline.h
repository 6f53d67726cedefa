/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines by table: one row an option gives its parsing, its line in --help, in the manual and in completion. */
#ifndef BASE_CMDLINE_H
#define BASE_CMDLINE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

struct cmdline_option {
	const char *name; /* "interface": --interface; NULL: the letter only */
	char letter;	  /* 'i': -i; 0: the name only */
	/*
	 * What stands for the argument in usage and manual, NULL: it takes none. "FILE" and "IF" are completed by files
	 * and interfaces, "auto|native" by these words.
	 */
	const char *arg;
	size_t offset; /* in the caller's struct: of a const char * for the argument, of a bool without */
	/* Instead of that, when set: NULL, or what is wrong with value. out is the caller's struct. */
	const char *(*parse)(const char *value, void *out);
	const char *help; /* a sentence */
};

/* At most 63 rows; the bit of a row's number in a set says that it is in. */
struct cmdline {
	const struct cmdline_option *options;
	size_t n;
};

/* What cmdline_parse gives when all is well and when -h or --help, which is in every table, was there. */
enum { CMDLINE_DONE, CMDLINE_HELP };

/*
 * Read the options of argv[1] and on into *out, leaving getopt's optind at the first argument behind them. ret_given is the
 * set of rows that were there. Values are borrowed from argv. -EINVAL: err says what is wrong, for bad usage.
 */
int cmdline_parse(const struct cmdline *c, int argc, char **argv, void *out, uint64_t *ret_given,
		  struct error *err);

/* Whether nothing but accepted rows were given, and all required ones. -EINVAL: err says which. */
int cmdline_check(const struct cmdline *c, uint64_t given, uint64_t accepted, uint64_t required,
		  struct error *err);

/* " [--interface IF] -c FILE" for a usage line: required rows first, the others in brackets. */
void cmdline_usage(const struct cmdline *c, uint64_t accepted, uint64_t required, FILE *to);

/* "  -i, --interface IF  This interface only.": a line for each row of the set. */
void cmdline_help(const struct cmdline *c, uint64_t set, FILE *to);

#endif
