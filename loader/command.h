/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of sluice: each is a row of the table in main.c, a function and its help. */
#ifndef LOADER_COMMAND_H
#define LOADER_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "conf/config.h"

/* Exit statuses; README.md says the same. */
enum status {
	STATUS_DONE,
	STATUS_FAILED, /* and nothing was changed */
	STATUS_USAGE,
	STATUS_NOT_FOUND, /* not attached, not on the list */
};

/* What stood on the command line, behind the subcommand's name. */
struct options {
	const char *interface; /* NULL: all that are attached, or all of the file */
	const char *file;
	enum conf_xdp_mode mode;
	bool mode_given;
	bool fix_sysctl;
	bool json;
	const char *family; /* "deny" or "allow" for the list commands */
	char **args;
	size_t n_args;
};

enum status cmd_attach(const struct options *o);
enum status cmd_detach(const struct options *o);
enum status cmd_upgrade(const struct options *o);
enum status cmd_apply(const struct options *o);
enum status cmd_status(const struct options *o);
enum status cmd_stats(const struct options *o);
enum status cmd_list(const struct options *o);
enum status cmd_check(const struct options *o);

/* Print "sluice: ..." and give the status that goes with the error. */
enum status command_fail(const struct error *err);

/* Call fn for --interface, or for every attached interface; -ENOENT when there is none. */
int command_each(const struct options *o, int (*fn)(const char *name, void *arg), void *arg,
		 struct error *err);

#endif
