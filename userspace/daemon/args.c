/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/args.h"

static const struct cmdline_option options[] = {
	{"config", 'c', "FILE", offsetof(struct args, file),
	 .help = "The configuration; served in the foreground until SIGTERM."},
	{"check", 't', NULL, offsetof(struct args, check), .help = "Only check the configuration."},
};

const struct cmdline args_table = {options, sizeof(options) / sizeof(options[0])};
