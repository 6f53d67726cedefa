/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for bash and zsh: commands, actions, options and what their arguments may be. */
#include <stdbool.h>
#include <string.h>

#include "daemon/args.h"
#include "loader/command.h"
#include "loader/manual/manual.h"

enum completed completed_by(const char *arg)
{
	if (!arg)
		return COMPLETE_NOTHING;
	if (strstr(arg, "FILE"))
		return COMPLETE_FILES;
	if (strcmp(arg, "IF") == 0)
		return COMPLETE_INTERFACES;
	return strchr(arg, '|') ? COMPLETE_WORDS : COMPLETE_NOTHING;
}

/* "a|b ADDRESS" as "a b". */
static void words(const char *arg, FILE *to)
{
	for (; *arg && *arg != ' '; arg++)
		fputc(*arg == '|' ? ' ' : *arg, to);
}

/* ---- bash ---- */

static void bash_names(const struct cmdline *c, uint64_t set, FILE *to)
{
	for (size_t i = 0; i < c->n; i++)
		if (set & 1ULL << i && c->options[i].name)
			fprintf(to, "--%s ", c->options[i].name);
	fputs("--help", to);
}

/* A branch for each option that takes an argument: by what it is completed. */
static void bash_arguments(const struct cmdline *c, FILE *to)
{
	static const char *const by[] = {
		[COMPLETE_NOTHING] = "nothing",
		[COMPLETE_FILES] = "files",
		[COMPLETE_INTERFACES] = "interfaces",
		[COMPLETE_WORDS] = NULL,
	};

	for (size_t i = 0; i < c->n; i++) {
		const struct cmdline_option *o = &c->options[i];
		const char *what;

		if (!o->arg)
			continue;
		fputs("\t", to);
		if (o->letter)
			fprintf(to, "-%c%s", o->letter, o->name ? " | " : "");
		if (o->name)
			fprintf(to, "--%s", o->name);
		fputs(") kind=\"", to);
		what = by[completed_by(o->arg)];
		if (what)
			fputs(what, to);
		else
			words(o->arg, to);
		fputs("\" ;;\n", to);
	}
}

/* Beside options: the actions first, files where a command or action takes some. */
static void bash_command(const struct command *c, FILE *to)
{
	const struct command_action *a;

	if (!c->actions) {
		fprintf(to, "\t%s)\n\t\toptions=\"", c->name);
		bash_names(&command_options, c->options, to);
		fputs("\"\n", to);
		if (completed_by(c->args) == COMPLETE_FILES)
			fputs("\t\tfiles=1\n", to);
		fputs("\t\t;;\n", to);
		return;
	}
	fprintf(to, "\t%s)\n\t\tactions=\"", c->name);
	for (a = c->actions; a->name; a++)
		fprintf(to, "%s%s", a == c->actions ? "" : " ", a->name);
	fputs("\"\n\t\t;;\n", to);
	for (a = c->actions; a->name; a++) {
		fprintf(to, "\t\"%s %s\")\n\t\toptions=\"", c->name, a->name);
		bash_names(&command_options, c->options | a->options, to);
		fputs("\"\n", to);
		if (completed_by(a->args) == COMPLETE_FILES)
			fputs("\t\tfiles=1\n", to);
		fputs("\t\t;;\n", to);
	}
}

static void bash_commands(FILE *to)
{
	bool first = true;

	fputs("\tcase $place in\n\t\"\") actions=\"", to);
	for (const struct command *c = commands; c->name; c++) {
		fprintf(to, "%s%s", first ? "" : " ", c->name);
		first = false;
	}
	fputs(" help\" ;;\n", to);
	for (const struct command *c = commands; c->name; c++)
		bash_command(c, to);
	fputs("\tesac\n", to);
}

static void bash_with_action(FILE *to)
{
	bool first = true;

	fputs("\tcase $1 in\n\t", to);
	for (const struct command *c = commands; c->name; c++) {
		if (!c->actions)
			continue;
		fprintf(to, "%s%s", first ? "" : " | ", c->name);
		first = false;
	}
	fputs(") return 0 ;;\n\tesac\n\treturn 1\n", to);
}

static const char bash_begin[] =
	"# Completion of sluice and sluiced in bash; made at build time of the tables that they "
	"read.\n"
	"\n"
	"_sluice_words() {\n"
	"\tmapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n"
	"}\n"
	"\n"
	"# By files, interfaces, nothing, or these words.\n"
	"_sluice_by() {\n"
	"\tlocal names\n"
	"\tcase $1 in\n"
	"\tfiles)\n"
	"\t\tcompopt -o filenames 2>/dev/null\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	"\t\t;;\n"
	"\tinterfaces)\n"
	"\t\tnames=(/sys/class/net/*)\n"
	"\t\t_sluice_words \"${names[*]##*/}\"\n"
	"\t\t;;\n"
	"\tnothing) ;;\n"
	"\t*) _sluice_words \"$1\" ;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"# By what the argument of an option is completed, into kind; empty: it takes none.\n"
	"_sluice_kind() {\n"
	"\tkind=''\n"
	"\tcase $1 in\n";

static const char bash_sluice[] =
	"_sluice() {\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} place='' actions='' options='--help' files='' kind "
	"i word\n"
	"\tCOMPREPLY=()\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\tword=${COMP_WORDS[i]}\n"
	"\t\t[ -z \"$place\" ] && [ \"${word#-}\" != \"$word\" ] && return\n"
	"\t\t_sluice_kind \"$word\"\n"
	"\t\tif [ -n \"$kind\" ]; then\n"
	"\t\t\t# --interface=lo comes in three words.\n"
	"\t\t\tif [ \"${COMP_WORDS[i+1]}\" = = ] && ((++i == COMP_CWORD)); then\n"
	"\t\t\t\tcur=''\n"
	"\t\t\tfi\n"
	"\t\t\t((++i < COMP_CWORD)) && continue\n"
	"\t\t\t_sluice_by \"$kind\"\n"
	"\t\t\treturn\n"
	"\t\tfi\n"
	"\t\tif [ -z \"$place\" ]; then\n"
	"\t\t\tplace=$word\n"
	"\t\telif [ \"${word#-}\" = \"$word\" ] && _sluice_has_actions \"$place\"; then\n"
	"\t\t\tplace=\"$place $word\"\n"
	"\t\tfi\n"
	"\tdone\n";

static const char bash_end[] = "\tif [ \"${cur#-}\" != \"$cur\" ]; then\n"
			       "\t\t_sluice_words \"$options\"\n"
			       "\telif [ -n \"$actions\" ]; then\n"
			       "\t\t_sluice_words \"$actions\"\n"
			       "\telif [ -n \"$files\" ]; then\n"
			       "\t\t_sluice_by files\n"
			       "\telse\n"
			       "\t\t_sluice_words \"$options\"\n"
			       "\tfi\n"
			       "}\n"
			       "\n"
			       "_sluiced() {\n"
			       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} kind=''\n"
			       "\tCOMPREPLY=()\n"
			       "\tcase ${COMP_WORDS[COMP_CWORD-1]} in\n";

void completion_bash(FILE *to)
{
	fputs(bash_begin, to);
	bash_arguments(&command_options, to);
	fputs("\tesac\n}\n\n"
	      "# Whether a command is followed by an action.\n"
	      "_sluice_has_actions() {\n",
	      to);
	bash_with_action(to);
	fputs("}\n\n", to);
	fputs(bash_sluice, to);
	bash_commands(to);
	fputs(bash_end, to);
	bash_arguments(&args_table, to);
	fputs("\tesac\n\t_sluice_by \"${kind:-", to);
	bash_names(&args_table, ARGS_ALL, to);
	fputs("}\"\n}\n\ncomplete -F _sluice sluice\ncomplete -F _sluiced sluiced\n", to);
}

/* ---- zsh ---- */

/* Inside '...[ ]': brackets, colons and quotes mean something there. */
static void zsh_text(const char *text, FILE *to)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", to);
		else if (strchr("[]:\\", *text))
			fprintf(to, "\\%c", *text);
		else
			fputc(*text, to);
	}
}

static void zsh_argument(const char *arg, FILE *to)
{
	static const char *const by[] = {
		[COMPLETE_NOTHING] = " ",
		[COMPLETE_FILES] = "_files",
		[COMPLETE_INTERFACES] = "_sluice_interfaces",
		[COMPLETE_WORDS] = NULL,
	};
	const char *what = by[completed_by(arg)];

	if (what) {
		fputc(':', to);
		zsh_text(arg, to);
		fprintf(to, ":%s", what);
		return;
	}
	fputs(":word:(", to);
	words(arg, to);
	fputc(')', to);
}

static void zsh_options(const struct cmdline *c, uint64_t set, FILE *to)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct cmdline_option *o = &c->options[i];

		if (!(set & 1ULL << i))
			continue;
		if (o->letter && o->name)
			fprintf(to, " \\\n\t\t\t'(-%c --%s)'{-%c,--%s%s}'[", o->letter, o->name,
				o->letter, o->name, o->arg ? "=" : "");
		else if (o->name)
			fprintf(to, " \\\n\t\t\t'--%s%s[", o->name, o->arg ? "=" : "");
		else
			fprintf(to, " \\\n\t\t\t'-%c[", o->letter);
		zsh_text(o->help, to);
		fputc(']', to);
		if (o->arg)
			zsh_argument(o->arg, to);
		fputc('\'', to);
	}
	fputs(" \\\n\t\t\t'(-h --help)'{-h,--help}'[Print how it is used.]'", to);
}

/* The options of a place, and one or more arguments. */
static void zsh_place(const char *command, const char *action, uint64_t set, const char *args,
		      FILE *to)
{
	fprintf(to, "\t'%s%s%s')\n\t\t_arguments -s", command, action ? " " : "",
		action ? action : "");
	zsh_options(&command_options, set, to);
	if (args && *args) {
		/* Words are what comes first. */
		fprintf(to, " \\\n\t\t\t'%c", completed_by(args) == COMPLETE_WORDS ? '1' : '*');
		zsh_argument(args, to);
		fputc('\'', to);
	}
	fputs("\n\t\t;;\n", to);
}

static void zsh_described(const char *name, const char *help, FILE *to)
{
	fprintf(to, "\t\t'%s:", name);
	zsh_text(help, to);
	fputs("'\n", to);
}

static void zsh_command(const struct command *c, FILE *to)
{
	const struct command_action *a = c->actions;

	if (!a) {
		zsh_place(c->name, NULL, c->options, c->args, to);
		return;
	}
	fprintf(to, "\t'%s')\n\t\tnames=(\n", c->name);
	for (; a->name; a++)
		zsh_described(a->name, a->help, to);
	fputs("\t\t)\n\t\t_arguments -s", to);
	zsh_options(&command_options, c->options, to);
	fputs(" \\\n\t\t\t'1:action:{_describe action names}'\n\t\t;;\n", to);
	for (a = c->actions; a->name; a++)
		zsh_place(c->name, a->name, c->options | a->options, a->args, to);
}

static void zsh_actions(FILE *to)
{
	for (const struct command *c = commands; c->name; c++)
		if (c->actions)
			fprintf(to, " %s", c->name);
}

static void zsh_with_argument(FILE *to)
{
	for (size_t i = 0; i < command_options.n; i++) {
		const struct cmdline_option *o = &command_options.options[i];

		if (o->arg && o->letter)
			fprintf(to, " -%c", o->letter);
		if (o->arg && o->name)
			fprintf(to, " --%s", o->name);
	}
}

void completion_zsh(FILE *to)
{
	fputs("#compdef sluice sluiced\n"
	      "# Completion of sluice and sluiced in zsh; made at build time of the tables that "
	      "they "
	      "read.\n\n"
	      "_sluice_interfaces() {\n"
	      "\tlocal -a names=(/sys/class/net/*(N:t))\n"
	      "\t_describe interface names\n}\n\n"
	      "_sluice() {\n"
	      "\tlocal place i\n"
	      "\tlocal -a names with_action=(",
	      to);
	zsh_actions(to);
	fputs(") with_argument=(", to);
	zsh_with_argument(to);
	fputs(")\n"
	      "\tif [[ $service == sluiced ]]; then\n"
	      "\t\t_arguments -s",
	      to);
	zsh_options(&args_table, ARGS_ALL, to);
	fputs("\n\t\treturn\n\tfi\n"
	      "\tif (( CURRENT == 2 )); then\n\t\tnames=(\n",
	      to);
	for (const struct command *c = commands; c->name; c++)
		zsh_described(c->name, c->help, to);
	fputs("\t\t)\n\t\t_describe command names\n\t\treturn\n\tfi\n"
	      "\tplace=$words[2]\n"
	      "\tshift words\n\t(( CURRENT-- ))\n"
	      "\t# The action, which options may come before.\n"
	      "\tif (( $with_action[(Ie)$place] )); then\n"
	      "\t\tfor (( i = 2; i < CURRENT; i++ )); do\n"
	      "\t\t\tif [[ $words[i] != -* ]]; then\n"
	      "\t\t\t\tplace+=\" $words[i]\"\n"
	      "\t\t\t\twords[i]=()\n\t\t\t\t(( CURRENT-- ))\n"
	      "\t\t\t\tbreak\n"
	      "\t\t\tfi\n"
	      "\t\t\t(( $with_argument[(Ie)$words[i]] )) && (( i++ ))\n"
	      "\t\tdone\n"
	      "\tfi\n"
	      "\tcase $place in\n",
	      to);
	for (const struct command *c = commands; c->name; c++)
		zsh_command(c, to);
	fputs("\tesac\n}\n\n_sluice \"$@\"\n", to);
}
