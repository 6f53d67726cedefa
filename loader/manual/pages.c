/* SPDX-License-Identifier: Apache-2.0 */
/* sluice(8) and sluiced(8): commands, options, reasons. */
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "daemon/args.h"
#include "edge/reason.h"
#include "loader/command.h"
#include "loader/manual/manual.h"

void roff_text(const char *text, FILE *to)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", to);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", to);
		else if (*text == '-')
			fputs("\\-", to);
		else if (*text == '\'')
			fputs("\\(aq", to);
		else
			fputc(*text, to);
	}
}

void roff_head(const char *name, const char *section, const char *what, FILE *to)
{
	fputs(".\\\" Made at build time of the tables that the programs read.\n.TH ", to);
	for (const char *c = name; *c; c++)
		fputc(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c, to);
	fprintf(to,
		" %s " SLUICE_DATE " \"sluice " SLUICE_VERSION "\" \"sluice\"\n"
		".SH NAME\n%s \\- %s\n",
		section, name, what);
}

static void options(const struct cmdline *c, FILE *to)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct cmdline_option *o = &c->options[i];

		fputs(".TP\n", to);
		if (o->letter)
			fprintf(to, "\\fB\\-%c\\fR%s", o->letter, o->name ? ", " : "");
		if (o->name) {
			fputs("\\fB\\-\\-", to);
			roff_text(o->name, to);
			fputs("\\fR", to);
		}
		if (o->arg) {
			fputs(" \\fI", to);
			roff_text(o->arg, to);
			fputs("\\fR", to);
		}
		fputc('\n', to);
		roff_text(o->help, to);
		fputc('\n', to);
	}
	fputs(".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nPrint how it is used.\n", to);
}

/* The lines that --help shows, each as it stands. */
static void usage(const struct command *c, FILE *to)
{
	const char *separator = c == commands ? "" : ".br\n";
	char *text = NULL;
	size_t len;
	FILE *lines = open_memstream(&text, &len);

	if (!lines)
		abort();
	command_usage(c, "sluice ", "sluice ", lines);
	if (fclose(lines))
		abort();
	for (const char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		fputs(separator, to);
		separator = ".br\n";
		roff_text(line, to);
		fputc('\n', to);
	}
	free(text);
}

static void synopsis(FILE *to)
{
	fputs(".SH SYNOPSIS\n.nh\n.ad l\n", to);
	for (const struct command *c = commands; c->name; c++)
		usage(c, to);
	fputs(".ad b\n.hy\n", to);
}

static void about_commands(FILE *to)
{
	fputs(".SH COMMANDS\n", to);
	for (const struct command *c = commands; c->name; c++) {
		fprintf(to, ".TP\n\\fB%s\\fR\n", c->name);
		roff_text(c->help, to);
		fputc('\n', to);
		for (const struct command_action *a = c->actions; a && a->name; a++) {
			fprintf(to, ".RS\n.TP\n\\fB%s\\fR", a->name);
			if (*a->args) {
				fputs(" \\fI", to);
				roff_text(a->args, to);
				fputs("\\fR", to);
			}
			fputc('\n', to);
			roff_text(a->help, to);
			fputs("\n.RE\n", to);
		}
	}
}

static void reasons(FILE *to)
{
	fputs(".SH REASONS\nA packet is counted once, under the reason of its verdict.\n", to);
	for (size_t i = 0; i < REASON_COUNT; i++) {
		fprintf(to, ".TP\n\\fB%s\\fR (%s)\n", edge_reasons[i].name,
			edge_reasons[i].verdict);
		roff_text(edge_reasons[i].help, to);
		fputs(".\n", to);
	}
}

void page_sluice(FILE *to)
{
	roff_head("sluice", "8", "attach, change and look at the packet plane", to);
	synopsis(to);
	fputs(".SH DESCRIPTION\n"
	      "\\fBsluice\\fR puts the guard, an XDP program, on network interfaces, where it "
	      "drops what\n"
	      "should never reach a socket. The guard stays when the command ends. What it does is "
	      "said\n"
	      "by a file, see \\fBsluice.yaml\\fR(5), and by these commands; \\fBsluiced\\fR(8) "
	      "does the\n"
	      "same for the interfaces of its file. Commands that change something wait for one "
	      "another,\n"
	      "and leave the old state or the new one, whatever ends them.\n",
	      to);
	about_commands(to);
	fputs(".SH OPTIONS\nEach command takes those that its line above names.\n", to);
	options(&command_options, to);
	reasons(to);
	fputs(".SH FILES\n"
	      ".TP\n\\fI/sys/fs/bpf/sluice/INTERFACE/\\fR\n"
	      "The maps, the program and, unless it is shared, the link, for \\fBbpftool\\fR(8) "
	      "too: "
	      "what is written there\n"
	      "counts from the next packet. A dot in the interface\\(aqs name is written as a "
	      "colon.\n"
	      ".SH EXIT STATUS\n"
	      "0 done; 1 failed, and nothing changed; 2 usage; 3 not attached, or not on the "
	      "list.\n"
	      ".SH EXAMPLES\n"
	      ".nf\n"
	      "sluice attach \\-\\-interface eth0 \\-c /etc/sluice/sluice.yaml\n"
	      "sluice deny add 203.0.113.7 198.51.100.0/24\n"
	      "sluice stats \\-\\-json\n"
	      ".fi\n"
	      ".SH SEE ALSO\n\\fBsluiced\\fR(8), \\fBsluice.yaml\\fR(5), \\fBbpftool\\fR(8)\n",
	      to);
}

void page_sluiced(FILE *to)
{
	roff_head("sluiced", "8", "the gateway: request plane, and packet plane of its interfaces",
		  to);
	fputs(".SH SYNOPSIS\nsluiced", to);
	cmdline_usage(&args_table, ARGS_ALL, ARGS_REQUIRED, to);
	fputs("\n.SH DESCRIPTION\n"
	      "\\fBsluiced\\fR serves the listeners of its file, see \\fBsluice.yaml\\fR(5), in "
	      "the foreground,\n"
	      "one thread a CPU, and attaches the guard to the interfaces that the file names. "
	      "Where packet\n"
	      "programs are not to be had it serves all the same and says why the packet plane is "
	      "off.\n"
	      "The guard stays when the daemon ends; \\fBsluice\\fR(8) takes it off.\n"
	      ".SH OPTIONS\n",
	      to);
	options(&args_table, to);
	fputs(".SH SIGNALS\n"
	      ".TP\n\\fBSIGTERM\\fR, \\fBSIGINT\\fR\n"
	      "Answer the requests in flight, for at most \\fBdrain\\fR, and end.\n"
	      ".TP\n\\fBSIGHUP\\fR\n"
	      "Read the file, and those that it names, again without dropping a connection. One "
	      "with errors, or with an "
	      "address\n"
	      "that can\\(aqt be bound, changes nothing.\n"
	      ".TP\n\\fBSIGUSR1\\fR\nOpen the access logs again.\n"
	      ".SH EXIT STATUS\n"
	      "0 ended by a signal, or checked; 1 failed; 2 usage.\n"
	      ".SH SEE ALSO\n\\fBsluice\\fR(8), \\fBsluice.yaml\\fR(5)\n",
	      to);
}
