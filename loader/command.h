/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of sluice: each is a row of the table in table.c and a function. --help, manual and completion read it. */
#ifndef LOADER_COMMAND_H
#define LOADER_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cmdline.h"
#include "base/error.h"
#include "conf/config.h"
#include "edge/edge.h"

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
	bool share;
	bool fix_sysctl;
	bool json;
	uint64_t ttl; /* nanoseconds; 0: for ever */
	const char *note;
	const char *by;
	const char *input;  /* a file of addresses, "-": standard input; NULL: none */
	const char *origin; /* entries of "operator" or "file"; NULL: of both */
	uint64_t reasons;   /* sluice watch: a bit each; 0: all that drop */
	uint64_t rate;	    /* events a second; 0: not given */
	uint64_t events;    /* end after so many; 0: don't */
	const char *pcap;   /* a file, "-": standard output; NULL: text */
	bool passes;
	const char *to;	      /* sluice why: ADDRESS[:PORT]; NULL: the interface's own */
	const char *protocol; /* "tcp", "udp", "icmp"; NULL: tcp */
	bool ack;
	bool once;	    /* sluice top */
	bool follow;	    /* sluice ban add */
	uint64_t interval;  /* nanoseconds; 0: not given */
	const char *family; /* "deny", "allow" or "never" for the list commands */
	const char *action; /* "add", "list": which of the command's actions; NULL: it has none */
	char **args;	    /* behind the action */
	size_t n_args;
};

/* All options that there are: rows of the table in table.c, bits of the sets below. */
enum command_option {
	OPTION_CONFIG,
	OPTION_INTERFACE,
	OPTION_MODE,
	OPTION_SHARE,
	OPTION_FIX_SYSCTL,
	OPTION_JSON,
	OPTION_TTL,
	OPTION_NOTE,
	OPTION_BY,
	OPTION_FILE,
	OPTION_ORIGIN,
	OPTION_REASON,
	OPTION_RATE,
	OPTION_PASSES,
	OPTION_PCAP,
	OPTION_EVENTS,
	OPTION_TO,
	OPTION_PROTO,
	OPTION_ACK,
	OPTION_ONCE,
	OPTION_FOLLOW,
	OPTION_INTERVAL,
	OPTION_COUNT,
};

#define OPTION(id) (1ULL << OPTION_##id)

/* What a command does first of all: sluice deny add. Ended by a row without name. */
struct command_action {
	const char *name;
	const char *args; /* "ADDRESS..."; "": none */
	size_t min_args;
	size_t max_args;
	uint64_t options; /* beside those of its command */
	const char *help; /* a sentence */
};

struct command {
	const char *name;
	enum status (*run)(const struct options *o);
	const struct command_action *actions; /* NULL: it has none */
	const char *args; /* of one without actions: "ADDRESS[:PORT]"; NULL: none */
	size_t min_args;
	size_t max_args;
	uint64_t options;  /* accepted, the required ones too */
	uint64_t required; /* without them it says what is missing */
	const char *help;  /* a sentence or two */
};

/* Ended by a row without name. */
extern const struct command commands[];
extern const struct cmdline command_options;

/* "deny add ADDRESS... [--json]", a line for each action: behind first, the later ones behind others. */
void command_usage(const struct command *c, const char *first, const char *others, FILE *to);

enum status cmd_attach(const struct options *o);
enum status cmd_detach(const struct options *o);
enum status cmd_upgrade(const struct options *o);
enum status cmd_apply(const struct options *o);
enum status cmd_status(const struct options *o);
enum status cmd_stats(const struct options *o);
enum status cmd_feeds(const struct options *o);
enum status cmd_watch(const struct options *o);
enum status cmd_top(const struct options *o);
enum status cmd_why(const struct options *o);
enum status cmd_list(const struct options *o);
enum status cmd_ban(const struct options *o);
enum status cmd_rule(const struct options *o);
enum status cmd_check(const struct options *o);

/* The status that goes with an error; command_fail prints "sluice: ..." before. */
enum status command_status(const struct error *err);
enum status command_fail(const struct error *err);

/* Of what only shows something, that is all of it: STATUS_FAILED, and it is said, when it could not be written. */
enum status command_shown(enum status status);

/* "sluice: warning: ..." */
void command_warn(const char *text);

/* Who runs this: the user behind sudo, too. */
const char *command_user(void);

/* The attached interfaces that a command is about. */
struct edges {
	struct edge *items;
	size_t n;
};

/*
 * --interface, or all that are attached; -ENOENT: there is none. Under the lock where ret_lock is set: its descriptor, for
 * commands that change something. Free by edges_fini, also when it failed.
 */
int command_open(const struct options *o, int *ret_lock, struct edges *ret, struct error *err);
void edges_fini(struct edges *e);

/* As a string; what is no text becomes what text_clean makes of it. */
json_t *command_text(struct slice text);

/* A command's JSON, on standard output. */
void command_print(const json_t *json);

/* Call fn for --interface, or for every attached interface; -ENOENT when there is none. */
int command_each(const struct options *o, int (*fn)(const char *name, void *arg), void *arg,
		 struct error *err);

#endif
