/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of sluiced: main.c reads it, the manual and the completion are made from it. */
#ifndef DAEMON_ARGS_H
#define DAEMON_ARGS_H

#include <stdbool.h>

#include "base/cmdline.h"

struct args {
	const char *file;
	bool check;
};

extern const struct cmdline args_table;

/* Sets of its rows. */
#define ARGS_ALL      3ULL
#define ARGS_REQUIRED 1ULL

#endif
